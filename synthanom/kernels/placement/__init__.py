"""Where in an image a region may be placed: at least half of it on allowed voxels."""

import numpy as np

from synthanom.arrays import MaskArray
from synthanom.errors import SynthanomError
from synthanom.kernels.region_mask import byte_volume


def good_positions(allowed: MaskArray, mask: MaskArray) -> MaskArray:
    """Mark the positions of a region's box at which at least half of the region lies on allowed voxels.

    Parameters
    ----------
    allowed : ndarray of shape (*S), bool
    mask : ndarray of shape (*box), bool
        Rows of a convex region: no gap between the first and the last voxel of any.

    Returns
    -------
    ndarray of shape (*room), bool
        `room` is one more than the image's side less the box's, along each axis.

    Raises
    ------
    SynthanomError
        If a row of the mask has a gap, or the box does not fit the image.
    """
    from synthanom.kernels.placement.cpu import good_positions as kernel

    room = tuple(n - s + 1 for n, s in zip(allowed.shape, mask.shape, strict=True))
    if min(room) < 1:
        raise SynthanomError(f"the region's box must fit the image {allowed.shape}, got {mask.shape}")
    rows = byte_volume(mask)
    inside = rows.any(axis=2)
    first = rows.argmax(axis=2)
    length = rows.sum(axis=2, dtype=np.int64)
    last = rows.shape[2] - rows[:, :, ::-1].argmax(axis=2)
    if (last - first != length)[inside].any():
        raise SynthanomError("every row of a region that is placed must be one run of voxels, got a gap")
    spans = np.stack([first, first + length], axis=-1).astype(np.int32)
    marked = kernel(byte_volume(allowed), spans, mask.shape[-1], int(length.sum()))
    return np.asarray(marked.view(np.bool_).reshape(room))
