"""What a report on maps is asked for beside the maps."""

from dataclasses import dataclass, field
from pathlib import Path

from synthanom.errors import SynthanomError
from synthanom.evaluation import Choices
from synthanom.evaluation.truth import Missing


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a report on maps was asked for, as `synthanom.evaluation.evaluate` takes it.

    Attributes
    ----------
    truth, labels, images : Path or None
    run : Path or None
        A run folder whose losses and thresholds are also shown.
    missing : {"refuse", "healthy"}
    choices : Choices
    """

    truth: Path | None = None
    labels: Path | None = None
    images: Path | None = None
    run: Path | None = None
    missing: Missing = "refuse"
    choices: Choices = field(default_factory=Choices)

    @property
    def knows_truth(self) -> bool:
        """Whether anything is said of who is ill."""
        return self.truth is not None or self.labels is not None


def check_only_maps(asked: Asked, path: Path) -> None:
    """Refuse options that only a report on maps takes, for something else.

    Raises
    ------
    SynthanomError
    """
    given = {"--truth": asked.truth, "--labels": asked.labels, "--images": asked.images, "--run": asked.run}
    named = [name for name, value in given.items() if value is not None]
    if named:
        raise SynthanomError(f"{path}: {named[0]} is for a folder of maps, and this is none; leave it out")
