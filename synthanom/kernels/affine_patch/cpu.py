"""Compiled twin of `reference`."""

from typing import Any

import numpy as np
from numba import njit

from synthanom.kernels.cubic_spline.cpu import gather, tap_counts, weights


@njit(nogil=True, cache=True)
def gather_box(out: Any, coefficients: Any, matrix: Any, offset: Any, limits: Any) -> None:
    """Fill `out` (C, Z, Y, X) with the spline's values at matrix @ q + offset, clipped to `limits` (2, C)."""
    channels, nz, ny, nx = out.shape
    first = np.empty(3, np.int64)
    taps = np.empty(3, np.int64)
    tap_counts(coefficients.shape, 3, taps)
    tap_weights = np.zeros((3, 4))
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                for a in range(3):
                    place = matrix[a, 0] * z + matrix[a, 1] * y + matrix[a, 2] * x + offset[a]
                    first[a] = weights(place, coefficients.shape[1 + a], 3, tap_weights[a])
                for c in range(channels):
                    value = gather(coefficients, c, first, taps, tap_weights)
                    out[c, z, y, x] = min(max(value, limits[0, c]), limits[1, c])
