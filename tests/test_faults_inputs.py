"""Inputs that change, vanish or cannot be read after the plan: it never names one thing and the images show another."""

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from building import smooth
from faulty import Scene, Strike, Way, ended, gone_on, let_go, paused, started
from PIL import Image
from verdicts import Trial, differences, finished, judged, one_line, some

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
PICTURE = "p07.png"
BEGUN = "^rename anomalies"  # every image was read before
PLANNED = "^remove plan.json"  # and nothing was made yet
OPENED = "^read p07.png"
LOOKS = 4  # that planning takes: what kind of file it is, its pixels (opened twice), its digest
AFTER = "input changed after the plan"
BETWEEN = "input changed between runs"


def other_pixels(path: Path) -> None:
    """Another picture in as many bytes; a PNG may be followed by anything."""
    size = path.stat().st_size
    for seed in range(100, 200):
        Image.fromarray(smooth((16, 16), seed).astype(np.uint8)).save(path)
        if path.stat().st_size <= size:
            path.write_bytes(path.read_bytes().ljust(size, b"\0"))
            return
    raise AssertionError("no other picture is as small")


def other_pixels_at_the_same_time(path: Path) -> None:
    stat = path.stat()
    other_pixels(path)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def other_size(path: Path) -> None:
    stat = path.stat()
    path.write_bytes(path.read_bytes() + b"\0")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def other_time(path: Path) -> None:
    os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns + 10**9))


CHANGES: dict[str, Callable[[Path], None]] = {
    "other pixels, same size and time": other_pixels_at_the_same_time,
    "other pixels, same size": other_pixels,
    "other size": other_size,
    "other time": other_time,
    "gone": Path.unlink,
}


def changed(scene: Scene, change: str) -> Callable[[], None]:
    """Change the picture; what restores it."""
    path = scene.raw / PICTURE
    content, stat, folder = path.read_bytes(), path.stat(), path.parent.stat()
    CHANGES[change](path)

    def restore() -> None:
        path.write_bytes(content)
        for place, before in ((path, stat), (path.parent, folder)):
            os.utime(place, ns=(before.st_atime_ns, before.st_mtime_ns))

    return restore


def like_new(scene: Scene, folder: Path) -> list[str]:
    """What tells the data set from one that is made anew of the same inputs."""
    new = replace(scene, out=folder / "new")
    assert gone_on(new, Way()).status == 0
    return differences(replace(scene, expected=new.out))


def gone_on_changed(scene: Scene, folder: Path, wrong: list[str]) -> bool:
    """The same command with the inputs as they are: whether it made a whole data set of them, else it must refuse."""
    ran = gone_on(scene, Way())
    if ran.status == 0 and not like_new(scene, folder):
        return True
    wrong += one_line(ran, "p07")
    return False


@pytest.mark.parametrize("change", some(tuple(CHANGES), ("other pixels, same size and time", "gone")))
def test_changed_between_plan_and_reading_is_refused_until_it_is_restored(change, whole, tmp_path, record_property):
    scene = whole.copied(tmp_path)
    process = paused(scene, Way(), PLANNED)
    restore = changed(scene, change)
    wrong = one_line(let_go(scene, process), PICTURE, "when the build was planned", "restore it", "another --out")
    made = gone_on_changed(scene, tmp_path, wrong)  # nothing was begun: planned anew, where the change is seen
    assert made == (change != "other pixels, same size and time")
    restore()
    if made:
        judged(record_property, Trial(fault=AFTER, survived=not wrong, bytes_equal=True, words="; ".join(wrong)))
    else:
        judged(record_property, finished(AFTER, scene, Way(), wrong))


@pytest.mark.parametrize("change", some(tuple(CHANGES), ()))
def test_changed_while_it_is_read_is_refused(change, whole, tmp_path, record_property):
    scene = whole.copied(tmp_path)
    opening = 1 if change in ("gone", "other time") else 2  # of the two that reading takes
    process = paused(scene, Way(), OPENED, LOOKS + opening)
    restore = changed(scene, change)
    wrong = one_line(let_go(scene, process), PICTURE, "when the build was planned")
    restore()
    judged(record_property, finished("input changed while read", scene, Way(), wrong))


@pytest.mark.parametrize("change", some(tuple(CHANGES), ("other size",)))
@pytest.mark.parametrize("moment", some((PLANNED, BEGUN), (BEGUN,)))
def test_changed_between_two_runs_is_noticed_or_does_not_matter(moment, change, whole, tmp_path, record_property):
    scene = whole.copied(tmp_path)
    ended(started(scene, Way(), Strike(do="kill group", step=moment, at=1)))
    restore = changed(scene, change)
    wrong: list[str] = []
    ran = gone_on(scene, Way())
    if moment == BEGUN and change == "other pixels, same size and time":  # every image was stored before
        wrong += [] if ran.status == 0 else [ran.err]
    elif moment == PLANNED and ran.status == 0:  # planned anew
        wrong += like_new(scene, tmp_path)
        judged(record_property, Trial(fault=BETWEEN, survived=not wrong, bytes_equal=True, words="; ".join(wrong)))
        return
    else:
        wrong += one_line(ran, "p07", "--out")
    restore()
    judged(record_property, finished(BETWEEN, scene, Way(), wrong))


@pytest.mark.parametrize("lasting", some((True, False), (False,)))
def test_unreadable_after_the_plan_is_refused_not_left_out(lasting, whole, tmp_path, record_property):
    scene = whole.at(tmp_path)
    strike = Strike(do="no reading", step=OPENED, at=LOOKS + 1, lasting=lasting)
    wrong = one_line(ended(started(scene, Way(), strike)), PICTURE, "when the build was planned", "the same command")
    judged(record_property, finished("input unreadable", scene, Way(), wrong))
