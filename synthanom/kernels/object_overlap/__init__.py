"""How much of a donor's object a patch holds, and how much of that lands on a picture's object."""

import numpy as np

from synthanom.arrays import FloatArray, MaskArray
from synthanom.kernels.region_mask import byte_volume


def counts(
    donor: MaskArray, mask: MaskArray, foreground: MaskArray, scale: FloatArray, offset: FloatArray
) -> tuple[int, int]:
    """Count the voxels of a patch that show the donor's object, and those of them that land on the picture's.

    Parameters
    ----------
    donor : ndarray of shape (*S), bool
        Foreground of the donor.
    mask : ndarray of shape (*box), bool
        Patch, where it lands.
    foreground : ndarray of shape (*box), bool
        Foreground of the picture there.
    scale, offset : ndarray of shape (D,), float64
        Voxel p of the box shows the donor's voxel nearest to scale p + offset, halves to the even one; beyond the donor
        its outermost.

    Returns
    -------
    shown, common : int
    """
    from synthanom.kernels.object_overlap.cpu import counts as kernel

    flat = 3 - mask.ndim
    # of an axis that is not there, voxel 0 shows voxel 0
    places = np.zeros((2, 3))
    places[0, flat:], places[1, flat:] = scale, offset
    shown, common = kernel(byte_volume(donor), byte_volume(mask), byte_volume(foreground), places)
    return int(shown), int(common)
