"""`synthanom export` as a process: terminals, pipes, logs, JSON, Ctrl-C, and readers that know nothing of synthanom."""

import json
import re
import subprocess
import sys

import pytest
from real_data import write_real
from running import AT_ONCE, SYNTHANOM, answer, on_terminal, ran, stopping
from test_exporting import contents
from test_run_log import read

from synthanom.cli import main
from synthanom.shards import DataSet


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_real(tmp_path_factory.mktemp("data") / "data", shape=(16, 20), subjects=6)


def test_dense_hdf5_is_read_by_h5py_alone(data, tmp_path):
    done = ran(SYNTHANOM, "export", data, "--out", tmp_path / "out")
    assert done.returncode == 0 and "6 healthy, 12 inter_blend, 12 sink rows" in done.stdout, done.stderr
    code = (
        "import sys\nfor name in ('synthanom', 'hdf5plugin', 'torch'): sys.modules[name] = None\n"
        "import h5py\n"
        "with h5py.File(sys.argv[1]) as file:\n"
        "    texts = [file[name].asstr()[3] for name in ('id', 'recipe')]\n"
        "    print(file['image'].shape, file['label'][3].sum(), texts[0], texts[1][:10])\n"
    )
    read_by = subprocess.run(
        [sys.executable, "-I", "-c", code, str(tmp_path / "out/sink.h5")],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": "", "HDF5_PLUGIN_PATH": "/nowhere"},
    )
    with DataSet.open(data) as opened:
        stored = opened.anomaly("sink", 3)
        name = opened.healthy_ids[stored.healthy_index]
    assert read_by.stdout.split(") ")[1].split() == [str(stored.label.sum()), name, stored.recipe.decode()[:10]]
    assert read_by.stdout.startswith("(12, 1, 16, 20) ") and read_by.stderr == ""


def test_pipes_terminals_log_and_json(data, tmp_path):
    done = ran(SYNTHANOM, "export", data, "--out", tmp_path / "out", "--format", "nifti", "--tasks", "sink")
    (line,) = done.stderr.splitlines()
    assert re.fullmatch(r"18 rows: about [\d.]+ kB \([\d.]+ kB as plain arrays\), \S+ \wB are free", line)
    events = read(tmp_path / "out.log")
    assert events[0].startswith("command: ") and "begun: exporting sink: 12 to do" in events and line in events
    assert events[-1].endswith("exit status 0 (done)") and "6 healthy, 12 sink rows" in events[-1]
    before = (tmp_path / "out.log").read_bytes()
    given = ("export", data, "--out", tmp_path / "out", "--format", "nifti", "--tasks", "sink")
    status, found, err = answer(main, *given)
    assert (status, err, found["already"], found["log"]) == (0, "", True, None)
    assert (tmp_path / "out.log").read_bytes() == before
    status, found, _ = answer(main, "export", data, "--out", tmp_path / "new", "--folds", "0", "--limit", "2")
    assert status == 0 and set(found) == {
        "out", "format", "already", "rows", "bytes", "kept", "log", "status", "exit",
    }  # fmt: skip
    assert found["rows"] == {"healthy": 2, "inter_blend": 2, "sink": 2} and found["log"] == str(tmp_path / "new.log")
    status, shown = on_terminal(AT_ONCE + SYNTHANOM, "export", data, "--out", tmp_path / "terminal")
    assert status == 0 and re.search(r"exporting sink .* 12/12 +\S+ (per s|s each)", shown)


def test_a_dry_run_writes_nothing(data, tmp_path):
    done = ran(SYNTHANOM, "export", data, "--out", tmp_path / "out", "--dry-run", "--tasks", "none")
    assert done.returncode == 0 and done.stdout.startswith("6 rows: about ") and done.stderr == ""
    status, found, _ = answer(main, "export", data, "--out", tmp_path / "out", "--dry-run")
    assert status == 0 and found["dry_run"] and found["plain_bytes"] > 0 and found["free_bytes"] > 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("--tasks", "swirl"), "no task 'swirl'"),
        (("--folds", "one"), "--folds must be numbers"),
        (("--folds", "9"), "no fold 9"),
        (("--limit", "0"), "--limit"),
        (("--format", "png"), "--format"),
        (("--codec", "zstd"), "--codec"),
        (("--format", "nifti", "--codec", "none"), "leave it out"),
        (("--tasks", "none", "--no-healthy"), "nothing to export"),
    ],
)
def test_bad_input_is_one_line(given, words, data, tmp_path):
    status, found, err = answer(main, "export", data, "--out", tmp_path / "out", *given)
    assert status == 2 and words in found["error"] and len(err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_other_places_are_refused_in_one_line(data, tmp_path):
    for source, out, words in (
        (tmp_path / "none", tmp_path / "out", "no such folder"),
        (data, data / "x", "outside the data set"),
        (data, tmp_path, "something else"),
    ):
        (tmp_path / "mine").touch()
        done = ran(SYNTHANOM, "export", source, "--out", out)
        assert done.returncode == 2 and words in done.stderr and len(done.stderr.splitlines()) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("form", ["hdf5", "nifti"])
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_an_interruption_keeps_what_is_finished(name, form, data, tmp_path):
    given = ("export", data, "--format", form, "--out")
    code = stopping(name, "synthanom.exporting.pictures:Pictures.anomaly", 17, SYNTHANOM)
    done = ran(code, *given, tmp_path / "out")
    word = {"SIGINT": "interrupted", "SIGTERM": "terminated"}[name]
    assert done.returncode == {"SIGINT": 130, "SIGTERM": 143}[name] and "Traceback" not in done.stderr, done.stderr
    assert f"{word}; to go on, run the same command again: files that are finished are kept" in done.stderr
    assert read(tmp_path / "out.log")[-1].startswith(f"{word}; run the same command again")
    assert not [p for p in tmp_path.rglob("*") if p.name.startswith(".")]
    there = contents(tmp_path / "out")
    assert json.loads(there["export.json"])["finished"] is False and "rows.csv" not in there
    if form == "hdf5":
        assert set(there) == {"export.json", "healthy.h5", "inter_blend.h5"}
    status, found, _ = answer(main, *given, tmp_path / "out")
    assert status == 0 and found["kept"] >= 6 and not found["already"]
    assert answer(main, *given, tmp_path / "straight")[0] == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "straight")
