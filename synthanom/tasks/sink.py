"""Sink deformation."""

from dataclasses import dataclass
from typing import Any, ClassVar

from synthanom.arrays import ImageArray
from synthanom.kernels.radial_warp import Direction
from synthanom.regions import Region
from synthanom.sample import Sample
from synthanom.tasks.deformation import AbstractDeformation, deform


@dataclass(frozen=True, kw_only=True)
class Sink(AbstractDeformation):
    """Draws the picture in towards a point, as if tissue were lost there. Settings: `AbstractDeformation`.

    Notes
    -----
    The value at p is taken at c + (p - c) / u (1 - (1 - u)^f),
    u being the distance from the centre c, relative to the surface's.

    References
    ----------
    Baugh et al., "Many tasks make light work", MICCAI 2023, doi:10.1007/978-3-031-43907-0_16.
    """

    name: ClassVar[str] = "sink"
    direction: ClassVar[Direction] = "sink"

    @staticmethod
    def change(image: ImageArray, region: Region, params: Any, donor: Sample | None = None) -> ImageArray:
        """The region's box after the deformation: float32 (C, *box)."""
        del donor
        return deform(image, region, params, "sink")
