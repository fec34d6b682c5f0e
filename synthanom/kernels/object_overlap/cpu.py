"""Compiled twin of `reference`: no array of places, no masks in between."""

from typing import Any

import numpy as np

from synthanom.kernels.compiled import njit


@njit(nogil=True, cache=True)
def counts(donor: Any, mask: Any, foreground: Any, places: Any) -> Any:
    """Voxels of the patch that show the donor's object, and those of them that land on the picture's.

    Parameters
    ----------
    donor : uint8 (Z, Y, X)
    mask, foreground : uint8, the box
    places : float64 (2, 3), scale and offset
    """
    nz, ny, nx = mask.shape
    along = _nearest(places[:, 2], nx, donor.shape[2])
    across = _nearest(places[:, 1], ny, donor.shape[1])
    down = _nearest(places[:, 0], nz, donor.shape[0])
    shown, common = 0, 0
    for z in range(nz):
        for y in range(ny):
            row = donor[down[z], across[y]]
            for x in range(nx):
                here = row[along[x]] & mask[z, y, x]
                shown += int(here)
                common += int(here & foreground[z, y, x])
    return shown, common


@njit(nogil=True, cache=True)
def _nearest(place: Any, count: int, side: int) -> Any:
    out = np.empty(count, np.int64)
    for i in range(count):
        out[i] = min(max(int(np.rint(place[1] + place[0] * i)), 0), side - 1)
    return out
