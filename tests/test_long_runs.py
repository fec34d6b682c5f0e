"""Long commands: what a terminal shows, what a pipe does not, what the log and `--json` say."""

import json
import os
import re
import subprocess
import sys

import pytest
from building import build, write_pictures
from running import AT_ONCE, BUILD, SYNTHANOM, TRAIN, answer, command, on_terminal, ran
from saved_models import write_model
from test_run_log import read
from tiny_dataset import write_tiny

from synthanom import exits
from synthanom.cli import main as synthanom
from synthanom.preprocess import default_pipeline
from synthanom.progress import Progress, silent, untold
from synthanom.training.cli import main as train

QUICK = ("--variants", "2", "--workers", "2", "--tasks", "sink", "--folds", "1")
RATE = r"\d+/{} units +\S+ (per s|s each) +\d+:\d\d"
SLOW = AT_ONCE + (
    "import time\nfrom synthanom.progress import Progress\n"
    "progress = Progress(terminal=True)\n"
    "for k in progress.track('reading [scans]', range(8), 8):\n"
    "    time.sleep(0.15)\n"
    "    if k == 4: progress.note('note [of] 5')\n"
)


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("raw"))


@pytest.fixture(scope="module")
def built(raw, tmp_path_factory):
    out = tmp_path_factory.mktemp("built") / "data"
    assert build(raw, "--out", out, *QUICK).status == 0
    return out


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "m", pipeline=default_pipeline("picture", (16, 16)))


def test_a_terminal_shows_rate_and_time_left():
    status, shown = on_terminal(SLOW)
    assert status == 0 and "Traceback" not in shown, shown
    assert re.search(r"reading \[scans\] .* [3-7]/8 +\S+ per s +0:0\d, 0:0\d left", shown)
    assert re.search(r"8/8 +\S+ per s +0:0\d *\r?\n", shown)  # stays as it was at the end
    assert "note [of] 5" in shown.splitlines()


def test_answers_go_above_the_line_of_a_terminal_and_into_a_pipe():
    code = SLOW.replace("progress.note('note [of] 5')", "progress.answer('run [5] is done')")
    status, shown = on_terminal(code)
    assert status == 0 and "run [5] is done" in shown.splitlines() and re.search(r"8/8 +\S+ per s", shown), shown
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "run [5] is done\n"


def test_what_is_over_at_once_shows_no_bar():
    code = "from synthanom.progress import Progress\nlist(Progress(terminal=True).track('a', 'xyz', 3))"
    status, shown = on_terminal(code)
    assert (status, shown) == (0, "")


def test_a_build_on_a_terminal(raw, tmp_path):
    status, shown = on_terminal(AT_ONCE + BUILD, "folder", raw, "--out", tmp_path / "data", *QUICK)
    assert status == 0 and "Traceback" not in shown
    assert re.search(RATE.format(1), shown) and "anomalies" in shown and "to do" not in shown
    assert "12 healthy images, 24 anomalies" in shown


def test_training_on_a_terminal(tmp_path):
    write_tiny(tmp_path / "data")
    (tmp_path / "c.yaml").write_text("network: {settings: {base: 2, resolutions: 2}}\nbatch_size: 4\nepochs: 3\n")
    arguments = ("data", "--out", "run", "--config", "c.yaml", "--device", "cpu")
    status, shown = on_terminal(AT_ONCE + TRAIN, *arguments, cwd=tmp_path)
    assert status == 0 and "Traceback" not in shown
    assert re.search(r"training .* [1-5]/6 batches +\S+ (per s|s each) +0:\d\d, 0:\d\d left", shown)
    assert sum(line.startswith("epoch ") for line in shown.splitlines()) == 3
    log = tmp_path / "run/logs/train.log"
    events = read(log)
    assert [e.split(":")[0] for e in events if e.startswith("epoch ")] == ["epoch 0", "epoch 1", "epoch 2"]
    assert "begun: training: 6 to do" in events and events[-1].endswith("exit status 0 (done)")
    before = log.read_bytes()
    given = (tmp_path / "data", "--config", tmp_path / "c.yaml")
    status, found, err = answer(train, *given, "--out", tmp_path / "run", "--device", "cpu")
    assert (status, err, found["status"], found["exit"], found["runs"][0]["trained"]) == (0, "", "done", 0, False)
    assert set(found["runs"][0]) == {
        "training_tasks", "run", "seed", "folder", "reason", "epochs", "best_epoch", "best_loss", "trained",
    }  # fmt: skip
    assert log.read_bytes() == before  # nothing was done
    _, listed, _ = answer(train, *given, "--list")
    assert len(listed["runs"]) == 30 and set(listed["runs"][0]) == {
        "training_tasks", "run", "train_tasks", "train_folds", "validation_tasks", "validation_folds", "command",
        "same_kind", "refused",
    }  # fmt: skip


def test_a_pipe_gets_one_line_a_stage_and_the_log_all(raw, built, tmp_path):
    done = ran(BUILD, "folder", raw, "--out", tmp_path / "data", *QUICK)
    lines = done.stderr.splitlines()
    assert done.returncode == 0 and [line for line in lines if line.endswith(" to do")] == [
        "looking at the images: 1 to do", "healthy images: 1 to do", "anomalies: 1 to do",
    ]  # fmt: skip
    assert len(lines) < 10 and "\r" not in done.stderr and "\x1b" not in done.stderr
    events = read(tmp_path / "data.log")
    assert events[0].startswith("command: ") and f"--out {tmp_path / 'data'}" in events[0]
    assert events[1].startswith("synthanom 0.1.0, Python ")
    plan = next(event for event in events if event.startswith("plan "))
    assert re.match(r"plan [0-9a-f]{64}: 12 images, sink, 64 rows a unit; fingerprint: .*numpy 2", plan)
    assert any(re.fullmatch(r"ended: anomalies: 1 of 1 in [\d.]+ s, \S+ (per s|s each)", event) for event in events)
    assert events[-1].endswith("exit status 0 (done)") and "24 anomalies" in events[-1]
    files = {p.relative_to(built): p.read_bytes() for p in built.rglob("*") if p.is_file()}
    assert files == {
        p.relative_to(tmp_path / "data"): p.read_bytes() for p in (tmp_path / "data").rglob("*") if p.is_file()
    }


def test_finished_and_foretold_builds_leave_no_log(raw, built, tmp_path):
    log = built.with_name("data.log")
    before = log.read_bytes()
    found = json.loads(build(raw, "--out", built, *QUICK, "--json").out)
    assert found["already"] and found["log"] is None and log.read_bytes() == before
    ran_dry = build(raw, "--out", tmp_path / "new", *QUICK, "--dry-run", "--json")
    found = json.loads(ran_dry.out)
    assert (found["counts"], found["dry_run"], found["exit"]) == ({"healthy": 12, "anomalies": 24}, True, 0)
    assert found["seconds"] > 0 and found["images"][0]["id"] == "p00" and list(tmp_path.iterdir()) == []
    assert build(tmp_path / "gone", "--out", tmp_path / "new", *QUICK).status == 2 and list(tmp_path.iterdir()) == []


def test_every_skipped_row_is_in_the_log_and_in_json(tmp_path):
    raw = write_pictures(tmp_path / "raw")
    for number in range(7):
        (raw / f"bad{number}.png").write_bytes(b"no picture")
    done = build(raw, "--out", tmp_path / "data", *QUICK, "--json")
    found = json.loads(done.out)
    assert (done.status, found["exit"], found["status"]) == (3, 3, "done, with skipped files")
    assert len(found["skipped"]) == 7 and set(found["skipped"][0]) == {"id", "path", "stage", "variant", "reason"}
    assert found["log"] == str(tmp_path / "data.log") and f"log: {found['log']}" in done.err
    events = read(tmp_path / "data.log")
    assert sum(event.startswith("skipped bad") for event in events) == 7 and done.err.count("skipped bad") == 5
    assert events[-1].endswith("exit status 3 (done, with skipped files)")


def test_refusals_after_work_began_are_logged_in_full(tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    for number in range(7):
        (raw / f"bad{number}.png").write_bytes(b"no picture")
    done = build(raw, "--out", tmp_path / "data", *QUICK, "--json")
    found = json.loads(done.out)
    assert (done.status, found["exit"], found["status"]) == (2, 2, "refused") and found["error"] == done.error[7:]
    assert f"log: {tmp_path / 'data.log'}" in done.err
    events = read(tmp_path / "data.log")
    assert events[-1].startswith("error: none of the 7 images") and events[-1].endswith("exit status 2 (refused)")


def test_a_bug_leaves_its_traceback_in_the_log(raw, tmp_path):
    code = "import synthanom_builders.build as b\ndef broken(*a, **k): [][1]\nb.finish = broken\n" + BUILD
    done = ran(code, "folder", raw, "--out", tmp_path / "data", *QUICK, "--json")
    assert done.returncode == 1 and "Traceback" not in done.stderr and f"log: {tmp_path / 'data.log'}" in done.stderr
    assert json.loads(done.stdout)["status"] == "bug"
    events = read(tmp_path / "data.log")
    assert "Traceback (most recent call last):" in events and "IndexError: list index out of range" in events
    assert events[-1].endswith("exit status 1 (bug)")


def test_a_build_goes_on_where_no_log_can_be_written(raw, tmp_path):
    (tmp_path / "data.log").mkdir()
    done = build(raw, "--out", tmp_path / "data", *QUICK)
    assert done.status == 0 and done.err.count("no log is kept") == 1


def test_predict_logs_and_answers(model, tmp_path):
    raw = write_pictures(tmp_path / "raw", 2)
    (raw / "bad.png").write_bytes(b"no picture")
    status, found, err = answer(synthanom, "predict", model, "--input", raw, "--out", tmp_path / "maps")
    assert status == found["exit"] == 3 and set(found["scores"]) == {"p00", "p01"}
    assert found["skipped"][0]["path"].endswith("bad.png") and found["log"] == str(tmp_path / "maps.log")
    events = read(tmp_path / "maps.log")
    assert "begun: computing maps: 3 to do" in events and any(e.startswith("skipped ") for e in events)
    assert [line.split()[0] for line in err.splitlines()] == ["skipped", "log:"]
    status, shown = on_terminal(AT_ONCE + SYNTHANOM, "predict", model, "--input", raw, "--out", tmp_path / "maps")
    assert status == 3 and re.search(r"computing maps .* 3/3 +\S+ (per s|s each)", shown)


def test_reading_commands_show_bars_on_a_terminal_and_answer_in_json(built, tmp_path):
    status, shown = on_terminal(AT_ONCE + SYNTHANOM, "check", built, "--replay")
    assert status == 0 and re.search(r"checking rows .* 36/36", shown) and re.search(r"replaying rows .* 24/24", shown)
    status, shown = on_terminal(AT_ONCE + SYNTHANOM, "describe", built)
    assert status == 0 and re.search(r"reading images .* 12/12", shown)
    status, found, err = answer(synthanom, "check", built, "--replay")
    replayed = found.pop("replay")
    assert (status, err) == (0, "") and found == {
        "data": str(built), "problems": [], "files": 4, "rows": 36, "status": "done", "exit": 0,
    }  # fmt: skip
    assert replayed == {"rows": 24, "same_fingerprint": True, "largest_difference": 0.0}
    status, found, err = answer(synthanom, "check", tmp_path)
    assert status == found["exit"] == 2 and len(found["problems"]) == 1 and err == ""
    status, found, err = answer(synthanom, "evaluate", tmp_path)
    assert (status, found) == (2, {"error": err.removeprefix("error: ").strip(), "status": "refused", "exit": 2})
    assert answer(synthanom, "check", "--what")[1]["exit"] == 2


def test_a_reader_that_leaves_is_no_error(raw, built, tmp_path):
    ours, theirs = os.pipe()
    os.close(ours)
    done = subprocess.run(
        command(SYNTHANOM, "check", built), stdout=theirs, stderr=subprocess.PIPE, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (exits.DONE, "")
    # and one that no longer reads what is said on the way does not stop a build
    done = subprocess.run(
        command(BUILD, "folder", raw, "--out", tmp_path / "data", *QUICK),
        stdout=subprocess.PIPE, stderr=theirs, text=True, timeout=60,
    )  # fmt: skip
    os.close(theirs)
    assert done.returncode == 0 and "24 anomalies" in done.stdout and (tmp_path / "data/dataset.json").exists()


def test_callers_that_ask_for_nothing_see_nothing(capsys):
    assert list(untold("a", iter("xyz"), 3)) == list("xyz") == list(silent().track("a", "xyz", 3))
    silent().note("b")
    assert capsys.readouterr() == ("", "")


def test_an_item_counts_once_it_is_done(capsys):
    progress = Progress(terminal=False)
    with progress.stage("a", 3) as pace:
        pace.passed(2)
        assert pace.done == 2
    items = progress.track("b", range(3), 3)
    assert [next(items), next(items)] == [0, 1]
    items.close()
    assert capsys.readouterr() == ("", "")
