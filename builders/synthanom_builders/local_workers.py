"""Worker processes: started clean, one thread each, gone when their parent is gone."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal, TypeVar

from synthanom.errors import SynthanomError
from synthanom_builders.abstract_workers import AbstractPool, Needs

T = TypeVar("T")
THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)
# a clean process that workers fork off; elsewhere forking is not safe (macOS) or not there (Windows)
METHOD: Literal["forkserver", "spawn"] = "forkserver" if sys.platform == "linux" else "spawn"
PRELOADED = ("synthanom_builders.units", "numba", "scipy.ndimage")  # imported once, before workers fork off
MOST_ON_WINDOWS = 61  # worker processes that Python can wait for there
KILLED = -9  # exit code after SIGKILL, which Windows does not have
QUEUED = 4  # jobs handed out per worker: enough to keep it busy, few enough to stop at once
STOP_SECONDS = 5.0


class LocalPool(AbstractPool):
    """Worker processes of this machine; made by `local_workers`."""

    def __init__(self, executor: ProcessPoolExecutor, size: int) -> None:
        self._executor = executor
        self._size = size
        self._others = set(multiprocessing.active_children())  # not ours
        self._started: set[BaseProcess] = set()

    @property
    def size(self) -> int:
        """How many worker processes there are."""
        return self._size

    def admit(self, needs: Needs) -> None:
        """They are this process again."""

    def enter(self, out: Path, tell: Callable[[str], None]) -> None:
        """They see what this process sees, and those of earlier builds have ended with them."""

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
            If a worker process dies, or none can be started.
        Exception
            The first that a job raises; jobs not yet begun are dropped.
        """
        waiting = iter(enumerate(jobs))
        running: dict[Future[T], int] = {}
        try:
            for _ in range(len(jobs) + 1):  # each round but the last finishes at least one job
                for number, job in waiting:
                    running[self._submit(function, job)] = number
                    if len(running) >= QUEUED * self._size:
                        break
                if not running:
                    return
                if len(self._started) < self._size:
                    self._started |= set(multiprocessing.active_children()) - self._others
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield running.pop(future), future.result()
        except BrokenProcessPool as error:
            self._executor.shutdown()  # so that it is known how each ended
            raise SynthanomError(
                f"a worker process {how_it_ended([one.exitcode for one in self._started])}; run the same command again "
                f"with fewer --workers than {self._size} (what is finished is kept)"
            ) from error

    def _submit(self, function: Callable[..., T], job: tuple[Any, ...]) -> Future[T]:
        try:
            return self._executor.submit(function, *job)
        except (EOFError, ConnectionError) as error:  # from the process that workers fork from
            raise SynthanomError(
                "worker processes cannot be started: the process that they fork from has ended, most often for lack of "
                f"memory; run the same command again with more of it or fewer --workers than {self._size} (what is "
                "finished is kept)"
            ) from error


def how_it_ended(codes: Iterable[int | None]) -> str:
    """What became of the worker that broke the pool, from the exit codes of all; the others were ended for it."""
    own = [code for code in codes if code not in (None, 0, -signal.SIGTERM)]
    if KILLED in own:
        return "was killed (signal 9), most often for lack of memory"
    if own and own[0] < 0:
        return f"was ended by signal {-own[0]} ({signal.Signals(-own[0]).name}), for lack of memory or by a defect"
    status = f" with status {own[0]}" if own else ""
    return f"ended{status} without a word, most often for lack of memory"


@contextmanager
def local_workers(size: int) -> Iterator[LocalPool]:
    """A pool of `size` worker processes that are stopped when the block ends, at once if it ends by an exception.

    Raises
    ------
    SynthanomError
        If `size` is less than 1, or above what Windows can do.
    """
    if size < 1:
        raise SynthanomError(f"--workers must be at least 1, got {size}")
    if os.name == "nt" and size > MOST_ON_WINDOWS:
        raise SynthanomError(f"--workers must be at most {MOST_ON_WINDOWS} on Windows, got {size}")
    with _executor(size) as executor:
        pool = LocalPool(executor, size)
        try:
            yield pool
            executor.shutdown()
        except BaseException:
            pool.stop()
            raise


@contextmanager
def _executor(size: int) -> Iterator[ProcessPoolExecutor]:
    context = multiprocessing.get_context(METHOD)
    if METHOD == "spawn":
        with _one_thread_each():  # workers start when there is work for them
            yield ProcessPoolExecutor(size, mp_context=context, initializer=_begin_spawned)
        return
    context.set_forkserver_preload(list(PRELOADED))
    _start_forkserver()
    yield ProcessPoolExecutor(size, mp_context=context, initializer=_begin)


def _start_forkserver() -> None:
    """Workers never see Ctrl-C or SIGTERM, this process's business: they inherit that, and one thread each."""
    from multiprocessing import forkserver, resource_tracker

    resource_tracker.ensure_running()  # it unblocks SIGINT when it starts, so it has to be there before
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        with _one_thread_each():
            forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes that are started meanwhile get one thread each; the libraries of this one have been loaded."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _begin_spawned() -> None:
    """In a new worker that was spawned: leave Ctrl-C and SIGTERM to the parent, and watch it."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    _begin()


def _begin() -> None:
    """In a new worker: watch the parent."""
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
