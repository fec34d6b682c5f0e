"""Ctrl-C and SIGTERM in the middle of long commands: status, how to go on, nothing half-written, no process left."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from building import COMMAND, build, shards, write_pictures
from faulty import group_members, wait_until
from running import BUILD, SYNTHANOM, TRAIN, answer, ran, stopping
from saved_models import write_model
from test_run_log import read
from tiny_dataset import write_tiny

from synthanom.cli import main as synthanom
from synthanom.preprocess import default_pipeline
from synthanom.training.cli import main as train
from synthanom.volumes import write_picture

MANY = ("--variants", "32", "--tasks", "sink,source,smooth_intensity", "--folds", "3", "--workers", "2")
STATUS = {"SIGINT": (130, "interrupted"), "SIGTERM": (143, "terminated")}


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("raw"), 4)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("data") / "data")


@pytest.fixture(scope="module")
def built(raw, tmp_path_factory):
    out = tmp_path_factory.mktemp("built") / "data"
    assert build(raw, "--out", out, "--variants", 2, "--tasks", "sink", "--folds", 1, "--workers", 1).status == 0
    return out


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "m", pipeline=default_pipeline("picture", (16, 16)))


def stopped(name, function, call, main, *arguments, cwd=None):
    """Run a command that is sent a signal; what it says, after checking its status."""
    status, word = STATUS[name]
    done = ran(stopping(name, function, call, main), *arguments, cwd=cwd)
    assert done.returncode == status and "Traceback" not in done.stderr, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith(word)]
    assert line.startswith(f"{word}; to go on, run the same command again")
    return line, done


def done_units(out: Path) -> int:
    return len(list(out.glob(".units/*.json")))


def begun(process: subprocess.Popen, out: Path, units: int) -> bool:
    """Wait until so many units are finished; False if the build ended before."""
    wait_until(lambda: process.poll() is not None or done_units(out) >= units)
    return process.poll() is None


def test_a_replay(built):
    line, done = stopped("SIGINT", "synthanom.replaying:_compared", 3, SYNTHANOM, "check", built, "--replay", "--json")
    assert line.endswith("it only reads")
    assert json.loads(done.stdout) == {"error": line, "status": "interrupted", "exit": 130}


def test_a_description(data, tmp_path):
    function = "synthanom.description.images:ImageContent.add"
    line, done = stopped("SIGINT", function, 3, SYNTHANOM, "describe", data, "--pictures", tmp_path / "p.png")
    assert line.endswith("nothing was written") and done.stdout == "" and list(tmp_path.iterdir()) == []


def test_an_evaluation(tmp_path):
    for number in range(4):
        for folder, shift in (("maps", 0.0), ("masks", 1.0)):
            (tmp_path / folder).mkdir(exist_ok=True)
            picture = [[float((x + number) % 3 == 0 and (y > 5 or not shift)) for x in range(12)] for y in range(12)]
            write_picture(tmp_path / folder / f"x{number}.png", np.array(picture))
    given = ("evaluate", "maps", "--truth", "masks", "--out", "numbers.json")
    line, done = stopped("SIGINT", "synthanom.evaluation.evaluate:rank_numbers", 2, SYNTHANOM, *given, cwd=tmp_path)
    assert line.endswith("nothing was written") and done.stdout == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["maps", "masks"]


def test_a_prediction_begins_anew(raw, model, tmp_path):
    given = ("predict", model, "--input", raw, "--device", "cpu", "--out")
    code = "import synthanom.predicting.filling as f\nf.HELD_BYTES = 1\n" + SYNTHANOM  # scan by scan
    line, _ = stopped("SIGTERM", "synthanom.detectors.scoring:Scorer.map", 3, code, *given, tmp_path / "maps")
    assert "begins anew" in line
    assert json.loads((tmp_path / "maps/predict.json").read_text())["finished"] is False
    assert {path.name for path in (tmp_path / "maps").iterdir()} == {"predict.json", "p00.png", "p01.png"}
    events = read(tmp_path / "maps.log")
    assert any(event.startswith("stopped: computing maps: 2 of 4") for event in events)
    assert events[-1] == "terminated; run the same command again; exit status 143 (terminated)"
    for out in ("maps", "straight"):
        assert answer(synthanom, *given, tmp_path / out)[0] == 0
    one, two = ({p.name: p.read_bytes() for p in (tmp_path / n).iterdir()} for n in ("maps", "straight"))
    assert one == two and len(one) == 7


def test_training_goes_on_from_its_last_epoch(data, tmp_path):
    (tmp_path / "c.yaml").write_text("network: {settings: {base: 2, resolutions: 2}}\nbatch_size: 4\nepochs: 2\n")
    given = (data, "--out", tmp_path / "run", "--config", tmp_path / "c.yaml", "--device", "cpu")
    line, _ = stopped("SIGTERM", "synthanom.training.fitting:Fitting.training_step", 3, TRAIN, *given)
    assert line.endswith("it continues from the last finished epoch")
    log = tmp_path / "run/logs/train.log"
    assert read(log)[-1] == "terminated; run the same command again; exit status 143 (terminated)"
    assert not list((tmp_path / "run").rglob("*.tmp"))
    status, found, _ = answer(train, *given)
    assert status == 0 and found["runs"][0]["trained"] and found["runs"][0]["epochs"] == 2
    assert "begun: training: 2 to do" in read(log)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_build_that_a_scheduler_ends(tmp_path):
    raw, out = write_pictures(tmp_path / "raw"), tmp_path / "data"
    process = subprocess.Popen(
        [*COMMAND, "folder", str(raw), "--out", str(out), *MANY],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert begun(process, out, 2)
    workers = [member for member in group_members(process.pid) if member != process.pid]
    for member in workers:  # as a scheduler does: every process of the job, in any order
        os.kill(member, signal.SIGTERM)
    time.sleep(0.3)
    os.kill(process.pid, signal.SIGTERM)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 143, errors
    assert "terminated; to go on, run the same command again: what is finished is kept" in errors
    assert "Traceback" not in errors and "worker process" not in errors
    assert wait_until(lambda: not group_members(process.pid))
    assert not list(out.rglob(".*.tmp")) and not (out / ".build.lock").exists() and done_units(out) >= 2
    assert read(tmp_path / "data.log")[-1].endswith("exit status 143 (terminated)")
    assert build(raw, "--out", out, *MANY).status == 0
    assert build(raw, "--out", tmp_path / "straight", *MANY).status == 0
    assert shards(out) == shards(tmp_path / "straight")


def test_an_ignored_signal_stays_ignored():
    code = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n{BUILD}"
    assert ran(stopping("SIGTERM", "synthanom_builders.cli:exits.run", 1, code), "--help").returncode == 0
