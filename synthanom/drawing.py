"""The draws, compiled: the numbers of a shape, its place, a patch, a deformation.

Every function takes plain arrays and numbers, with pictures as volumes of one layer, so that compiled code can draw
many recipes by the same definitions. Of the generator only `random`, `standard_normal` and `standard_gamma` are used,
whose compiled forms give numpy's very bits; functions without one are given what was drawn.
"""
# mypy: disallow-untyped-decorators=False

import math
from typing import Any

import numpy as np

from synthanom.kernels.compiled import njit
from synthanom.kernels.inner_boundary.cpu import mean_distance
from synthanom.kernels.placement.cpu import count_marked, good_positions, half_of, is_good, nth_marked, reachable
from synthanom.kernels.region_mask.cpu import shape_spans

UNLIMITED = 2**30  # a side that no shape reaches
LEAST_SHARE, MOST_SHARE = 0.1, 0.9  # of the largest push that a region allows


@njit(nogil=True, cache=True)
def uniform_index(u: float, n: int) -> int:
    """The integer in [0, n) that a uniform number u in [0, 1) picks."""
    return min(int(u * n), n - 1)


@njit(nogil=True, cache=True)
def turn(matrix: Any, a: int, b: int, angle: float) -> None:
    """Rotate a matrix, 3 x 3, in the plane of two axes from the left, in place."""
    cosine, sine = math.cos(angle), math.sin(angle)
    for i in range(3):
        first, second = matrix[a, i], matrix[b, i]
        matrix[a, i] = cosine * first - sine * second
        matrix[b, i] = sine * first + cosine * second


@njit(nogil=True, cache=True, error_model="numpy")
def draw_shape(rng: Any, sides: Any, dims: int, numbers: Any, size: Any, matrix: Any) -> bool:
    """Draw a shape into `size` (3,) and `matrix` (3, 3); returns whether it is an ellipsoid.

    `sides` (3,) are the image's, `numbers` those of `ShapeSettings.numbers`. The first axis of pictures stays 1.
    """
    smallest, largest, offset, gamma_shape, gamma_scale, shear = numbers
    first = 3 - dims
    ellipsoid = uniform_index(rng.random(), 2) == 0
    size[:] = 1
    for axis in range(first, 3):
        width = offset + gamma_scale * rng.standard_gamma(gamma_shape)
        low, high = max(np.rint(smallest * sides[axis]), 1.0), max(np.rint(largest * sides[axis]), 1.0)
        size[axis] = int(min(max(width * sides[axis], low), high))
    for i in range(3):
        for j in range(3):
            matrix[i, j] = 1.0 if i == j else 0.0
    for row in range(dims):
        column = uniform_index(rng.random(), dims - 1)
        matrix[first + row, first + column + (column >= row)] = shear * rng.standard_normal()
    for a in range(first, 3):
        for b in range(a + 1, 3):
            turn(matrix, a, b, math.pi * (rng.random() - 0.5))
    excess = 1.0
    for row in range(first, 3):
        reach = 0.0
        for i in range(first, 3):
            reach += abs(matrix[row, i] * ((size[i] - 1) / 2))
        excess = max(excess, (2 * math.ceil(reach) + 1) / max(np.rint(largest * sides[row]), 1.0))
    for i in range(first, 3):
        for j in range(first, 3):
            matrix[i, j] /= excess
    return ellipsoid


@njit(nogil=True, cache=True, error_model="numpy")
def place_shape(rng: Any, allowed: Any, proposals: Any, shape: Any, corner: Any, start: Any) -> Any:
    """Place a shape where its box fits and at least half of it is allowed.

    Returned as by `tight_spans`; a count of 0 means that there is no such place.

    `shape` is (ellipsoid, size, matrix), `proposals` (n, D) room for what is drawn. Writes the box's first voxel to
    `start`, and to `corner` what that voxel is relative to the shape's centre.
    """
    ellipsoid, size, matrix = shape
    dims = proposals.shape[1]
    first = 3 - dims
    box = np.empty((3, 2), np.int64)
    box[:, 0], box[:, 1] = -UNLIMITED, UNLIMITED
    box[:first, 0], box[:first, 1] = 0, 1
    spans, width, count = shape_spans(ellipsoid, size / 2, matrix, np.zeros(3), 1, box, corner)
    nz, ny, nx = allowed.shape
    room = np.array([nz - spans.shape[0] + 1, ny - spans.shape[1] + 1, nx - width + 1])
    if count <= 0 or room.min() <= 0:
        return spans, width, 0
    for k in range(proposals.shape[0]):
        for axis in range(dims):
            proposals[k, axis] = rng.random()
    start[:] = 0
    for k in range(proposals.shape[0]):
        for axis in range(dims):
            start[first + axis] = uniform_index(proposals[k, axis], room[first + axis])
        if is_good(allowed, spans, count, start):
            return spans, width, count
    return spans, width, count if place_exactly(rng, allowed, spans, width, count, start) else 0


@njit(nogil=True, cache=True)
def place_exactly(rng: Any, allowed: Any, spans: Any, width: int, count: int, start: Any) -> bool:
    """Draw `start` from all good positions; False, and nothing drawn, if there is none."""
    window = np.empty((3, 2), np.int64)
    size = np.array([spans.shape[0], spans.shape[1], width])
    if reachable(allowed, size, window) < half_of(count):
        return False
    part = allowed[window[0, 0] : window[0, 1], window[1, 0] : window[1, 1], window[2, 0] : window[2, 1]]
    good = good_positions(part, spans, width, count)
    found = count_marked(good)
    if found == 0:
        return False
    nth_marked(good, uniform_index(rng.random(), found), start)
    start += window[:, 0]
    return True


@njit(nogil=True, cache=True)
def draw_region(rng: Any, allowed: Any, proposals: Any, redraws: int, numbers: Any) -> Any:
    """Draw shapes until one has a place: (ellipsoid, size, matrix, corner, start, spans, width, count).

    As for `draw_shape` and `place_shape`; count is 0 if none of `redraws` shapes has one.
    """
    sides = np.array(allowed.shape)
    size, matrix = np.empty(3, np.int64), np.empty((3, 3))
    corner, start = np.empty(3, np.int64), np.empty(3, np.int64)
    while True:
        redraws -= 1
        ellipsoid = draw_shape(rng, sides, proposals.shape[1], numbers, size, matrix)
        spans, width, count = place_shape(rng, allowed, proposals, (ellipsoid, size, matrix), corner, start)
        if count > 0 or redraws <= 0:
            return ellipsoid, size, matrix, corner, start, spans, width, count


@njit(nogil=True, cache=True, error_model="numpy")
def pull_centre(region: Any, flat: bool, u: float, centre: Any) -> float:
    """Write the voxel of a region, uint8 (Z, Y, X), that u picks; returns its mean distance to the inner boundary."""
    nth_marked(region, uniform_index(u, count_marked(region)), centre)
    return mean_distance(region, flat, centre, np.ones(3))


@njit(nogil=True, cache=True)
def push_distance(distance: float, low: float, high: float, u: float) -> float:
    """The push in voxels that u in [0, 1) picks between bounds, within what a mean boundary distance allows."""
    largest = math.sqrt(distance * distance / 2)
    least, most = LEAST_SHARE * largest, MOST_SHARE * largest
    if low >= most:
        return most
    if high <= least:
        return least
    start, stop = max(least, low), min(most, high)
    return start + u * (stop - start)


@njit(nogil=True, cache=True, error_model="numpy")
def strength(distance: float, push: float) -> float:
    """ln(a / e) / ln(b / e) with e the distance, a = e/2 - push/sqrt(2) and b = e/2 + push/sqrt(2)."""
    a, b = distance / 2 - push / math.sqrt(2.0), distance / 2 + push / math.sqrt(2.0)
    return math.log(a / distance) / math.log(b / distance)


@njit(nogil=True, cache=True, error_model="numpy")
def patch_matrix(angles: Any, scale: float, size: Any, donor: Any, largest_part: float, matrix: Any) -> None:
    """Write rotations by `angles`, one per pair of axes, times a scale to `matrix` (3, 3).

    Capped so that a box of `size` (3,) needs no more than `largest_part` of the `donor`'s sides (3,).
    """
    first = 2 if angles.size == 0 else (1 if angles.size == 1 else 0)
    for i in range(3):
        for j in range(3):
            matrix[i, j] = 1.0 if i == j else 0.0
    k = 0
    for a in range(first, 3):
        for b in range(a + 1, 3):
            turn(matrix, a, b, angles[k])
            k += 1
    excess = 1.0
    for row in range(first, 3):
        needed = 0.0
        for i in range(first, 3):
            matrix[row, i] *= scale
            needed += abs(matrix[row, i] * (size[i] - 1))
        excess = max(excess, needed / max(largest_part * donor[row] - 1, 1.0))
    for i in range(first, 3):
        for j in range(first, 3):
            matrix[i, j] /= excess


@njit(nogil=True, cache=True, error_model="numpy")
def patch_offset(proposals: Any, size: Any, foreground: Any, matrix: Any, offset: Any) -> None:
    """Write the donor coordinates of the first voxel of a box of `size` (3,) to `offset` (3,).

    The middle is the first of the proposals, uniform numbers (n, D), that lies in the donor's foreground, uint8
    (Z, Y, X), or the first of all.
    """
    dims = proposals.shape[1]
    lowest, room, middle = np.zeros(3), np.zeros(3), np.zeros(3)
    for row in range(3 - dims, 3):
        needed = 0.0
        for i in range(3 - dims, 3):
            needed += abs(matrix[row, i] * (size[i] - 1))
        last = foreground.shape[row] - 1.0
        lowest[row], room[row] = min(needed / 2, last / 2), max(last - 2 * (needed / 2), 0.0)
    chosen = 0
    for k in range(proposals.shape[0]):
        place_middle(middle, proposals[k], lowest, room)
        if foreground[int(np.rint(middle[0])), int(np.rint(middle[1])), int(np.rint(middle[2]))] != 0:
            chosen = k
            break
    place_middle(middle, proposals[chosen], lowest, room)
    for row in range(3):
        offset[row] = middle[row]
        for i in range(3 - dims, 3):
            offset[row] -= matrix[row, i] * ((size[i] - 1) / 2)


@njit(nogil=True, cache=True)
def place_middle(middle: Any, proposal: Any, lowest: Any, room: Any) -> None:
    """Write where a proposal, uniform numbers (D,), puts the middle of a patch."""
    first = 3 - proposal.size
    for axis in range(proposal.size):
        middle[first + axis] = lowest[first + axis] + proposal[axis] * room[first + axis]
