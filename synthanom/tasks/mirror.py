"""A ball shows the other side of the picture."""

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
class MirrorParams(AbstractParams):
    """One mirrored ball.

    Attributes
    ----------
    axis : int
        Spatial axis along which the picture is turned over.
    """

    axis: int


@dataclass(frozen=True, kw_only=True)
class Mirror(AbstractTask):
    """Shows, in a ball, what the picture turned over along one axis shows there.

    Attributes
    ----------
    axis : int
        Spatial axis along which the picture is turned over; negative ones count from the last. The first, as published,
        whatever it means in the patient; the picture is seldom symmetric along it.

    References
    ----------
    Tan et al., "Detecting outliers with foreign patch interpolation", MELBA 2022:013, arXiv:2011.04197.
    Zimmerer et al., "MOOD 2020: a public benchmark for out-of-distribution detection and localization on medical
    images", IEEE TMI 41(10), 2022, doi:10.1109/TMI.2022.3170077.
    """

    name: ClassVar[str] = "mirror"
    kind: ClassVar[str] = "blend"  # the step where a patch begins gives it away, as in local_shift
    donor: ClassVar[DonorKind] = "none"
    params: ClassVar[type[AbstractParams]] = MirrorParams

    shape: AbstractShape = field(default_factory=lambda: BallShape(smallest=0.08, largest=0.13))
    axis: int = 0

    def __post_init__(self) -> None:
        if self.axis not in range(-3, 3):
            raise SynthanomError(f"axis must be that of a picture or volume, -3 to 2, got {self.axis!r}")

    def sample_params(
        self, rng: np.random.Generator, sample: Sample, region: Region, donor: Sample | None = None
    ) -> MirrorParams:
        """Nothing is drawn: the axis of this picture.

        Raises
        ------
        SynthanomError
            If the picture has no such axis.
        """
        del rng, region, donor
        dims = len(sample.shape)
        if not -dims <= self.axis < dims:
            raise SynthanomError(f"mirror needs an axis of the picture, {-dims} to {dims - 1}, got axis={self.axis}")
        return MirrorParams(axis=self.axis % dims)

    @staticmethod
    def change(image: ImageArray, region: Region, params: Any, donor: Sample | None = None) -> ImageArray:
        """The region's box, showing the other side: float32 (C, *box)."""
        del donor
        places = rows_of(region)
        places[params.axis] = image.shape[1 + params.axis] - 1 - places[params.axis]
        return show_elsewhere(image, region, places)

    @staticmethod
    def touched(before: ImageArray, after: ImageArray, region: Region, params: Any) -> MaskArray:
        """The region: bool (*box)."""
        del before, after, params
        return region.mask
