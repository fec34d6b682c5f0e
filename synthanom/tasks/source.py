"""Source deformation."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from synthanom.arrays import ImageArray, MaskArray
from synthanom.regions import Region
from synthanom.sample import Sample
from synthanom.tasks.abstract import AbstractParams, AbstractTask, DonorKind
from synthanom.tasks.deformation import DeformationParams, check_settings, deform, draw_deformation


@dataclass(frozen=True, kw_only=True)
class Source(AbstractTask):
    """Pushes the picture away from a point, as if a mass grew there.

    Attributes
    ----------
    push : (low, high) or None
        Bounds, in voxels, of how far intensities are pushed at most ((0.5, 10) suits 256-pixel radiographs); None
        draws strengths that ignore the region's size.
    order : {3, 1}
        Cubic B-spline or linear interpolation.

    Notes
    -----
    The value at p is taken at c + (p - c) / u u^f,
    u being the distance from the centre c, relative to the surface's.

    References
    ----------
    Baugh et al., "Many tasks make light work", MICCAI 2023, doi:10.1007/978-3-031-43907-0_16.
    """

    name: ClassVar[str] = "source"
    kind: ClassVar[str] = "deform"
    donor: ClassVar[DonorKind] = "none"
    params: ClassVar[type[AbstractParams]] = DeformationParams

    push: tuple[float, float] | None = (0.5, 5.0)
    order: int = 3

    def __post_init__(self) -> None:
        check_settings(self.push, self.order)

    def sample_params(
        self, rng: np.random.Generator, sample: Sample, region: Region, donor: Sample | None = None
    ) -> DeformationParams:
        """Draw the centre and the strength."""
        del sample, donor
        return draw_deformation(rng, region, self.push, self.order)

    @staticmethod
    def change(image: ImageArray, region: Region, params: Any, donor: Sample | None = None) -> ImageArray:
        """The region's box after the deformation: float32 (C, *box)."""
        del donor
        return deform(image, region, params, "source")

    @staticmethod
    def touched(before: ImageArray, after: ImageArray, region: Region, params: Any) -> MaskArray:
        """The region: bool (*box)."""
        del before, after, params
        return region.mask
