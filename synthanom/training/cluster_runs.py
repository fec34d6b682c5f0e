"""Runs trained by the workers of a Dask cluster: each whole on one worker, on another if that one is lost."""

import asyncio
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from typing import Any
from uuid import uuid4

from distributed import CancelledError, Future, KilledWorker, wait

from synthanom import exits
from synthanom.cluster import attendance, desk
from synthanom.cluster.attendance import LEFT, SAME, Attendance, all_see, idle, ticks
from synthanom.cluster.connection import Cluster, connected
from synthanom.cluster.desk import Ticket
from synthanom.errors import SynthanomError
from synthanom.training import worker_runs
from synthanom.training.admission import Needs, fit
from synthanom.training.orders import Attempt, Book, Order
from synthanom.training.own_process import Ended
from synthanom.training.worker_runs import Assignment, Surroundings

LEASE_SECONDS = 90.0  # that workers go on for a command they do not hear from
RENEW_SECONDS = 15.0  # between two times that they hear from it
HEAR_SECONDS = 5.0  # that a worker may take for it
RESULT_SECONDS = 60.0


def train_on_cluster(
    address: str, orders: Sequence[Order], needs: Needs, tell: Callable[[str], None]
) -> Generator[dict[str, Any], None, None]:
    """Have the runs trained; yields the answer of each as it ends.

    Parameters
    ----------
    address : str
        Of the scheduler.
    orders : sequence of Order
    needs : Needs
    tell : function
        Is told what the person at the keyboard should know.

    Raises
    ------
    SynthanomError
        If nobody answers, a worker cannot take part, or none is left; if a run failed, after all the others have ended.
    """
    with connected(address) as cluster:
        crew = _Crew(cluster, needs, tell)
        try:
            crew.admit()
            yield from crew.trained(orders)
        except BaseException:
            crew.stop()
            raise


class _Crew:
    """The workers of a cluster, each with at most one run."""

    def __init__(self, cluster: Cluster, needs: Needs, tell: Callable[[str], None]) -> None:
        self._cluster = cluster
        self._needs = needs
        self._tell = tell
        self._ticket = Ticket(run=uuid4().hex, out=str(needs.out))
        self._attendance = Attendance(cluster)
        self._threads: dict[str, int] = {}  # of the workers that may be given runs
        self._there: set[str] = set()  # of those, when it was last looked
        self._refused: set[str] = set()
        self._noted: set[tuple[str, str]] = set()  # versions other than here
        self._running: dict[Future, Attempt] = {}
        self._handed_out = 0
        self._renewed = time.monotonic()

    def admit(self) -> None:
        """Make sure that every worker can take part, and that none still trains there for an earlier command.

        Raises
        ------
        SynthanomError
            Naming one that cannot, or does; or if none comes within a minute.
        """
        for _ in ticks(attendance.ALONE_SECONDS, attendance.POLL_SECONDS):
            self._look(strict=True)
            if self._there:
                break
            time.sleep(attendance.POLL_SECONDS)
        else:
            raise self._attendance.none()
        out = self._needs.out
        out.mkdir(parents=True, exist_ok=True)
        all_see(self._cluster, out, self._ticket.run, of=self._there)
        seconds = LEASE_SECONDS + worker_runs.GRACE_SECONDS
        waiting = f"workers still train in {out} for an earlier command; those of one that was killed end by themselves"
        if not idle(self._cluster, desk.at_work, str(out), lambda: self._tell(waiting), seconds):
            raise SynthanomError(f"{out}: workers train here for another command; wait for its end, then {LEFT}")

    def trained(self, orders: Sequence[Order]) -> Generator[dict[str, Any], None, None]:
        """Have the runs trained; yields the answer of each as it ends.

        Raises
        ------
        SynthanomError
            If the scheduler goes away, no worker is left for a minute, or a run failed.
        """
        book = Book(orders, self._tell)
        while book.waiting or self._running:  # every turn waits for runs that end by themselves or are given up
            self._attend()
            for worker in self._free():
                if book.waiting:
                    self._begin(book.waiting.popleft(), orders, worker)
            for attempt, ended in self._ended():
                if ended.status == exits.DONE:
                    yield {**ended.answer, "folder": str(orders[attempt.number].name)}
                else:
                    book.note(attempt, ended)
        if book.failed:
            raise book.failure()

    def stop(self) -> None:
        """End all runs, each with its last state, and wait a minute for it; the workers themselves stay."""
        begun = bool(self._running)
        with suppress(SynthanomError, OSError):  # without a scheduler there is nobody to tell
            if self._cluster.there:
                self._cluster.client.cancel(list(self._running), force=True)
                begun = not idle(self._cluster, desk.stop, self._ticket.run, lambda: None)
        if begun:
            self._tell(f"runs that still go on on workers end by themselves within {LEASE_SECONDS:.0f} seconds")
        self._running.clear()

    def _attend(self) -> None:
        """Now and then see who is there, and let those who train know that this command is."""
        if not self._attendance.due():
            return
        self._look(strict=False)
        self._attendance.count(len(self._there))
        busy = {attempt.worker for attempt in self._running.values()} & self._there
        if busy and time.monotonic() - self._renewed >= RENEW_SECONDS:
            self._cluster.ask(worker_runs.renew, self._ticket.run, of=busy, seconds=HEAR_SECONDS)
            self._renewed = time.monotonic()

    def _look(self, *, strict: bool) -> None:
        """See which workers there are; new ones are asked first, and a strict look refuses to go on without one."""
        found = self._attendance.look()
        new = [worker for worker in found if worker not in self._threads and worker not in self._refused]
        settings = None if self._needs.settings is None else str(self._needs.settings)
        answers = self._cluster.ask(worker_runs.look_around, str(self._needs.data), settings, of=new) if new else {}
        for worker, answer in answers.items():
            try:
                around = fit(worker, answer, self._needs)
                if around is None:
                    continue
                if not strict:
                    all_see(self._cluster, self._needs.out, self._ticket.run, of=[worker])
            except SynthanomError as error:
                if strict:
                    raise
                self._refused.add(worker)
                self._tell(f"left out: {error}")
                continue
            self._threads[worker] = found[worker]
            self._note(worker, around)
        self._there = self._threads.keys() & found.keys()

    def _note(self, worker: str, around: Surroundings) -> None:
        """Say once what a worker has other versions of: weights may then differ in their last digits."""
        here = worker_runs.versions()
        other = {(name, version) for name, version in around.versions.items() if here.get(name) != version}
        if other - self._noted:
            words = ", ".join(f"{name} {version} instead of {here.get(name)}" for name, version in sorted(other))
            self._tell(f"worker {worker} on {around.host} has {words}: its weights may differ in their last digits")
        self._noted |= other

    def _free(self) -> list[str]:
        busy = {attempt.worker for attempt in self._running.values()}
        return [worker for worker in self._threads if worker in self._there and worker not in busy]

    def _begin(self, number: int, orders: Sequence[Order], worker: str) -> None:
        if not self._cluster.there:
            raise self._cluster.gone()
        self._handed_out += 1
        order = orders[number]
        assignment = Assignment(
            folder=str(order.folder), words=order.words, threads=self._threads[worker], lease=LEASE_SECONDS
        )
        future = self._cluster.client.submit(
            worker_runs.train_run,
            self._ticket,
            assignment,
            key=f"synthanom-train-{self._ticket.run}-{self._handed_out}",
            pure=False,
            workers=[worker],  # left to Dask, two runs might wait for one worker while another has none
        )
        self._running[future] = Attempt(number=number, worker=worker, begun_with=order.state())

    def _ended(self) -> list[tuple[Attempt, Ended]]:
        """Attempts that ended or were lost, after waiting a little for the first."""
        if not self._running:
            time.sleep(attendance.POLL_SECONDS)
            return []
        with suppress(TimeoutError):
            try:
                wait(list(self._running), timeout=attendance.LOOK_SECONDS, return_when="FIRST_COMPLETED")
            except (CancelledError, asyncio.CancelledError) as error:
                raise self._cluster.gone() from error
        found = []
        for future, attempt in list(self._running.items()):
            ended = self._result(future, attempt)
            if ended is not None:
                del self._running[future]
                found.append((attempt, ended))
        return found

    def _result(self, future: Future, attempt: Attempt) -> Ended | None:
        """What came of an attempt; None if it goes on."""
        if future.done():
            try:
                result: Ended = future.result(timeout=RESULT_SECONDS)
                return result
            except TimeoutError:  # lost with its worker
                pass
            except KilledWorker:
                return _lost("its worker was killed, most often for lack of memory")
            except OSError as error:
                return _lost(str(error))
            except SynthanomError as error:
                return Ended(status=exits.REFUSED, answer={}, problem=str(error))
            except ImportError as error:
                raise SynthanomError(
                    f"a worker must have the synthanom of this command, got '{error}'; {SAME}"
                ) from error
            except (CancelledError, asyncio.CancelledError) as error:
                raise self._cluster.gone() from error
        if attempt.worker in self._there:
            return None
        with suppress(OSError):
            self._cluster.client.cancel([future], force=True)
        return _lost("its worker went away")


def _lost(why: str) -> Ended:
    return Ended(status=exits.TERMINATED, answer={}, problem=why)
