"""Lines of the tables of an evaluation, and the evaluation itself."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from synthanom.metrics import Interval

FORMAT, KIND = 1, "synthanom-evaluation"
RANDOM = "random or constant"
MODEL = "model"
ORACLE, CHANCE = "oracle", "random, as often as the model"
LEVELS = ("sample", "slice", "pixel", "lesion")
Level = Literal["sample", "slice", "pixel", "lesion"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table of ranking figures.

    Attributes
    ----------
    level : {"sample", "slice", "pixel"}
    score : str
        How a map became a number; empty for pixels.
    maps : str
    average_precision, roc_auc : Interval
        nan where undefined: without positives, or with one label only.
    positives, count : int
    aupro : Interval or None
        Of pixels only.
    at_prevalence : Interval or None
        Average precision where the prevalence is another; where one was given for this level.
    """

    level: str
    score: str
    maps: str
    average_precision: Interval
    roc_auc: Interval
    positives: int
    count: int
    aupro: Interval | None = None
    at_prevalence: Interval | None = None


@dataclass(frozen=True, kw_only=True)
class CutRow:
    """One line of the table of figures at a cut.

    Attributes
    ----------
    level, score, maps : str
        As of `Row`; also the level "lesion".
    chosen : str
        How the cut was chosen: "stored" or the name it is stored under, "oracle" where it is the best for the very
        truth it is judged by, or how chance calls.
    cut : float
        What scores at least this is called anomalous; nan for chance.
    figures : mapping of str to Interval
        dice, f_beta, accuracy, precision, recall, specificity, negative_predictive_value, and the last but two at
        another prevalence where one was given; of lesions f_beta, precision and recall.
    counts : mapping of str to float
        What the figures are made of.
    """

    level: str
    score: str
    maps: str
    chosen: str
    cut: float
    figures: Mapping[str, Interval]
    counts: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The model's figures minus those of other maps on the same resamples of subjects.

    Attributes
    ----------
    level, score, against : str
    chosen : str
        Of the cuts compared; empty for ranking figures.
    figures : mapping of str to Interval
    """

    level: str
    score: str
    against: str
    chosen: str
    figures: Mapping[str, Interval]


@dataclass(frozen=True, kw_only=True, eq=False)
class Curve:
    """Counts per bin of scores, from the highest down: what curves are drawn from.

    Attributes
    ----------
    level, score, maps : str
    lowest : ndarray of shape (B,), float64
        Lowest score of each bin.
    positives, negatives : ndarray of shape (B,), float64
    """

    level: str
    score: str
    maps: str
    lowest: npt.NDArray[np.float64]
    positives: npt.NDArray[np.float64]
    negatives: npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class SampleScore:
    """One image: its id, whether it is anomalous, and its score by the way of aggregating."""

    id: str
    subject: str
    anomalous: bool
    scores: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What an evaluation was asked for.

    Attributes
    ----------
    seed : int
        Of the bootstrap over subjects.
    setup : {"own", "cradl"}
        Grid and region that are evaluated: the scans' own, or what CRADL was evaluated on.
    beta : float
        Of F-beta, which also chooses oracle cuts.
    overlap : float
        See `synthanom.metrics.lesion_counts`.
    limit : float
        Largest false-positive rate of AUPRO.
    prevalence : mapping of str to float
        Level -> share of anomalous samples, slices or pixels that figures are also given for.
    """

    seed: int = 0
    setup: Literal["own", "cradl"] = "own"
    beta: float = 1.1
    overlap: float = 0.1
    limit: float = 0.3
    prevalence: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The tables, and what the reader should know.

    Attributes
    ----------
    rows, cuts, differences : tuples
    notes : tuple of str
        About the truth.
    captions : tuple of str
        What the tables lack and why.
    images, subjects, seed : int
    choices : Choices
    data_set : str
        What the truth is called.
    models : tuple of mappings
        As the prediction names them; empty for maps by other programs.
    curves : tuple of Curve
    samples : tuple of SampleScore
    """

    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    images: int
    subjects: int
    seed: int
    cuts: tuple[CutRow, ...] = ()
    differences: tuple[Difference, ...] = ()
    captions: tuple[str, ...] = ()
    choices: Choices = field(default_factory=Choices)
    data_set: str = field(default="", compare=False)
    models: tuple[Mapping[str, Any], ...] = ()
    curves: tuple[Curve, ...] = field(default=(), compare=False)
    samples: tuple[SampleScore, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The evaluation as JSON; nan becomes null."""
        return {
            "kind": KIND,
            "format": FORMAT,
            "seed": self.seed,
            "choices": _plain(asdict(self.choices)),
            "data_set": self.data_set,
            "models": [dict(model) for model in self.models],
            "images": self.images,
            "subjects": self.subjects,
            "notes": list(self.notes),
            "captions": list(self.captions),
            "rows": [_plain(asdict(row)) for row in self.rows],
            "cuts": [_plain(asdict(row)) for row in self.cuts],
            "differences": [_plain(asdict(row)) for row in self.differences],
        }


def _plain(value: Any) -> Any:
    """nan as None, all the way down."""
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items()}
    return None if isinstance(value, float) and np.isnan(value) else value
