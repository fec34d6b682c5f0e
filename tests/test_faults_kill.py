"""Builds killed at any moment of their life: the same command goes on to the same bytes; nothing half-written shows."""

import os
import random
import signal
import sys
import time

import pytest
from faulty import ONE_WORKER, Scene, Strike, Way, ended, finished, judged, some, started, unquiet, workers_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
KILLS, FEW = range(50), range(3)  # of `make test-all`, and of `make test`
WHOM = ("kill main", "kill group", "kill this")


def killed_by_the_clock(scene: Scene, way: Way, moment: random.Random) -> list[str]:
    """Kill the build, its group or one of its workers somewhere between its first and its last second."""
    process = started(scene, way)
    time.sleep(moment.random() * scene.seconds)
    whom = moment.choice(WHOM)
    if whom == "kill group":
        os.killpg(process.pid, signal.SIGKILL)
    else:
        others = workers_of(process.pid)
        one = moment.choice(others) if whom == "kill this" and others else process.pid
        if process.poll() is None:
            os.kill(one, signal.SIGKILL)
    return unquiet(ended(process))


def killed_at_a_step(scene: Scene, way: Way, moment: random.Random) -> list[str]:
    """Kill the build, its group or the process that takes the step, just before any step of the undisturbed build."""
    strike = Strike(do=moment.choice(WHOM), at=moment.randint(1, len(scene.steps)))
    return unquiet(ended(started(scene, way, strike)))


@pytest.mark.parametrize("seed", some(KILLS, FEW))
def test_killed_at_any_moment_the_same_command_finishes_with_the_same_bytes(seed, whole, tmp_path, record_property):
    scene, moment = whole.at(tmp_path), random.Random(f"kill {seed}")
    way = moment.choice([Way(), ONE_WORKER])
    kill = killed_at_a_step if seed % 2 else killed_by_the_clock
    wrong = kill(scene, way, moment)
    if seed % 5 == 4:  # once more while it goes on
        wrong += killed_at_a_step(scene, way, moment)
    judged(record_property, finished("killed (kill -9)", scene, way, wrong))
