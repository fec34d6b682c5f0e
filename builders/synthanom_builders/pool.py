"""Who does the work of a build: processes of this machine, or those of a Dask cluster."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from synthanom.cluster.attendance import without_dask
from synthanom_builders.abstract_workers import AbstractPool
from synthanom_builders.local_workers import local_workers


@dataclass(frozen=True, kw_only=True)
class Crew:
    """Who is to do the work.

    Attributes
    ----------
    size : int
        Number of processes on this machine; does not count where there is a scheduler.
    scheduler : str or None
        Address of a Dask scheduler, whose workers do it then.
    """

    size: int
    scheduler: str | None = None


@contextmanager
def workers(crew: Crew) -> Iterator[AbstractPool]:
    """A pool of workers that do nothing more once the block has ended.

    Raises
    ------
    SynthanomError
        If there can be none.
    """
    if crew.scheduler is None:
        with local_workers(crew.size) as pool:
            yield pool
        return
    try:
        from synthanom_builders.cluster_workers import cluster_workers
    except ImportError as error:
        raise without_dask(error) from error
    with cluster_workers(crew.scheduler) as cluster:
        yield cluster
