"""The content of a ball is moved."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from synthanom.arrays import ImageArray, MaskArray
from synthanom.errors import SynthanomError
from synthanom.regions import AbstractShape, Region
from synthanom.sample import Sample
from synthanom.tasks.abstract import AbstractParams, AbstractTask, DonorKind
from synthanom.tasks.ball_shape import BallShape
from synthanom.tasks.own_content import rows_of, show_elsewhere


@dataclass(frozen=True, kw_only=True)
class LocalShiftParams(AbstractParams):
    """One shift.

    Attributes
    ----------
    shift : D integers
        Voxels from where a value lands to where it is read.
    """

    shift: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class LocalShift(AbstractTask):
    """Moves the content of a ball along every axis; what leaves the ball is lost, and its edge shows.

    Attributes
    ----------
    share : (low, high)
        Bounds of the move along each axis, uniform in between, as shares of the image's shortest side, rounded to whole
        voxels, one at least; signs are independent.

    Notes
    -----
    The published outlier takes shares of the first side. Beyond the image's border its last voxels are read.

    References
    ----------
    Tan et al., "Detecting outliers with foreign patch interpolation", MELBA 2022:013, arXiv:2011.04197.
    Zimmerer et al., "MOOD 2020: a public benchmark for out-of-distribution detection and localization on medical
    images", IEEE TMI 41(10), 2022, doi:10.1109/TMI.2022.3170077.
    """

    name: ClassVar[str] = "local_shift"
    kind: ClassVar[str] = (
        "blend"  # what gives it away is the step where a patch begins, which no smooth deformation has
    )
    donor: ClassVar[DonorKind] = "none"
    params: ClassVar[type[AbstractParams]] = LocalShiftParams

    shape: AbstractShape = field(default_factory=lambda: BallShape(smallest=0.08, largest=0.13))
    share: tuple[float, float] = (0.02, 0.05)

    def __post_init__(self) -> None:
        if not (len(self.share) == 2 and 0 < self.share[0] <= self.share[1] <= 0.5):
            raise SynthanomError(f"share must be (low, high) with 0 < low <= high <= 0.5, got {self.share}")

    def sample_params(
        self, rng: np.random.Generator, sample: Sample, region: Region, donor: Sample | None = None
    ) -> LocalShiftParams:
        """Draw the move along each axis."""
        del region, donor
        shift = []
        for _ in sample.shape:
            sign = 1 if rng.random() < 0.5 else -1
            share = self.share[0] + rng.random() * (self.share[1] - self.share[0])
            shift.append(sign * max(1, round(share * min(sample.shape))))
        return LocalShiftParams(shift=tuple(shift))

    @staticmethod
    def change(image: ImageArray, region: Region, params: Any, donor: Sample | None = None) -> ImageArray:
        """The region's box with its content moved: float32 (C, *box)."""
        del donor
        places = [rows + by for rows, by in zip(rows_of(region), params.shift, strict=True)]
        return show_elsewhere(image, region, places)

    @staticmethod
    def touched(before: ImageArray, after: ImageArray, region: Region, params: Any) -> MaskArray:
        """The region: bool (*box)."""
        del before, after, params
        return region.mask
