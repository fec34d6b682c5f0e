"""Who may write in a folder: one build, or several parts of one."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from synthanom.errors import SynthanomError
from synthanom.record_locks import let_go, take

NAME = ".build.lock"
TRIES = 10
WAIT_SECONDS = 0.5
WAIT_TRIES = 2 * 86400  # a day


@contextmanager
def locked(out: Path, name: str = NAME, *, shared: bool = False, held_by: str = "another build") -> Iterator[None]:
    """Hold a lock of the folder during the block; the lock file is gone afterwards, unless it is shared.

    It belongs to this process alone and ends with it however it ends (`record_locks.take`). The folder is made if it
    is not there.

    Parameters
    ----------
    out : Path
    name : str
        Of the lock file.
    shared : bool
        Others may share it, but none may hold it alone.
    held_by : str
        Who may hold it now, for the message.

    Raises
    ------
    SynthanomError
        If another process holds it, or the folder cannot be written.
    """
    path = out / name
    handle = _acquire(path, shared, held_by)
    try:
        yield
    finally:
        let_go(handle, None if shared else path)


@contextmanager
def waited_for(out: Path, name: str, tell: Callable[[], None]) -> Iterator[None]:
    """As `locked`, but wait for whoever holds it, a day at most.

    Parameters
    ----------
    tell : function
        Called once if there is somebody to wait for.

    Raises
    ------
    SynthanomError
        If it is not free after a day, or the folder cannot be written.
    """
    handle = None
    for turn in range(WAIT_TRIES):
        try:
            handle = _acquire(out / name, False, "another part")
            break
        except Held:
            if turn == 0:
                tell()
            time.sleep(WAIT_SECONDS)
    if handle is None:
        raise SynthanomError(f"{out / name}: must be free within a day, and is not; end the process that holds it")
    try:
        yield
    finally:
        let_go(handle, out / name)


class Held(SynthanomError):
    """Another process holds the lock."""


def _acquire(path: Path, shared: bool, held_by: str) -> int:
    for _ in range(TRIES):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise SynthanomError(
                f"{path.parent}: must be a folder that can be written, got '{error.strerror}'; choose another --out"
            ) from error
        try:
            take(handle, shared=shared)
            if _same_file(handle, path):
                return handle
        except OSError as error:
            os.close(handle)
            raise Held(
                f"{path.parent}: {held_by} is writing there ({error.strerror}); wait for it or choose another --out"
            ) from error
        os.close(handle)
    raise SynthanomError(f"{path.parent}: other builds keep taking the lock; wait for them or choose another --out")


def _same_file(handle: int, path: Path) -> bool:
    """Whether the open file still has its name: its last holder may have removed it in between."""
    try:
        named = path.stat()
    except FileNotFoundError:
        return False
    own = os.fstat(handle)
    return (own.st_dev, own.st_ino) == (named.st_dev, named.st_ino)
