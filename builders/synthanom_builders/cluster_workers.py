"""The workers of a Dask cluster: other people's processes on other machines, that come, die and vanish."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from distributed import CancelledError, Future, KilledWorker, wait

from synthanom.cluster import attendance, desk
from synthanom.cluster.attendance import LEFT, SAME, Attendance, answered, idle, same_version, ticks
from synthanom.cluster.connection import Cluster, connected
from synthanom.cluster.desk import Ticket
from synthanom.errors import SynthanomError
from synthanom.shards import fingerprint
from synthanom_builders import dask_worker
from synthanom_builders.abstract_workers import AbstractPool, Needs
from synthanom_builders.dask_worker import Surroundings
from synthanom_builders.environment import other_fingerprint
from synthanom_builders.units import forget

T = TypeVar("T")
QUEUED = 2  # jobs handed out per worker: one to do and one to go on with
JOB_SECONDS = 7 * 86400.0  # without a job that finishes
ROUNDS = 10  # that a job may take, on average: a result may be lost with its worker
RESULT_SECONDS = 60.0


class ClusterPool(AbstractPool):
    """Worker processes of a Dask cluster; made by `cluster_workers`."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._ticket = Ticket(run=uuid4().hex, out="")
        self._running: dict[Future, int] = {}
        self._handed_out = 0
        self._attendance = Attendance(cluster)

    @property
    def size(self) -> int:
        """How many worker processes there were when it was last looked."""
        return self._attendance.size

    def admit(self, needs: Needs) -> None:
        """Make sure that every worker can take part; those that come later are checked by their first unit.

        Raises
        ------
        SynthanomError
            Naming one that cannot; or if none comes within a minute.
        """
        for _ in ticks(attendance.ALONE_SECONDS, attendance.POLL_SECONDS):
            answers = self._cluster.ask(dask_worker.look_around, str(needs.raw), needs.codec)
            here = fingerprint(needs.codec)
            self._attendance.count(sum(_admitted(worker, found, here, needs) for worker, found in answers.items()))
            if self.size:
                return
            time.sleep(attendance.POLL_SECONDS)
        raise self._attendance.none()

    def enter(self, out: Path, tell: Callable[[str], None]) -> None:
        """Make sure that every worker sees the folder, and wait for units of an earlier build that was killed.

        Raises
        ------
        SynthanomError
            Naming one that does not see it, or if such a unit takes longer than a minute.
        """
        self._ticket = Ticket(run=self._ticket.run, out=str(out))
        waiting = "workers still make units of a build that was killed; waiting for them"
        if not idle(self._cluster, desk.at_work, str(out), lambda: tell(waiting)):
            raise SynthanomError(
                f"{out}: workers are still making units of an earlier build; wait for them, then {LEFT}"
            )
        attendance.all_see(self._cluster, out, self._ticket.run)

    def run(self, function: Callable[..., T], jobs: Sequence[tuple[Any, ...]]) -> Iterator[tuple[int, T]]:
        """Call the function on every job; yields (number of the job, result) as they finish, in any order.

        Raises
        ------
        SynthanomError
            If the scheduler goes away, no worker is left for a minute, or workers die of a job.
        Exception
            The first that a job raises; jobs not yet begun are dropped.
        """
        waiting = iter(enumerate(jobs))
        for _ in range(ROUNDS * len(jobs) + 1):
            self._look()
            for number, job in waiting:
                self._running[self._submit(function, job)] = number
                if len(self._running) >= QUEUED * max(1, self.size):
                    break
            if not self._running:
                return
            for future in self._finished():
                for result in self._results(future):
                    yield self._running.pop(future), result
        raise SynthanomError(f"{self._cluster.address}: workers must stay, and keep dying with their results; {LEFT}")

    def stop(self) -> None:
        """Drop all jobs and wait a minute for those that are begun: nobody but their owner may end the workers.

        What takes longer is waited for by the next build in the same folder.
        """
        with suppress(SynthanomError, OSError):  # without a scheduler there is nobody to tell
            if self._cluster.there:
                self._cluster.client.cancel(list(self._running), force=True)
                idle(self._cluster, desk.stop, self._ticket.run, lambda: None)
        self._running.clear()

    def release(self) -> None:
        """Let the workers forget the data set, and close its files."""
        self._cluster.ask(forget)

    def _submit(self, function: Callable[..., T], job: tuple[Any, ...]) -> Future:
        if not self._cluster.there:
            raise self._cluster.gone()
        self._handed_out += 1
        key = f"synthanom-{self._ticket.run}-{self._handed_out}"
        return self._cluster.client.submit(dask_worker.work, self._ticket, function, *job, key=key, pure=False)

    def _finished(self) -> list[Future]:
        """The next jobs that are done, or given up."""
        for _ in ticks(JOB_SECONDS, attendance.LOOK_SECONDS):
            try:
                return list(
                    wait(list(self._running), timeout=attendance.LOOK_SECONDS, return_when="FIRST_COMPLETED").done
                )
            except TimeoutError:
                self._look()
            except (CancelledError, asyncio.CancelledError) as error:
                raise self._cluster.gone() from error
        raise SynthanomError(
            f"{self._cluster.address}: no job was finished within a week; look at the workers, then {LEFT}"
        )

    def _results(self, future: Future) -> list[Any]:
        """The result of a job; none if it was lost with its worker, in which case the job is done again."""
        try:
            return [future.result(timeout=RESULT_SECONDS)]
        except TimeoutError:
            if future.status != "pending":
                raise
            return []
        except KilledWorker as error:
            raise SynthanomError(
                f"{error.allowed_failures + 1} workers were killed one after another by the same job, most often for "
                f"lack of memory; start workers with more of it, then {LEFT}"
            ) from error
        except ImportError as error:
            raise SynthanomError(f"a worker must have the synthanom of this command, got '{error}'; {SAME}") from error
        except (CancelledError, asyncio.CancelledError) as error:
            raise self._cluster.gone() from error

    def _look(self) -> None:
        """See now and then how many workers there are."""
        if self._attendance.due():
            self._attendance.count(len(self._attendance.look()))


@contextmanager
def cluster_workers(address: str) -> Iterator[ClusterPool]:
    """The workers of the Dask cluster whose scheduler has this address, until the block ends.

    Raises
    ------
    SynthanomError
        If nobody answers there.
    """
    with connected(address) as cluster:
        pool = ClusterPool(cluster)
        try:
            yield pool
        except BaseException:
            pool.stop()
            raise
        with suppress(SynthanomError):  # all is done: a cluster that has gone meanwhile forgets by itself
            pool.release()


def _admitted(worker: str, found: Any, here: Mapping[str, str], needs: Needs) -> bool:
    """Whether a worker takes part, by its answer; False if it has gone meanwhile."""
    who = f"worker {worker}"
    around = answered(who, found, Surroundings)
    if around is None:
        return False
    who += f" on {around.host}"
    same_version(who, around.fingerprint["synthanom"], here["synthanom"])
    if not around.sees_raw:
        raise SynthanomError(
            f"{who}: must see the folder {needs.raw}, and does not; put the scans on a file system that all share"
        )
    if around.fingerprint != here and not needs.mixed:
        raise other_fingerprint(who, around.fingerprint, here)
    return True
