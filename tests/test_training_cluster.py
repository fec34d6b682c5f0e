"""Runs on the workers of a Dask cluster of processes of their own: each whole on one, and what becomes of it."""

import os
import signal
import sys
import threading
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from faulty import wait_until
from tiny_dataset import write_tiny

pytest.importorskip("distributed", reason="needs the extra `dask`")

from clusters import dask_cluster

from synthanom.cluster import attendance
from synthanom.errors import SynthanomError
from synthanom.manifest import read_manifest
from synthanom.training import cluster_runs, orders, worker_runs
from synthanom.training.admission import Needs
from synthanom.training.cluster_runs import train_on_cluster
from synthanom.training.orders import Order
from synthanom.training.worker_runs import Surroundings

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
HOOK = Path(__file__).parent / "stand_in_hook"


class Scene:
    """A cluster whose workers have a stand-in for the training, and a data set that they all see."""

    def __init__(self, folder: Path, cluster) -> None:
        self.folder, self.cluster = folder, cluster
        self.data = write_tiny(folder / "data")
        self.orders = folder / "orders"
        self.orders.mkdir()
        self.told: list[str] = []

    def worker(self, **options) -> None:
        self.cluster.start_worker(hook=HOOK, STAND_IN=str(self.orders), **options)

    def order(self, *names: str) -> None:
        for name in names:
            (self.orders / name).touch()

    def revoke(self, name: str) -> None:
        (self.orders / name).unlink()

    def journal(self, word: str) -> list[list[str]]:
        path = self.orders / "journal"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line.split()[1:] for line in lines if line.startswith(word)]

    def train(self, out: Path, *names: str):
        digest = str(read_manifest(self.data).to_dict()["digest"])
        needs = Needs(data=self.data, digest=digest, settings=None, out=out)
        asked = [Order(name=out / name, words=("data", "--out", str(out / name))) for name in names]
        return train_on_cluster(self.cluster.address, asked, needs, self.told.append)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cluster")
    with dask_cluster(folder / "dask") as cluster:
        scene = Scene(folder, cluster)
        scene.worker(threads=2)
        scene.worker(threads=3)
        yield scene


@pytest.fixture
def scene(made):
    """Nothing ordered, nothing told."""
    for path in made.orders.iterdir():
        path.unlink()
    made.told.clear()
    return made


def alive(process: str) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False


class InBackground:
    """A series that is trained in a thread, as asking for answers blocks."""

    def __init__(self, answers) -> None:
        self._answers = answers
        self.found: list[dict] = []
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    def _ask(self) -> None:
        try:
            self.found.extend(self._answers)
        except BaseException as error:
            self.error = error

    def ended(self) -> list[str]:
        """Wait for the end; names of the runs that were trained."""
        self._thread.join(60)
        assert not self._thread.is_alive()
        return sorted(Path(answer["folder"]).name for answer in self.found)


def test_every_worker_trains_one_run_at_a_time_with_its_threads(scene, tmp_path):
    scene.order("hold-a", "hold-b")
    series = InBackground(scene.train(tmp_path, "a", "b", "c", "d"))
    assert wait_until(lambda: len(scene.journal("held")) == 2, seconds=60), scene.cluster.said()
    scene.revoke("hold-a")
    scene.revoke("hold-b")
    assert series.ended() == ["a", "b", "c", "d"] and series.error is None and scene.told == []
    begun = {name: (worker, threads) for name, worker, _, _, threads in scene.journal("begun")}
    assert begun["a"][0] != begun["b"][0] and sorted((begun["a"][1], begun["b"][1])) == ["2", "3"]
    now: Counter[str] = Counter()
    for line in (scene.orders / "journal").read_text().splitlines():
        word, _, worker, *_ = line.split()
        now[worker] += {"begun": 1, "ended": -1}.get(word, 0)
        assert now[worker] <= 1, "two at once"


def test_a_worker_that_is_killed_costs_an_epoch_at_most(scene, tmp_path):
    scene.order("hold-a")
    series = InBackground(scene.train(tmp_path, "a", "b"))
    assert wait_until(lambda: len(scene.journal("held")) == 1 and scene.journal("ended"), seconds=60)
    _, worker, child = scene.journal("held")[0]
    os.kill(int(worker), signal.SIGKILL)
    assert wait_until(lambda: not alive(child)), "a run ends with its worker"
    scene.revoke("hold-a")
    assert series.ended() == ["a", "b"] and series.error is None, series.error
    first, second = (line for line in scene.journal("begun") if line[0] == "a")
    assert first[3] == "0" and second[3] == "1" and first[1] != second[1], "it goes on from its state, elsewhere"
    (line,) = scene.told
    assert f"{tmp_path / 'a'}: lost on tcp://" in line and "goes on from its last finished epoch" in line


def test_a_run_that_is_killed_again_and_again_is_given_up_and_others_go_on(scene, tmp_path, monkeypatch):
    monkeypatch.setattr(orders, "ATTEMPTS", 2)
    scene.order("kill-a")
    series = InBackground(scene.train(tmp_path, "a", "b", "c"))
    assert series.ended() == ["b", "c"]
    assert isinstance(series.error, SynthanomError)
    assert f"1 of 3 runs failed, the first with: {tmp_path / 'a'}: was lost 2 times without" in str(series.error)
    assert "killed (signal 9), most often for lack of memory" in str(series.error)
    # the first epoch was new when it was lost for the first time
    assert [line[3] for line in scene.journal("begun") if line[0] == "a"] == ["0", "1", "1"]


def test_a_run_that_fails_is_named_and_others_go_on(scene, tmp_path):
    scene.order("fail-a", "fail-c")
    series = InBackground(scene.train(tmp_path, "a", "b", "c"))
    assert series.ended() == ["b"]
    assert f"2 of 3 runs failed, the first with: {tmp_path}/" in str(series.error)
    assert all(str(tmp_path / name) in str(series.error) for name in "ac") and "was told to fail" in str(series.error)
    assert len(scene.told) == 2 and len(scene.journal("begun")) == 3, "what is refused is not tried again"


def test_nothing_goes_on_when_the_command_is_stopped(scene, tmp_path):
    scene.order("hold-a")
    with closing(scene.train(tmp_path, "b", "a")) as answers:
        assert next(answers)["folder"] == str(tmp_path / "b")
        assert wait_until(lambda: len(scene.journal("held")) == 1)
    assert not alive(scene.journal("held")[0][2]) and scene.told == []
    scene.revoke("hold-a")
    assert len(list(scene.train(tmp_path, "a", "b"))) == 2
    assert [line[3] for line in scene.journal("begun") if line[0] == "a"] == ["0", "1"]


def test_runs_of_a_command_that_vanished_end_by_themselves_and_are_waited_for(scene, tmp_path, monkeypatch):
    scene.order("hold-a")
    with monkeypatch.context() as vanishing:
        vanishing.setattr(cluster_runs, "LEASE_SECONDS", 3.0)
        vanishing.setattr(cluster_runs._Crew, "stop", lambda self: None)
        with closing(scene.train(tmp_path, "b", "a")) as answers:
            next(answers)
            assert wait_until(lambda: len(scene.journal("held")) == 1)
    child = scene.journal("held")[0][2]
    assert alive(child)
    series = InBackground(scene.train(tmp_path, "a", "b"))
    assert wait_until(lambda: not alive(child))
    scene.revoke("hold-a")
    assert series.ended() == ["a", "b"] and series.error is None, series.error
    assert any("still train in" in line for line in scene.told)


def test_a_folder_of_runs_that_workers_train_in_for_another_command_is_refused(scene, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster_runs, "LEASE_SECONDS", 1.0)
    monkeypatch.setattr(cluster_runs, "RENEW_SECONDS", 0.0)
    monkeypatch.setattr(attendance, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr(worker_runs, "GRACE_SECONDS", 0.5)
    scene.order("hold-a")
    series = InBackground(scene.train(tmp_path, "a"))
    assert wait_until(lambda: len(scene.journal("held")) == 1)
    with pytest.raises(SynthanomError, match="workers train here for another command"):
        list(scene.train(tmp_path, "a"))
    scene.revoke("hold-a")
    assert series.ended() == ["a"]


@pytest.mark.slow
def test_a_scheduler_that_dies_ends_the_runs(tmp_path):
    with dask_cluster(tmp_path / "dask") as cluster:
        scene = Scene(tmp_path, cluster)
        scene.worker(nanny=False)
        scene.order("hold-a")
        series = InBackground(scene.train(tmp_path / "runs", "a"))
        assert wait_until(lambda: len(scene.journal("held")) == 1, seconds=60), cluster.said()
        cluster.scheduler.kill()
        assert series.ended() == [] and "the scheduler must stay" in str(series.error)
        assert any("end by themselves within 90 seconds" in line for line in scene.told)
        assert wait_until(lambda: not alive(scene.journal("held")[0][2]), seconds=60)


class Answering:
    """A cluster whose workers answer what they are told to."""

    address, there = "tcp://scheduler:8786", True

    def __init__(self, answer: object) -> None:
        self.answer = answer
        self.addresses = ["tcp://first:1"]

    def workers(self) -> dict[str, int]:
        return dict.fromkeys(self.addresses, 1)

    def ask(self, function, *arguments, of=None, seconds=60.0):
        return dict.fromkeys(of, self.answer)


FINE = Surroundings(host="node", versions=worker_runs.versions(), digest="d" * 64, problem="", settings="s")


def crew(answer: object, told: list[str], settings: Path | None = None):
    needs = Needs(data=Path("/data"), digest="d" * 64, settings=settings, out=Path("/runs"))
    return cluster_runs._Crew(Answering(answer), needs, told.append)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            replace(FINE, digest="", problem="/data/dataset.json: missing"),
            "node: must see the data set /data, got '/da",
        ),
        (
            replace(FINE, digest="e" * 64),
            r"that this machine sees, and sees another one \(digest eeeeeeeeeeee, here dd",
        ),
        (replace(FINE, settings=None), "must see /nowhere/c.yaml as this machine does"),
        (replace(FINE, versions={**FINE.versions, "synthanom": "0.0.1"}), r"must have synthanom .*, got 0\.0\.1"),
        (ModuleNotFoundError("No module named 'synthanom'"), "must have the synthanom of this command"),
        (TimeoutError(), "must answer within a minute"),
    ],
)
def test_a_worker_that_cannot_take_part_is_named_and_left_out_if_it_comes_late(answer, words, monkeypatch):
    monkeypatch.setattr(worker_runs, "digest_of", lambda path: "s")
    with pytest.raises(SynthanomError, match=words) as refused:
        crew(answer, [], Path("/nowhere/c.yaml"))._look(strict=True)
    assert "tcp://first:1" in str(refused.value)
    told: list[str] = []
    late = crew(answer, told, Path("/nowhere/c.yaml"))
    late._look(strict=False)
    late._look(strict=False)
    assert late._free() == [] and told == [f"left out: {refused.value}"]


def test_other_libraries_are_noted_once():
    told: list[str] = []
    some = crew(replace(FINE, versions={**FINE.versions, "torch": "1.0"}), told)
    some._cluster.addresses.append("tcp://second:2")
    some._look(strict=True)
    assert some._free() == ["tcp://first:1", "tcp://second:2"] and len(told) == 1
    assert "node has torch 1.0 instead of" in told[0] and "may differ in their last digits" in told[0]


def test_a_worker_says_what_it_sees(tmp_path):
    data = write_tiny(tmp_path / "data")
    (tmp_path / "c.yaml").write_text("epochs: 1\n")
    found = worker_runs.look_around(str(data), str(tmp_path / "c.yaml"))
    assert found.digest == read_manifest(data).to_dict()["digest"] and found.problem == ""
    assert found.settings == worker_runs.digest_of(tmp_path / "c.yaml") and set(found.versions) >= {
        "torch",
        "synthanom",
    }
    found = worker_runs.look_around(str(tmp_path), str(tmp_path / "none.yaml"))
    assert (found.digest, found.settings) == ("", None) and "dataset.json" in found.problem
