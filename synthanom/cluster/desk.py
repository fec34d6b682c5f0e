"""Jobs inside a worker process of a cluster, whatever they are: one at a time, and none of a stopped command."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from synthanom.errors import SynthanomError

LOOK_SECONDS = 0.2  # between looks at whether a job that waits for its turn is still wanted


@dataclass(frozen=True, kw_only=True)
class Ticket:
    """For whom a job is done.

    Attributes
    ----------
    run : str
        Of the command that asked for it.
    out : str
        Folder that it may write in; empty if it only reads.
    """

    run: str
    out: str


class _Desk:
    """Jobs of this process. Dask may give it several threads, but jobs are made for a process of their own."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._changing = threading.Lock()
        self._begun: Counter[Ticket] = Counter()
        self._stopped: set[str] = set()

    @contextmanager
    def turn(self, ticket: Ticket) -> Iterator[None]:
        """Wait for the job before; raises if the command was stopped meanwhile."""
        with self._changing:
            self._begun[ticket] += 1
        try:
            while not self._turn.acquire(timeout=LOOK_SECONDS):  # ends with the job before
                self._refuse_stopped(ticket)
            try:
                self._refuse_stopped(ticket)
                yield
            finally:
                self._turn.release()
        finally:
            with self._changing:
                self._begun[ticket] -= 1
                self._begun += Counter()  # drops what is zero

    def at_work(self, out: str) -> int:
        """How many jobs are begun that may write in a folder."""
        with self._changing:
            return sum(count for ticket, count in self._begun.items() if ticket.out == out)

    def stop(self, run: str) -> int:
        """Begin no more jobs of a command; how many are not yet ended."""
        with self._changing:
            self._stopped.add(run)
            return sum(count for ticket, count in self._begun.items() if ticket.run == run)

    def stopped(self, run: str) -> bool:
        """Whether a command was stopped."""
        return run in self._stopped

    def _refuse_stopped(self, ticket: Ticket) -> None:
        if self.stopped(ticket.run):
            raise SynthanomError("the command that asked for this job was stopped")


DESK = _Desk()


def at_work(out: str) -> int:
    """How many jobs of this process, of whichever command, are begun that may write in a folder."""
    return DESK.at_work(out)


def stop(run: str) -> int:
    """Begin no more jobs of a command here; how many are not yet ended."""
    return DESK.stop(run)


def read_token(path: str) -> str | None:
    """What stands in a small file, None if it cannot be read."""
    try:
        return Path(path).read_text(encoding="ascii")
    except (OSError, ValueError):
        return None
