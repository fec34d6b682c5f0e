"""What a build makes of the answers of a cluster's workers, and what a worker does with its jobs."""

import threading
from pathlib import Path

import pytest

pytest.importorskip("distributed", reason="needs the extra `slurm`")

from synthanom_builders import dask_worker
from synthanom_builders.abstract_workers import Needs
from synthanom_builders.cluster_workers import ClusterPool
from synthanom_builders.dask_worker import Surroundings

from synthanom.cluster import attendance, desk
from synthanom.cluster.desk import Ticket
from synthanom.errors import SynthanomError
from synthanom.shards import fingerprint

HERE = fingerprint()
FINE = Surroundings(host="node1", sees_raw=True, fingerprint=HERE)


class Answering:
    """A cluster whose workers answer what they are told to; the last answer stays."""

    address = "tcp://scheduler:8786"
    there = True

    def __init__(self, *answers: object) -> None:
        self._answers = list(answers)

    def ask(self, function, *arguments, of=None):
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return {"tcp://first:1": FINE, "tcp://second:2": answer} if answer is not FINE else {}


def pool(*answers: object) -> ClusterPool:
    return ClusterPool(Answering(*answers))


def needs(mixed: bool = False) -> Needs:
    return Needs(raw=Path("/scans"), codec="gzip", mixed=mixed)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Surroundings(host="node2", sees_raw=False, fingerprint=HERE), "node2: must see the folder /scans"),
        (Surroundings(host="node2", sees_raw=True, fingerprint={**HERE, "synthanom": "0.0.1"}), "got 0.0.1; start the"),
        (Surroundings(host="node2", sees_raw=True, fingerprint={**HERE, "numpy": "1.0"}), "numpy 1.0 instead of"),
        (ModuleNotFoundError("No module named 'synthanom_builders'"), "must have the synthanom of this command"),
        (SynthanomError("zstd needs hdf5plugin"), "second:2: zstd needs hdf5plugin"),
        (TimeoutError(), "must answer within a minute"),
    ],
)
def test_a_worker_that_cannot_take_part_is_named(answer, words):
    with pytest.raises(SynthanomError, match=words) as refused:
        pool(answer).admit(needs())
    assert "tcp://second:2" in str(refused.value)


def test_other_libraries_may_take_part_when_allowed_but_no_other_synthanom():
    other = Surroundings(host="node2", sees_raw=True, fingerprint={**HERE, "numpy": "1.0"})
    allowed = pool(other)
    allowed.admit(needs(mixed=True))
    assert allowed.size == 2
    older = Surroundings(host="node2", sees_raw=True, fingerprint={**HERE, "synthanom": "0.0.1"})
    with pytest.raises(SynthanomError, match=r"must have synthanom .*, got 0\.0\.1"):
        pool(older).admit(needs(mixed=True))


def test_a_worker_that_has_gone_meanwhile_does_not_count():
    left = pool(OSError("gone"))
    left.admit(needs())
    assert left.size == 1


def test_a_worker_that_sees_another_folder_is_named(tmp_path):
    for answer in (None, "of another run"):
        with pytest.raises(SynthanomError, match=r"second:2: must see .* as this machine does") as refused:
            pool(0, answer).enter(tmp_path, lambda text: None)
        assert str(tmp_path) in str(refused.value) and list(tmp_path.iterdir()) == []


def test_units_of_a_killed_build_are_waited_for_and_named_when_they_take_too_long(tmp_path, monkeypatch):
    monkeypatch.setattr(attendance, "POLL_SECONDS", 0.001)
    monkeypatch.setattr(attendance, "STOP_SECONDS", 0.005)
    told: list[str] = []
    pool(2, 1, 0, OSError("gone")).enter(tmp_path, told.append)
    assert len(told) == 1 and "waiting for them" in told[0]
    with pytest.raises(SynthanomError, match="still making units of an earlier build"):
        pool(1).enter(tmp_path, told.append)


def test_a_process_does_one_job_at_a_time_and_none_of_a_stopped_command():
    inside, most, begun = [], [], threading.Event()
    go_on = threading.Event()

    def job(number: int) -> int:
        inside.append(number)
        most.append(len(inside))
        begun.set()
        assert go_on.wait(30)
        inside.remove(number)
        return number

    ticket, done, refused = Ticket(run="run", out="/data"), [], []

    def worked(number: int) -> None:
        try:
            done.append(dask_worker.work(ticket, job, number))
        except SynthanomError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=worked, args=(number,)) for number in range(3)]
    threads[0].start()
    assert begun.wait(30)
    for thread in threads[1:]:
        thread.start()
    for _ in range(3000):
        if desk.at_work("/data") == 3:
            break
        threading.Event().wait(0.01)
    assert desk.at_work("/data") == 3 and desk.at_work("/elsewhere") == 0
    assert desk.stop("another") == 0
    assert desk.stop("run") == 3
    go_on.set()
    for thread in threads:
        thread.join(30)
    assert done == [0] and max(most) == 1, "a job that has begun ends"
    assert refused == ["the command that asked for this job was stopped"] * 2
    assert desk.at_work("/data") == 0
