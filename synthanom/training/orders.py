"""Runs that workers are to train: which wait, and what became of those that did not end well."""

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from synthanom import exits
from synthanom.errors import SynthanomError
from synthanom.training.folder import RESUME
from synthanom.training.own_process import Ended

ATTEMPTS = 4  # that a run is lost without finishing an epoch, as often as Dask lets a task kill workers
NAMED = 5  # runs that failed


@dataclass(frozen=True, kw_only=True)
class Order:
    """A run to be trained.

    Attributes
    ----------
    name : Path
        Its folder as it was typed.
    words : tuple of str
        Arguments of the command that trains it, which work in any folder.
    """

    name: Path
    words: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """The run's folder, wherever one is."""
        return self.name.resolve()

    def state(self) -> int:
        """Which state the run would go on from: the time when it was written, 0 for none."""
        with suppress(OSError):
            return (self.folder / RESUME).stat().st_mtime_ns
        return 0


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One try to have a run trained.

    Attributes
    ----------
    number : int
        Of the order.
    worker : str
        Address of the worker that has it.
    begun_with : int
        The state that it went on from.
    """

    number: int
    worker: str
    begun_with: int


class Book:
    """What became of runs that did not end well."""

    def __init__(self, orders: Sequence[Order], tell: Callable[[str], None]) -> None:
        self.waiting = deque(range(len(orders)))
        self.failed: dict[int, str] = {}
        self._orders = orders
        self._tell = tell
        self._lost = [0] * len(orders)  # attempts without a new state

    def note(self, attempt: Attempt, ended: Ended) -> None:
        """Count an attempt: the run failed, or it waits for another one."""
        number, problem = attempt.number, _in_words(ended)
        name = self._orders[number].name
        if ended.status in (exits.REFUSED, exits.BUG):
            self.failed[number] = problem
            self._tell(f"{name}: failed on {attempt.worker}: {problem}")
            return
        self._lost[number] = self._lost[number] + 1 if self._orders[number].state() == attempt.begun_with else 0
        if self._lost[number] >= ATTEMPTS:
            self.failed[number] = f"was lost {ATTEMPTS} times without a finished epoch, at last because {problem}"
            self._tell(f"{name}: given up: {problem}")
        else:
            self.waiting.appendleft(number)
            self._tell(f"{name}: lost on {attempt.worker}, because {problem}; it goes on from its last finished epoch")

    def failure(self) -> SynthanomError:
        """What to raise in the end."""
        first, *others = self.failed
        more = [str(self._orders[number].name) for number in others]
        named = f"; also {', '.join(more[:NAMED])}{', ...' if more[NAMED:] else ''}" if more else ""
        return SynthanomError(
            f"{len(self.failed)} of {len(self._orders)} runs failed, the first with: {self._orders[first].name}: "
            f"{self.failed[first]}{named}; the others are done, and the same command goes on with these"
        )


def _in_words(ended: Ended) -> str:
    if ended.status < 0:
        return f"it was killed (signal {-ended.status}), most often for lack of memory"
    return ended.problem
