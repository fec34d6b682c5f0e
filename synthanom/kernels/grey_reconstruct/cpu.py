"""Compiled twin of `reference`: raster sweeps forth and back until a pair of them changes nothing."""

from typing import Any

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def _neighbour_extreme(values: Any, z: int, y: int, x: int, largest: bool) -> Any:
    """Extreme over the voxel and its neighbours at squared distance <= 2 inside the box."""
    nz, ny, nx = values.shape
    best = values[z, y, x]
    for dz in range(-1, 2):
        if z + dz < 0 or z + dz >= nz:
            continue
        for dy in range(-1, 2):
            if y + dy < 0 or y + dy >= ny:
                continue
            for dx in range(-1, 2):
                if dz * dz + dy * dy + dx * dx > 2 or x + dx < 0 or x + dx >= nx:
                    continue
                v = values[z + dz, y + dy, x + dx]
                best = max(best, v) if largest else min(best, v)
    return best


@njit(nogil=True, cache=True)
def _filtered(values: Any, largest: bool) -> Any:
    out = np.empty_like(values)
    nz, ny, nx = values.shape
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                out[z, y, x] = _neighbour_extreme(values, z, y, x, largest)
    return out


@njit(nogil=True, cache=True)
def close_values(values: Any) -> Any:
    """Dilation, then erosion, of (Z, Y, X) values: a new array."""
    return _filtered(_filtered(values, True), False)


@njit(nogil=True, cache=True)
def reconstruct(closed: Any) -> None:
    """Raise `closed` (Z, Y, X) in place to its reconstruction by erosion from the box's faces.

    A sweep settles every voxel whose lowest path runs with the raster; a pair that changes nothing is the fixed
    point. Each pair but the last settles at least one voxel, hence the bound.
    """
    nz, ny, nx = closed.shape
    level = closed.copy()
    highest = closed.max()
    first = 1 if nz > 1 else 0
    for z in range(first, nz - first):
        for y in range(1, ny - 1):
            for x in range(1, nx - 1):
                level[z, y, x] = highest
    for _ in range(closed.size + 1):
        changed = False
        for z in range(first, nz - first):
            for y in range(1, ny - 1):
                for x in range(1, nx - 1):
                    changed |= _lower(level, closed, z, y, x)
        for z in range(nz - 1 - first, first - 1, -1):
            for y in range(ny - 2, 0, -1):
                for x in range(nx - 2, 0, -1):
                    changed |= _lower(level, closed, z, y, x)
        if not changed:
            break
    closed[:] = level


@njit(nogil=True, cache=True)
def _lower(level: Any, closed: Any, z: int, y: int, x: int) -> bool:
    """Lower one voxel to the lowest of its neighbours, never under the closed value; True if it changed."""
    before = level[z, y, x]
    if before == closed[z, y, x]:
        return False
    level[z, y, x] = max(closed[z, y, x], _neighbour_extreme(level, z, y, x, False))
    return bool(level[z, y, x] != before)
