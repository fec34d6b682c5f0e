"""Compiled twin of `reference`: an exact separable distance that looks no further than it has to, a table of ramps.

Squared depths are whole numbers, so the change at each is worked out once. Along rows the distance is counted; along
the other axes row after row is compared, a whole plane at a time, which vectorises: with a limit of a few voxels that
beats any lower envelope.
"""

import math
from typing import Any

import numpy as np

from synthanom.kernels.compiled import njit


@njit(nogil=True, cache=True)
def fill_squared_depth(out: Any, region: Any, cap: int, flat: bool) -> None:
    """Write squared depths of `region`, uint8 (Z, Y, X), into `out`, int32, exact up to `cap`.

    `flat` ignores the first axis (a picture); a volume's box of one layer has the outside above and below it.
    """
    nz, ny, nx = region.shape
    deepest = 0
    for z in range(nz):
        for y in range(ny):
            deepest = max(deepest, _along_row(out, region, z, y, cap))
    reach = math.ceil(math.sqrt(deepest))
    padded = np.zeros((max(ny, nz) + 2 * reach, nx), np.int32)
    lowest = np.empty(max(ny, nz) * nx, np.int32)
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                padded[reach + y, x] = out[z, y, x]
        _compare(padded.reshape(-1), ny * nx, nx, reach, lowest)
        for y in range(ny):
            for x in range(nx):
                out[z, y, x] = lowest[y * nx + x]
    if flat:
        return
    padded[:] = 0
    for y in range(ny):
        for z in range(nz):
            for x in range(nx):
                padded[reach + z, x] = out[z, y, x]
        _compare(padded.reshape(-1), nz * nx, nx, reach, lowest)
        for z in range(nz):
            for x in range(nx):
                out[z, y, x] = lowest[z * nx + x]


@njit(nogil=True, cache=True)
def _along_row(out: Any, region: Any, z: int, y: int, cap: int) -> int:
    """Squared distance to the nearest voxel outside along a row, at most `cap`; returns the largest."""
    line, inside = out[z, y], region[z, y]
    n = line.size
    steps = np.int32(0)
    for x in range(n):
        steps = np.int32(steps + 1) if inside[x] else np.int32(0)
        line[x] = steps
    steps = np.int32(0)
    most = np.int32(0)
    for x in range(n - 1, -1, -1):
        steps = np.int32(steps + 1) if inside[x] else np.int32(0)
        line[x] = min(line[x], steps)
        most = max(most, line[x])
    limit = np.int32(cap)
    for x in range(n):
        line[x] = min(line[x] * line[x], limit)
    return min(int(most) * int(most), cap)


@njit(nogil=True, cache=True)
def _compare(values: Any, count: int, step: int, reach: int, lowest: Any) -> None:
    """lowest[i] = min over |k| <= reach of values[i + k step] + k^2, `values` beginning `reach` steps earlier."""
    middle = values[reach * step : reach * step + count]
    least = lowest[:count]
    for i in range(count):
        least[i] = middle[i]
    for k in range(1, reach + 1):
        before = values[(reach - k) * step : (reach - k) * step + count]
        after = values[(reach + k) * step : (reach + k) * step + count]
        square = np.int32(k * k)
        for i in range(count):
            nearer = min(before[i], after[i]) + square
            least[i] = min(least[i], nearer)


@njit(nogil=True, cache=True)
def holds_ball(region: Any, flat: bool, radius: float) -> bool:
    """Whether every voxel less than `radius` away from the middle of a box, uint8 (Z, Y, X), lies in its region.

    A shape's middle is about its deepest voxel, so this settles most questions about the largest depth at once.
    """
    nz, ny, nx = region.shape
    cz, cy, cx = nz // 2, ny // 2, nx // 2
    reach = math.ceil(radius) - 1
    deep = 0 if flat else reach
    if cy < reach or cx < reach or cz < deep or cy + reach >= ny or cx + reach >= nx or cz + deep >= nz:
        return False
    square = radius * radius
    for dz in range(-deep, deep + 1):
        for dy in range(-reach, reach + 1):
            for dx in range(-reach, reach + 1):
                if dz * dz + dy * dy + dx * dx < square and region[cz + dz, cy + dy, cx + dx] == 0:
                    return False
    return True


@njit(nogil=True, cache=True)
def add_ramp(out: Any, squared: Any, cap: int, ramp: float, change: Any, limits: Any) -> None:
    """Add the ramped change to `out` (C, Z, Y, X) and clip what was changed to `limits` (2, C)."""
    channels, nz, ny, nx = out.shape
    added = np.empty(cap + 1)
    for c in range(channels):
        for k in range(cap + 1):
            added[k] = change[c] * min(math.sqrt(k) / ramp, 1.0)
        least, most = limits[0, c], limits[1, c]
        for z in range(nz):
            for y in range(ny):
                line, depths = out[c, z, y], squared[z, y]
                for x in range(nx):
                    value = min(max(line[x] + added[depths[x]], least), most)
                    line[x] = value if depths[x] > 0 else line[x]
