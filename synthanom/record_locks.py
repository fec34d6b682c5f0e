"""A lock on an open file that ends with its process: POSIX record locks, or byte locks where there are none."""

import contextlib
import os
from importlib import import_module
from pathlib import Path

SHARERS = 64  # processes at once, where bytes are locked


def take(handle: int, *, shared: bool = False) -> None:
    """Lock a file that is open for reading and writing, without waiting.

    POSIX record locks belong to this process alone (workers do not inherit them) and work over NFS. Windows has locks
    on bytes, which one process holds alone: who shares takes one of `SHARERS` bytes, who does not takes all.

    Parameters
    ----------
    handle : int
        Descriptor of the file; the lock ends when it is closed.
    shared : bool
        Others may share it, but none may hold it alone.

    Raises
    ------
    OSError
        If another process holds it.
    """
    try:
        import fcntl
    except ImportError:
        _take_bytes(handle, shared=shared)
        return
    fcntl.lockf(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)


def let_go(handle: int, path: Path | None = None) -> None:
    """Close a locked file, and with a path remove it.

    Parameters
    ----------
    handle : int
    path : Path, optional
        The file's name; None leaves it there.
    """
    if path is None:
        os.close(handle)
        return
    try:
        path.unlink(missing_ok=True)  # while still held: whoever opened it before finds another file, tries again
    except PermissionError:  # Windows removes no file that is open
        os.close(handle)
        with contextlib.suppress(OSError):  # somebody else has opened it
            path.unlink(missing_ok=True)
    else:
        os.close(handle)


def _take_bytes(handle: int, *, shared: bool) -> None:
    windows = import_module("msvcrt")
    first, count = (os.getpid() % SHARERS, 1) if shared else (0, SHARERS)
    for turn in range(SHARERS if shared else 1):
        os.lseek(handle, (first + turn) % SHARERS, os.SEEK_SET)
        try:
            windows.locking(handle, windows.LK_NBLCK, count)
        except OSError:
            if turn + 1 == (SHARERS if shared else 1):
                raise
        else:
            return
