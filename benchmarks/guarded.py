"""Run a call in a process of its own, with limits of time and memory, and say how much of either it took."""

import os
import pickle
import resource
import select
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STATUS = Path("/proc/self/status")
RESET = Path("/proc/self/clear_refs")
SPARE = 512 << 20  # bytes of addresses beyond the limit: stacks and arenas of threads that are never touched


@dataclass(frozen=True, kw_only=True)
class Run:
    """How a call ended.

    Attributes
    ----------
    value : object
        What it returned; None where it did not.
    fault : str
        Empty, or what happened instead: an exception, a signal, or the time limit.
    seconds : float
    """

    value: Any
    fault: str
    seconds: float


def guarded(call: Callable[[], Any], *, seconds: float, memory: int) -> Run:
    """Run a call in a forked process; its result must be picklable.

    Parameters
    ----------
    seconds : float
        It is killed after that time.
    memory : int
        Bytes that it may take beyond what this process has; asking for far more than that fails in it.
    """
    start = time.perf_counter()
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(readable)
        _run(call, writable, memory)
    os.close(writable)
    data, late = _received(readable, start + seconds)
    os.close(readable)
    if late:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    spent = time.perf_counter() - start
    if late:
        return Run(value=None, fault=f"not finished after {seconds:g} s", seconds=spent)
    try:
        value, fault = pickle.loads(data)
    except (EOFError, pickle.UnpicklingError):
        value, fault = None, f"died with wait status {status}"
    return Run(value=value, fault=fault, seconds=spent)


def peak_memory(call: Callable[[], Any]) -> tuple[Any, int]:
    """What a call returns, and the bytes of resident memory that it took at most beyond what was there before it."""
    RESET.write_text("5")  # sets the high-water mark back to now
    before = _status("VmRSS")
    result = call()
    return result, max(0, _status("VmHWM") - before)


def _run(call: Callable[[], Any], writable: int, memory: int) -> None:
    """The child's part; never returns."""
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    room = _status("VmSize") + memory + SPARE
    resource.setrlimit(resource.RLIMIT_AS, (room, room))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        answer = (call(), "")
    except BaseException as error:
        answer = (None, " ".join(f"{type(error).__name__}: {error}".split()))
    with os.fdopen(writable, "wb") as stream:
        stream.write(pickle.dumps(answer))
    os._exit(0)


def _received(readable: int, deadline: float) -> tuple[bytes, bool]:
    """All that comes until the other end closes, and whether the deadline passed first."""
    parts = []
    while True:
        left = deadline - time.perf_counter()
        if left <= 0 or not select.select([readable], [], [], left)[0]:
            return b"".join(parts), True
        part = os.read(readable, 1 << 16)
        if not part:
            return b"".join(parts), False
        parts.append(part)


def _status(name: str) -> int:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024
