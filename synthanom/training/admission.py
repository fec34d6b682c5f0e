"""What a worker must have in common with this process before it may train."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthanom.cluster.attendance import answered, same_version
from synthanom.errors import SynthanomError
from synthanom.training import worker_runs
from synthanom.training.worker_runs import Surroundings


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What every worker must have before it is given a run.

    Attributes
    ----------
    data : Path
        Folder of the data set, which it must see.
    digest : str
        Of the data set.
    settings : Path or None
        File of settings, which it must see.
    out : Path
        Folder of the runs, which it must share.
    """

    data: Path
    digest: str
    settings: Path | None
    out: Path


def fit(worker: str, answer: Any, needs: Needs) -> Surroundings | None:
    """What a worker that may take part answered to `look_around`; None if it has gone meanwhile.

    Raises
    ------
    SynthanomError
        Naming a worker that may not, and why.
    """
    who = f"worker {worker}"
    around = answered(who, answer, Surroundings)
    if around is None:
        return None
    who += f" on {around.host}"
    same_version(who, around.versions["synthanom"], worker_runs.versions()["synthanom"])
    if not around.digest:
        raise SynthanomError(
            f"{who}: must see the data set {needs.data}, got '{around.problem}'; put it on a file system that all share"
        )
    if around.digest != needs.digest:
        raise SynthanomError(
            f"{who}: must see the data set {needs.data} that this machine sees, and sees another one (digest "
            f"{around.digest[:12]}, here {needs.digest[:12]}); put it on a file system that all share"
        )
    if needs.settings is not None and around.settings != worker_runs.digest_of(needs.settings):
        raise SynthanomError(
            f"{who}: must see {needs.settings} as this machine does, and does not; put the settings on a file "
            "system that all share"
        )
    return around
