"""The logistic label of NSA: a logistic function of the change, which jumps where the change begins."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from synthanom.arrays import FloatArray, ImageArray, MaskArray
from synthanom.errors import SynthanomError
from synthanom.kernels.ball_median import filtered
from synthanom.labels.changed import AbstractChangeLabeller, by_part, check_side, parts_of, smoothed_change

LARGEST_RADIUS = 7  # voxels; a ball of 7 holds 1419 of a volume's, whose median is found for each voxel
USUAL_RADIUS = {2: 5, 3: 2}  # voxels, by axes: 81 of a picture, as published, and 33 of a volume


@dataclass(frozen=True, kw_only=True)
class Logistic(AbstractChangeLabeller):
    """A logistic function of the change. Further settings: `AbstractChangeLabeller`.

    Attributes
    ----------
    k : float
        Steepness, per image intensity unit.
    x0 : float
        Change at which the label is 1/2, image intensity units.
    smooth : int
        Side in voxels of the cube whose majority decides whether its middle voxel changed; 1 for none.
    radius : int or None
        Radius in voxels of the ball whose median change stands for its middle voxel's; 0 for none, None for 5 in
        pictures and 2 in volumes.

    Notes
    -----
    y = 1 / (1 + exp(-k (d - x0))) where the picture changed, 0 elsewhere: the label jumps from 0 to
    1 / (1 + exp(k x0)), 0.047 by default, at the smallest change that counts. The authors' settings for grey values
    from 0 to 255 are k = 1/6, x0 = 20 by default, which the defaults here are on images scaled to [-1, 1], and
    k = 1/2, x0 = 4 for radiographs, here k = 64, x0 = 0.03 (a jump to 0.13).

    References
    ----------
    Schlueter et al., "Natural synthetic anomalies for self-supervised anomaly detection and localization", ECCV 2022,
    doi:10.1007/978-3-031-19821-2_27.
    """

    name: ClassVar[str] = "logistic"

    k: float = 20.0
    x0: float = 0.15
    smooth: int = 5
    radius: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (0 < self.k < np.inf and 0 <= self.x0 < np.inf):
            raise SynthanomError(f"k must be a positive number and x0 one from 0, got {self.k} and {self.x0}")
        check_side(self.smooth, "smooth")
        if self.radius is not None and not (isinstance(self.radius, int) and 0 <= self.radius <= LARGEST_RADIUS):
            raise SynthanomError(f"radius must be None or whole voxels from 0 to {LARGEST_RADIUS}, got {self.radius}")

    def values(self, change: FloatArray, region: MaskArray, strength: ImageArray | None) -> npt.NDArray[Any]:
        """The logistic function of the smoothed change where it is above the tolerance: float64 (*box)."""
        del strength
        radius = USUAL_RADIUS[region.ndim] if self.radius is None else self.radius
        parts = parts_of(region)
        intensity = change if radius == 0 else by_part(change, parts, lambda part: filtered(part, radius))
        # by tanh, which no argument makes overflow
        logistic = (1 + np.tanh(self.k * (intensity - self.x0) / 2)) / 2
        return np.where(smoothed_change(change, parts, self.tolerance, self.smooth), logistic, 0.0)
