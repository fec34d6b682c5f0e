"""One build at a time in a folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from synthanom.errors import SynthanomError

NAME = ".build.lock"
TRIES = 10


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Hold the folder's lock during the block; the lock file is gone afterwards.

    A POSIX record lock: it belongs to this process alone (workers do not inherit it), ends with it however it ends, and
    works over NFS. The folder is made if it is not there.

    Raises
    ------
    SynthanomError
        If another process holds it, or the folder cannot be written.
    """
    path = out / NAME
    handle = _acquire(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # while still held: whoever opened it before finds another file and tries again
        os.close(handle)


def _acquire(path: Path) -> int:
    for _ in range(TRIES):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise SynthanomError(
                f"{path.parent}: must be a folder that can be written, got '{error.strerror}'; choose another --out"
            ) from error
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _same_file(handle, path):
                return handle
        except OSError as error:
            os.close(handle)
            raise SynthanomError(
                f"{path.parent}: another build is writing there ({error.strerror}); wait for it or choose another --out"
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
