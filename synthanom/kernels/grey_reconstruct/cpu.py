"""Compiled twin of `reference`: whole rows at a time, so that the inner loops run over contiguous memory.

The element (offsets of squared length <= 2) is the union of the 3 x 3 squares in the three coordinate planes, which
makes dilation a few three-point maxima along single axes. Reconstruction sweeps forth and back until nothing changes;
all but the step along a row looks at finished rows only, and vectorises.
"""

from typing import Any

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def close_values(values: Any) -> Any:
    """Dilation, then erosion, of (Z, Y, X) values: a new array."""
    return -_dilated(-_dilated(values))


@njit(nogil=True, cache=True)
def _dilated(values: Any) -> Any:
    """Maximum over the element; beyond the box there is nothing. A flat first axis leaves the 3 x 3 square."""
    nz, ny = values.shape[:2]
    along_x = np.empty_like(values)
    for z in range(nz):
        for y in range(ny):
            _three_along(values[z, y], along_x[z, y])
    out = np.empty_like(values)
    cross = np.empty_like(values)  # maximum over the cross of x and y
    for z in range(nz):
        for y in range(ny):
            above, below = max(y - 1, 0), min(y + 1, ny - 1)
            _three_across(along_x[z, above], along_x[z, y], along_x[z, below], out[z, y])
            _three_across(values[z, above], along_x[z, y], values[z, below], cross[z, y])
    if nz > 1:
        for z in range(nz):
            for y in range(ny):
                row = out[z, y]
                _raise(row, cross[max(z - 1, 0), y])
                _raise(row, cross[min(z + 1, nz - 1), y])
    return out


@njit(nogil=True, cache=True)
def _three_along(row: Any, out: Any) -> None:
    """Maximum of each value and its two neighbours in the row."""
    n = row.shape[0]
    for x in range(n):
        out[x] = row[x]
    for x in range(1, n):
        out[x] = row[x - 1] if row[x - 1] > out[x] else out[x]
    for x in range(n - 1):
        out[x] = row[x + 1] if row[x + 1] > out[x] else out[x]


@njit(nogil=True, cache=True)
def _three_across(a: Any, b: Any, c: Any, out: Any) -> None:
    """Maximum of three rows."""
    for x in range(out.shape[0]):
        m = a[x] if a[x] > b[x] else b[x]
        out[x] = c[x] if c[x] > m else m


@njit(nogil=True, cache=True)
def _raise(row: Any, other: Any) -> None:
    """Maximum of a row and another, in place."""
    for x in range(row.shape[0]):
        row[x] = other[x] if other[x] > row[x] else row[x]


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
    level[first : nz - first, 1 : ny - 1, 1 : nx - 1] = highest
    lowest = np.empty(nx, closed.dtype)
    for _ in range(closed.size + 1):
        changed = False
        for z in range(first, nz - first):
            for y in range(1, ny - 1):
                _lowest_of_rows(level, z, y, -1, lowest)
                changed |= _settle_row(level[z, y], closed[z, y], lowest)
        for z in range(nz - 1 - first, first - 1, -1):
            for y in range(ny - 2, 0, -1):
                _lowest_of_rows(level, z, y, 1, lowest)
                changed |= _settle_row(level[z, y][::-1], closed[z, y][::-1], lowest[::-1])
        if not changed:
            break
    closed[:] = level


@njit(nogil=True, cache=True)
def _lowest_of_rows(level: Any, z: int, y: int, step: int, lowest: Any) -> None:
    """Minimum over the neighbours of each voxel of a row in the rows that the sweep has passed."""
    nx = lowest.shape[0]
    row = level[z, y + step]
    if level.shape[0] == 1:
        for x in range(1, nx - 1):
            m = row[x - 1] if row[x - 1] < row[x] else row[x]
            lowest[x] = row[x + 1] if row[x + 1] < m else m
        return
    middle, above, below = level[z + step, y], level[z + step, y - 1], level[z + step, y + 1]
    for x in range(1, nx - 1):
        m = row[x - 1] if row[x - 1] < row[x] else row[x]
        m = row[x + 1] if row[x + 1] < m else m
        k = middle[x - 1] if middle[x - 1] < middle[x] else middle[x]
        k = middle[x + 1] if middle[x + 1] < k else k
        j = above[x] if above[x] < below[x] else below[x]
        k = j if j < k else k
        lowest[x] = k if k < m else m


@njit(nogil=True, cache=True)
def _settle_row(level: Any, closed: Any, lowest: Any) -> bool:
    """Lower a row to its passed neighbours and to the voxel before, never under the closed values."""
    changed = False
    before = level[0]
    for x in range(1, level.shape[0] - 1):
        m = lowest[x] if lowest[x] < before else before
        old = level[x]
        m = m if m < old else old
        m = closed[x] if closed[x] > m else m
        changed |= m != old
        level[x] = m
        before = m
    return changed
