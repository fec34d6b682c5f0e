"""Compiled twin of `reference`: mapping and interpolation in one pass over the region's voxels."""

import math
from typing import Any

import numpy as np
from numba import njit

from synthanom.kernels.cubic_spline.cpu import gather, tap_counts, weights


@njit(nogil=True, cache=True)
def surface_distance(o: Any, w: Any, ellipsoid: bool) -> Any:
    """t > 0 such that o + t w lies on the surface, or 0 where rounding leaves none; w is not all zero.

    In coordinates divided by the half widths, where the shape is the unit ball or the cube of side 2.
    """
    if ellipsoid:
        a = w[0] * w[0] + w[1] * w[1] + w[2] * w[2]
        b = o[0] * w[0] + o[1] * w[1] + o[2] * w[2]
        k = o[0] * o[0] + o[1] * o[1] + o[2] * o[2] - 1.0
        return (-b + math.sqrt(max(b * b - a * k, 0.0))) / a
    t = np.inf
    for i in range(3):
        # an axis along which the ray does not move never limits it; dividing by it gave NaN
        if w[i] != 0.0:
            t = min(t, (math.copysign(1.0, w[i]) - o[i]) / w[i])
    return t


@njit(nogil=True, cache=True)
def stretch(u: float, factor: float, sink: bool) -> Any:
    """By how much the vector from the centre to a voxel is stretched, at relative distance u in (0, 1]."""
    if sink:
        return (1.0 - (1.0 - u) ** factor) / u
    return u ** (factor - 1.0)


@njit(nogil=True, cache=True)
def warp_region(
    out: Any,
    coefficients: Any,
    origin: Any,
    mask: Any,
    corner: Any,
    ellipsoid: bool,
    half: Any,
    inverse: Any,
    position: Any,
    centre: Any,
    factor: float,
    sink: bool,
    order: int,
) -> None:
    """Write the warped values of the voxels in `mask` (Z, Y, X) into `out` (C, Z, Y, X)."""
    channels, nz, ny, nx = out.shape
    scaled = np.empty((3, 3))
    for i in range(3):
        for j in range(3):
            scaled[i, j] = inverse[i, j] / half[i]
    o = np.zeros(3)
    for i in range(3):
        for j in range(3):
            o[i] += scaled[i, j] * (centre[j] - position[j])
    p = np.empty(3)
    w = np.empty(3)
    first = np.empty(3, np.int64)
    taps = np.empty(3, np.int64)
    tap_counts(coefficients.shape, order, taps)
    tap_weights = np.zeros((3, 4))
    for z in range(nz):
        p[0] = corner[0] + z - centre[0]
        for y in range(ny):
            p[1] = corner[1] + y - centre[1]
            for x in range(nx):
                if not mask[z, y, x]:
                    continue
                p[2] = corner[2] + x - centre[2]
                if p[0] == 0.0 and p[1] == 0.0 and p[2] == 0.0:
                    continue  # the centre stays
                for i in range(3):
                    w[i] = scaled[i, 0] * p[0] + scaled[i, 1] * p[1] + scaled[i, 2] * p[2]
                t = surface_distance(o, w, ellipsoid)
                # written naively, rays along a face or a centre on the surface gave u above 1 or NaN
                u = 1.0 if t <= 0.0 else min(1.0 / t, 1.0)
                s = stretch(u, factor, sink)
                for a in range(3):
                    place = centre[a] + p[a] * s - origin[a]
                    first[a] = weights(place, coefficients.shape[1 + a], order, tap_weights[a])
                for c in range(channels):
                    out[c, z, y, x] = gather(coefficients, c, first, taps, tap_weights)
