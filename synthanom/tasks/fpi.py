"""Foreign patch interpolation."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from synthanom.arrays import ImageArray
from synthanom.regions import Region
from synthanom.sample import Sample
from synthanom.tasks.same_place import AbstractSamePlace, box_of_both


@dataclass(frozen=True, kw_only=True)
class Fpi(AbstractSamePlace):
    """A patch becomes a mixture with the same place of another subject; its edge shows. Settings: `AbstractSamePlace`.

    Notes
    -----
    (1 - factor) image + factor donor in the region, clipped to the sample's range. With the label `Factor` it is the
    published task; `core` is 0.5 there for brains and 0.8 for abdomens and radiographs.

    References
    ----------
    Tan et al., "Detecting outliers with foreign patch interpolation", MELBA 2022, doi:10.59275/j.melba.2022-e651.
    """

    name: ClassVar[str] = "fpi"

    @staticmethod
    def change(image: ImageArray, region: Region, params: Any, donor: Sample | None = None) -> ImageArray:
        """The region's box with the mixture: float32 (C, *box)."""
        own, other = box_of_both(image, region, donor, "fpi")
        mixed = own + np.float32(params.factor) * (other - own)
        low, high = np.array(params.limits, dtype=np.float32).reshape(2, -1, *(1,) * region.mask.ndim)
        return np.where(region.mask, np.clip(mixed, low, high), own)
