"""Tasks of which every picture gets one, drawn by name: what pipelines need besides their samples."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from synthanom.donors import Donors
from synthanom.errors import NoPlace, NothingVisible, SynthanomError, UnsuitableRegion
from synthanom.labels import AbstractLabeller, FlippedGaussian
from synthanom.recipe import SynthesisOptions
from synthanom.regions import uniform_index
from synthanom.sample import Sample
from synthanom.streams import stream
from synthanom.synthesis import Result, synthesise
from synthanom.tasks.abstract import AbstractTask

UNSUITABLE = (NoPlace, NothingVisible, UnsuitableRegion)  # what a sample may be for one task and not for another
Otherwise = Literal["raise", "healthy"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Mixture:
    """Tasks with everything that making a picture needs besides the sample: labeller, donors, options.

    Where anomalies may lie is the sample's: `Sample.from_array(within=)`.

    Attributes
    ----------
    tasks : sequence of AbstractTask
        Each picture gets one of them, all equally often; where it does not suit, the next.
    labeller : AbstractLabeller
    donors : sequence of Samples, DonorSet, or a mapping from task names to either, optional
        For the blending tasks. Copies of a mixture share them.
    options : SynthesisOptions
    probability : float
        Of an anomaly; other pictures stay healthy, with a label of zeros.
    otherwise : {"raise", "healthy"}
        What becomes of a sample that none of the tasks suits in this draw: raise what the last one raised, or leave it
        healthy, so that one rare draw does not end a training.

    Raises
    ------
    SynthanomError
        If there is no task, or a setting is out of range.
    """

    tasks: Sequence[AbstractTask]
    labeller: AbstractLabeller = field(default_factory=FlippedGaussian)
    donors: Donors | None = field(default=None, repr=False)
    options: SynthesisOptions = field(default_factory=SynthesisOptions)
    probability: float = 1.0
    otherwise: Otherwise = "raise"

    def __post_init__(self) -> None:
        object.__setattr__(self, "tasks", tuple(self.tasks))
        if not self.tasks or not all(isinstance(task, AbstractTask) for task in self.tasks):
            raise SynthanomError(f"a mixture needs tasks, for example [tasks.Sink()], got {list(self.tasks)}")
        if not 0 <= self.probability <= 1:
            raise SynthanomError(f"the probability of an anomaly must lie in [0, 1], got {self.probability}")
        if self.otherwise not in get_args(Otherwise):
            raise SynthanomError(f"otherwise must be one of {', '.join(get_args(Otherwise))}, got {self.otherwise!r}")

    def __copy__(self) -> "Mixture":
        return self

    def __deepcopy__(self, memo: object) -> "Mixture":
        """Itself: pipelines copy their transforms often, and donors may be gigabytes that nobody writes to."""
        return self

    def order(self, name: str, *, seed: int, draw: int | str) -> tuple[AbstractTask, ...]:
        """The tasks in the order in which they are tried for a picture, the drawn one first; none if it stays healthy.

        Parameters
        ----------
        name : str
            The sample's id.
        seed : int
        draw : int or str
            As for `stream`.
        """
        rng = stream(seed, name, "mixture", draw)
        if rng.random() >= self.probability:
            return ()
        first = uniform_index(rng.random(), len(self.tasks))
        return (*self.tasks[first:], *self.tasks[:first])

    def make(self, sample: Sample, *, seed: int, draw: int | str) -> Result | None:
        """The picture of a sample, or None if it stays healthy.

        It depends on seed, the sample's id, the draw and the sample alone.

        Parameters
        ----------
        sample : Sample
        seed : int
        draw : int or str
            As for `stream`.

        Raises
        ------
        SynthanomError
            As `synthesise`; with ``otherwise="healthy"`` only for settings and donors that do not fit.
        """
        order = self.order(sample.id, seed=seed, draw=draw)
        if not order:
            return None
        try:
            return synthesise_first(
                sample, order, self.labeller, seed=seed, draw=draw, donors=self.donors, options=self.options
            )
        except UNSUITABLE:
            if self.otherwise == "raise":
                raise
            return None


def as_mixture(given: Mixture | AbstractTask) -> Mixture:
    """The mixture itself, or one of a single task.

    Raises
    ------
    SynthanomError
        If it is neither.
    """
    return given if isinstance(given, Mixture) else Mixture(tasks=[given])


def synthesise_first(
    sample: Sample,
    tasks: Sequence[AbstractTask],
    labeller: AbstractLabeller,
    *,
    seed: int,
    draw: int | str,
    donors: Donors | None = None,
    options: SynthesisOptions,
) -> Result:
    """Make anomalies by the first of the tasks that suits the sample, each tried with its own stream.

    Parameters
    ----------
    sample : Sample
    tasks : sequence of AbstractTask, in the order in which they are tried
    labeller : AbstractLabeller
    seed : int
    draw : int or str
        Names the streams, with the sample's id and the task's name.
    donors : as for `synthesise`
    options : SynthesisOptions

    Raises
    ------
    NoPlace, NothingVisible, UnsuitableRegion
        What the last task raised, if none suits.
    SynthanomError
        For settings or donors that do not fit the sample.
    """
    reason: SynthanomError | None = None
    for task in tasks:
        rng = stream(seed, sample.id, task.name, draw)
        try:
            return synthesise(sample, task, labeller, rng=rng, donors=donors, **options.to_dict())
        except UNSUITABLE as unsuited:
            reason = unsuited
    raise reason or SynthanomError("there must be a task to try, got none")
