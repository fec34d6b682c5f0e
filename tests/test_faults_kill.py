"""Builds killed at any moment of their life: the same command goes on to the same bytes; nothing half-written shows."""

import os
import random
import signal
import sys
import time

import pytest
from faulty import ONE_WORKER, Scene, Strike, Way, ended, paused, started, workers_of
from verdicts import finished, judged, some, torn, unquiet

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
KILLS, FEW = range(50), (0, 4)  # of `make test-all`, and of `make test`
LATE = ("^rename dataset.json", "^remove dataset.json", "^remove .units/sink-00001.json", "^rmdir .units")
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


@pytest.mark.parametrize("step", some(LATE, LATE[-1:]))
def test_killed_at_the_very_end_the_same_command_tidies_up(step, whole, tmp_path, record_property):
    scene = whole.at(tmp_path)
    wrong = unquiet(ended(started(scene, Way(), Strike(do="kill group", step=step, at=1))))
    judged(record_property, finished("killed (kill -9)", scene, Way(), wrong))


@pytest.mark.slow
def test_killed_over_and_over_it_finishes_with_the_same_bytes(whole, tmp_path, record_property):
    scene, moment = whole.at(tmp_path), random.Random("over and over")
    wrong: list[str] = []
    for number in range(10):  # each build gets a little further
        strike = Strike(do=moment.choice(WHOM), at=len(whole.steps) // 3 + moment.randint(0, 2 + number))
        wrong += [*unquiet(ended(started(scene, Way(), strike))), *torn(scene)]
    judged(record_property, finished("killed (kill -9)", scene, Way(), wrong))


def test_ctrl_c_ends_at_once_says_how_to_go_on_and_leaves_no_process(whole, tmp_path, record_property):
    scene = whole.at(tmp_path)
    process = paused(scene, Way(), "^create .units/sink")
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: every process of the group
    ran = ended(process, seconds=20)
    wrong = unquiet(ran)
    if ran.status != 130 or "run the same command again" not in ran.err:
        wrong.append(f"must end with 130 and say how to go on, got {ran.status}: {ran.err}")
    wrong += [f"left: {path}" for path in scene.out.rglob(".*") if path.name != ".units"]
    if not list(scene.out.glob(".units/healthy*")):
        wrong.append("what was finished must be kept")
    judged(record_property, finished("interrupted (Ctrl-C)", scene, Way(), wrong))
