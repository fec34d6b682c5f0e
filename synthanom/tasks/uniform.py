"""A constant is added in a ball."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from synthanom.arrays import ImageArray, MaskArray
from synthanom.errors import SynthanomError
from synthanom.regions import AbstractShape, Region
from synthanom.sample import Sample
from synthanom.tasks.abstract import AbstractParams, AbstractTask, DonorKind, limits_of
from synthanom.tasks.ball_shape import BallShape


@dataclass(frozen=True, kw_only=True)
class UniformParams(AbstractParams):
    """One constant per channel.

    Attributes
    ----------
    change : C numbers, image intensity units
    limits : (2, C) numbers, image intensity units
        What the result is clipped to.
    """

    change: tuple[float, ...]
    limits: tuple[tuple[float, ...], tuple[float, ...]]


@dataclass(frozen=True, kw_only=True)
class Uniform(AbstractTask):
    """Makes a ball brighter or darker by a constant.

    Attributes
    ----------
    share : (low, high)
        Bounds of the constant's size, uniform in between, as shares of the channel's range; each channel has its own
        constant and sign.

    References
    ----------
    Tan et al., "Detecting outliers with foreign patch interpolation", MELBA 2022:013, arXiv:2011.04197.
    Zimmerer et al., "MOOD 2020: a public benchmark for out-of-distribution detection and localization on medical
    images", IEEE TMI 41(10), 2022, doi:10.1109/TMI.2022.3170077.
    """

    name: ClassVar[str] = "uniform"
    kind: ClassVar[str] = "intensity"
    donor: ClassVar[DonorKind] = "none"
    params: ClassVar[type[AbstractParams]] = UniformParams

    shape: AbstractShape = field(default_factory=BallShape)
    share: tuple[float, float] = (0.2, 0.3)

    def __post_init__(self) -> None:
        check_share(self.share)

    def sample_params(
        self, rng: np.random.Generator, sample: Sample, region: Region, donor: Sample | None = None
    ) -> UniformParams:
        """Draw a sign and a size per channel."""
        del region, donor
        change = []
        for low, high in zip(*limits_of(sample), strict=True):
            sign = 1.0 if rng.random() < 0.5 else -1.0
            share = self.share[0] + rng.random() * (self.share[1] - self.share[0])
            change.append(sign * share * (high - low))
        return UniformParams(change=tuple(change), limits=limits_of(sample))

    @staticmethod
    def change(image: ImageArray, region: Region, params: Any, donor: Sample | None = None) -> ImageArray:
        """The region's box with the constant added, clipped to the sample's range: float32 (C, *box)."""
        del donor
        values = image[(slice(None), *region.slices)]
        added, low, high = (
            np.array(v, dtype=np.float32).reshape(-1, *(1,) * region.mask.ndim) for v in (params.change, *params.limits)
        )
        return np.where(region.mask, np.clip(values + added, low, high), values)

    @staticmethod
    def touched(before: ImageArray, after: ImageArray, region: Region, params: Any) -> MaskArray:
        """The region: bool (*box)."""
        del before, after, params
        return region.mask


def check_share(share: tuple[float, float]) -> None:
    """Raise unless it bounds a share of a channel's range.

    Raises
    ------
    SynthanomError
    """
    if not (len(share) == 2 and 0 < share[0] <= share[1] <= 1):
        raise SynthanomError(f"share must be (low, high) with 0 < low <= high <= 1, got {share}")
