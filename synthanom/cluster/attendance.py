"""Which workers a cluster has, and what makes one of them unfit for work."""

import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from synthanom.cluster import desk
from synthanom.errors import SynthanomError
from synthanom.temporaries import temporary_path

if TYPE_CHECKING:
    from synthanom.cluster.connection import Cluster

T = TypeVar("T")
LOOK_SECONDS = 2.0  # between looks at the cluster while no job finishes
POLL_SECONDS = 0.2
ALONE_SECONDS = 60.0  # without a worker
STOP_SECONDS = 60.0  # that jobs already begun are waited for
SAME = "start the workers from the same environment"
LEFT = "run the same command again (what is finished is kept)"


def without_dask(error: ImportError) -> SynthanomError:
    """What to raise where Dask is not installed."""
    return SynthanomError(f"--scheduler needs Dask, got '{error}'; install it with: pip install 'synthanom[dask]'")


class Attendance:
    """How many workers there are to give work to, looked at now and then."""

    def __init__(self, cluster: "Cluster") -> None:
        self.size = 0
        self._cluster = cluster
        self._looked = self._alone_since = time.monotonic()

    def due(self) -> bool:
        """Whether it was last looked a while ago."""
        return time.monotonic() - self._looked >= LOOK_SECONDS

    def look(self) -> dict[str, int]:
        """Addresses of the workers, and how many threads each has.

        Raises
        ------
        SynthanomError
            If the scheduler is gone.
        """
        self._looked = time.monotonic()
        return self._cluster.workers()

    def count(self, size: int) -> None:
        """Note how many workers there are.

        Raises
        ------
        SynthanomError
            If there was none for a minute.
        """
        self.size, now = size, time.monotonic()
        if size:
            self._alone_since = now
        elif now - self._alone_since > ALONE_SECONDS:
            raise self.none()

    def none(self) -> SynthanomError:
        """What to raise when there is no worker."""
        return SynthanomError(
            f"{self._cluster.address}: must have a worker, and had none for {ALONE_SECONDS:.0f} seconds; start some "
            f"(dask worker {self._cluster.address} --nthreads 1), then {LEFT}"
        )


def answered(who: str, answer: Any, kind: type[T]) -> T | None:
    """What a worker answered to a first question; None if it has gone meanwhile.

    Raises
    ------
    SynthanomError
        Naming the worker, if it did not answer, or could not.
    """
    if isinstance(answer, TimeoutError):
        raise SynthanomError(f"{who}: must answer within a minute, and does not; end it, then {LEFT}")
    if isinstance(answer, OSError | KeyError):
        return None
    if isinstance(answer, SynthanomError):
        raise SynthanomError(f"{who}: {answer}") from answer
    if not isinstance(answer, kind):
        raise SynthanomError(f"{who}: must have the synthanom of this command, got '{answer}'; {SAME}")
    return answer


def same_version(who: str, there: str, here: str) -> None:
    """Raise unless a worker has the version of synthanom that this process has.

    Raises
    ------
    SynthanomError
    """
    if there != here:
        raise SynthanomError(f"{who}: must have synthanom {here}, got {there}; {SAME}")


def all_see(cluster: "Cluster", out: Path, token: str, *, of: Collection[str] | None = None) -> None:
    """Make sure that the workers see a folder, by a small file that was just written there.

    Raises
    ------
    SynthanomError
        Naming one that does not.
    """
    path = temporary_path(out / "seen")
    path.write_text(token, encoding="ascii")
    try:
        answers = cluster.ask(desk.read_token, str(path), of=of)
    finally:
        path.unlink(missing_ok=True)
    for worker, answer in answers.items():
        if answer is None or (isinstance(answer, str) and answer != token):
            raise SynthanomError(
                f"worker {worker}: must see {out} as this machine does, and does not; choose an --out on a file "
                "system that all of them share"
            )


def idle(
    cluster: "Cluster", count: Callable[[str], int], what: str, tell: Callable[[], None], seconds: float | None = None
) -> bool:
    """Wait until every worker counts nothing any more; whether that came in time. `tell` is called if it lasts."""
    for turn in ticks(STOP_SECONDS if seconds is None else seconds, POLL_SECONDS):
        if not any(isinstance(answer, int) and answer for answer in cluster.ask(count, what).values()):
            return True
        if turn == 0:
            tell()
        time.sleep(POLL_SECONDS)
    return False


def ticks(seconds: float, step: float) -> range:
    """As many turns of `step` seconds as there are in `seconds`, at least one."""
    return range(max(1, int(seconds / step)))
