"""What a build asks of those who do its work, on this machine or on a cluster."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What every worker must have before it is given work.

    Attributes
    ----------
    raw : Path
        Folder of the raw data, which it must see.
    codec : str
        That the shards are compressed with.
    mixed : bool
        Whether its fingerprint may be another one than this process's.
    """

    raw: Path
    codec: str
    mixed: bool


class AbstractPool(ABC):
    """Worker processes that run module-level functions."""

    @property
    @abstractmethod
    def size(self) -> int:
        """How many worker processes there are."""

    @abstractmethod
    def admit(self, needs: Needs) -> None:
        """Make sure that every worker can take part, before anything is done.

        Raises
        ------
        SynthanomError
            Naming one that cannot, and why.
        """

    @abstractmethod
    def enter(self, out: Path, tell: Callable[[str], None]) -> None:
        """Make sure that every worker sees the data set's folder, which is locked, and that none is at work there.

        Parameters
        ----------
        out : Path
        tell : function
            Is told what has to be waited for.

        Raises
        ------
        SynthanomError
            Naming one that does not, or is.
        """

    @abstractmethod
    def run(self, function: Callable[..., T], jobs: Sequence[tuple[Any, ...]]) -> Iterator[tuple[int, T]]:
        """Call the function on every job; yields (number of the job, result) as they finish, in any order.

        Raises
        ------
        SynthanomError
            If workers die or vanish.
        Exception
            The first that a job raises; jobs not yet begun are dropped.
        """

    @abstractmethod
    def stop(self) -> None:
        """Drop all jobs; afterwards nothing that they had not finished gets its final name."""
