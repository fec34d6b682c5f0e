"""Face-connected components of a mask, and their boxes."""

import numpy as np
import numpy.typing as npt

from synthanom.arrays import MaskArray, to_volume


def label(region: MaskArray) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Number the face-connected components of a mask in the order of their first voxels.

    Parameters
    ----------
    region : ndarray of shape (*S), bool

    Returns
    -------
    numbers : ndarray of shape (*S), int32
        1, 2, ... in the components, 0 outside.
    boxes : ndarray of shape (n, 2, D), int64
        First voxel and end (one after the last voxel) of each component's tight box.
    """
    from synthanom.kernels.components.cpu import boxes_of, find_runs, join_runs, paint

    runs, rows = find_runs(in_eights(region))
    out = np.zeros(region.shape, dtype=np.int32)
    numbers, count = join_runs(runs, rows, region.shape[-2])
    paint(to_volume(out, region.ndim), runs, numbers)
    return out, boxes_of(runs, numbers, count)[:, :, 3 - region.ndim :]


def boxes(region: MaskArray) -> npt.NDArray[np.int64]:
    """The boxes that `label` gives, without numbering the voxels.

    Parameters
    ----------
    region : ndarray of shape (*S), bool

    Returns
    -------
    ndarray of shape (n, 2, D), int64
    """
    from synthanom.kernels.components.cpu import boxes_of, find_runs, join_runs

    runs, rows = find_runs(in_eights(region))
    numbers, count = join_runs(runs, rows, region.shape[-2])
    return np.asarray(boxes_of(runs, numbers, count)[:, :, 3 - region.ndim :])


def covered(region: MaskArray, by: MaskArray) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Count the voxels of each component, and how many of them another mask marks.

    Parameters
    ----------
    region, by : ndarray of shape (*S), bool

    Returns
    -------
    voxels, marked : ndarray of shape (n,), int64
        Of the components in the order of `label`.
    """
    from synthanom.kernels.components.cpu import find_runs, join_runs, sizes_of

    runs, rows = find_runs(in_eights(region))
    numbers, count = join_runs(runs, rows, region.shape[-2])
    sizes = sizes_of(runs, numbers, count, to_volume(np.ascontiguousarray(by), by.ndim).view(np.uint8))
    return sizes[:, 0], sizes[:, 1]


def bounds(region: MaskArray) -> npt.NDArray[np.int64]:
    """The tight box around all marked voxels.

    Parameters
    ----------
    region : ndarray of shape (*S), bool

    Returns
    -------
    ndarray of shape (2, D), int64
        First marked voxel and end (one after the last); both 0 if there are none.
    """
    from synthanom.kernels.components.cpu import bounds_of

    contiguous = np.ascontiguousarray(region)
    return np.asarray(bounds_of(to_volume(contiguous, region.ndim).view(np.uint8))[:, 3 - region.ndim :])


def in_eights(region: MaskArray) -> npt.NDArray[np.uint8]:
    """A mask as the compiled functions take it: uint8 (Z, Y, X), rows filled up to a multiple of 8 voxels."""
    width = region.shape[-1]
    out = np.zeros((*region.shape[:-1], (width + 7) // 8 * 8), dtype=np.uint8)
    out[..., :width] = region
    return to_volume(out, region.ndim)
