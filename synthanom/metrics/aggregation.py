"""One score per image or slice from a score map; the same object in training, model files and evaluation."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, cast, get_args

import numpy as np
import numpy.typing as npt

from synthanom.arrays import MaskArray
from synthanom.errors import SynthanomError
from synthanom.nearest import meant

Statistic = Literal["mean", "max", "percentile", "top"]
Area = Literal["image", "foreground", "box"]
ANOMALOUS_FRACTION = 5 / 128**2  # of a slice's pixels; more makes it anomalous


@dataclass(frozen=True, kw_only=True)
class Aggregation:
    """Turns a score map into one number.

    Attributes
    ----------
    statistic : str
        ``"mean"``, ``"max"``, ``"percentile"`` (linear interpolation, as numpy's) or ``"top"``, the mean of the
        highest values.
    value : float or None
        The percentile in [0, 100], or the share of values in (0, 1] that ``"top"`` takes (at least one value);
        None for the others.
    over : str
        ``"image"``, ``"foreground"``, or ``"box"``: the foreground's bounding box.

    Raises
    ------
    SynthanomError
        Unknown words, or a value that is missing, out of range or not wanted.
    """

    statistic: Statistic = "top"
    value: float | None = 0.25
    over: Area = "image"

    def __post_init__(self) -> None:
        if self.statistic not in get_args(Statistic):
            near = meant(self.statistic, get_args(Statistic))
            raise SynthanomError(
                f"aggregation statistic must be one of {get_args(Statistic)}, got {self.statistic!r}{near}"
            )
        if self.over not in get_args(Area):
            near = meant(self.over, get_args(Area))
            raise SynthanomError(f"aggregation area must be one of {get_args(Area)}, got {self.over!r}{near}")
        _check_value(self.statistic, self.value)

    def __call__(self, score_map: npt.NDArray[Any], foreground: MaskArray | None = None) -> float:
        """Score of one map (*S); `foreground` bool (*S) is needed unless the area is the whole image.

        Raises
        ------
        SynthanomError
            A foreground that is missing, empty or of another shape.
        """
        values = self._select(score_map, foreground)
        if self.statistic == "mean":
            return float(values.mean(dtype=np.float64))
        if self.statistic == "max":
            return float(values.max())
        assert self.value is not None
        if self.statistic == "percentile":
            return float(np.percentile(values, self.value))
        count = max(1, round(self.value * values.size))
        return float(np.partition(values, values.size - count)[-count:].mean(dtype=np.float64))

    def to_dict(self) -> dict[str, Any]:
        """JSON form; `from_dict` reads it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Aggregation":
        """Read what `to_dict` wrote.

        Raises
        ------
        SynthanomError
            Missing or unknown keys, or values the constructor refuses.
        """
        if set(data) != {"statistic", "value", "over"}:
            raise SynthanomError(f"an aggregation has the keys statistic, value and over, got {sorted(data)}")
        return cls(statistic=cast(Statistic, data["statistic"]), value=data["value"], over=cast(Area, data["over"]))

    def _select(self, score_map: npt.NDArray[Any], foreground: MaskArray | None) -> npt.NDArray[Any]:
        if self.over == "image":
            return score_map.ravel()
        if foreground is None or foreground.shape != score_map.shape or not foreground.any():
            got = "none" if foreground is None else f"shape {foreground.shape}, {int(foreground.sum())} voxels"
            raise SynthanomError(
                f"aggregating over the {self.over} needs a foreground of shape {score_map.shape} with at least one "
                f"voxel, got {got}; pass the sample's foreground or aggregate over the image"
            )
        if self.over == "foreground":
            return score_map[foreground]
        inside = np.nonzero(foreground)
        return score_map[tuple(slice(int(i.min()), int(i.max()) + 1) for i in inside)].ravel()


def anomalous_slices(labels: npt.NDArray[Any], *, fraction: float = ANOMALOUS_FRACTION) -> MaskArray:
    """Which slices along the first axis of a mask (Z, Y, X) are anomalous: more than `fraction` of the pixels is.

    Parameters
    ----------
    labels : ndarray of shape (Z, Y, X)
        Whatever is not 0 is anomalous.
    fraction : float
        Of a slice's pixels.

    Returns
    -------
    ndarray of shape (Z,), bool

    Raises
    ------
    SynthanomError
        If the mask has another number of axes.
    """
    if labels.ndim != 3:
        raise SynthanomError(f"slices need a mask of shape (Z, Y, X), got {labels.shape}")
    pixels = labels.shape[1] * labels.shape[2]
    return np.asarray(np.count_nonzero(labels, axis=(1, 2)) > fraction * pixels)


def _check_value(statistic: Statistic, value: float | None) -> None:
    if statistic in ("mean", "max"):
        if value is not None:
            raise SynthanomError(f"aggregation {statistic!r} takes no value, got {value}; leave it out (null)")
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SynthanomError(f"aggregation {statistic!r} needs a number as its value, got {value!r}")
    allowed = 0 <= value <= 100 if statistic == "percentile" else 0 < value <= 1
    if not allowed:
        bounds = "[0, 100]" if statistic == "percentile" else "(0, 1]"
        raise SynthanomError(f"aggregation {statistic!r} needs a value in {bounds}, got {value}")


SAMPLE_SCORES = (
    Aggregation(statistic="mean", value=None),
    Aggregation(statistic="percentile", value=75.0),
    Aggregation(statistic="top", value=0.25),
)
