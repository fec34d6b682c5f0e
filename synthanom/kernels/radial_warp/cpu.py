"""Compiled twin of `reference`: where each voxel is sampled, what that needs of the image, then the samples.

All by rows of the region, so that the arithmetic vectorises. A voxel's sampling point lies on the ray from the centre
through it, so that one number, the stretch of that ray, is all that is kept of the mapping.
"""

import math
from typing import Any

import numpy as np
from numba import njit

from synthanom.kernels.cubic_spline.cpu import clamped, coefficients, interpolate, need, no_bounds, plane_range
from synthanom.kernels.radial_warp.powers import raise_row


@njit(nogil=True, cache=True)
def row_spans(mask: Any) -> Any:
    """The first voxel of each row of a mask, uint8 (Z, Y, X), and the one after the last: int32 (Z, Y, 2)."""
    nz, ny, nx = mask.shape
    spans = np.zeros((nz, ny, 2), np.int32)
    for z in range(nz):
        for y in range(ny):
            row = mask[z, y]
            low, high = 0, nx
            while low < nx and row[low] == 0:
                low += 1
            while high > low and row[high - 1] == 0:
                high -= 1
            spans[z, y, 0], spans[z, y, 1] = low, high
    return spans


@njit(nogil=True, cache=True, error_model="numpy")
def relative_distances(u: Any, away: Any, o: Any, scaled: Any, ellipsoid: bool) -> None:
    """Write how far voxels lie from the centre, as a share of the surface's distance along the same ray: u in (0, 1].

    `away` (3,) is the first voxel relative to the centre, the others follow along the last axis. `o` is the centre and
    `scaled` (3, 3) maps to own coordinates, both divided by the half widths: the shape is the unit ball or the cube of
    side 2. With t the factor by which the ray has to be prolonged to reach the surface, u = 1 / t.
    """
    w0 = scaled[0, 0] * away[0] + scaled[0, 1] * away[1]
    w1 = scaled[1, 0] * away[0] + scaled[1, 1] * away[1]
    w2 = scaled[2, 0] * away[0] + scaled[2, 1] * away[1]
    if ellipsoid:
        k = o[0] * o[0] + o[1] * o[1] + o[2] * o[2] - 1.0
        for i in range(u.size):
            x = away[2] + i
            a0, a1, a2 = w0 + scaled[0, 2] * x, w1 + scaled[1, 2] * x, w2 + scaled[2, 2] * x
            a = a0 * a0 + a1 * a1 + a2 * a2
            b = o[0] * a0 + o[1] * a1 + o[2] * a2
            reach = math.sqrt(max(b * b - a * k, 0.0)) - b
            # rounding leaves no way to the surface where the centre lies on it: all of the ray is outside then
            u[i] = min(a / reach, 1.0) if reach > 0.0 else 1.0
        return
    up0, up1, up2 = _inverse(1.0 - o[0]), _inverse(1.0 - o[1]), _inverse(1.0 - o[2])
    down0, down1, down2 = -_inverse(1.0 + o[0]), -_inverse(1.0 + o[1]), -_inverse(1.0 + o[2])
    for i in range(u.size):
        x = away[2] + i
        a0, a1, a2 = w0 + scaled[0, 2] * x, w1 + scaled[1, 2] * x, w2 + scaled[2, 2] * x
        nearest = max(a0 * (up0 if a0 > 0.0 else down0), a1 * (up1 if a1 > 0.0 else down1))
        u[i] = min(max(nearest, a2 * (up2 if a2 > 0.0 else down2)), 1.0)


@njit(nogil=True, cache=True, error_model="numpy")
def _inverse(distance: float) -> float:
    """1 / distance to a face; a centre on it or, by rounding, behind it is as good as there already."""
    return 1.0 / distance if distance > 1e-300 else 1e300


@njit(nogil=True, cache=True, error_model="numpy")
def stretches(out: Any, u: Any, work: Any, factor: float, sink: bool) -> None:
    """Write by how much the vectors from the centre are stretched at relative distances u: float32 (n,); u is lost."""
    n = out.size
    if not sink:
        raise_row(u, factor - 1.0, work)
        for i in range(n):
            out[i] = np.float32(u[i])
        return
    for i in range(n):
        out[i] = np.float32(1.0 / u[i])
        u[i] = 1.0 - u[i]
    raise_row(u, factor, work)
    for i in range(n):
        out[i] = np.float32((1.0 - u[i]) * out[i])


@njit(nogil=True, cache=True, fastmath={"nnan", "nsz"})
def extremes(values: Any) -> Any:
    """The smallest and the largest of some numbers, none of them NaN: that alone lets the search vectorise."""
    low = high = values[0]
    for i in range(values.size):
        low = values[i] if values[i] < low else low
        high = values[i] if values[i] > high else high
    return low, high


@njit(nogil=True, cache=True)
def map_rows(stretch: Any, bounds: Any, spans: Any, sides: Any, place: Any, maps: Any) -> None:
    """Write the stretch of every voxel of the spans (Z, Y, X) and widen the bounds by where it is sampled.

    `place` is (corner, centre, first plane of the bounds); `maps` is (o, scaled, ellipsoid, factor, sink).
    """
    corner, centre, first_plane = place
    o, scaled, ellipsoid, factor, sink = maps
    width = stretch.shape[2]
    u, work = np.empty(width), np.empty(width)
    along = np.empty(width, np.float32)
    away, low, high = np.empty(3), np.empty(3), np.empty(3)
    for z in range(spans.shape[0]):
        away[0] = corner[0] + z - centre[0]
        for y in range(spans.shape[1]):
            first, end = spans[z, y, 0], spans[z, y, 1]
            if end <= first:
                continue
            away[1], away[2] = corner[1] + y - centre[1], corner[2] + first - centre[2]
            n = end - first
            row = stretch[z, y, first:end]
            relative_distances(u[:n], away, o, scaled, ellipsoid)
            if away[0] == 0.0 and away[1] == 0.0 and away[2] <= 0.0 and away[2] + n > 0.0 and away[2] == int(away[2]):
                u[-int(away[2])] = 1.0  # the centre itself: it stays where it is, whatever the stretch
            stretches(row, u[:n], work[:n], factor, sink)
            for i in range(n):
                along[i] = np.float32(away[2] + i) * row[i]
            least, most = extremes(row)
            low[2], high[2] = extremes(along[:n])
            for axis in range(2):
                a, b = away[axis] * least, away[axis] * most
                low[axis], high[axis] = min(a, b), max(a, b)
            for axis in range(3):
                low[axis] += centre[axis] - 1e-3  # the stretch is rounded to float32
                high[axis] += centre[axis] + 1e-3
            need(bounds, first_plane, sides, low, high)


@njit(nogil=True, cache=True)
def warp_region(out: Any, image: Any, mask: Any, corner: Any, geometry: Any, pull: Any, weights: Any) -> None:
    """Write the warped values of the voxels in `mask`, uint8 (Z, Y, X), into `out` (C, Z, Y, X).

    `geometry` is (ellipsoid, half widths, inverse matrix, position, reach), `pull` is (centre, factor, sink, order).
    """
    ellipsoid, half, inverse, position, reach = geometry
    centre, factor, sink, order = pull
    sides = image.shape[1:]
    scaled, o = np.empty((3, 3)), np.zeros(3)
    for i in range(3):
        for j in range(3):
            scaled[i, j] = inverse[i, j] / half[i]
            o[i] += scaled[i, j] * (centre[j] - position[j])
    spans = row_spans(mask)
    # every sampling point lies within the shape or on a ray's end, which may reach beyond the image where it is cut
    lowest = min(position[0] - reach[0], centre[0], float(corner[0])) - 1.0
    highest = max(position[0] + reach[0], centre[0], float(corner[0] + mask.shape[0])) + 1.0
    first_plane, planes = plane_range(sides, lowest, highest)
    bounds = no_bounds(planes)
    stretch = np.empty(mask.shape, np.float32)
    map_rows(stretch, bounds, spans, sides, (corner, centre, first_plane), (o, scaled, ellipsoid, factor, sink))
    width = mask.shape[2]
    points, taps = np.empty((3, width)), np.empty((3, width, 4), np.float32)
    places, parts = np.empty(width, np.int64), np.empty(width, np.float32)
    found, origin = np.empty(width, np.float32), np.empty(3, np.int64)
    for c in range(out.shape[0]):
        values = coefficients(image[c], bounds, first_plane, weights, origin)
        for z in range(mask.shape[0]):
            for y in range(mask.shape[1]):
                first, end = spans[z, y, 0], spans[z, y, 1]
                if end <= first:
                    continue
                n = end - first
                row = stretch[z, y, first:end]
                for i in range(n):
                    s = np.float64(row[i])
                    points[0, i] = (corner[0] + z - centre[0]) * s + (centre[0] - origin[0])
                    points[1, i] = (corner[1] + y - centre[1]) * s + (centre[1] - origin[1])
                    points[2, i] = (corner[2] + first + i - centre[2]) * s + (centre[2] - origin[2])
                for axis in range(3):
                    _clamp(points[axis, :n], sides[axis], origin[axis])
                interpolate(found[:n], values, points, order, taps, places, parts)
                line = out[c, z, y, first:end]
                inside = mask[z, y, first:end]
                dy, dz = corner[1] + y - centre[1], corner[0] + z - centre[0]
                for i in range(n):
                    if inside[i] and not (dz == 0.0 and dy == 0.0 and corner[2] + first + i == centre[2]):
                        line[i] = found[i]


@njit(nogil=True, cache=True)
def _clamp(points: Any, side: int, origin: int) -> None:
    """Bring coordinates, relative to an origin, to where the image or its nearby border is."""
    for i in range(points.size):
        points[i] = clamped(points[i] + origin, side) - origin
