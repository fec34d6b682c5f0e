"""A part of the picture is erased."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from synthanom.arrays import ImageArray, MaskArray
from synthanom.errors import SynthanomError
from synthanom.regions import Region
from synthanom.sample import Sample
from synthanom.tasks.abstract import AbstractParams, AbstractTask, DonorKind, limits_of


@dataclass(frozen=True, kw_only=True)
class CutOutParams(AbstractParams):
    """One erased region.

    Attributes
    ----------
    value : C numbers, image intensity units
    """

    value: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class CutOut(AbstractTask):
    """Fills a region with one value per channel.

    Attributes
    ----------
    value : float or None
        Image intensity units, of all channels, clipped to the sample's range; None for one drawn from it per channel.

    References
    ----------
    DeVries and Taylor, "Improved regularization of convolutional neural networks with cutout", 2017,
    doi:10.48550/arXiv.1708.04552.
    """

    name: ClassVar[str] = "cutout"
    kind: ClassVar[str] = "erase"
    donor: ClassVar[DonorKind] = "none"
    params: ClassVar[type[AbstractParams]] = CutOutParams

    value: float | None = None

    def __post_init__(self) -> None:
        if self.value is not None and not np.isfinite(self.value):
            raise SynthanomError(f"value must be None or a finite number in image intensity units, got {self.value}")

    def sample_params(
        self, rng: np.random.Generator, sample: Sample, region: Region, donor: Sample | None = None
    ) -> CutOutParams:
        """Draw a value per channel, unless it is settled."""
        del region, donor
        values = []
        for low, high in zip(*limits_of(sample), strict=True):
            wanted = low + rng.random() * (high - low) if self.value is None else self.value
            values.append(float(min(max(wanted, low), high)))
        return CutOutParams(value=tuple(values))

    @staticmethod
    def change(image: ImageArray, region: Region, params: Any, donor: Sample | None = None) -> ImageArray:
        """The region's box, erased where the region is: float32 (C, *box)."""
        del donor
        values = image[(slice(None), *region.slices)]
        filling = np.array(params.value, dtype=np.float32).reshape(-1, *(1,) * region.mask.ndim)
        return np.where(region.mask, filling, values)

    @staticmethod
    def touched(before: ImageArray, after: ImageArray, region: Region, params: Any) -> MaskArray:
        """The region: bool (*box)."""
        del before, after, params
        return region.mask
