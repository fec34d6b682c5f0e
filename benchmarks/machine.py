"""What this machine does at best, and how much memory a call takes at most."""

import os
import platform
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np

from synthanom.sample import Sample

REPEATS = 7  # the fastest counts
LARGE = 1 << 25  # float32 numbers, 128 MiB: beyond any cache
SIDE = 1024  # of the matrices that are multiplied
STATUS = Path("/proc/self/status")
RESET = Path("/proc/self/clear_refs")
FIRST = """
import numpy as np
from synthanom import tasks
from synthanom.sample import Sample
pictures = np.random.default_rng(0).standard_normal((2, 1, 64, 64), dtype=np.float32)
donors = [Sample.from_array(pictures[1], id="donor")]
for task in tasks.TASKS.values():
    task()(pictures[0], rng=np.random.default_rng(1), donors=donors)
"""


def cpu_model() -> str:
    """What the processor calls itself, and how many of it this process may use."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor() or platform.machine()}, {os.cpu_count()} cores"


def fastest(call: Callable[[], object], repeats: int = REPEATS) -> float:
    """Seconds of the fastest of some calls."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def copy_bandwidth(numbers: int = LARGE) -> float:
    """GB/s of a copy between arrays that exist, counting what is read and what is written."""
    source, target = np.ones(numbers, np.float32), np.ones(numbers, np.float32)
    return 2 * source.nbytes / fastest(lambda: np.copyto(target, source)) / 1e9


def sgemm_rate(side: int = SIDE) -> float:
    """GFLOP/s of a float32 matrix product."""
    a = np.ones((side, side), np.float32)
    out = np.empty_like(a)
    return 2 * side**3 / fastest(lambda: np.matmul(a, a, out=out)) / 1e9


def floor(sample: Sample) -> float:
    """Seconds to read a sample once and to write picture and label once, into arrays that exist."""
    picture, label = np.ones_like(sample.image), np.ones(sample.shape, np.float32)

    def touch() -> None:
        np.copyto(picture, sample.image)
        label.fill(0)

    return fastest(touch, 3 * REPEATS)


def peak_above(call: Callable[[], object]) -> int:
    """Bytes of memory that a call takes at most beyond what is left with its result.

    The larger of two counts: what Python and numpy asked for, in which arrays of compiled code are missing, and, on
    Linux, resident memory, in which pages that nobody wrote are missing.
    """
    return max(_traced(call), _resident(call) if os.access(RESET, os.W_OK) else 0)


def _traced(call: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        result = call()
        left, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    del result  # only now: what is left includes it
    return most - left


def _resident(call: Callable[[], object]) -> int:
    RESET.write_text("5")  # the kernel's way to set the high-water mark back to now
    result = call()
    extra = _status("VmHWM") - _status("VmRSS")
    del result
    return extra


def first_samples() -> tuple[float, float]:
    """Seconds until a new process has made a sample of every task: kernels to be compiled first, then at hand."""
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", FIRST], check=True, env=environment)
        cold = time.perf_counter() - start
        warm = fastest(lambda: subprocess.run([sys.executable, "-c", FIRST], check=True, env=environment), 3)
    return cold, warm


def _status(name: str) -> int:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


def load() -> float:
    """Processes that wanted the processor over the last minute, on average; not a number where it is not told."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
