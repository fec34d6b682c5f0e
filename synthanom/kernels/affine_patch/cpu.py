"""Compiled twin of `reference`: by rows, where the region's blending looks at the patch."""

from typing import Any

import numpy as np

from synthanom.kernels.compiled import njit
from synthanom.kernels.cubic_spline.cpu import (
    clamped,
    coefficients,
    interpolate,
    need,
    no_bounds,
    plane_range,
    room_for,
)
from synthanom.kernels.region_mask.rows import end_of_block, rows_of, rows_of_spans, voxels_in

SEGMENT = 16  # voxels of a row whose common bounding box in the donor is filtered
BLOCK = 1024  # voxels sampled at a time


@njit(nogil=True, cache=True)
def needed_rows(region: Any, flat: bool) -> Any:
    """The rows wanted of a box: its region's voxels, uint8 (Z, Y, X), and their next neighbours along every axis.

    These are the ends of the region's forward differences.
    """
    nz, ny, nx = region.shape
    spans = np.zeros((nz, ny, 2), np.int32)
    rows = rows_of(region)
    for r in range(rows.shape[0]):
        z, y, low, high = rows[r, 0], rows[r, 1], rows[r, 2], rows[r, 3]
        _widen(spans, z, y, low, min(high + 1, nx))
        if y + 1 < ny:
            _widen(spans, z, y + 1, low, high)
        if not flat and z + 1 < nz:
            _widen(spans, z + 1, y, low, high)
    return rows_of_spans(spans)


@njit(nogil=True, cache=True)
def _widen(spans: Any, z: int, y: int, low: int, high: int) -> None:
    """Make a row's span hold [low, high) too."""
    if spans[z, y, 1] <= spans[z, y, 0]:
        spans[z, y, 0], spans[z, y, 1] = low, high
    else:
        spans[z, y, 0], spans[z, y, 1] = min(spans[z, y, 0], low), max(spans[z, y, 1], high)


@njit(nogil=True, cache=True)
def all_rows(shape: Any) -> Any:
    """The rows of a whole box (Z, Y, X)."""
    spans = np.zeros((shape[0], shape[1], 2), np.int32)
    spans[:, :, 1] = shape[2]
    return rows_of_spans(spans)


@njit(nogil=True, cache=True)
def donor_bounds(rows: Any, sides: Any, matrix: Any, offset: Any) -> Any:
    """Which of a donor's coefficients the rows need: bounds, and the plane at which they begin."""
    low, high = np.empty(3), np.empty(3)
    lowest, highest = np.inf, -np.inf
    for r in range(rows.shape[0]):
        _ends(rows, r, rows[r, 2], rows[r, 3] - 1, matrix, offset, low, high)
        lowest, highest = min(lowest, low[0]), max(highest, high[0])
    first_plane, planes = plane_range(sides, lowest, highest)
    bounds = no_bounds(planes)
    for r in range(rows.shape[0]):
        for start in range(rows[r, 2], rows[r, 3], SEGMENT):
            _ends(rows, r, start, min(start + SEGMENT, rows[r, 3]) - 1, matrix, offset, low, high)
            need(bounds, first_plane, sides, low, high)
    return bounds, first_plane


@njit(nogil=True, cache=True)
def _ends(rows: Any, r: int, start: int, last: int, matrix: Any, offset: Any, low: Any, high: Any) -> None:
    """Write the bounding box, in the donor, of the voxels from `start` to `last` of a row."""
    for axis in range(3):
        base = matrix[axis, 0] * rows[r, 0] + matrix[axis, 1] * rows[r, 1] + offset[axis]
        a, b = base + matrix[axis, 2] * start, base + matrix[axis, 2] * last
        low[axis], high[axis] = min(a, b), max(a, b)


@njit(nogil=True, cache=True)
def sample_rows(out: Any, donor: Any, matrix: Any, offset: Any, limits: Any, rows: Any, weights: Any) -> None:
    """Fill rows of `out` (C, Z, Y, X) with the spline's values at matrix @ q + offset, clipped to `limits` (2, C)."""
    if rows.shape[0] == 0:
        return
    sides = donor.shape[1:]
    bounds, first_plane = donor_bounds(rows, sides, matrix, offset)
    room = room_for(max(BLOCK, out.shape[3]))
    origin = np.empty(3, np.int64)
    for c in range(out.shape[0]):
        values = coefficients(donor, c, bounds, first_plane, weights, origin)
        start = 0
        while start < rows.shape[0]:
            end = end_of_block(rows, start, BLOCK)
            for r in range(start, end):
                _place(room[0], rows, r, start, matrix, offset, sides, origin)
            interpolate(room, voxels_in(rows, start, end), values, 3)
            for r in range(start, end):
                _put(out, c, rows, r, start, room[1], limits)
            start = end


@njit(nogil=True, cache=True)
def _place(points: Any, rows: Any, r: int, start: int, matrix: Any, offset: Any, sides: Any, origin: Any) -> None:
    """Write where the voxels of a row lie in the coefficients."""
    place, first, count = rows[r, 4] - rows[start, 4], rows[r, 2], rows[r, 3] - rows[r, 2]
    for axis in range(3):
        base = matrix[axis, 0] * rows[r, 0] + matrix[axis, 1] * rows[r, 1] + offset[axis]
        step, side, zero = matrix[axis, 2], sides[axis], np.float64(origin[axis])
        line = points[axis, place : place + count]
        for i in range(count):
            line[i] = clamped(base + step * (first + i), side) - zero


@njit(nogil=True, cache=True)
def _put(out: Any, c: int, rows: Any, r: int, start: int, found: Any, limits: Any) -> None:
    """Write the values of a row, clipped."""
    least, most = np.float32(limits[0, c]), np.float32(limits[1, c])
    place, count = rows[r, 4] - rows[start, 4], rows[r, 3] - rows[r, 2]
    line, values = out[c, rows[r, 0], rows[r, 1], rows[r, 2] : rows[r, 3]], found[place : place + count]
    for x in range(count):
        line[x] = min(max(values[x], least), most)
