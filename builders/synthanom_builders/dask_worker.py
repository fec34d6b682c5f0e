"""What runs inside a worker process of a Dask cluster: one unit at a time, and answers about the process."""

import platform
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from synthanom.errors import SynthanomError
from synthanom.shards import fingerprint
from synthanom_builders.units import forget

T = TypeVar("T")


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


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a worker process finds around itself.

    Attributes
    ----------
    host : str
    sees_raw : bool
        Whether the folder of the raw data is there.
    fingerprint : dict of str to str
    """

    host: str
    sees_raw: bool
    fingerprint: dict[str, str]


class _Desk:
    """Jobs of this process. Dask may give it several threads, but what units keep in memory is for one at a time."""

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
            with self._turn:
                if ticket.run in self._stopped:
                    raise SynthanomError("the command that asked for this job was stopped")
                yield
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


_DESK = _Desk()


def work(ticket: Ticket, function: Callable[..., T], *job: Any) -> T:
    """Do one job when it is its turn.

    Raises
    ------
    SynthanomError
        If the command that asked for it was stopped.
    Exception
        Whatever the job raises.
    """
    with _DESK.turn(ticket):
        return function(*job)


def at_work(out: str) -> int:
    """How many jobs of this process, of whichever command, are begun that may write in a folder."""
    return _DESK.at_work(out)


def stop(run: str) -> int:
    """Begin no more jobs of a command here; how many are not yet ended."""
    return _DESK.stop(run)


def look_around(raw: str, codec: str) -> Surroundings:
    """What a build must know of this process; what it kept of earlier builds is dropped."""
    forget()
    return Surroundings(host=platform.node(), sees_raw=Path(raw).is_dir(), fingerprint=fingerprint(codec))


def read_token(path: str) -> str | None:
    """What stands in a small file, None if it cannot be read."""
    try:
        return Path(path).read_text(encoding="ascii")
    except (OSError, ValueError):
        return None
