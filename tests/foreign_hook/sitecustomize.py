"""In processes that find this folder, what Windows does not have is not there for synthanom, and what it has is.

Gone are POSIX's modules (for our own imports), forking and masks of signals; `msvcrt.locking` is there, by POSIX locks.
Below the folder of the environment variable FOREIGN no file is removed, replaced or renamed while this process has it
open.
"""

import builtins
import os
import sys
from typing import Any

POSIX_MODULES = frozenset({"fcntl", "grp", "posix", "pty", "pwd", "resource", "termios", "tty"})
GONE = {"os": ("fork", "forkpty", "geteuid", "sched_getaffinity"), "signal": ("pthread_sigmask",)}


def take_away() -> None:
    import fcntl
    import signal
    import subprocess  # noqa: F401 (asks for msvcrt to find out where it is)
    import types

    def locking(handle: int, mode: int, count: int) -> None:
        assert mode == windows.LK_NBLCK
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB, count, 0, os.SEEK_CUR)

    windows: Any = types.ModuleType("msvcrt")
    windows.LK_NBLCK, windows.locking = 2, locking
    sys.modules["msvcrt"] = windows
    before = builtins.__import__

    def guarded(name: str, *given: Any, **named: Any) -> Any:
        where = named.get("globals", given[0] if given else None) or {}
        ours = str(where.get("__name__", "")).startswith("synthanom")
        if name == "msvcrt" or (ours and name in POSIX_MODULES):
            raise ModuleNotFoundError(f"there is no {name} here")
        return before(name, *given, **named)

    builtins.__import__ = guarded
    for module, names in ((os, GONE["os"]), (signal, GONE["signal"])):
        for name in names:
            delattr(module, name)


def keep_open_files(folder: str) -> None:
    def is_open(path: Any) -> bool:
        full = os.path.realpath(os.fsdecode(path))
        if not full.startswith(f"{folder}{os.sep}"):
            return False
        links = (f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd"))  # noqa: PTH208
        return any(os.path.realpath(link) == full for link in links if os.path.lexists(link))

    def guard(name: str) -> None:
        before = getattr(os, name)

        def guarded(*paths: Any, **options: Any) -> Any:
            for path in paths:
                if options.get("dir_fd") is None and is_open(path):
                    raise PermissionError(13, "another handle is open", os.fsdecode(path))
            return before(*paths, **options)

        setattr(os, name, guarded)

    for name in ("remove", "unlink", "rename", "replace"):
        guard(name)


if "FOREIGN" in os.environ:
    take_away()
    keep_open_files(os.path.realpath(os.environ["FOREIGN"]))
