"""What a second thread or process brings: python benchmarks/threads.py [--quick] [--write]

The same samples, of all tasks, are made by one thread, by two threads of one process and by two processes, in turn; the
median pass counts. Workers keep what they make to themselves: how a loader passes it on is not measured.
"""

import argparse
import json
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import cases
import machine
import pages
import synthesis

from synthanom.tasks import TASKS

PAGE = Path(__file__).parents[1] / "docs" / "speed.md"
WORKERS = 2
WAYS = ("one thread", "two threads", "two processes")
TARGETS = {"two threads": 1.8, "two processes": 1.9}
SHAPES = ("a", "b", "c")
PASSES = 9
HEAD = """Written by `make bench-threads` on {date}, {cpu}. Samples per second over all tasks, label included; medians
of {passes} interleaved passes over the same samples. BLAS has one thread everywhere. Targets: two threads
x {threads:g}, two processes x {processes:g}.
"""
_HERE: dict[str, synthesis.Work] = {}  # of a worker process: its own pictures


def main() -> None:
    """Measure, print, and with --write keep the table in docs/speed.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny pictures, few samples: is everything in order?")
    parser.add_argument("--passes", type=int, help=f"instead of {PASSES}")
    parser.add_argument("--seeds", type=int, help="samples per task, instead of the case's own number")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.parent.name}/{PAGE.name}")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    arguments = parser.parse_args()
    passes = arguments.passes or (2 if arguments.quick else PASSES)
    chosen = cases.QUICK[:1] if arguments.quick else [cases.case_named(name) for name in SHAPES]
    with synthesis.one_thread():
        rows = [measure(case, arguments.seeds or case.seeds, passes) for case in chosen]
    text = page(rows, passes)
    sys.stdout.write(json.dumps(rows) + "\n" if arguments.json else text)
    if arguments.write:
        pages.put(PAGE, "threads", text)


def measure(case: cases.Case, seeds: int, passes: int) -> dict:
    """Samples per second of each way, the median over interleaved passes."""
    jobs = [(task, seed) for seed in range(seeds) for task in TASKS]
    spread = {way: [] for way in WAYS}
    begin(case.name)
    with (
        ThreadPoolExecutor(WORKERS) as threads,
        ProcessPoolExecutor(
            WORKERS, multiprocessing.get_context("forkserver"), initializer=begin, initargs=(case.name,)
        ) as processes,
    ):
        for number in range(passes + 1):
            for way, run in zip(WAYS, (_alone, threads, processes), strict=True):
                rate = len(jobs) / seconds(run, jobs)
                if number:  # the first pass starts the workers and warms every cache
                    spread[way].append(rate)
    return {
        "case": case.name,
        "shape": case.shape,
        "samples": len(jobs),
        "rates": {way: statistics.median(rates) for way, rates in spread.items()},
        "spread": spread,
    }


def begin(name: str) -> None:
    """Make a case's pictures in this process, and every kind of sample once."""
    if multiprocessing.parent_process() is not None:
        from threadpoolctl import threadpool_limits

        threadpool_limits(1)  # for the life of the worker
    case = cases.case_named(name)
    sample, available = cases.picture(case), cases.donors(case)
    for task in TASKS:
        _HERE[task] = synthesis.Work(case=case, task=task, sample=sample, donors=available)
        _HERE[task].ours(0)


def make(job: tuple[str, int]) -> None:
    """One sample."""
    task, seed = job
    _HERE[task].ours(seed)


def _alone(jobs: list[tuple[str, int]]) -> None:
    for job in jobs:
        make(job)


def seconds(run: Executor | Callable[[list[tuple[str, int]]], None], jobs: list[tuple[str, int]]) -> float:
    """How long one way takes for all samples."""
    start = time.perf_counter()
    if isinstance(run, Executor):
        # some jobs at a time, so that passing them to a process costs nothing; few, so that both workers end together
        for _ in run.map(make, jobs, chunksize=max(1, len(jobs) // (WORKERS * 16))):
            pass
    else:
        run(jobs)
    return time.perf_counter() - start


def page(rows: list[dict], passes: int) -> str:
    """The table as Markdown."""
    head = ["case", "shape", "samples", "one thread"]
    head += [name for way in WAYS[1:] for name in (way, "ratio")]
    lines = []
    for row in rows:
        rates = row["rates"]
        line = [row["case"], " x ".join(map(str, row["shape"])), str(row["samples"]), f"{rates[WAYS[0]]:.4g}"]
        for way in WAYS[1:]:
            line += [f"{rates[way]:.4g}", f"{rates[way] / rates[WAYS[0]]:.2f}"]
        lines.append(line)
    words = {"date": time.strftime("%Y-%m-%d"), "cpu": machine.cpu_model(), "passes": passes}
    targets = {"threads": TARGETS["two threads"], "processes": TARGETS["two processes"]}
    return HEAD.format(**words, **targets) + "\n" + pages.table(head, lines)


if __name__ == "__main__":
    main()
