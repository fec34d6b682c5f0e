"""Clocks that are set back and forth by years, in every process and on every file: nothing depends on them."""

import os
import random
import sys
import time

import pytest
from faulty import Scene, Strike, Way, ended, started
from verdicts import finished, judged, some

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
SEEDS, FEW = range(6), range(1)
YEAR_NS = 365 * 86400 * 10**9


def misdate(scene: Scene, random_years: random.Random) -> None:
    """Give everything in the folder a time of its own, in the past or in the future."""
    for path in [*scene.out.rglob("*"), scene.out]:
        at = time.time_ns() + int(random_years.uniform(-30, 30) * YEAR_NS)
        os.utime(path, ns=(at, at))


@pytest.mark.parametrize("seed", some(SEEDS, FEW))
def test_clocks_do_not_matter(seed, whole, tmp_path, record_property):
    scene, chance = whole.at(tmp_path), random.Random(f"clock {seed}")
    step = chance.choice([step for step in whole.steps if step.startswith(("create", "rename"))])
    ended(started(scene, Way(), Strike(do="kill group", step=f"^{step}", at=1, clock=seed)))
    if scene.out.exists():
        misdate(scene, chance)
    ran = ended(started(scene, Way(), Strike(clock=seed + 100)))
    wrong = [] if ran.status == 0 else [ran.err]
    misdate(scene, chance)
    judged(record_property, finished("clock set to other years", scene, Way(), wrong))
