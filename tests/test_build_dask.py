"""Builds on Dask clusters of processes of their own: the bytes of a local build, or one line that says why not."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from building import build, listing
from clusters import dask_cluster
from faulty import Scene, Strike, Way, ended, gone_on, started, wait_until
from verdicts import differences, one_line, unquiet

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
pytest.importorskip("distributed", reason="needs the extra `slurm`")
MIDST = "^create anomalies/sink/00001.h5"  # a worker is about to write a shard
IMPATIENT = (
    "import synthanom.cluster.connection as c, synthanom.cluster.attendance as w\n"
    "c.CONNECT_SECONDS = 1.0; w.ALONE_SECONDS = 1.0\n"
    "from synthanom_builders.cli import main; main()"
)


@pytest.fixture(scope="module")
def scene(whole, tmp_path_factory) -> Scene:
    return whole.at(tmp_path_factory.mktemp("scene"))


@pytest.fixture(scope="module")
def cluster(scene, tmp_path_factory):
    """One worker under a nanny, and one with threads to spare that nobody will start again."""
    with dask_cluster(tmp_path_factory.mktemp("dask")) as made:
        made.start_worker(scene=scene)
        made.start_worker(scene=scene, nanny=False, threads=3, OPENBLAS_NUM_THREADS="3")
        yield made


@pytest.fixture(scope="module")
def frail(tmp_path_factory):
    """A scheduler that gives a job up with the first worker that dies of it."""
    variables = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}
    with dask_cluster(tmp_path_factory.mktemp("frail"), variables) as made:
        yield made


@pytest.fixture
def way(cluster, scene):
    """The cluster, nothing ordered, and no data set."""
    cluster.order(Strike())
    yield Way(name="Dask", arguments=cluster.option)
    subprocess.run(["rm", "-rf", str(scene.out)], check=True)


def impatient(scene: Scene, *arguments: str) -> subprocess.Popen:
    """A build that waits for a second only."""
    words = [sys.executable, "-c", IMPATIENT, "folder", str(scene.raw), "--out", str(scene.out), *arguments]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def test_the_bytes_are_those_of_a_local_build(cluster, scene, way):
    ran = ended(started(scene, way))
    assert ran.status == 0 and unquiet(ran) == [] and "distributed" not in ran.err, ran.err + cluster.said()
    assert differences(scene) == [] and listing(scene.raw) == scene.inputs
    before = listing(scene.out)
    again = gone_on(scene, way)
    assert again.status == 0 and "finished already" in again.out and listing(scene.out) == before


def test_two_parts_on_one_cluster_and_a_dry_run(cluster, scene, way, tmp_path):
    given = ("folder", scene.raw, "--out", scene.out, "--variants", "6", "--tasks", "sink,smooth_intensity")
    ran = build(*given[1:], "--folds", "2", *cluster.option, "--dry-run", "--json")
    assert ran.status == 0 and json.loads(ran.out)["workers"] == 2 and not scene.out.exists()
    for part in ("1/2", "2/2"):
        ran = build(*given[1:], "--folds", "2", *cluster.option, "--part", part)
        assert ran.status == 0 and f"part {part} done" in ran.out
    assert gone_on(scene, way).status == 0 and differences(scene) == []


def test_ctrl_c_waits_for_what_is_begun_and_the_same_command_goes_on(cluster, scene, way):
    cluster.order(Strike(do="pause", step=MIDST, at=1))
    process = started(scene, way)
    assert cluster.paused(), cluster.said()
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(1.0)
    assert process.poll() is None, "a unit is being made"
    cluster.let_go()
    ran = ended(process, seconds=30)
    assert ran.status == 130 and "run the same command again: what is finished is kept" in ran.err, ran.err
    assert unquiet(ran) == [] and (scene.out / "anomalies/sink/00001.h5").exists()
    assert not (scene.out / "dataset.json").exists() and not list(scene.out.rglob(".*.tmp"))
    before = listing(scene.out)
    time.sleep(0.5)
    assert listing(scene.out) == before, "nothing is made any more"
    ran = gone_on(scene, way)
    assert ran.status == 0 and "were there" in ran.err and differences(scene) == []


def test_a_build_waits_for_what_a_killed_one_left_at_work(cluster, scene, way):
    cluster.order(Strike(do="pause", step=MIDST, at=1))
    process = started(scene, way)
    assert cluster.paused(), cluster.said()
    os.killpg(process.pid, signal.SIGKILL)
    ended(process)
    process = started(scene, way)
    line = next((line for line in process.stderr if "waiting" in line), "")
    assert "workers still make units of a build that was killed" in line
    cluster.let_go()
    assert ended(process).status == 0 and differences(scene) == []


@pytest.mark.parametrize("dies", [1, 0])
def test_a_worker_that_is_killed_costs_nothing(dies, cluster, scene, way):
    """Any one of the two at first; then the only one that is left, which its nanny starts again."""
    cluster.order(Strike(do="kill this", step=MIDST, at=1))
    before = cluster.processes()
    ran = ended(started(scene, way))
    assert ran.status == 0 and unquiet(ran) == [], ran.err + cluster.said()
    assert set(before) - set(cluster.processes()), "one has died"
    assert differences(scene) == []
    assert wait_until(lambda: len(cluster.processes()) >= 1)


def test_a_scheduler_that_dies_is_one_line_and_the_build_goes_on_without(whole, tmp_path):
    scene = whole.at(tmp_path)
    with dask_cluster(tmp_path / "dask") as cluster:
        cluster.start_worker(nanny=False, scene=scene)
        cluster.order(Strike(do="pause", step=MIDST, at=1))
        process = started(scene, Way(arguments=cluster.option))
        assert cluster.paused(), cluster.said()
        cluster.scheduler.kill()
        ran = ended(process, seconds=60)
        assert one_line(ran, cluster.address, "the scheduler must stay", "run the same command again") == [], ran.err
        assert "distributed" not in ran.err
    ran = gone_on(scene, Way())
    assert ran.status == 0 and "were there" in ran.err and differences(scene) == []


def test_a_unit_that_kills_its_workers_is_one_line(frail, whole, tmp_path):
    scene = whole.at(tmp_path)
    frail.start_worker(nanny=False, scene=scene)
    frail.order(Strike(do="kill this", step=MIDST, at=1))
    ran = ended(started(scene, Way(arguments=frail.option)))
    frail.end_workers()
    assert one_line(ran, "killed", "lack of memory", "what is finished is kept") == [], ran.err
    ran = gone_on(scene, Way())
    assert ran.status == 0 and differences(scene) == []


def test_a_worker_with_another_fingerprint_needs_a_word(frail, whole, tmp_path):
    scene = whole.at(tmp_path)
    frail.start_worker(nanny=False, OPENBLAS_CORETYPE="Prescott")
    ran = ended(started(scene, Way(arguments=frail.option)))
    assert one_line(ran, "must have the fingerprint", "blas_core openblas:", "--mixed-fingerprints") == []
    assert not scene.out.exists(), "before anything is done"
    ran = gone_on(scene, Way(arguments=(*frail.option, "--mixed-fingerprints")))
    frail.end_workers()
    assert ran.status == 0, ran.err
    assert " | openblas:" in json.loads((scene.out / "dataset.json").read_text())["fingerprint"]["blas_core"]
    ran = build(*[scene.raw, "--out", scene.out, "--variants", "6", "--tasks", "sink,smooth_intensity", "--folds", "2"])
    assert ran.status == 0 and "finished already" in ran.out


def test_no_worker_no_scheduler_and_options_that_exclude_each_other(frail, whole, tmp_path):
    scene = whole.at(tmp_path)
    alone = impatient(scene, "--scheduler", frail.address)
    nobody = impatient(scene, "--scheduler", "tcp://127.0.0.1:1")
    nonsense = [impatient(scene, "--scheduler", words) for words in ("nowhere", "what://host:8786", "host.invalid:1")]
    both = impatient(scene, "--scheduler", frail.address, "--workers", "2")
    listed = impatient(scene, "--scheduler", frail.address, "--test")
    start = "dask worker"
    assert one_line(ended(alone), frail.address, "must have a worker", start) == []
    assert one_line(ended(nobody), "--scheduler must be the address", "tcp://127.0.0.1:1") == []
    for process in nonsense:
        assert one_line(ended(process), "--scheduler must be the address") == []
    assert one_line(ended(both), "--workers must be left out") == []
    assert one_line(ended(listed), "--test lists on this machine") == []
    assert not scene.out.exists()


def test_without_dask_the_extra_is_named(whole, tmp_path):
    code = "import sys; sys.modules['distributed'] = None; from synthanom_builders.cli import main; main()"
    words = [sys.executable, "-c", code, "folder", whole.raw, "--out", tmp_path / "data", "--scheduler", "tcp://a:1"]
    ran = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 2 and "pip install 'synthanom[dask]'" in ran.stderr and "Traceback" not in ran.stderr
