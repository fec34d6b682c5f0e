"""Poisson image interpolation."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from synthanom.arrays import FloatArray, ImageArray, MaskArray
from synthanom.kernels import poisson
from synthanom.regions import Region
from synthanom.sample import Sample
from synthanom.tasks.same_place import AbstractSamePlace, box_of_both

JOIN_THRESHOLD = 0.001  # image intensity units; what changed by more around the region joins it


@dataclass(frozen=True, kw_only=True)
class Pii(AbstractSamePlace):
    """The gradients of a patch are interpolated with those at the same place of another subject: no edge shows.

    Settings: `AbstractSamePlace`.

    Notes
    -----
    Solves sum_q (u_p - u_q) = sum_q v_pq for all voxels p of the patch, q their neighbours, u the image's outside it,
    where v_pq = factor (donor_p - donor_q), or (1 - factor) (image_p - image_q) if that is larger in size. The result
    is clipped to the sample's range. In a region that is no upright box, the whole box is solved, with the image's own
    differences between voxels outside the region.

    References
    ----------
    Tan et al., "Detecting outliers with Poisson image interpolation", MICCAI 2021, doi:10.1007/978-3-030-87240-3_56.
    """

    name: ClassVar[str] = "pii"

    @staticmethod
    def change(image: ImageArray, region: Region, params: Any, donor: Sample | None = None) -> ImageArray:
        """The region's box after the interpolation: float32 (C, *box)."""
        own, other = box_of_both(image, region, donor, "pii")
        guidance = scaled_maximum(own, other, region.mask, params.factor)
        return poisson.integrate_box(own, guidance, limits=params.limits)

    @staticmethod
    def touched(before: ImageArray, after: ImageArray, region: Region, params: Any) -> MaskArray:
        """The region, and what changed around it where it is no upright box: bool (*box)."""
        del params
        return poisson.changed(before, after, region.mask, JOIN_THRESHOLD)


def scaled_maximum(own: ImageArray, other: ImageArray, mask: MaskArray, factor: float) -> list[FloatArray]:
    """The larger, edge by edge, of factor times the donor's difference and 1 - factor times the image's.

    Parameters
    ----------
    own, other : ndarray of shape (C, *box), float32
    mask : ndarray of shape (*box), bool
        Edges with neither end in it keep the image's difference.

    Returns
    -------
    list of D arrays, float64, (C, *box) but one shorter along axis 0, 1, ... of the box
    """
    fields = []
    for axis in range(mask.ndim):
        target, source = (np.diff(values.astype(np.float64), axis=1 + axis) for values in (own, other))
        mine, foreign = (1 - factor) * target, factor * source
        lower, upper = (
            tuple(part if a == axis else slice(None) for a in range(mask.ndim)) for part in (slice(-1), slice(1, None))
        )
        larger = np.where(np.abs(mine) > np.abs(foreign), mine, foreign)
        fields.append(np.where(mask[lower] | mask[upper], larger, target))
    return fields
