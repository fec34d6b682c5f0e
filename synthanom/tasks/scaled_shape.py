"""What the tasks' own shapes share: sizes in voxels, or in mm where the voxel size is known."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from synthanom.arrays import MaskArray
from synthanom.errors import SynthanomError
from synthanom.regions import LATER, AbstractShape, Region, Unit, check_unit, spacing_of
from synthanom.sample import Sample


@dataclass(frozen=True, kw_only=True)
class AbstractScaledShape(AbstractShape):
    """Shapes whose sizes are shares of the image's sides.

    Attributes
    ----------
    unit : {"voxels", "mm"}
        "voxels", as published: where voxels are thicker along an axis, anomalies are, too. "mm": sizes are shares of
        the shortest side in mm, along all axes; volumes are shares of the image's.
    """

    unit: Unit = field(default="voxels", metadata=LATER)

    def __post_init__(self) -> None:
        check_unit(self.unit)

    @abstractmethod
    def draw_scaled(self, rng: np.random.Generator, allowed: MaskArray, spacing: Sequence[float] | None) -> Region:
        """As `draw`.

        Parameters
        ----------
        rng : numpy Generator
        allowed : ndarray of shape (*S), bool
            At least half of the region must lie here.
        spacing : sequence of D floats, or None
            Voxel size in mm, in axis order; None where sizes are in voxels.

        Raises
        ------
        NoPlace
            If a bounded number of draws found none.
        """

    def draw(self, rng: np.random.Generator, foreground: MaskArray, within: MaskArray | None = None) -> Region:
        """Draw a region, with sizes in voxels.

        Raises
        ------
        SynthanomError
            If sizes are in mm: only `draw_in` knows the voxel size.
        """
        if self.physical:
            raise SynthanomError("shapes in mm need the voxel size, got a foreground alone; use draw_in with a Sample")
        return self.draw_scaled(rng, foreground if within is None else foreground & within, None)

    def draw_in(self, rng: np.random.Generator, sample: Sample, within: MaskArray | None = None) -> Region:
        """As `draw`, also in mm."""
        allowed = sample.foreground if within is None else sample.foreground & within
        return self.draw_scaled(rng, allowed, spacing_of(sample) if self.physical else None)

    @property
    def physical(self) -> bool:
        """Whether the voxel size must be known to draw it."""
        return self.unit == "mm"


def sides_of(shape: Sequence[int], spacing: Sequence[float] | None) -> list[float]:
    """What sizes along each axis are shares of, in voxels: the side, or the shortest side in mm."""
    if spacing is None:
        return [float(n) for n in shape]
    shortest = min(n * s for n, s in zip(shape, spacing, strict=True))
    return [shortest / s for s in spacing]
