"""Work done one step ahead of whoever needs it, by one thread."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Job = TypeVar("Job")
Made = TypeVar("Made")


def one_ahead(make: Callable[[Job], Made], jobs: Sequence[Job], thread_name: str) -> Iterator[Made]:
    """What `make` makes of each job, in order: while the caller works on one, a thread makes the next, never more.

    The thread ends with the last job, or once a loop that was left has let go of its iterator and the job that was
    begun is done.

    Raises
    ------
    Exception
        What `make` raises, when it is the turn of that job.
    """
    if not jobs:
        return
    thread = ThreadPoolExecutor(1, thread_name_prefix=thread_name)
    try:
        coming = thread.submit(make, jobs[0])
        for following in jobs[1:]:
            ready = coming.result()
            coming = thread.submit(make, following)
            yield ready
        last = coming.result()
    finally:
        thread.shutdown(wait=True, cancel_futures=True)
    # outside, for callers that know the length and never ask for the end
    yield last
