"""What runs inside a worker process of a Dask cluster: one unit at a time, and answers about the process."""

import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from synthanom.cluster.desk import DESK, Ticket
from synthanom.shards import fingerprint
from synthanom_builders.units import forget

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a worker process finds around itself.

    Attributes
    ----------
    host : str
    sees_raw : bool
        Whether the folder of the raw data is there.
    fingerprint : dict of str to str
    """

    host: str
    sees_raw: bool
    fingerprint: dict[str, str]


def work(ticket: Ticket, function: Callable[..., T], *job: Any) -> T:
    """Do one job when it is its turn.

    Raises
    ------
    SynthanomError
        If the command that asked for it was stopped.
    Exception
        Whatever the job raises.
    """
    with DESK.turn(ticket):
        return function(*job)


def look_around(raw: str, codec: str) -> Surroundings:
    """What a build must know of this process; what it kept of earlier builds is dropped."""
    forget()
    return Surroundings(host=platform.node(), sees_raw=Path(raw).is_dir(), fingerprint=fingerprint(codec))
