"""What runs inside a worker process of a Dask cluster that trains: one run at a time, each as a command of its own."""

import hashlib
import os
import platform
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from synthanom import __version__, exits
from synthanom.cluster.desk import DESK, Ticket
from synthanom.errors import SynthanomError
from synthanom.manifest import read_manifest
from synthanom.training.own_process import Ended, collected, end, started

PACKAGES = ("numpy", "torch", "lightning")
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
LOOK_SECONDS = 0.2  # between looks at a run
GRACE_SECONDS = 60.0  # that a run whose worker is gone may take to end, once it has noticed


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a worker process finds around itself.

    Attributes
    ----------
    host : str
    versions : dict of str to str
        Of synthanom, and of what weights depend on besides the settings.
    digest : str
        Of the data set; empty where it cannot be read.
    problem : str
        Why it cannot.
    settings : str or None
        Digest of the file of settings; None where it is not there.
    """

    host: str
    versions: dict[str, str]
    digest: str
    problem: str
    settings: str | None


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """A run for one worker.

    Attributes
    ----------
    folder : str
        Of the run.
    words : tuple of str
        Arguments of the command that trains it.
    threads : int
        That it may compute with.
    lease : float
        Seconds after which it is ended unless the command that asked for it was heard from (`renew`).
    """

    folder: str
    words: tuple[str, ...]
    threads: int
    lease: float


_HEARD: dict[str, float] = {}  # when a command was last heard from


def look_around(data: str, settings: str | None) -> Surroundings:
    """What a command must know of this process before it is given a run."""
    problem = digest = ""
    try:
        digest = str(read_manifest(data).to_dict()["digest"])
    except (SynthanomError, OSError) as error:
        problem = str(error)
    seen = None if settings is None else digest_of(Path(settings))
    return Surroundings(host=platform.node(), versions=versions(), digest=digest, problem=problem, settings=seen)


def versions() -> dict[str, str]:
    """Of what weights depend on, read without loading it."""
    found = {"synthanom": __version__, "python": platform.python_version()}
    return found | {name: metadata.version(name) for name in PACKAGES}


def digest_of(path: Path) -> str | None:
    """SHA-256 of a file's bytes; None if it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


def renew(run: str) -> None:
    """Note that the command which asked for runs is still there."""
    _HEARD[run] = time.monotonic()


def train_run(ticket: Ticket, assignment: Assignment) -> Ended:
    """Train one run when it is its turn, in a process of its own that ends with this one.

    Raises
    ------
    SynthanomError
        If the command that asked for it was stopped before.
    OSError
        If the process cannot be started.
    """
    renew(ticket.run)
    with DESK.turn(ticket):
        _wait_until_free(ticket, assignment)
        environment = dict(os.environ) | dict.fromkeys(THREADS, str(assignment.threads))
        command = started(assignment.words, environment)
        try:
            while command.process.poll() is None:  # a training that ends by itself, or is not wanted any more
                why = _unwanted(ticket, assignment)
                if why:
                    return Ended(status=exits.TERMINATED, answer={}, problem=why)
                time.sleep(LOOK_SECONDS)
            return collected(command)
        finally:
            end([command])


def _unwanted(ticket: Ticket, assignment: Assignment) -> str:
    """Why nobody waits for a run any more; empty if somebody does."""
    if DESK.stopped(ticket.run):
        return "the command that asked for it was stopped"
    if time.monotonic() - _HEARD[ticket.run] > assignment.lease:
        return f"the command that asked for it was not heard from for {assignment.lease:.0f} seconds"
    return ""


def _wait_until_free(ticket: Ticket, assignment: Assignment) -> None:
    """Wait for an attempt that goes on unheard of: the worker that had it may only seem to be gone."""
    from synthanom.training.folder import locked

    for _ in range(int((assignment.lease + GRACE_SECONDS) / LOOK_SECONDS)):
        if _unwanted(ticket, assignment):
            return
        try:
            with locked(Path(assignment.folder)):
                return
        except SynthanomError:
            time.sleep(LOOK_SECONDS)
        except OSError:  # which the run itself says better
            return
