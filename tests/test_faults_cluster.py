"""Builds on a Dask cluster, and builds in parts, killed at any moment: the same commands go on to the same bytes."""

import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from clusters import DaskCluster, dask_cluster
from faulty import PARTS, Scene, Strike, Way, ended, started, wait_until
from test_faults_kill import killed_at_a_step, killed_by_the_clock
from verdicts import finished, judged, some, unquiet

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
KILLS, FEW = range(50), (0, 1, 2)
PART_KILLS, FEW_PART_KILLS = range(10), (1,)
OF_WORKERS = "^(create|write|fsync|rename) (healthy|anomalies|[.]units/(healthy|sink|smooth))"
OF_CLIENT = "^(create|write|fsync|rename|mkdir|remove) (plan|dataset|skipped|[.]units/draft|[.]build.lock|seen)"


@pytest.fixture(scope="module")
def dask(whole, tmp_path_factory):
    """A cluster, and the place where all its builds go, one after another, with the seconds that one takes."""
    pytest.importorskip("distributed", reason="needs the extra `slurm`")
    scene = whole.at(tmp_path_factory.mktemp("place"))
    with dask_cluster(tmp_path_factory.mktemp("dask")) as cluster:
        for _ in range(2):  # whose nannies start them again
            cluster.start_worker(scene=scene)
        for _ in range(2):  # libraries are loaded in the first
            shutil.rmtree(scene.out, ignore_errors=True)
            begun = time.monotonic()
            assert ended(started(scene, Way(arguments=cluster.option))).status == 0, cluster.said()
        yield cluster, replace(scene, seconds=time.monotonic() - begun)


def worker_at_a_step(cluster: DaskCluster, scene: Scene, way: Way, moment: random.Random) -> list[str]:
    """Kill the worker that takes a step, any of those that workers take; the build must not even notice."""
    cluster.order(Strike(do="kill this", step=OF_WORKERS, at=moment.randint(1, 40)))
    return unkilled(scene, way)


def worker_by_the_clock(cluster: DaskCluster, scene: Scene, way: Way, moment: random.Random) -> list[str]:
    """Kill one worker, or all at once, somewhere between the first and the last second; it must not be noticed."""
    process = started(scene, way)
    time.sleep(moment.random() * scene.seconds)
    found = cluster.processes()
    for worker in found if moment.random() < 0.3 else found[:1]:
        kill(worker)
    ran = ended(process)
    return [*unquiet(ran), *([] if ran.status == 0 else [f"workers died: {ran.status}: {ran.err[-600:]}"])]


def unkilled(scene: Scene, way: Way) -> list[str]:
    """A build whose own process nothing happens to."""
    ran = ended(started(scene, way))
    return [*unquiet(ran), *([] if ran.status == 0 else [f"a worker died: {ran.status}: {ran.err[-600:]}"])]


def client_at_a_step(cluster: DaskCluster, scene: Scene, way: Way, moment: random.Random) -> list[str]:
    """Kill the command that runs the build just before one of its own steps."""
    return unquiet(ended(started(scene, way, Strike(do="kill main", step=OF_CLIENT, at=moment.randint(1, 18)))))


def client_by_the_clock(cluster: DaskCluster, scene: Scene, way: Way, moment: random.Random) -> list[str]:
    """Kill the command that runs the build at any moment."""
    process = started(scene, way)
    time.sleep(moment.random() * scene.seconds)
    kill(process.pid)
    return unquiet(ended(process))


def everything(cluster: DaskCluster, scene: Scene, way: Way, moment: random.Random) -> list[str]:
    """Kill the command and all workers, as when the power goes."""
    process = started(scene, way)
    time.sleep(moment.random() * scene.seconds)
    for one in (process.pid, *cluster.processes()):
        kill(one)
    return unquiet(ended(process))


WAYS: tuple[Callable[[DaskCluster, Scene, Way, random.Random], list[str]], ...] = (
    worker_at_a_step,
    client_by_the_clock,
    worker_by_the_clock,
    client_at_a_step,
    everything,
)


def kill(process: int) -> None:
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        return  # it had ended already


@pytest.mark.parametrize("seed", some(KILLS, FEW))
def test_killed_on_dask_the_same_command_finishes_with_the_same_bytes(seed, dask, record_property):
    (cluster, place), moment = dask, random.Random(f"dask {seed}")
    shutil.rmtree(place.out, ignore_errors=True)
    cluster.order(Strike())
    assert wait_until(lambda: len(cluster.processes()) == 2), "the nannies start their workers again"
    way = Way(name="Dask", arguments=cluster.option)
    wrong = WAYS[seed % len(WAYS)](cluster, place, way, moment)
    cluster.order(Strike())
    judged(record_property, finished("killed on Dask (kill -9)", place, way, wrong))


@pytest.mark.parametrize("seed", some(PART_KILLS, FEW_PART_KILLS))
def test_killed_parts_are_run_again_and_merged_to_the_same_bytes(seed, whole, tmp_path, record_property):
    scene, moment = whole.at(tmp_path), random.Random(f"parts {seed}")
    kill_it = killed_at_a_step if seed % 2 else killed_by_the_clock
    judged(record_property, finished("killed parts (kill -9)", scene, PARTS, kill_it(scene, PARTS, moment)))
