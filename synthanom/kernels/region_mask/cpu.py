"""Compiled twin of `reference`, by rows: a convex shape holds one run of voxels of each.

The runs of a shape over a box are its *spans*: int32 (Z, Y, 2), the first voxel of the row inside and the one after
the last, (0, 0) for none. Their ends are roots of a quadratic, or where planes are crossed, and are then settled by the
very condition that defines the shape; testing every voxel took 5 ns each.
"""

import math
from typing import Any

import numpy as np

from synthanom.kernels.compiled import njit

SLACK = 1e-12  # relative; rounding of the roots is below it, so that a span looked for holds the span there is


@njit(nogil=True, cache=True, error_model="numpy")
def is_inside(ellipsoid: bool, half: Any, inverse: Any, along: Any, px: float) -> Any:
    """The definition at one voxel; `along` is what z and y add to the three own coordinates."""
    oz = (along[0] + inverse[0, 2] * px) / half[0]
    oy = (along[1] + inverse[1, 2] * px) / half[1]
    ox = (along[2] + inverse[2, 2] * px) / half[2]
    if ellipsoid:
        return oz * oz + oy * oy + ox * ox <= 1.0
    return abs(oz) <= 1.0 and abs(oy) <= 1.0 and abs(ox) <= 1.0


@njit(nogil=True, cache=True, error_model="numpy")
def reach_along_row(ellipsoid: bool, half: Any, inverse: Any, along: Any) -> Any:
    """Between which x, relative to the shape's centre, a row may be inside: a little wider than it is."""
    low, high = -np.inf, np.inf
    if not ellipsoid:
        for i in range(3):
            a, d = along[i] / half[i], inverse[i, 2] / half[i]
            bound = 1.0 + SLACK * (1.0 + abs(a))
            if d == 0.0:
                if abs(a) > bound:
                    return 1.0, -1.0
                continue
            one, other = (-bound - a) / d, (bound - a) / d
            low, high = max(low, min(one, other)), min(high, max(one, other))
        return low, high
    aa, ad, dd = -1.0, 0.0, 0.0  # |a + d x|^2 - 1 = aa + 2 ad x + dd x^2
    for i in range(3):
        a, d = along[i] / half[i], inverse[i, 2] / half[i]
        aa, ad, dd = aa + a * a, ad + a * d, dd + d * d
    discriminant = ad * ad - dd * aa + SLACK * dd * (aa + 2.0)
    if not discriminant >= 0.0:
        return 1.0, -1.0
    root = math.sqrt(discriminant)
    return (-ad - root) / dd, (-ad + root) / dd


@njit(nogil=True, cache=True, error_model="numpy")
def fill_spans(spans: Any, width: int, ellipsoid: bool, half: Any, inverse: Any, start: Any) -> None:
    """Write the spans of a shape over a box with rows of `width` voxels; `start` is its corner minus the centre."""
    along = np.empty(3)
    for z in range(spans.shape[0]):
        pz = start[0] + z
        for y in range(spans.shape[1]):
            py = start[1] + y
            for i in range(3):
                along[i] = inverse[i, 0] * pz + inverse[i, 1] * py
            left, right = reach_along_row(ellipsoid, half, inverse, along)
            # clipped as floats: a plane nearly along the row is crossed anywhere
            low = math.ceil(max(left - start[2] - 1e-6, 0.0)) if left - start[2] < width else width
            high = math.floor(min(right - start[2] + 1e-6, width - 1.0)) + 1 if right >= start[2] - 1.0 else 0
            while low < high and not is_inside(ellipsoid, half, inverse, along, start[2] + low):
                low += 1
            while low < high and not is_inside(ellipsoid, half, inverse, along, start[2] + (high - 1)):
                high -= 1
            spans[z, y, 0] = low if low < high else 0
            spans[z, y, 1] = high if low < high else 0


@njit(nogil=True, cache=True)
def tight_spans(wide: Any, corner: Any, margin: int, box: Any) -> Any:
    """Cut spans down to the voxels they hold and a margin within `box`, [first, end) per axis (3, 2).

    `corner`, the box's first voxel, moves along; returns the spans, the width of their rows and how many voxels there
    are (0: nothing else means anything).
    """
    bounds = np.empty((3, 2), np.int64)
    bounds[:, 0] = 2**31
    bounds[:, 1] = -1
    count = 0
    for z in range(wide.shape[0]):
        for y in range(wide.shape[1]):
            low, high = wide[z, y, 0], wide[z, y, 1]
            if high > low:
                count += high - low
                bounds[0, 0], bounds[0, 1] = min(bounds[0, 0], z), z
                bounds[1, 0], bounds[1, 1] = min(bounds[1, 0], y), max(bounds[1, 1], y)
                bounds[2, 0], bounds[2, 1] = min(bounds[2, 0], low), max(bounds[2, 1], high - 1)
    if count == 0:
        return np.zeros((1, 1, 2), np.int32), 0, 0
    for axis in range(3):
        low, high = bounds[axis, 0] + corner[axis], bounds[axis, 1] + corner[axis] + 1
        bounds[axis, 0], bounds[axis, 1] = max(low - margin, box[axis, 0]), min(high + margin, box[axis, 1])
    spans = np.zeros((bounds[0, 1] - bounds[0, 0], bounds[1, 1] - bounds[1, 0], 2), np.int32)
    shift = corner[2] - bounds[2, 0]
    for z in range(spans.shape[0]):
        from_z = z + bounds[0, 0] - corner[0]
        for y in range(spans.shape[1]):
            from_y = y + bounds[1, 0] - corner[1]
            if 0 <= from_z < wide.shape[0] and 0 <= from_y < wide.shape[1] and wide[from_z, from_y, 1] > 0:
                spans[z, y, 0] = wide[from_z, from_y, 0] + shift
                spans[z, y, 1] = wide[from_z, from_y, 1] + shift
    corner[:] = bounds[:, 0]
    return spans, bounds[2, 1] - bounds[2, 0], count


@njit(nogil=True, cache=True, error_model="numpy")
def shape_spans(ellipsoid: bool, half: Any, matrix: Any, position: Any, margin: int, box: Any, corner: Any) -> Any:
    """Tight spans of a shape within `box`, [first, end) per axis (3, 2); writes their first voxel to `corner`.

    Returned as `tight_spans` does; a count of -1 means that the matrix has no inverse.
    """
    inverse = np.empty((3, 3))
    determinant = invert(matrix, inverse)
    if determinant == 0.0 or not math.isfinite(determinant):
        return np.zeros((1, 1, 2), np.int32), 0, -1
    low, size = np.empty(3, np.int64), np.empty(3, np.int64)
    start = np.empty(3)
    for axis in range(3):
        reach = extent(ellipsoid, half, matrix, axis) + 1.0
        # clipped as floats: a shape may lie anywhere
        low[axis] = int(max(math.floor(position[axis] - reach), float(box[axis, 0])))
        high = int(min(math.ceil(position[axis] + reach) + 1.0, float(box[axis, 1])))
        size[axis] = high - low[axis]
        start[axis] = low[axis] - position[axis]
        if size[axis] <= 0:
            return np.zeros((1, 1, 2), np.int32), 0, 0
    wide = np.empty((size[0], size[1], 2), np.int32)
    fill_spans(wide, size[2], ellipsoid, half, inverse, start)
    corner[:] = low
    return tight_spans(wide, corner, margin, box)


@njit(nogil=True, cache=True)
def extent(ellipsoid: bool, half: Any, matrix: Any, axis: int) -> Any:
    """How far a shape reaches from its centre along an image axis."""
    total = 0.0
    for i in range(3):
        part = abs(matrix[axis, i] * half[i])
        total += part * part if ellipsoid else part
    return math.sqrt(total) if ellipsoid else total


@njit(nogil=True, cache=True, error_model="numpy")
def invert(matrix: Any, out: Any) -> Any:
    """`arrays.inverse_matrix` for a 3 x 3 matrix, with the same roundings; returns the determinant."""
    for i in range(3):
        a, b = (i + 1) % 3, (i + 2) % 3
        out[0, i] = matrix[a, 1] * matrix[b, 2] - matrix[a, 2] * matrix[b, 1]
        out[1, i] = matrix[a, 2] * matrix[b, 0] - matrix[a, 0] * matrix[b, 2]
        out[2, i] = matrix[a, 0] * matrix[b, 1] - matrix[a, 1] * matrix[b, 0]
    determinant = matrix[0, 0] * out[0, 0] + matrix[0, 1] * out[1, 0] + matrix[0, 2] * out[2, 0]
    for i in range(3):
        for j in range(3):
            out[i, j] /= determinant
    return determinant


@njit(nogil=True, cache=True)
def mask_of(spans: Any, width: int) -> Any:
    """The mask that spans stand for: bool (Z, Y, width)."""
    out = np.zeros((spans.shape[0], spans.shape[1], width), np.bool_)
    for z in range(spans.shape[0]):
        for y in range(spans.shape[1]):
            out[z, y, spans[z, y, 0] : spans[z, y, 1]] = True
    return out
