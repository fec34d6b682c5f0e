"""Disks that are full, read-only, or gone: one line that says so, nothing half-written, the same bytes afterwards."""

import os
import re
import shutil
import sys
import time

import pytest
import read_only
from building import Ran, listing
from faulty import Scene, Strike, Way, command, ended, let_go, paused, started
from verdicts import finished, judged, one_line, some

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
FILLS = "^(create|write|mkdir|fsync) "  # steps that need space
WRITES = 80  # and a few to spare
FEW = (4, 31)  # of them, in `make test`: the plan, an anomaly
SIZES = (8, 16, 28, 48, 72, 96, 120, 140)  # kB of a small disk
REMOVED_AT = (
    "rename plan.json",
    "rename healthy",
    "create .units/healthy",
    "create anomalies",
    "rename anomalies",
    "create skipped.csv",
    "rename dataset.json",
)
FEW_SIZES = (48,)


@pytest.mark.parametrize("number", some(range(1, WRITES + 1), FEW))
def test_disk_full_at_any_write_is_one_line_and_nothing_half_written(number, whole, tmp_path, record_property):
    scene = whole.at(tmp_path)
    assert sum(re.match(FILLS, step) is not None for step in whole.steps) < WRITES
    ran = ended(started(scene, Way(), Strike(do="no space", step=FILLS, at=number, lasting=number % 2 == 1)))
    happened = len(scene.journal.read_text().splitlines()) >= number
    wrong = one_line(ran, "No space left") if happened else [] if ran.status == 0 else [ran.err]
    judged(record_property, finished("disk full at the n-th write", scene, Way(), [*wrong, *left_over(scene)]))


def left_over(scene: Scene) -> list[str]:
    """Temporaries and locks that a build left which nobody killed."""
    return [f"left: {path}" for path in scene.out.rglob(".*") if path.name != ".units"]


@pytest.mark.parametrize("size", some(SIZES, FEW_SIZES))
def test_small_disk_is_one_line_and_nothing_half_written(size, whole, tmp_path, record_property):
    if not read_only.mounting_works():
        pytest.skip("must be root, with unshare, to make a small disk")
    small, scene = tmp_path / "small", whole.at(tmp_path / "kept")
    small.mkdir()
    mount = f'mount -t tmpfs -o size={size}k none {small} && "$@"; status=$?; cp -a {small}/. {scene.out.parent}'
    scene.out.parent.mkdir()
    way = Way(prefix=("unshare", "-m", "sh", "-c", f"{mount}; exit $status", "sh"))
    ran = ended(started(whole.at(small), way))
    wrong = one_line(ran, "No space left") if ran.status else [] if size > 96 else ["a disk that small must fill"]
    judged(record_property, finished("small disk", scene, Way(), [*wrong, *left_over(scene)]))


@pytest.mark.parametrize("place", some(("folder", "parent"), ("parent",)))
def test_read_only_folder_is_one_line(place, whole, tmp_path, record_property):
    scene = whole.at(tmp_path / "place")
    scene.out.mkdir(parents=True)
    if place == "folder":
        ended(started(scene, Way(), Strike(do="kill group", step="rename anomalies", at=1)))  # is to be gone on with
        before = listing(scene.out)
    else:
        scene.out.rmdir()
    protected = scene.out if place == "folder" else scene.out.parent
    done = read_only.run(command(scene, Way()), [protected], os.environ)
    wrong = one_line(
        Ran(status=done.returncode, out=done.stdout, err=done.stderr), "must be a folder that can be written"
    )
    if place == "folder" and listing(scene.out) != before:
        wrong.append("a folder that is read-only was changed")
    judged(record_property, finished("read-only folder", scene, Way(), wrong))


@pytest.mark.parametrize("step", some(REMOVED_AT, ("rename anomalies",)))
def test_folder_removed_during_a_build_is_one_line(step, whole, tmp_path, record_property):
    scene = whole.at(tmp_path)
    process = paused(scene, Way(), step)
    gone(scene.out)
    ran = let_go(scene, process)
    # a worker that was writing may have left its file in a folder made anew, which the same command refuses, saying so
    gone(scene.out)
    judged(record_property, finished("output removed", scene, Way(), one_line(ran)))


def gone(folder):
    """Remove a folder whose other writers go on until they notice: what they add meanwhile is removed as well."""
    for _ in range(100):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.05)
    raise AssertionError(f"{folder} came back a hundred times")


def test_steps_come_in_an_order_that_survives_a_loss_of_power(whole):
    """A file is on the disk before it gets its name, a shard before its record, and everything before dataset.json."""
    place = {step: number for number, step in enumerate(whole.steps)}
    named = [step.removeprefix("rename ") for step in whole.steps if step.startswith("rename ")]
    assert len(named) == len(set(named)) > 10
    for name in named:
        renamed = place[f"rename {name}"]
        assert place[f"write {name}"] < place[f"fsync {name}"] < renamed, name
        folder = name.rpartition("/")[0] or "."
        assert f"fsync {folder}" in whole.steps[renamed : place[f"remove {name}"]], name
        task, _, number = name.removeprefix(".units/").removesuffix(".json").rpartition("-")
        if name.startswith(".units/") and task:  # a record, not the draft
            shard = f"healthy/{number}.h5" if task == "healthy" else f"anomalies/{task}/{number}.h5"
            assert place[f"remove {shard}"] < place[f"create {name}"], name
    assert named[0] == "plan.json" and named[-1] == "dataset.json"
    assert place["remove dataset.json"] < place["rmdir .units"]
