"""Grids and regions that other papers evaluated on."""

from typing import Any

import numpy as np
import numpy.typing as npt

from synthanom.arrays import ImageArray, MaskArray
from synthanom.errors import SynthanomError

CROP = (190, 155)  # voxels of the last two axes
DROPPED = 10  # slices at either end
RESIZED, KEPT = 129, 128


def cradl(values: ImageArray) -> ImageArray:
    """Bring a volume (Z, Y, X), X to the right, Y to the front, Z up, to CRADL's region and resolution.

    The middle 190 x 155 voxels of every slice, padded by 0 where there are fewer; without the first and last ten
    slices; each slice resized to 129 x 129 by linear interpolation between pixel centres, and cut to 128 x 128. Of a
    mask, what is at least one half after that is marked.

    Returns
    -------
    ndarray of shape (Z - 20, 128, 128), float32

    Raises
    ------
    SynthanomError
        No volume, or one of no more than twenty slices.
    """
    if values.ndim != 3 or values.shape[0] <= 2 * DROPPED:
        raise SynthanomError(
            f"the CRADL setup needs volumes of more than {2 * DROPPED} axial slices, got shape {values.shape}; leave "
            "--setup out"
        )
    inner = values[DROPPED:-DROPPED]
    for axis, wanted in zip((1, 2), CROP, strict=True):
        inner = _middle(inner, axis, wanted)
    for axis in (1, 2):
        inner = _resized(inner, axis)
    return np.ascontiguousarray(inner[:, :KEPT, :KEPT], dtype=np.float32)


def cradl_mask(mask: MaskArray) -> MaskArray:
    """As `cradl`, of a mask (Z, Y, X)."""
    return cradl(mask.astype(np.float32)) >= 0.5


def _middle(values: npt.NDArray[Any], axis: int, wanted: int) -> npt.NDArray[Any]:
    """The middle `wanted` voxels along an axis, with zeros around where there are fewer."""
    missing = wanted - values.shape[axis]
    if missing > 0:
        around = [(0, 0)] * values.ndim
        around[axis] = (missing // 2, missing - missing // 2)
        return np.pad(values, around)
    start = -missing // 2
    return values.take(range(start, start + wanted), axis=axis)


def _resized(values: npt.NDArray[Any], axis: int) -> npt.NDArray[Any]:
    """129 voxels along an axis: linear between the two nearest centres, the outermost repeated."""
    size = values.shape[axis]
    place = np.clip((np.arange(RESIZED) + 0.5) * size / RESIZED - 0.5, 0, size - 1)
    low = np.minimum(place.astype(np.int64), size - 2)
    share = place - low
    share = share.reshape([-1 if k == axis else 1 for k in range(values.ndim)])
    return np.asarray(values.take(low, axis=axis) * (1 - share) + values.take(low + 1, axis=axis) * share)
