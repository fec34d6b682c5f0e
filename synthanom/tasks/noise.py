"""Noise of one sign is added in a ball."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from synthanom.arrays import FloatArray, ImageArray, MaskArray
from synthanom.regions import AbstractShape, Region
from synthanom.sample import Sample
from synthanom.tasks.abstract import AbstractParams, AbstractTask, DonorKind, limits_of
from synthanom.tasks.ball_shape import BallShape
from synthanom.tasks.uniform import check_share

KEY_BITS = 53  # of a key: what JSON readers everywhere take for an integer


@dataclass(frozen=True, kw_only=True)
class NoiseParams(AbstractParams):
    """Bounds of the noise, and the number that its values follow from.

    Attributes
    ----------
    least : C numbers, image intensity units
        What every voxel gets.
    spread : C numbers, image intensity units
        Times a number in [0, 1) of its own, in addition.
    key : int
        Of the generator (Philox) of these numbers, whose raw bits are the same for ever.
    limits : (2, C) numbers, image intensity units
        What the result is clipped to.
    """

    least: tuple[float, ...]
    spread: tuple[float, ...]
    key: int
    limits: tuple[tuple[float, ...], tuple[float, ...]]


@dataclass(frozen=True, kw_only=True)
class Noise(AbstractTask):
    """Adds white noise of one sign in a ball.

    Attributes
    ----------
    share : (low, high)
        Bounds of what is added to a voxel, uniform in between, as shares of the channel's range. The sign is common to
        all voxels; each channel has its own.

    Notes
    -----
    As the sign is common, the mean moves too: a detector of brighter and darker regions sees part of this.

    References
    ----------
    Tan et al., "Detecting outliers with foreign patch interpolation", MELBA 2022:013, arXiv:2011.04197.
    Zimmerer et al., "MOOD 2020: a public benchmark for out-of-distribution detection and localization on medical
    images", IEEE TMI 41(10), 2022, doi:10.1109/TMI.2022.3170077.
    """

    name: ClassVar[str] = "noise"
    kind: ClassVar[str] = "noise"
    donor: ClassVar[DonorKind] = "none"
    params: ClassVar[type[AbstractParams]] = NoiseParams

    shape: AbstractShape = field(default_factory=BallShape)
    share: tuple[float, float] = (0.05, 0.3)

    def __post_init__(self) -> None:
        check_share(self.share)

    def sample_params(
        self, rng: np.random.Generator, sample: Sample, region: Region, donor: Sample | None = None
    ) -> NoiseParams:
        """Draw a sign per channel, and the key of the noise."""
        del region, donor
        least, spread = [], []
        for low, high in zip(*limits_of(sample), strict=True):
            signed = (high - low) if rng.random() < 0.5 else (low - high)
            least.append(signed * self.share[0])
            spread.append(signed * (self.share[1] - self.share[0]))
        key = int(rng.random() * 2**KEY_BITS)
        return NoiseParams(least=tuple(least), spread=tuple(spread), key=key, limits=limits_of(sample))

    @staticmethod
    def change(image: ImageArray, region: Region, params: Any, donor: Sample | None = None) -> ImageArray:
        """The region's box with the noise, clipped to the sample's range: float32 (C, *box)."""
        del donor
        out = image[(slice(None), *region.slices)].copy()
        numbers = uniform_numbers(params.key, out.shape[0] * region.count).reshape(out.shape[0], region.count)
        for c, channel in enumerate(out):
            added = params.least[c] + params.spread[c] * numbers[c]
            channel[region.mask] = np.clip(channel[region.mask] + added, params.limits[0][c], params.limits[1][c])
        return out

    @staticmethod
    def touched(before: ImageArray, after: ImageArray, region: Region, params: Any) -> MaskArray:
        """The region: bool (*box)."""
        del before, after, params
        return region.mask


def uniform_numbers(key: int, count: int) -> FloatArray:
    """Numbers uniform in [0, 1) that follow from the key by the raw bits of Philox alone: float64 (count,)."""
    raw = np.random.Philox(key=key).random_raw(count)  # distributions may change with numpy's version, bits may not
    return np.asarray((raw >> np.uint64(11)) * 2.0**-53)
