"""Compiled twin of `reference`: where each voxel is sampled, what that needs of the image, then the samples.

All by rows of the region, so that the arithmetic vectorises. A voxel's sampling point lies on the ray from the centre
through it, so that one number, the stretch of that ray, is all that is kept of the mapping.
"""

import math
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
from synthanom.kernels.radial_warp.powers import raise_row
from synthanom.kernels.region_mask.cpu import extent, invert
from synthanom.kernels.region_mask.rows import end_of_block, rows_of, voxels_in

BLOCK = 1024  # voxels mapped or sampled at a time
CLOSEST = 1e-9  # relative distance from the centre as which smaller ones count: 1 / 0 would be no place in memory


@njit(nogil=True, cache=True, error_model="numpy")
def relative_distances(u: Any, place: int, count: int, away: Any, o: Any, scaled: Any, ellipsoid: bool) -> None:
    """Write how far voxels lie from the centre, as a share of the surface's distance along the same ray: u in (0, 1].

    They go to u[place:][:count]. `away` (3,) is the first voxel relative to the centre, the others follow in its row.
    `o` is the centre and `scaled` (3, 3) maps to own coordinates, both divided by the half widths: the shape is the
    unit ball or the cube of side 2. With t the factor that prolongs the ray to the surface, u = 1 / t.
    """
    line = u[place : place + count]
    w0 = scaled[0, 0] * away[0] + scaled[0, 1] * away[1]
    w1 = scaled[1, 0] * away[0] + scaled[1, 1] * away[1]
    w2 = scaled[2, 0] * away[0] + scaled[2, 1] * away[1]
    if ellipsoid:
        k = o[0] * o[0] + o[1] * o[1] + o[2] * o[2] - 1.0
        for i in range(count):
            x = away[2] + i
            a0, a1, a2 = w0 + scaled[0, 2] * x, w1 + scaled[1, 2] * x, w2 + scaled[2, 2] * x
            a = a0 * a0 + a1 * a1 + a2 * a2
            b = o[0] * a0 + o[1] * a1 + o[2] * a2
            reach = math.sqrt(max(b * b - a * k, 0.0)) - b
            # rounding leaves no way to the surface where the centre lies on it: all of the ray is outside then
            line[i] = min(a / reach, 1.0) if reach > 0.0 else 1.0
        return
    up0, up1, up2 = _inverse(1.0 - o[0]), _inverse(1.0 - o[1]), _inverse(1.0 - o[2])
    down0, down1, down2 = -_inverse(1.0 + o[0]), -_inverse(1.0 + o[1]), -_inverse(1.0 + o[2])
    for i in range(count):
        x = away[2] + i
        a0, a1, a2 = w0 + scaled[0, 2] * x, w1 + scaled[1, 2] * x, w2 + scaled[2, 2] * x
        nearest = max(a0 * (up0 if a0 > 0.0 else down0), a1 * (up1 if a1 > 0.0 else down1))
        nearest = max(nearest, a2 * (up2 if a2 > 0.0 else down2))
        line[i] = nearest if nearest < 1.0 else 1.0  # also where a nearly singular matrix gave NaN


@njit(nogil=True, cache=True, error_model="numpy")
def _inverse(distance: float) -> float:
    """1 / distance to a face; a centre on it or, by rounding, behind it is as good as there already."""
    return 1.0 / distance if distance > 1e-300 else 1e300


@njit(nogil=True, cache=True, error_model="numpy")
def stretches(out: Any, place: int, count: int, u: Any, work: Any, factor: float, sink: bool) -> None:
    """Write by how much the vectors from the centre are stretched at relative distances u, which are lost: float32."""
    line = out[place : place + count]
    if not sink:
        raise_row(u, count, factor - 1.0, work)
        for i in range(count):
            line[i] = np.float32(u[i])
        return
    for i in range(count):
        distance = max(u[i], CLOSEST)
        line[i] = np.float32(1.0 / distance)
        u[i] = 1.0 - distance
    raise_row(u, count, factor, work)
    for i in range(count):
        line[i] = np.float32((1.0 - u[i]) * line[i])


@njit(nogil=True, cache=True, fastmath={"nnan", "nsz"})
def extremes(values: Any, place: int, count: int) -> Any:
    """The smallest and the largest of some numbers, none of them NaN: that alone lets the search vectorise."""
    line = values[place : place + count]
    low = high = line[0]
    for i in range(count):
        low = line[i] if line[i] < low else low
        high = line[i] if line[i] > high else high
    return low, high


@njit(nogil=True, cache=True)
def map_rows(stretch: Any, bounds: Any, rows: Any, sides: Any, place: Any, maps: Any) -> None:
    """Write the stretch of every voxel of the rows, one after another, and widen the bounds by where it is sampled.

    `place` is (corner, centre, first plane of the bounds); `maps` is (o, scaled, ellipsoid, factor, sink, longest row).
    """
    corner, centre, first_plane = place
    o, scaled, ellipsoid, factor, sink, longest = maps
    u, work = np.empty(max(BLOCK, longest)), np.empty(max(BLOCK, longest))
    along = np.empty(longest, np.float32)
    away, low, high = np.empty(3), np.empty(3), np.empty(3)
    start = 0
    while start < rows.shape[0]:
        end = end_of_block(rows, start, BLOCK)
        for r in range(start, end):
            begin, count = rows[r, 4] - rows[start, 4], rows[r, 3] - rows[r, 2]
            for axis in range(3):
                away[axis] = corner[axis] + rows[r, axis] - centre[axis]
            relative_distances(u, begin, count, away, o, scaled, ellipsoid)
            if away[0] == 0.0 and away[1] == 0.0 and -away[2] == np.floor(-away[2]) and 0.0 <= -away[2] < count:
                u[begin + int(-away[2])] = 1.0  # the centre itself stays where it is, whatever the stretch
        stretches(stretch, rows[start, 4], voxels_in(rows, start, end), u, work, factor, sink)
        for r in range(start, end):
            begin, count = rows[r, 4], rows[r, 3] - rows[r, 2]
            x = np.float32(corner[2] + rows[r, 2] - centre[2])
            own = stretch[begin : begin + count]
            for i in range(count):
                along[i] = (x + np.float32(i)) * own[i]
            least, most = extremes(stretch, begin, count)
            low[2], high[2] = extremes(along, 0, count)
            for axis in range(2):
                d = corner[axis] + rows[r, axis] - centre[axis]
                low[axis], high[axis] = min(d * least, d * most), max(d * least, d * most)
            for axis in range(3):
                # the stretch is rounded to float32, and all the more on long ways
                low[axis] += centre[axis] - 1e-3 - 1e-6 * abs(low[axis])
                high[axis] += centre[axis] + 1e-3 + 1e-6 * abs(high[axis])
            need(bounds, first_plane, sides, low, high)
        start = end


@njit(nogil=True, cache=True)
def warp_region(out: Any, image: Any, mask: Any, corner: Any, geometry: Any, pull: Any, weights: Any) -> None:
    """Write the warped values of the voxels in `mask`, uint8 (Z, Y, X), into `out` (C, Z, Y, X).

    `geometry` is (ellipsoid, half widths, matrix, position), `pull` is (centre, factor, sink, order). Nothing is
    written if the matrix has no inverse.
    """
    ellipsoid, half, matrix, position = geometry
    centre, factor, sink, order = pull
    rows, inverse = rows_of(mask), np.empty((3, 3))
    determinant = invert(matrix, inverse)
    if rows.shape[0] == 0 or determinant == 0.0:
        return
    sides, reach = image.shape[1:], extent(ellipsoid, half, matrix, 0)
    scaled, o = np.empty((3, 3)), np.zeros(3)
    for i in range(3):
        for j in range(3):
            scaled[i, j] = inverse[i, j] / half[i]
            o[i] += scaled[i, j] * (centre[j] - position[j])
    # every sampling point lies within the shape, which may reach beyond the image where it is cut
    lowest = min(position[0] - reach, centre[0], float(corner[0])) - 1.0
    highest = max(position[0] + reach, centre[0], float(corner[0] + mask.shape[0])) + 1.0
    first_plane, planes = plane_range(sides, lowest, highest)
    bounds = no_bounds(planes)
    stretch = np.empty(voxels_in(rows, 0, rows.shape[0]), np.float32)
    maps = (o, scaled, ellipsoid, factor, sink, mask.shape[2])
    map_rows(stretch, bounds, rows, sides, (corner, centre, first_plane), maps)
    room = room_for(max(BLOCK, mask.shape[2]))
    origin = np.empty(3, np.int64)
    for c in range(out.shape[0]):
        values = coefficients(image, c, bounds, first_plane, weights, origin)
        start = 0
        while start < rows.shape[0]:
            end = end_of_block(rows, start, BLOCK)
            for r in range(start, end):
                _place(room[0], rows, r, start, stretch, corner, centre, sides, origin)
            interpolate(room, voxels_in(rows, start, end), values, order)
            for r in range(start, end):
                _put(out, c, rows, r, start, room[1], mask)
            start = end
    at = (int(centre[0] - corner[0]), int(centre[1] - corner[1]), int(centre[2] - corner[2]))
    inside = True
    for axis in range(3):
        inside = inside and corner[axis] + at[axis] == centre[axis] and 0 <= at[axis] < mask.shape[axis]
    if inside:  # the centre stays to the last bit
        for c in range(out.shape[0]):
            out[c, at[0], at[1], at[2]] = image[c, int(centre[0]), int(centre[1]), int(centre[2])]


@njit(nogil=True, cache=True)
def _place(
    points: Any, rows: Any, r: int, start: int, stretch: Any, corner: Any, centre: Any, sides: Any, origin: Any
) -> None:
    """Write where the voxels of a row are sampled, in the coefficients."""
    begin, count = rows[r, 4], rows[r, 3] - rows[r, 2]
    own = stretch[begin : begin + count]
    for axis in range(3):
        d, step = corner[axis] + rows[r, axis] - centre[axis], 1.0 if axis == 2 else 0.0
        side, zero, middle = sides[axis], np.float64(origin[axis]), centre[axis]
        line = points[axis, begin - rows[start, 4] : begin - rows[start, 4] + count]
        for i in range(count):
            line[i] = clamped((d + step * i) * np.float64(own[i]) + middle, side) - zero


@njit(nogil=True, cache=True)
def _put(out: Any, c: int, rows: Any, r: int, start: int, found: Any, mask: Any) -> None:
    """Write the values of a row's voxels that lie in the mask."""
    begin, count = rows[r, 4] - rows[start, 4], rows[r, 3] - rows[r, 2]
    z, y = rows[r, 0], rows[r, 1]
    line, inside = out[c, z, y, rows[r, 2] : rows[r, 3]], mask[z, y, rows[r, 2] : rows[r, 3]]
    values = found[begin : begin + count]
    for x in range(count):
        line[x] = values[x] if inside[x] else line[x]
