"""Strikes builds under test from inside: Python loads this file in every process that finds it on PYTHONPATH.

Each process writes down every step that it takes on the files of the build, in one journal that all of them share;
when the step comes that the variable FAULT names, the fault happens. Without the variable nothing does.
"""

import builtins
import errno
import fcntl
import io
import json
import os
import random
import re
import resource
import signal
import sys
import time
from pathlib import Path

FAULT = json.loads(os.environ.get("FAULT", "{}"))
FOLDERS = tuple(f"{FAULT[name]}/" for name in ("out", "raw") if name in FAULT)
TEMPORARY = re.compile(r"\.(.+)\.[0-9a-f]{8}-[0-9]+\.tmp")
YEAR = 365 * 86400.0
PAUSE_SECONDS = 60.0
BUFFERED = {"wb": io.BufferedWriter, "w+b": io.BufferedRandom}
FILLING = ("create", "write", "mkdir", "fsync")  # what fails on a full disk; renaming needs no space


def step(verb: str, path: object) -> None:
    """Write down one step, and strike if it is the one."""
    name = _name(path)
    if not name:
        return
    fault = _fault()
    if re.search(fault["step"], f"{verb} {name}") is None:
        return
    with Path(FAULT["journal"]).open("a+") as journal:  # closing it gives the lock back
        fcntl.flock(journal, fcntl.LOCK_EX)
        journal.seek(0)
        number = len(journal.readlines()) + 1
        journal.write(f"{verb} {name}\n")
    if number == fault["at"] or (fault["lasting"] and number > fault["at"] > 0):
        STRIKES[fault["do"]](verb)


def _fault() -> dict:
    """What is to happen: fixed, or in a file that may change while this process works for one build after another."""
    return json.loads(Path(FAULT["orders"]).read_text()) if "orders" in FAULT else FAULT


def _name(path: object) -> str:
    """Name of a file of the build without what differs from run to run; empty for other files."""
    if not isinstance(path, str | bytes | os.PathLike):
        return ""
    full = os.fsdecode(path)
    if not f"{full}/".startswith(FOLDERS):
        return ""
    folder, _, last = full.rpartition("/")
    match = TEMPORARY.fullmatch(last)
    full = full if match is None else f"{folder}/{match[1]}"
    return next(full[len(start) :] or "." for start in FOLDERS if f"{full}/".startswith(start))


def _opened_as(handle: int) -> str:
    """Path of an open file or folder."""
    return str(Path(f"/proc/self/fd/{handle}").readlink())


def _no_space(verb: str) -> None:
    if verb in FILLING:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _no_reading(verb: str) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def _pause(verb: str) -> None:
    """Say that the step is reached, and wait to be sent on."""
    Path(FAULT["journal"] + ".here").touch()
    for _ in range(int(PAUSE_SECONDS / 0.01)):
        if Path(FAULT["journal"] + ".go").exists():
            return
        time.sleep(0.01)


def _no_memory(verb: str) -> None:
    raise MemoryError


def _starve(verb: str) -> None:
    """Let this process have no more memory than it has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + _fault()["spare"]
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))


STRIKES = {
    "nothing": lambda verb: None,
    "no space": _no_space,
    "no reading": _no_reading,
    "pause": _pause,
    "no memory": _no_memory,
    "starve": _starve,
    # a build under test leads its session, and its workers are of its group
    "kill main": lambda verb: os.kill(os.getsid(0), signal.SIGKILL),
    "kill group": lambda verb: os.killpg(os.getpgid(0), signal.SIGKILL),
    "kill this": lambda verb: os.kill(os.getpid(), signal.SIGKILL),
}


def watch(event: str, arguments: tuple) -> None:
    """An audit hook: sees files opened, renamed and removed, whoever does it."""
    if event == "open" and isinstance(arguments[2], int):
        path, _, flags = arguments
        if flags & os.O_CREAT:
            step("create", path)
        elif not flags & (os.O_DIRECTORY | os.O_CLOEXEC) or str(path).startswith(FAULT["raw"]):
            step("read", path)
    elif event == "os.rename":
        step("rename", arguments[1])
    elif event == "os.mkdir" and not Path(arguments[0]).exists():
        step("mkdir", arguments[0])
    elif event == "os.remove":
        path, folder = arguments
        step("remove", path if folder == -1 else f"{_opened_as(folder)}/{path}")
    elif event == "os.rmdir":
        step("rmdir", arguments[0])


class Written(io.FileIO):
    """A file whose writes are steps; one that fails has written half, as on a full disk."""

    def write(self, content) -> int:
        try:
            step("write", self.name)
        except OSError:
            io.FileIO.write(self, content[: len(content) // 2])
            raise
        return io.FileIO.write(self, content)


def opened(file, mode="r", *arguments, _open=io.open, **named):
    """`open`, with counted writes below the folder of the build."""
    if mode in BUFFERED and not isinstance(file, int) and _name(file):
        return BUFFERED[mode](Written(os.fspath(file), mode))
    return _open(file, mode, *arguments, **named)


def synchronised(handle: int, _fsync=os.fsync) -> None:
    """`os.fsync`, counted."""
    step("fsync", _opened_as(handle))
    _fsync(handle)


def jumping(clock, unit: float):
    """A clock that is set to another year every time somebody looks."""
    years = random.Random(FAULT["clock"] + os.getpid())
    return lambda: clock() + type(clock())(years.uniform(-30, 30) * YEAR * unit)


if FOLDERS:
    sys.addaudithook(watch)
    io.open = builtins.open = opened
    os.fsync = synchronised
    if FAULT["clock"] is not None:
        time.time, time.time_ns = jumping(time.time, 1.0), jumping(time.time_ns, 1e9)
