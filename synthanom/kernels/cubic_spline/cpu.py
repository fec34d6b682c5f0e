"""Compiled cubic B-splines on volumes (Z, Y, X) of one channel: filter what is needed, then gather.

The recursive prefilter is a convolution with sqrt(3) (sqrt(3) - 2)^|k|. Cut off at `RADIUS` and written as one it needs
no state from beyond a crop, so that each part of an image is filtered where it is sampled and nowhere else, and it runs
over contiguous memory along every axis.

Which coefficients are needed is kept per plane: *bounds*, int64 (planes, 4), rows [first, end) and columns [first, end)
in image coordinates, of planes that begin at some `first_plane`; an empty plane has end <= first.
"""

import math
from typing import Any

import numpy as np
from numba import njit

from synthanom.kernels.cubic_spline.lanes import picture_sum, volume_sum

RADIUS = 12  # neighbours on either side that the prefilter looks at; the first one left out weighs 6e-8
REACH = RADIUS + 4  # voxels beyond the image from where on the repeated border gives one value

NOTHING = 2**31  # first row of an empty plane


def filter_weights(order: int) -> Any:
    """The prefilter's weights at distances 0, 1, ...: float32, adding up to 1 over both sides; [1] for `order` 1."""
    if order == 1:
        return np.ones(1, dtype=np.float32)
    weights = (math.sqrt(3.0) - 2.0) ** np.arange(RADIUS + 1)
    return (weights / (2 * weights.sum() - weights[0])).astype(np.float32)


@njit(nogil=True, cache=True)
def no_bounds(planes: int) -> Any:
    """Bounds of planes of which nothing is needed."""
    bounds = np.empty((planes, 4), np.int64)
    for i in range(planes):
        bounds[i, 0] = bounds[i, 2] = NOTHING
        bounds[i, 1] = bounds[i, 3] = -NOTHING
    return bounds


@njit(nogil=True, cache=True)
def clamped(position: float, side: int) -> float:
    """A coordinate brought within `REACH` of the image, beyond which nothing changes."""
    return min(max(position, -float(REACH)), float(side + REACH - 1))


@njit(nogil=True, cache=True)
def need(bounds: Any, first_plane: int, sides: Any, low: Any, high: Any) -> None:
    """Widen bounds so that points between `low` and `high` (3,) can be interpolated."""
    flat = sides[0] == 1
    first = 0 if flat else math.floor(clamped(low[0], sides[0])) - 1
    last = 0 if flat else math.floor(clamped(high[0], sides[0])) + 2
    y0, y1 = math.floor(clamped(low[1], sides[1])) - 1, math.floor(clamped(high[1], sides[1])) + 3
    x0, x1 = math.floor(clamped(low[2], sides[2])) - 1, math.floor(clamped(high[2], sides[2])) + 3
    for plane in range(first - first_plane, last - first_plane + 1):
        bounds[plane, 0] = min(bounds[plane, 0], y0)
        bounds[plane, 1] = max(bounds[plane, 1], y1)
        bounds[plane, 2] = min(bounds[plane, 2], x0)
        bounds[plane, 3] = max(bounds[plane, 3], x1)


@njit(nogil=True, cache=True)
def coefficients(image: Any, bounds: Any, first_plane: int, weights: Any, origin: Any) -> Any:
    """Filter the needed part of an image (Z, Y, X), its border repeated outside.

    Returns an array over the box around all bounds and what filtering them reads, valid within the bounds only; writes
    the image coordinate of its first voxel to `origin` (3,).
    """
    radius = weights.size - 1
    box = np.array([bounds[:, 0].min(), bounds[:, 1].max(), bounds[:, 2].min(), bounds[:, 3].max()])
    filled = np.flatnonzero(bounds[:, 1] > bounds[:, 0])
    start = filled[0]
    bounds = bounds[start : filled[-1] + 1]
    origin[0], origin[1], origin[2] = first_plane + start, box[0] - radius, box[2] - radius
    values = np.empty((bounds.shape[0], box[1] - box[0] + 2 * radius, box[3] - box[2] + 2 * radius), np.float32)
    rows, width = max(values.shape[0], values.shape[1]) + 2 * radius, values.shape[2]
    before, after = np.empty(rows * width, np.float32), np.empty(rows * width, np.float32)
    for y in range(values.shape[1]):
        _across_planes(values, y, image, bounds, origin, weights, before, after)
    for z in range(values.shape[0]):
        if bounds[z, 1] > bounds[z, 0]:
            _within_plane(values[z], bounds[z], origin, weights, before, after)
    return values


@njit(nogil=True, cache=True)
def _across_planes(
    values: Any, row: int, image: Any, bounds: Any, origin: Any, weights: Any, before: Any, after: Any
) -> None:
    """Filter one row of all planes along the first axis, where the rows around it are needed."""
    radius = weights.size - 1
    across = weights if image.shape[0] > 1 else np.ones(1, np.float32)  # a flat axis is not filtered
    depth = across.size - 1
    y = origin[1] + row
    first, end, left, right = bounds.shape[0], 0, NOTHING, -NOTHING
    for z in range(bounds.shape[0]):
        if bounds[z, 0] - radius <= y < bounds[z, 1] + radius:
            first, end = min(first, z), z + 1
            left, right = min(left, bounds[z, 2] - radius), max(right, bounds[z, 3] + radius)
    if end <= first:
        return
    width = right - left
    inside_y = min(max(y, 0), image.shape[1] - 1)
    for k in range(end - first + 2 * depth):
        inside_z = min(max(origin[0] + first - depth + k, 0), image.shape[0] - 1)
        copy_clamped(before[k * width : (k + 1) * width], image[inside_z, inside_y], left)
    count = (end - first) * width
    filter_strided(after[:count], before, width, across)
    shift = left - origin[2]
    for z in range(first, end):
        line = after[(z - first) * width : (z - first + 1) * width]
        for x in range(width):
            values[z, row, shift + x] = line[x]


@njit(nogil=True, cache=True)
def _within_plane(plane: Any, bounds: Any, origin: Any, weights: Any, before: Any, after: Any) -> None:
    """Filter a plane along both its axes, within its bounds."""
    radius = weights.size - 1
    rows, width = bounds[1] - bounds[0], bounds[3] - bounds[2] + 2 * radius
    top, left = bounds[0] - origin[1], bounds[2] - radius - origin[2]
    for k in range(rows + 2 * radius):
        line = plane[top - radius + k, left : left + width]
        for x in range(width):
            before[k * width + x] = line[x]
    filter_strided(after[: rows * width], before, width, weights)
    count = rows * width - 2 * radius
    filter_strided(before[:count], after, 1, weights)
    for k in range(rows):
        line = plane[top + k, left + radius : left + width - radius]
        for x in range(line.size):
            line[x] = before[k * width + x]


@njit(nogil=True, cache=True)
def copy_clamped(out: Any, row: Any, start: int) -> None:
    """Copy the part of a row that begins at `start`, its ends repeated outside."""
    n, width = out.size, row.size
    first = min(max(-start, 0), n)
    last = max(min(width - start, n), first)
    for x in range(first):
        out[x] = row[0]
    part = row[start + first : start + last]
    inner = out[first:last]
    for x in range(part.size):
        inner[x] = part[x]
    for x in range(last, n):
        out[x] = row[width - 1]


@njit(nogil=True, cache=True)
def filter_strided(out: Any, values: Any, step: int, weights: Any) -> None:
    """out[i] = sum of weights[|k|] values[i + (radius + k) step] over |k| <= radius; arrays of one axis."""
    middle = (weights.size - 1) * step
    n = out.size
    centre = values[middle : middle + n]
    for i in range(n):
        out[i] = weights[0] * centre[i]
    for k in range(1, weights.size, 3):  # RADIUS is a multiple of 3
        _add_pairs(out, values[middle - (k + 2) * step :], values[middle + k * step :], step, weights[k : k + 3])


@njit(nogil=True, cache=True)
def _add_pairs(out: Any, before: Any, after: Any, step: int, weights: Any) -> None:
    """Add three neighbours on either side; six sources are few enough for the compiler to tell that none is `out`."""
    n = out.size
    far, mid, near = before[:n], before[step : step + n], before[2 * step : 2 * step + n]
    a, b, c = after[:n], after[step : step + n], after[2 * step : 2 * step + n]
    f, g, h = weights[0], weights[1], weights[2]
    for i in range(n):
        out[i] += f * (near[i] + a[i]) + g * (mid[i] + b[i]) + h * (far[i] + c[i])


@njit(nogil=True, cache=True)
def split(positions: Any, step: int, places: Any, parts: Any) -> None:
    """Add (floor - 1) * step of positions along an axis to `places` (n,) int64; write what is left to `parts`."""
    for i in range(places.size):
        base = np.floor(positions[i])
        parts[i] = np.float32(positions[i] - base)
        places[i] += (np.int64(base) - 1) * step


@njit(nogil=True, cache=True)
def weigh(parts: Any, order: int, weights: Any) -> None:
    """Write the weights (4 n,) of the four taps around points `parts` (n,) in [0, 1) past the second tap."""
    one, two, half = np.float32(1), np.float32(2), np.float32(0.5)
    sixth, two_thirds = np.float32(1 / 6), np.float32(2 / 3)
    if order == 1:
        for i in range(parts.size):
            weights[4 * i] = np.float32(0)
            weights[4 * i + 1] = one - parts[i]
            weights[4 * i + 2] = parts[i]
            weights[4 * i + 3] = np.float32(0)
        return
    for i in range(parts.size):
        t = parts[i]
        s = one - t
        weights[4 * i] = s * s * s * sixth
        weights[4 * i + 1] = two_thirds - t * t * (two - t) * half
        weights[4 * i + 2] = two_thirds - s * s * (two - s) * half
        weights[4 * i + 3] = t * t * t * sixth


@njit(nogil=True, cache=True)
def interpolate(out: Any, values: Any, points: Any, order: int, taps: Any, places: Any, parts: Any) -> None:
    """Interpolate at points (3, n) float64, in voxels of the coefficients (Z, Y, X), into `out` (n,) float32.

    `taps` (3, n, 4) and `parts` (n,), float32, and `places` (n,), int64, are room to work in, at least that long.
    """
    nz, ny, nx = values.shape
    n = out.size
    places = places[:n]
    for i in range(n):
        places[i] = 0
    for axis, step in ((0, ny * nx), (1, nx), (2, 1)):
        if axis > 0 or nz > 1:
            split(points[axis], step, places, parts)
            weigh(parts[:n], order, taps[axis].reshape(-1))
    flat = values.reshape(-1)
    if nz == 1:
        for i in range(n):
            out[i] = picture_sum(flat, places[i], nx, taps[1], taps[2], i)
    else:
        for i in range(n):
            out[i] = volume_sum(flat, places[i], nx, ny * nx, taps[0], taps[1], taps[2], i)


@njit(nogil=True, cache=True)
def sample_points(out: Any, image: Any, points: Any, order: int, weights: Any) -> None:
    """Interpolate an image (C, Z, Y, X) at points (3, n) into `out` (C, n)."""
    sides = image.shape[1:]
    first_plane, planes = plane_range(sides, points[0].min(), points[0].max())
    bounds = no_bounds(planes)
    for i in range(points.shape[1]):
        need(bounds, first_plane, sides, points[:, i], points[:, i])
    n = points.shape[1]
    shifted, taps = np.empty((3, n)), np.empty((3, n, 4), np.float32)
    places, parts = np.empty(n, np.int64), np.empty(n, np.float32)
    origin = np.empty(3, np.int64)
    for c in range(out.shape[0]):
        values = coefficients(image[c], bounds, first_plane, weights, origin)
        for axis in range(3):
            for i in range(n):
                shifted[axis, i] = clamped(points[axis, i], sides[axis]) - origin[axis]
        interpolate(out[c], values, shifted, order, taps, places, parts)


@njit(nogil=True, cache=True)
def plane_range(sides: Any, low: float, high: float) -> Any:
    """The first plane that points between two coordinates need, and how many planes; a flat axis has one."""
    if sides[0] == 1:
        return 0, 1
    first = math.floor(clamped(low, sides[0])) - 1
    return first, math.floor(clamped(high, sides[0])) + 3 - first
