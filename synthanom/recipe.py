"""Every number that was drawn for one picture, as JSON that outlives the random generator."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from synthanom.arrays import MaskArray, canonical_json, mask_digest
from synthanom.donors import DonorRef
from synthanom.errors import SynthanomError
from synthanom.nearest import meant
from synthanom.regions import Region
from synthanom.sample import Sample
from synthanom.tasks import TASKS
from synthanom.tasks.abstract import AbstractParams, AbstractTask

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class SynthesisOptions:
    """How anomalies are combined in one picture.

    Attributes
    ----------
    max_anomalies : int
        Most anomalies in one picture.
    repeat : float
        Probability of another anomaly after each.
    foreground_only : bool
        Changes outside the foreground are undone before labelling.
    inside_only : bool
        Changes outside the location prior are undone before labelling; needs one.
    """

    max_anomalies: int = 4
    repeat: float = 0.5
    foreground_only: bool = False
    inside_only: bool = False

    def __post_init__(self) -> None:
        if not (1 <= self.max_anomalies <= 4 and 0 <= self.repeat <= 1):
            raise SynthanomError(
                f"max_anomalies must lie in 1..4 and repeat in [0, 1], got {self.max_anomalies} and {self.repeat}"
            )

    def to_dict(self) -> dict[str, Any]:
        """The options as JSON; `inside_only` only where it is set, as it came later."""
        return {
            "max_anomalies": self.max_anomalies,
            "repeat": self.repeat,
            "foreground_only": self.foreground_only,
            **({"inside_only": True} if self.inside_only else {}),
        }


@dataclass(frozen=True, kw_only=True)
class SampleRef:
    """The sample that a recipe was drawn for.

    Attributes
    ----------
    id : str
    shape : tuple of ints, (C, *S)
    sha256 : str
        `Sample.sha256`.
    within : str
        Digest of the location prior, where changes outside it are undone; else empty: the regions are what it led to.
    """

    id: str
    shape: tuple[int, ...]  # (C, *S)
    sha256: str
    within: str = ""

    @classmethod
    def of(cls, sample: Sample, within: MaskArray | None = None) -> "SampleRef":
        """The reference to a sample, and to a location prior without which its picture cannot be made again."""
        digest = "" if within is None else mask_digest(within)
        return cls(id=sample.id, shape=tuple(sample.image.shape), sha256=sample.sha256, within=digest)

    def to_dict(self) -> dict[str, Any]:
        """The reference as JSON."""
        own = {"id": self.id, "shape": list(self.shape), "sha256": self.sha256}
        return {**own, "within": self.within} if self.within else own


@dataclass(frozen=True, kw_only=True, eq=False)
class Anomaly:
    """One anomaly of a recipe.

    Attributes
    ----------
    task : str
        Stored name.
    region : Region
    params : AbstractParams
        What the task drew.
    donor : DonorRef or None
    """

    task: str  # stored name
    region: Region
    params: AbstractParams
    donor: DonorRef | None

    @property
    def task_class(self) -> type[AbstractTask]:
        """The class that makes it."""
        return TASKS[self.task]

    def to_dict(self) -> dict[str, Any]:
        """The anomaly as JSON."""
        return {
            "task": self.task,
            "region": self.region.to_dict(),
            "params": self.params.to_dict(),
            "donor": None if self.donor is None else self.donor.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], shape: tuple[int, ...]) -> "Anomaly":
        """The anomaly that `to_dict` gave, in an image of spatial `shape`.

        Raises
        ------
        SynthanomError
            If this version knows no such task, or the numbers are not those of one.
        """
        task = data["task"]
        if task not in TASKS:
            hint = meant(task, TASKS) or "; install a newer synthanom"
            raise SynthanomError(f"the recipe needs task {task!r}, this version knows {', '.join(TASKS)}{hint}")
        donor = data["donor"]
        return cls(
            task=task,
            region=Region.from_dict(data["region"], shape),
            params=TASKS[task].params.from_dict(data["params"]),
            donor=None if donor is None else DonorRef(set=donor["set"], id=donor["id"], sha256=donor["sha256"]),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Recipe:
    """How one picture was made; `synthesis.replay` makes it again.

    Attributes
    ----------
    sample : SampleRef
    attempts : int
        How often the sample was drawn until something was visible.
    options : SynthesisOptions
    anomalies : tuple of Anomaly
        In the order in which they are made.
    """

    sample: SampleRef
    attempts: int  # how often the sample was drawn until something was visible
    options: SynthesisOptions
    anomalies: tuple[Anomaly, ...]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Recipe) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash(self.to_json())

    def to_dict(self) -> dict[str, Any]:
        """The recipe as JSON (format 1)."""
        return {
            "format": FORMAT,
            "sample": self.sample.to_dict(),
            "attempts": self.attempts,
            "options": self.options.to_dict(),
            "anomalies": [anomaly.to_dict() for anomaly in self.anomalies],
        }

    def to_json(self) -> bytes:
        """The recipe as canonical JSON, as shards store it."""
        return canonical_json(self.to_dict())

    @classmethod
    def from_json(cls, text: bytes | str) -> "Recipe":
        """The recipe that `to_json` gave.

        Raises
        ------
        SynthanomError
            If it is not a recipe of a known format.
        """
        try:
            data = json.loads(text)
        except ValueError as error:
            raise SynthanomError(f"a recipe must be JSON, got {text[:40]!r}: {error}") from error
        return cls.from_dict(data)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Recipe":
        """The recipe that `to_dict` gave.

        Raises
        ------
        SynthanomError
            If it is not a recipe of a known format.
        """
        found = data.get("format") if isinstance(data, Mapping) else None
        if found != FORMAT:
            raise SynthanomError(
                f"a recipe must have format {FORMAT}, got {found!r}; install a newer synthanom to read it"
            )
        try:
            sample = data["sample"]
            shape = tuple(int(n) for n in sample["shape"])
            return cls(
                sample=SampleRef(
                    id=sample["id"], shape=shape, sha256=sample["sha256"], within=sample.get("within", "")
                ),
                attempts=int(data["attempts"]),
                options=SynthesisOptions(**data["options"]),
                anomalies=tuple(Anomaly.from_dict(a, shape[1:]) for a in data["anomalies"]),
            )
        except (KeyError, TypeError) as error:
            raise SynthanomError(f"the recipe is incomplete or malformed: {type(error).__name__} {error}") from error
