"""Smooth change of intensity."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from synthanom.arrays import ImageArray, MaskArray
from synthanom.errors import SynthanomError
from synthanom.kernels import smooth_change
from synthanom.regions import Region
from synthanom.sample import Sample
from synthanom.tasks.abstract import AbstractParams, AbstractTask, DonorKind, limits_of


@dataclass(frozen=True, kw_only=True)
class SmoothIntensityParams(AbstractParams):
    """One change of intensity.

    Attributes
    ----------
    ramp : float
        Voxels from the edge to full strength.
    change : C numbers, image intensity units
    limits : (2, C) numbers, image intensity units
        What the result is clipped to.
    """

    ramp: float  # voxels from the edge to full strength
    change: tuple[float, ...]  # per channel, image intensity units
    limits: tuple[tuple[float, ...], tuple[float, ...]]  # the result is clipped to it, per channel


@dataclass(frozen=True, kw_only=True)
class SmoothIntensity(AbstractTask):
    """Makes a region brighter or darker, fading in from its edge.

    Attributes
    ----------
    scale : float
        Scale of the change, image intensity units: scale / 2 plus a Gamma(3, scale) number, of either sign.
    ramp_offset, ramp_scale : float
        The ramp is ramp_offset plus a Gamma(3, ramp_scale) number, as a share of the image's shortest side.

    References
    ----------
    Baugh et al., "Many tasks make light work", MICCAI 2023, doi:10.1007/978-3-031-43907-0_16.
    """

    name: ClassVar[str] = "smooth_intensity"
    kind: ClassVar[str] = "intensity"
    donor: ClassVar[DonorKind] = "none"
    params: ClassVar[type[AbstractParams]] = SmoothIntensityParams

    scale: float = 0.2
    ramp_offset: float = 0.02
    ramp_scale: float = 0.01

    def __post_init__(self) -> None:
        if not (self.scale > 0 and self.ramp_offset > 0 and self.ramp_scale >= 0):
            raise SynthanomError(
                "scale and ramp_offset must be positive and ramp_scale not negative, got "
                f"{self.scale}, {self.ramp_offset}, {self.ramp_scale}"
            )

    def sample_params(
        self, rng: np.random.Generator, sample: Sample, region: Region, donor: Sample | None = None
    ) -> SmoothIntensityParams:
        """Draw the ramp, no longer than the region is deep, and one change per channel."""
        del donor
        share = self.ramp_offset + self.ramp_scale * rng.standard_gamma(3.0)
        change = []
        for _ in range(sample.image.shape[0]):
            sign = 1.0 if rng.random() < 0.5 else -1.0
            change.append(float(sign * (self.scale / 2 + self.scale * rng.standard_gamma(3.0))))
        ramp = smooth_change.largest_depth(region.mask, limit=min(sample.shape) * share)
        return SmoothIntensityParams(ramp=ramp, change=tuple(change), limits=limits_of(sample))

    @staticmethod
    def change(image: ImageArray, region: Region, params: Any, donor: Sample | None = None) -> ImageArray:
        """The region's box after the change: float32 (C, *box)."""
        del donor
        values = image[(slice(None), *region.slices)]
        return smooth_change.change_box(
            values, region.mask, params.ramp, np.asarray(params.change), np.asarray(params.limits)
        )

    @staticmethod
    def touched(before: ImageArray, after: ImageArray, region: Region, params: Any) -> MaskArray:
        """The region: bool (*box)."""
        del before, after, params
        return region.mask
