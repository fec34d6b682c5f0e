"""Cubic B-spline interpolation of an image: only the part that is sampled is filtered.

References
----------
Unser, Aldroubi, Eden, "B-spline signal processing: part II", IEEE Trans. Signal Process. 41(2), 1993,
doi:10.1109/78.193221.
"""

from typing import Any

import numpy as np

from synthanom.arrays import backend_of, check_image, read_only, to_volume
from synthanom.errors import SynthanomError


def sample(image: Any, points: Any, order: int = 3) -> Any:
    """Interpolate an image at any points, its border repeated outside.

    Parameters
    ----------
    image : ndarray or tensor of shape (C, *S), float32 or float64
    points : (D, n), voxels; an array, or a tensor with a tensor
    order : {3, 1}
        Cubic B-spline or linear interpolation.

    Returns
    -------
    array of shape (C, n), float32, of the same backend

    Raises
    ------
    SynthanomError
        For an image or points of another shape, or points that are not finite.
    """
    if backend_of(image) == "torch":
        from synthanom.kernels.cubic_spline import gpu

        gpu.check_tensor(image)
        return gpu.sample_points(image, points, order)
    from synthanom.kernels.cubic_spline.cpu import WEIGHTS, sample_points

    values = np.asarray(image)
    check_image(values)
    dims = values.ndim - 1
    places = np.asarray(points, dtype=np.float64)
    if places.ndim != 2 or places.shape[0] != dims or not np.isfinite(places).all():
        raise SynthanomError(f"points must be finite, of shape ({dims}, n), got shape {places.shape}")
    whole = np.zeros((3, places.shape[1]))
    whole[3 - dims :] = places
    out = np.empty((values.shape[0], places.shape[1]), dtype=np.float32)
    if places.shape[1] > 0:
        volume = read_only(to_volume(np.ascontiguousarray(values, dtype=np.float32), dims))
        sample_points(out, volume, whole, order, WEIGHTS[order])
    return out
