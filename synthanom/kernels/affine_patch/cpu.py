"""Compiled twin of `reference`: row by row, where the region's blending looks at the patch."""

from typing import Any

import numpy as np
from numba import njit

from synthanom.kernels.cubic_spline.cpu import clamped, coefficients, interpolate, need, no_bounds, plane_range

SEGMENT = 16  # voxels of a row whose common bounding box in the donor is filtered


@njit(nogil=True, cache=True)
def needed_spans(region: Any, flat: bool) -> Any:
    """Per row of a box, uint8 (Z, Y, X), the first voxel wanted and the one after the last: int32 (Z, Y, 2).

    Wanted are the region's voxels and their next neighbours along every axis: the ends of its forward differences.
    """
    nz, ny, nx = region.shape
    spans = np.zeros((nz, ny, 2), np.int32)
    for z in range(nz):
        for y in range(ny):
            row = region[z, y]
            low, high = 0, nx
            while low < nx and row[low] == 0:
                low += 1
            if low == nx:
                continue
            while row[high - 1] == 0:
                high -= 1
            _widen(spans[z, y], low, min(high + 1, nx))
            if y + 1 < ny:
                _widen(spans[z, y + 1], low, high)
            if not flat and z + 1 < nz:
                _widen(spans[z + 1, y], low, high)
    return spans


@njit(nogil=True, cache=True)
def _widen(span: Any, low: int, high: int) -> None:
    """Make a span hold [low, high) too."""
    if span[1] <= span[0]:
        span[0], span[1] = low, high
    else:
        span[0], span[1] = min(span[0], low), max(span[1], high)


@njit(nogil=True, cache=True)
def donor_bounds(spans: Any, sides: Any, matrix: Any, offset: Any) -> Any:
    """Which of a donor's coefficients the rows need: bounds, and the plane at which they begin."""
    low, high = np.empty(3), np.empty(3)
    lowest, highest = np.inf, -np.inf
    for z in range(spans.shape[0]):
        for y in range(spans.shape[1]):
            if spans[z, y, 1] > spans[z, y, 0]:
                _ends(z, y, spans[z, y, 0], spans[z, y, 1] - 1, matrix, offset, low, high)
                lowest, highest = min(lowest, low[0]), max(highest, high[0])
    if highest < lowest:
        return no_bounds(0), 0
    first_plane, planes = plane_range(sides, lowest, highest)
    bounds = no_bounds(planes)
    for z in range(spans.shape[0]):
        for y in range(spans.shape[1]):
            for start in range(spans[z, y, 0], spans[z, y, 1], SEGMENT):
                last = min(start + SEGMENT, spans[z, y, 1]) - 1
                _ends(z, y, start, last, matrix, offset, low, high)
                need(bounds, first_plane, sides, low, high)
    return bounds, first_plane


@njit(nogil=True, cache=True)
def _ends(z: int, y: int, start: int, last: int, matrix: Any, offset: Any, low: Any, high: Any) -> None:
    """Write the bounding box, in the donor, of the voxels from `start` to `last` of a row."""
    for axis in range(3):
        base = matrix[axis, 0] * z + matrix[axis, 1] * y + offset[axis]
        a, b = base + matrix[axis, 2] * start, base + matrix[axis, 2] * last
        low[axis], high[axis] = min(a, b), max(a, b)


@njit(nogil=True, cache=True)
def sample_spans(out: Any, donor: Any, matrix: Any, offset: Any, limits: Any, spans: Any, weights: Any) -> None:
    """Fill the spans of `out` (C, Z, Y, X) with the spline's values at matrix @ q + offset, clipped to `limits`."""
    sides = donor.shape[1:]
    bounds, first_plane = donor_bounds(spans, sides, matrix, offset)
    if bounds.shape[0] == 0:
        return
    width = out.shape[3]
    points, taps = np.empty((3, width)), np.empty((3, width, 4), np.float32)
    places, parts = np.empty(width, np.int64), np.empty(width, np.float32)
    origin = np.empty(3, np.int64)
    for c in range(out.shape[0]):
        values = coefficients(donor[c], bounds, first_plane, weights, origin)
        least, most = np.float32(limits[0, c]), np.float32(limits[1, c])
        for z in range(spans.shape[0]):
            for y in range(spans.shape[1]):
                if spans[z, y, 1] <= spans[z, y, 0]:
                    continue
                for axis in range(3):
                    base = matrix[axis, 0] * z + matrix[axis, 1] * y + offset[axis]
                    _line(points[axis], base, matrix[axis, 2], spans[z, y], sides[axis], origin[axis])
                line = out[c, z, y, spans[z, y, 0] : spans[z, y, 1]]
                interpolate(line, values, points, 3, taps, places, parts)
                for x in range(line.size):
                    line[x] = min(max(line[x], least), most)


@njit(nogil=True, cache=True)
def _line(points: Any, base: float, step: float, span: Any, side: int, origin: int) -> None:
    """Write base + step x for the voxels x of a span, relative to the coefficients' origin."""
    for i in range(span[1] - span[0]):
        points[i] = clamped(base + step * (span[0] + i), side) - origin
