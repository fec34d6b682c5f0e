"""The binary label: 1 where a voxel changed."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy.typing as npt

from synthanom.arrays import FloatArray, ImageArray, MaskArray
from synthanom.labels.changed import AbstractChangeLabeller, check_side, parts_of, smoothed_change


@dataclass(frozen=True, kw_only=True)
class Binary(AbstractChangeLabeller):
    """1 where the picture changed, 0 elsewhere. Further settings: `AbstractChangeLabeller`.

    Attributes
    ----------
    smooth : int
        Side in voxels of the cube whose majority decides about its middle voxel; 1 for none.

    References
    ----------
    Schlueter et al., "Natural synthetic anomalies for self-supervised anomaly detection and localization", ECCV 2022,
    doi:10.1007/978-3-031-19821-2_27.
    """

    name: ClassVar[str] = "binary"

    smooth: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_side(self.smooth, "smooth")

    def values(self, change: FloatArray, region: MaskArray, strength: ImageArray | None) -> npt.NDArray[Any]:
        """1 where the change is above the tolerance: bool (*box)."""
        del strength
        return smoothed_change(change, parts_of(region), self.tolerance, self.smooth)
