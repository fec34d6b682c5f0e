"""The median of the ball around every voxel."""

import numpy as np
import numpy.typing as npt

from synthanom.arrays import to_volume


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

    # the 0 from beyond the array must have a rank, too
    levels, ranks = np.unique(np.append(values.ravel(), 0.0), return_inverse=True)
    widths = [(radius, radius)] * values.ndim
    padded = np.pad(ranks[:-1].reshape(values.shape), widths, constant_values=ranks[-1]).astype(np.int32)
    found = np.empty(values.shape, np.int32)
    kernel(to_volume(padded, values.ndim), to_volume(found, values.ndim), rows_of(values.ndim, radius), levels.size)
    out: npt.NDArray[np.float64] = levels[found]
    return out


def rows_of(dims: int, radius: int) -> npt.NDArray[np.int64]:
    """The ball as rows of voxels: offsets along z and y, and how far the row reaches to either side, (n, 3)."""
    flat = 0 if dims == 2 else radius
    return np.array(
        [
            (z, y, int(np.sqrt(radius**2 - z**2 - y**2)))
            for z in range(-flat, flat + 1)
            for y in range(-radius, radius + 1)
            if z**2 + y**2 <= radius**2
        ],
        dtype=np.int64,
    )
