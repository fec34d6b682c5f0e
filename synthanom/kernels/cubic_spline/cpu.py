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
import numpy.typing as npt

from synthanom.kernels.compiled import njit
from synthanom.kernels.cubic_spline.lanes import picture_sum, volume_sum

RADIUS = 12  # neighbours on either side that the prefilter looks at; the first one left out weighs 6e-8
REACH = RADIUS + 4  # voxels beyond the image from where on the repeated border gives one value

NOTHING = 2**31  # first row of an empty plane


def _prefilter() -> npt.NDArray[np.float32]:
    """The prefilter's weights at distances 0, 1, ...: float32, adding up to 1 over both sides."""
    weights = (math.sqrt(3.0) - 2.0) ** np.arange(RADIUS + 1)
    return np.asarray(weights / (2 * weights.sum() - weights[0]), dtype=np.float32)


WEIGHTS = {1: np.ones(1, dtype=np.float32), 3: _prefilter()}  # of the prefilter, by the spline's order


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
def coefficients(image: Any, channel: int, bounds: Any, first_plane: int, weights: Any, origin: Any) -> Any:
    """Filter the needed part of a channel of an image (C, Z, Y, X), its border repeated outside.

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
        if image.shape[1] == 1:  # a flat axis is not filtered
            copy_clamped(values.reshape(-1), y * width, width, image, channel, 0, origin[1] + y, origin[2])
        else:
            _across_planes(values, y, image, channel, bounds, origin, weights, before, after)
    for z in range(values.shape[0]):
        if bounds[z, 1] > bounds[z, 0]:
            _within_plane(values, z, bounds, origin, weights, before, after)
    return values


@njit(nogil=True, cache=True)
def _across_planes(
    values: Any, row: int, image: Any, channel: int, bounds: Any, origin: Any, weights: Any, before: Any, after: Any
) -> None:
    """Filter one row of all planes along the first axis, where the rows around it are needed."""
    radius = weights.size - 1
    y = origin[1] + row
    first, end, left, right = bounds.shape[0], 0, NOTHING, -NOTHING
    for z in range(bounds.shape[0]):
        if bounds[z, 0] - radius <= y < bounds[z, 1] + radius:
            first, end = min(first, z), z + 1
            left, right = min(left, bounds[z, 2] - radius), max(right, bounds[z, 3] + radius)
    if end <= first:
        return
    width = right - left
    for k in range(end - first + 2 * radius):
        copy_clamped(before, k * width, width, image, channel, origin[0] + first - radius + k, y, left)
    filter_strided(after, (end - first) * width, before, width, weights)
    shift = left - origin[2]
    for z in range(first, end):
        source, target = after[(z - first) * width : (z - first + 1) * width], values[z, row, shift : shift + width]
        for x in range(width):
            target[x] = source[x]


@njit(nogil=True, cache=True)
def _within_plane(values: Any, z: int, bounds: Any, origin: Any, weights: Any, before: Any, after: Any) -> None:
    """Filter a plane along both its axes, within its bounds."""
    radius = weights.size - 1
    rows, width = bounds[z, 1] - bounds[z, 0], bounds[z, 3] - bounds[z, 2] + 2 * radius
    top, left = bounds[z, 0] - origin[1], bounds[z, 2] - radius - origin[2]
    for k in range(rows + 2 * radius):
        source, target = values[z, top - radius + k, left : left + width], before[k * width : (k + 1) * width]
        for x in range(width):
            target[x] = source[x]
    filter_strided(after, rows * width, before, width, weights)
    filter_strided(before, rows * width - 2 * radius, after, 1, weights)
    for k in range(rows):
        inner = width - 2 * radius
        source = before[k * width : k * width + inner]
        target = values[z, top + k, left + radius : left + radius + inner]
        for x in range(inner):
            target[x] = source[x]


# What follows takes whole arrays and places in them: a slice handed to a function is counted by reference, at 20 ns.
@njit(nogil=True, cache=True)
def copy_clamped(out: Any, place: int, count: int, image: Any, channel: int, z: int, y: int, start: int) -> None:
    """Copy `count` voxels of an image's row from `start` on to `place` of a flat array, the border repeated outside."""
    row = image[channel, min(max(z, 0), image.shape[1] - 1), min(max(y, 0), image.shape[2] - 1)]
    line, width = out[place : place + count], row.size
    first = min(max(-start, 0), count)
    last = max(min(width - start, count), first)
    for x in range(first):
        line[x] = row[0]
    part, inner = row[start + first : start + last], line[first:last]
    for x in range(part.size):
        inner[x] = part[x]
    for x in range(last, count):
        line[x] = row[width - 1]


@njit(nogil=True, cache=True)
def filter_strided(out: Any, count: int, values: Any, step: int, weights: Any) -> None:
    """out[i] = sum of weights[|k|] values[i + (radius + k) step] over |k| <= radius, i < count; arrays of one axis."""
    middle = (weights.size - 1) * step
    centre, line = values[middle : middle + count], out[:count]
    for i in range(count):
        line[i] = weights[0] * centre[i]
    for k in range(1, weights.size, 3):  # RADIUS is a multiple of 3
        _add_pairs(out, count, values, middle, k, step, weights)


@njit(nogil=True, cache=True)
def _add_pairs(out: Any, count: int, values: Any, middle: int, k: int, step: int, weights: Any) -> None:
    """Add three neighbours on either side; six sources are few enough for the compiler to tell that none is `out`."""
    line = out[:count]
    d = middle - k * step
    a0, a1, a2 = values[d:], values[d - step :], values[d - 2 * step :]
    d = middle + k * step
    b0, b1, b2 = values[d:], values[d + step :], values[d + 2 * step :]
    f, g, h = weights[k], weights[k + 1], weights[k + 2]
    for i in range(count):
        line[i] += f * (a0[i] + b0[i]) + g * (a1[i] + b1[i]) + h * (a2[i] + b2[i])


@njit(nogil=True, cache=True)
def room_for(points: int) -> Any:
    """Room to interpolate at as many points: their coordinates, what is found, and what `interpolate` works in."""
    taps = np.empty((3, points, 4), np.float32)
    return (
        np.empty((3, points)),
        np.empty(points, np.float32),
        taps,
        np.empty(points, np.int64),
        np.empty(points, np.float32),
    )


@njit(nogil=True, cache=True)
def interpolate(room: Any, count: int, values: Any, order: int) -> None:
    """Interpolate at the first points of `room`, in voxels of the coefficients (Z, Y, X)."""
    points, found, taps, places, parts = room
    nz, ny, nx = values.shape
    for i in range(count):
        places[i] = 0
    for axis, step in ((0, ny * nx), (1, nx), (2, 1)):
        if axis > 0 or nz > 1:
            _split(points, axis, count, step, places, parts)
            _weigh(parts, count, order, taps, axis)
    flat, wz, wy, wx = values.reshape(-1), taps[0], taps[1], taps[2]
    if nz == 1:
        for i in range(count):
            found[i] = picture_sum(flat, places[i], nx, wy, wx, i)
    else:
        for i in range(count):
            found[i] = volume_sum(flat, places[i], nx, ny * nx, wz, wy, wx, i)


@njit(nogil=True, cache=True)
def _split(points: Any, axis: int, count: int, step: int, places: Any, parts: Any) -> None:
    """Add (floor - 1) * step of coordinates along an axis to `places`; write what is left to `parts`."""
    positions = points[axis]
    for i in range(count):
        base = np.floor(positions[i])
        parts[i] = np.float32(positions[i] - base)
        places[i] += (np.int64(base) - 1) * step


@njit(nogil=True, cache=True)
def _weigh(parts: Any, count: int, order: int, taps: Any, axis: int) -> None:
    """Write the weights of the four taps around points that lie `parts` in [0, 1) past the second tap."""
    weights = taps[axis].reshape(-1)
    one, two, half = np.float32(1), np.float32(2), np.float32(0.5)
    sixth, two_thirds = np.float32(1 / 6), np.float32(2 / 3)
    if order == 1:
        for i in range(count):
            weights[4 * i] = np.float32(0)
            weights[4 * i + 1] = one - parts[i]
            weights[4 * i + 2] = parts[i]
            weights[4 * i + 3] = np.float32(0)
        return
    for i in range(count):
        t = parts[i]
        s = one - t
        weights[4 * i] = s * s * s * sixth
        weights[4 * i + 1] = two_thirds - t * t * (two - t) * half
        weights[4 * i + 2] = two_thirds - s * s * (two - s) * half
        weights[4 * i + 3] = t * t * t * sixth


@njit(nogil=True, cache=True)
def sample_points(out: Any, image: Any, points: Any, order: int, weights: Any) -> None:
    """Interpolate an image (C, Z, Y, X) at points (3, n) into `out` (C, n)."""
    sides = image.shape[1:]
    first_plane, planes = plane_range(sides, points[0].min(), points[0].max())
    bounds = no_bounds(planes)
    for i in range(points.shape[1]):
        need(bounds, first_plane, sides, points[:, i], points[:, i])
    room = room_for(points.shape[1])
    origin = np.empty(3, np.int64)
    for c in range(out.shape[0]):
        values = coefficients(image, c, bounds, first_plane, weights, origin)
        for axis in range(3):
            for i in range(points.shape[1]):
                room[0][axis, i] = clamped(points[axis, i], sides[axis]) - origin[axis]
        interpolate(room, points.shape[1], values, order)
        out[c] = room[1]


@njit(nogil=True, cache=True)
def plane_range(sides: Any, low: float, high: float) -> Any:
    """The first plane that points between two coordinates need, and how many planes; a flat axis has one."""
    if sides[0] == 1:
        return 0, 1
    first = math.floor(clamped(low, sides[0])) - 1
    return first, math.floor(clamped(high, sides[0])) + 3 - first
