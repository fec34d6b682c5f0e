"""The median of the ball around every voxel."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def filtered(values: npt.NDArray[np.float64], radius: int) -> npt.NDArray[np.float64]:
    """The median of the voxels at most `radius` from each voxel, 0 beyond the array.

    Parameters
    ----------
    values : ndarray of shape (*S), float64, without NaN
    radius : int
        Voxels, at least 1.

    Returns
    -------
    ndarray of shape (*S), float64
        One of the values, or 0: nothing is rounded.
    """
    from synthanom.kernels.ball_median.cpu import filtered as kernel
    from synthanom.kernels.ball_median.lanes import LANES

    # places in the sorted order: equal values have neighbouring ones. The 0 from beyond the array needs one, too
    everything = np.append(values.ravel(), 0.0)
    order = np.argsort(everything)
    ranks = np.empty(order.size, np.int16 if order.size <= np.iinfo(np.int16).max else np.int32)
    ranks[order] = np.arange(order.size)

    padded_shape = tuple(n + 2 * radius for n in values.shape)
    size = int(np.prod(padded_shape))
    flat = np.full(size + LANES, ranks[-1])
    inner = (slice(radius, -radius),) * values.ndim
    flat[:size].reshape(padded_shape)[inner] = ranks[:-1].reshape(values.shape)
    steps = steps_of(padded_shape, radius)
    begin = int(steps[-1])
    found = np.empty(size, ranks.dtype)
    # also the balls around the padding between the rows, which nobody asks for, but for whose sake no vector is broken
    kernel(flat, begin, steps, int(order.size - 1).bit_length(), found[begin : size - begin])
    out: npt.NDArray[np.float64] = everything[order[found.reshape(padded_shape)[inner]]]
    return out


def steps_of(shape: Sequence[int], radius: int) -> npt.NDArray[np.int64]:
    """From a voxel of an array of this shape to those of the ball around it, in the flat array, ascending: int64."""
    grid = np.ogrid[(slice(-radius, radius + 1),) * len(shape)]
    strides = [int(np.prod(shape[axis + 1 :])) for axis in range(len(shape))]
    steps = np.sum(np.broadcast_arrays(*(a * s for a, s in zip(grid, strides, strict=True))), axis=0)
    squared = np.sum(np.broadcast_arrays(*(axis**2 for axis in grid)), axis=0)
    found: npt.NDArray[np.int64] = steps[squared <= radius**2]
    return found
