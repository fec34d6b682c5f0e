"""Cubic B-spline interpolation of a part of an image: only what is sampled is filtered.

References
----------
Unser, Aldroubi, Eden, "B-spline signal processing: part II", IEEE Trans. Signal Process. 41(2), 1993,
doi:10.1109/78.193221.
"""

from dataclasses import dataclass

import numpy as np

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
        Valid from `MARGIN` voxels inside the crop's faces.
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
    from synthanom.kernels.cubic_spline.cpu import copy_clamped, prefilter

    margin = SUPPORT + (MARGIN if order == 3 else 0)
    start = np.floor(low).astype(np.int64) - margin
    size = np.ceil(high).astype(np.int64) + margin + 1 - start
    flat = np.array(image.shape[1:]) == 1  # a flat axis stays flat
    start[flat], size[flat] = 0, 1
    values = np.empty((image.shape[0], *size.tolist()), dtype=np.float32)
    copy_clamped(image, start, values)
    if order == 3:
        prefilter(values, MARGIN)
    return SplineCrop(coefficients=values, origin=start.astype(np.float64))
