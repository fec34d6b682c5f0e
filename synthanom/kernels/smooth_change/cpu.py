"""Compiled twin of `reference`: an exact separable distance, each voxel looking no further than its best so far."""

import math
from typing import Any

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def fill_squared_depth(out: Any, region: Any, cap: float, flat: bool) -> None:
    """Write squared depths of `region` (Z, Y, X) into `out`, exact up to `cap`.

    `flat` ignores the first axis (a picture); a volume's box of one layer has the outside above and below it.
    """
    nz, ny, nx = region.shape
    for z in range(nz):
        for y in range(ny):
            _first_axis(out[z, y], region[z, y], cap)
    line = np.empty(max(ny, nz))
    for z in range(nz):
        for x in range(nx):
            _next_axis(out[z, :, x], line)
    if not flat:
        for y in range(ny):
            for x in range(nx):
                _next_axis(out[:, y, x], line)


@njit(nogil=True, cache=True)
def _first_axis(out: Any, inside: Any, cap: float) -> None:
    """Squared distance to the nearest voxel outside along the line; beyond its ends all is outside."""
    n = inside.shape[0]
    steps = 0.0
    for x in range(n):
        steps = steps + 1.0 if inside[x] else 0.0
        out[x] = steps
    steps = 0.0
    for x in range(n - 1, -1, -1):
        steps = steps + 1.0 if inside[x] else 0.0
        nearest = min(out[x], steps)
        out[x] = min(nearest * nearest, cap)


@njit(nogil=True, cache=True)
def _next_axis(values: Any, line: Any) -> None:
    """Lower envelope of the parabolas over one more axis, by looking outwards until no parabola can be lower."""
    n = values.shape[0]
    for i in range(n):
        line[i] = values[i]
    for i in range(n):
        best = line[i]
        k = 1
        while k * k < best:
            step = float(k * k)
            before = line[i - k] if i - k >= 0 else 0.0
            after = line[i + k] if i + k < n else 0.0
            best = min(best, step + min(before, after))
            k += 1
        values[i] = best


@njit(nogil=True, cache=True)
def add_ramp(out: Any, squared: Any, ramp: float, change: Any, limits: Any) -> None:
    """Add the ramped change to `out` (C, Z, Y, X) and clip what was changed to `limits` (2, C)."""
    channels, nz, ny, nx = out.shape
    for c in range(channels):
        for z in range(nz):
            for y in range(ny):
                for x in range(nx):
                    d = squared[z, y, x]
                    if d > 0.0:
                        value = out[c, z, y, x] + change[c] * min(math.sqrt(d) / ramp, 1.0)
                        out[c, z, y, x] = min(max(value, limits[0, c]), limits[1, c])
