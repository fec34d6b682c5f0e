"""Compiled twin of `reference`: one pass, a row at a time."""

import math
from typing import Any

import numpy as np

from synthanom.kernels.compiled import njit


@njit(nogil=True, cache=True, error_model="numpy")
def mean_distance(region: Any, flat: bool, centre: Any, steps: Any) -> float:
    """Mean distance from `centre` to the inner boundary of a region, uint8 (Z, Y, X); nan if there is none.

    `steps` (3,) are the lengths of a voxel's sides: all 1 change nothing, to the last bit.
    `flat` ignores the first axis (a picture); a volume's box of one layer has the outside above and below it.
    """
    nz, ny, nx = region.shape
    edge = np.zeros((nx + 7) // 8 * 8, np.uint8)
    eights = edge.view(np.uint64)
    total, count = 0.0, 0
    for z in range(nz):
        for y in range(ny):
            mark_edge(edge, region, z, y, flat)
            across = ((z - centre[0]) * steps[0]) ** 2 + ((y - centre[1]) * steps[1]) ** 2
            for k in range(eights.size):
                if eights[k] != 0:  # most of a row lies outside or deep inside
                    for x in range(8 * k, 8 * k + 8):
                        if edge[x] != 0:
                            total += math.sqrt(across + ((x - centre[2]) * steps[2]) ** 2)
                            count += 1
    return total / count if count > 0 else math.nan


@njit(nogil=True, cache=True)
def mark_edge(edge: Any, region: Any, z: int, y: int, flat: bool) -> None:
    """Mark the voxels of a row that lie inside but not all of whose face neighbours do."""
    nz, ny, nx = region.shape
    row = region[z, y]
    if y == 0 or y == ny - 1 or (not flat and (z == 0 or z == nz - 1)):
        for x in range(nx):
            edge[x] = row[x]
        return
    low, high = region[z, y - 1], region[z, y + 1]
    if flat:
        for x in range(nx):
            edge[x] = low[x] & high[x]
    else:
        below, above = region[z - 1, y], region[z + 1, y]
        for x in range(nx):
            edge[x] = low[x] & high[x] & below[x] & above[x]
    for x in range(1, nx - 1):
        edge[x] &= row[x - 1] & row[x + 1]
    edge[0] = edge[nx - 1] = 0
    for x in range(nx):  # so far: the neighbours all inside
        edge[x] = row[x] & (edge[x] ^ np.uint8(1))
