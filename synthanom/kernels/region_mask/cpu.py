"""Compiled twin of `reference`."""

from typing import Any

from numba import njit


@njit(nogil=True, cache=True)
def fill_mask(out: Any, ellipsoid: bool, half: Any, inverse: Any, start: Any) -> None:
    """Write the mask of a shape into `out` (Z, Y, X), bool; `start` is the box's corner minus the shape's centre."""
    nz, ny, nx = out.shape
    for z in range(nz):
        pz = start[0] + z
        for y in range(ny):
            py = start[1] + y
            az = inverse[0, 0] * pz + inverse[0, 1] * py
            ay = inverse[1, 0] * pz + inverse[1, 1] * py
            ax = inverse[2, 0] * pz + inverse[2, 1] * py
            for x in range(nx):
                px = start[2] + x
                oz = (az + inverse[0, 2] * px) / half[0]
                oy = (ay + inverse[1, 2] * px) / half[1]
                ox = (ax + inverse[2, 2] * px) / half[2]
                if ellipsoid:
                    out[z, y, x] = oz * oz + oy * oy + ox * ox <= 1.0
                else:
                    out[z, y, x] = abs(oz) <= 1.0 and abs(oy) <= 1.0 and abs(ox) <= 1.0
