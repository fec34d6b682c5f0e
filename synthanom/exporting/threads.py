"""Work on rows outside the main thread."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def most_threads() -> int:
    """How many threads compress at a time: zlib lets others work meanwhile, HDF5 does not."""
    return min(4, os.cpu_count() or 1)


@contextmanager
def in_threads(work: Callable[[T], R], items: Iterable[T], threads: int) -> Iterator[Iterator[R]]:
    """The results of `work` on every item, in order; few are waiting at a time, and all have ended after the block.

    Only the main thread is told of Ctrl-C. If it is in the middle of h5py then, the interruption is lost in four of
    five cases: Python delivers it inside a callback of h5py whose exceptions are ignored. So h5py works elsewhere.
    """
    waiting: deque[Future[R]] = deque()
    pool = ThreadPoolExecutor(threads)
    try:
        yield _results(pool, work, items, waiting, threads + 1)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _results(
    pool: ThreadPoolExecutor, work: Callable[[T], R], items: Iterable[T], waiting: "deque[Future[R]]", most: int
) -> Iterator[R]:
    for item in items:
        waiting.append(pool.submit(work, item))
        if len(waiting) >= most:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
