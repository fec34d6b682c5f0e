"""Two builds in one folder, and readers beside a build: one at a time writes, and nobody sees what is not whole."""

import random
import sys
import time

import pytest
from building import Ran
from faulty import Scene, Strike, Way, ended, let_go, paused, started
from verdicts import finished, judged, one_line, some, unquiet

from synthanom.description import describe
from synthanom.errors import SynthanomError
from synthanom.shards import DataSet, check

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
SEEDS, FEW = range(10), range(1)
READERS, FEW_READERS = range(4), range(1)
STEPS = ("^create plan.json", "^create healthy", "^create dataset.json")
NOT_YET = ("unfinished", "no such folder")


def loser(ran: Ran) -> list[str]:
    """What is wrong with a build that another one was ahead of: it is done, finds it done, or says so in a line."""
    if ran.status == 0:
        return unquiet(ran)
    return (
        [] if any(not one_line(ran, words) for words in ("another build", "other builds")) else one_line(ran, "other")
    )


@pytest.mark.parametrize("seed", some(SEEDS, FEW))
def test_of_two_builds_at_once_one_goes_on_and_the_other_says_so(seed, whole, tmp_path, record_property):
    scene, chance = whole.at(tmp_path), random.Random(f"together {seed}")
    first = started(scene, Way())
    time.sleep(chance.choice([0.0, chance.random() * 0.2, chance.random() * scene.seconds]))
    second = started(scene, Way())
    one, other = ended(first), ended(second)
    wrong = [*loser(one), *loser(other)]
    if one.status and other.status:
        wrong.append("neither went on")
    judged(record_property, finished("two builds at once", scene, Way(), wrong))


@pytest.mark.parametrize("step", some(STEPS, STEPS[1:2]))
def test_while_a_build_is_at_it_another_one_is_refused(step, whole, tmp_path, record_property):
    scene = whole.at(tmp_path)
    process = paused(scene, Way(), step)
    other = ended(started(scene, Way()))
    mine = let_go(scene, process)
    wrong = [*one_line(other, "another build is writing there"), *([mine.err] if mine.status else [])]
    judged(record_property, finished("two builds at once", scene, Way(), wrong))


def seen(scene: Scene) -> str:
    """What is wrong with what a reader sees now: nothing but an unfinished folder or the whole right data set."""
    try:
        with DataSet.open(scene.out) as data:
            data.healthy(0)
        counts = describe(scene.out, quick=True)
        return "" if counts and not check(scene.out) else "; ".join(check(scene.out))
    except SynthanomError as error:
        return "" if any(words in str(error) for words in NOT_YET) else str(error)


@pytest.mark.parametrize("seed", some(READERS, FEW_READERS))
def test_reader_beside_a_build_sees_all_or_nothing(seed, whole, tmp_path, record_property):
    scene, chance = whole.at(tmp_path), random.Random(f"reader {seed}")
    step = chance.choice(whole.steps[-12:])
    wrong: list[str] = []
    for strike in (Strike(do="kill group", step=f"^{step}$", at=1), Strike()):  # killed near its end, and to the end
        process = started(scene, Way(), strike)
        for _ in range(100_000):
            wrong += filter(None, [seen(scene)])
            if process.poll() is not None:
                break
        wrong += [*unquiet(ended(process)), *filter(None, [seen(scene)])]
    judged(record_property, finished("reader beside a build", scene, Way(), wrong))
