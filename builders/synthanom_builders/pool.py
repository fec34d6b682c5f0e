"""Worker processes: started clean, one thread each, gone when their parent is gone."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import connection, forkserver, resource_tracker
from typing import Any, TypeVar

from synthanom.errors import SynthanomError

T = TypeVar("T")
THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)
PRELOADED = ("synthanom_builders.units", "numba", "scipy.ndimage")  # imported once, before workers fork off
QUEUED = 4  # jobs handed out per worker: enough to keep it busy, few enough to stop at once
STOP_SECONDS = 5.0


class Pool:
    """Worker processes that run module-level functions; made by `workers`."""

    def __init__(self, executor: ProcessPoolExecutor, size: int) -> None:
        self._executor = executor
        self._size = size
        self._others = set(multiprocessing.active_children())  # not ours

    def stop(self) -> None:
        """End the workers at once, whatever they are doing; what they had not finished has no final name."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - self._others:
            process.kill()  # SIGTERM is blocked there
            process.join(STOP_SECONDS)

    def run(self, function: Callable[..., T], jobs: Sequence[tuple[Any, ...]]) -> Iterator[tuple[int, T]]:
        """Call the function on every job; yields (number of the job, result) as they finish, in any order.

        Raises
        ------
        SynthanomError
            If a worker process dies.
        Exception
            The first that a job raises; jobs not yet begun are dropped.
        """
        waiting = iter(enumerate(jobs))
        running: dict[Future[T], int] = {}
        try:
            for _ in range(len(jobs) + 1):  # each round but the last finishes at least one job
                for number, job in waiting:
                    running[self._executor.submit(function, *job)] = number
                    if len(running) >= QUEUED * self._size:
                        break
                if not running:
                    return
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield running.pop(future), future.result()
        except BrokenProcessPool as error:
            raise SynthanomError(
                "a worker process ended without a word, most often killed for lack of memory; run the same command "
                f"again with fewer --workers than {self._size} (what is finished is kept)"
            ) from error


@contextmanager
def workers(size: int) -> Iterator[Pool]:
    """A pool of `size` worker processes that are stopped when the block ends, at once if it ends by an exception.

    Raises
    ------
    SynthanomError
        If `size` is less than 1.
    """
    if size < 1:
        raise SynthanomError(f"--workers must be at least 1, got {size}")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    with _clean_start():
        forkserver.ensure_running()
    executor = ProcessPoolExecutor(size, mp_context=context, initializer=_begin)
    pool = Pool(executor, size)
    try:
        yield pool
        executor.shutdown()
    except BaseException:
        pool.stop()
        raise


@contextmanager
def _clean_start() -> Iterator[None]:
    """Workers get one thread each and never see Ctrl-C or SIGTERM, this process's business; both are inherited."""
    resource_tracker.ensure_running()  # it unblocks SIGINT when it starts, so it has to be there before
    before = {name: os.environ.get(name) for name in THREADS}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _begin() -> None:
    """In a new worker: watch the parent."""
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
