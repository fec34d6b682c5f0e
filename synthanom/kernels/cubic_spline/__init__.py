"""Cubic B-spline interpolation of a part of an image: only what is sampled is filtered.

References
----------
Unser, Aldroubi, Eden, "B-spline signal processing: part II", IEEE Trans. Signal Process. 41(2), 1993,
doi:10.1109/78.193221.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synthanom.arrays import FloatArray, ImageArray

# The filter's memory decays by sqrt(3) - 2 = -0.268 per voxel: 12 voxels leave 1.4e-7 of a step at the crop's border.
MARGIN = 12
SUPPORT = 2  # voxels that the cubic kernel reaches beyond a sampling point


@dataclass(frozen=True, kw_only=True, eq=False)
class SplineCrop:
    """Coefficients over a part of an image.

    Attributes
    ----------
    coefficients : ndarray of shape (C, Z, Y, X), float32
    origin : ndarray of shape (3,), float64
        Image coordinate of the first coefficient.
    """

    coefficients: ImageArray
    origin: FloatArray


def crop(image: ImageArray, low: FloatArray, high: FloatArray, *, order: int = 3) -> SplineCrop:
    """Prepare interpolation at points within [low, high] of an image (C, Z, Y, X), the border repeated outside.

    Parameters
    ----------
    low, high : ndarray of shape (3,)
        Bounds of the sampling points, voxels.
    order : {3, 1}
        Cubic coefficients, or the values themselves for linear interpolation.
    """
    from synthanom.kernels.cubic_spline.cpu import prefilter

    margin = SUPPORT + (MARGIN if order == 3 else 0)
    taken = [_clamped(low[a], high[a], margin, image.shape[1 + a]) for a in range(3)]
    iz, iy, ix = (indices for _, indices in taken)
    values = np.ascontiguousarray(image[:, iz[:, None, None], iy[:, None], ix], dtype=np.float32)
    if order == 3:
        prefilter(values)
    return SplineCrop(coefficients=values, origin=np.array([float(start) for start, _ in taken]))


def _clamped(low: float, high: float, margin: int, side: int) -> tuple[int, npt.NDArray[np.intp]]:
    """First coordinate and border-clamped indices of the voxels needed along one axis; a flat axis stays flat."""
    if side == 1:
        return 0, np.zeros(1, dtype=np.intp)
    start = int(np.floor(low)) - margin
    stop = int(np.ceil(high)) + margin + 1
    return start, np.clip(np.arange(start, stop), 0, side - 1)
