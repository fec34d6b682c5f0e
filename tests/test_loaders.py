"""Samples are the same bits in every kind of worker and thread, and making them leaves the process as it was."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dispatchers
import pytest
import torch
from numba import config
from phantoms import phantom
from torch.utils.data import ConcatDataset, DataLoader

from synthanom import AnomalyDataset, tasks

SHAPES = [((40, 48), 1), ((18, 20, 16), 2)]
STARTS = ("fork", "forkserver", "spawn")


def datasets():
    """All tasks on pictures and on volumes of two channels."""
    made = []
    for shape, channels in SHAPES:
        samples = [phantom(shape, channels, seed) for seed in range(3)]
        made += [AnomalyDataset(samples, task(), seed=5, donors=samples) for task in tasks.TASKS.values()]
    return ConcatDataset(made)


def as_bytes(item):
    image, label, recipe = item
    assert image.dtype == label.dtype == torch.float32
    return image.numpy().tobytes(), label.numpy().tobytes(), recipe


def through_workers(data, start):
    loader = DataLoader(data, batch_size=None, num_workers=2, multiprocessing_context=start)
    return [as_bytes(item) for item in loader]


@pytest.fixture(scope="module")
def serial():
    data = datasets()
    return [as_bytes(data[i]) for i in range(len(data))]


@pytest.mark.parametrize("start", STARTS)
def test_workers_give_the_bits_of_this_process(start, serial):
    # this process has made samples before, so a fork takes its compiled kernels along
    assert through_workers(datasets(), start) == serial


@pytest.mark.parametrize("threads", [2, 4])
def test_threads_give_the_bits_of_one(threads, serial):
    data = datasets()
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(3):
            assert [as_bytes(item) for item in pool.map(data.__getitem__, range(len(data)))] == serial


FRESH = """
import sys, warnings
warnings.simplefilter("error", RuntimeWarning)
sys.path.insert(0, {folder!r})
import test_loaders
from concurrent.futures import ThreadPoolExecutor
data = test_loaders.datasets()
assert not [name for name in sys.modules if name.endswith(".cpu") and name.startswith("synthanom.kernels")]
if {how!r} == "fork":
    first = test_loaders.through_workers(data, "fork")
else:
    with ThreadPoolExecutor(4) as pool:
        first = [test_loaders.as_bytes(item) for item in pool.map(data.__getitem__, range(len(data)))]
assert first == [test_loaders.as_bytes(data[i]) for i in range(len(data))]
print("same", len(first))
"""


@pytest.mark.parametrize("how", ["fork", "threads"])
def test_workers_and_threads_that_load_the_kernels_first(how):
    code = FRESH.format(folder=str(Path(__file__).parent), how=how)
    assert run(code) == f"same {3 * len(SHAPES) * len(tasks.TASKS)}"


STATE = """
import json, os, sys
sys.path.insert(0, {folder!r})
import numba, numpy, scipy.linalg, threadpoolctl, torch
import test_loaders

def state():
    try:
        layer = numba.threading_layer()
    except ValueError:
        layer = None
    tasks = "/proc/self/task"
    pools = sorted((p["filepath"], p["num_threads"]) for p in threadpoolctl.threadpool_info())
    return {{
        "layer": layer,
        "threads": len(os.listdir(tasks)) if os.path.isdir(tasks) else None,
        "pools": pools,
        "torch": [torch.get_num_threads(), torch.get_num_interop_threads()],
        "environment": sorted(os.environ.items()),
    }}

data = test_loaders.datasets()
before = state()
for i in range(len(data)):
    data[i]
after = state()
large = test_loaders.AnomalyDataset([test_loaders.phantom((48, 64, 48), 1, s) for s in (0, 1)],
    test_loaders.tasks.IntraBlend(), seed=1, donors=[test_loaders.phantom((48, 64, 48), 1, s) for s in (2, 3)])
large[0]
print(json.dumps([before, after, state()]))
"""


def test_the_process_stays_as_it_was():
    before, *later = json.loads(run(STATE.format(folder=str(Path(__file__).parent))))
    assert before["layer"] is None and before["pools"]
    for after in later:
        assert after == before


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="nothing is compiled")
def test_every_kernel_releases_the_gil_and_starts_no_threads():
    found = dispatchers.dispatchers()
    assert len(found) > 20
    for name, kernel in found.items():
        assert kernel.targetoptions.get("nogil") is True, name
        assert not kernel.targetoptions.get("parallel"), name
        assert kernel.stats.cache_path is not None, name


def run(code):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
