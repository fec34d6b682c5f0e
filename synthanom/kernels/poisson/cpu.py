"""Compiled twin of `reference`: what the donor's gradients change of the divergence, then the solution (see `sines`).

Subtracting the target's Laplacian beforehand makes f - target the unknown, which vanishes on the box's faces, and the
right side is 0 but around edges of the region.
"""

from typing import Any

import numpy as np

from synthanom.kernels.compiled import njit
from synthanom.kernels.poisson.sines import solve


@njit(nogil=True, cache=True)
def blend_volume(out: Any, donor: Any, region: Any, flat: bool, mixed: bool, limits: Any) -> None:
    """Blend a donor into `out`, both (C, Z, Y, X), where `region`, uint8 (Z, Y, X), says so; at least 3 voxels a side.

    `flat`: a picture, whose first axis has no sides. The inner voxels are clipped to `limits`, float32 (2, C).
    """
    nz, ny, nx = region.shape
    low = 0 if flat else 1
    correction = np.empty((nz - 2 * low, ny - 2, nx - 2), np.float32)
    for c in range(out.shape[0]):
        divergence(correction, out, donor, c, region, flat, mixed)
        solve(correction, flat)
        for z in range(correction.shape[0]):
            for y in range(ny - 2):
                line, added = out[c, z + low, y + 1, 1 : nx - 1], correction[z, y]
                for x in range(nx - 2):
                    line[x] = min(max(line[x] + added[x], limits[0, c]), limits[1, c])


@njit(nogil=True, cache=True)
def mark_changed(out: Any, before: Any, after: Any, threshold: float) -> None:
    """Add to a mask `out` (Z, Y, X) where images (C, Z, Y, X) differ by more than a threshold, mean over channels."""
    channels, nz, ny, nx = after.shape
    change = np.empty(nx)
    for z in range(nz):
        for y in range(ny):
            change[:] = 0.0
            for c in range(channels):
                one, other = before[c, z, y], after[c, z, y]
                for x in range(nx):
                    change[x] += abs(np.float64(other[x]) - np.float64(one[x]))
            line = out[z, y]
            for x in range(nx):
                line[x] |= change[x] / channels > threshold


@njit(nogil=True, cache=True)
def divergence(sums: Any, target: Any, donor: Any, c: int, region: Any, flat: bool, mixed: bool) -> None:
    """Write div(v) - Laplacian(target) at the inner voxels, float32; the region on the box's faces does not count."""
    nz, ny, nx = region.shape
    low = 0 if flat else 1
    sums[:] = 0
    excess = np.empty(nx)
    for z in range(low, nz - low):
        for y in range(1, ny - 1):
            first, end = _ends(region, z, y)
            if end <= first:
                continue
            _excess(excess, target, donor, c, z, y, first, end, (0, 0, 1), region, mixed)
            _add(sums, z - low, y - 1, first - 1, end - 1, excess, 1.0)
            _add(sums, z - low, y - 1, first, end, excess, -1.0)
            _excess(excess, target, donor, c, z, y, first, end, (0, 1, 0), region, mixed)
            _add(sums, z - low, y - 1, first - 1, end - 1, excess, 1.0)
            _add(sums, z - low, y, first - 1, end - 1, excess, -1.0)
            if not flat:
                _excess(excess, target, donor, c, z, y, first, end, (1, 0, 0), region, mixed)
                _add(sums, z - low, y - 1, first - 1, end - 1, excess, 1.0)
                _add(sums, z, y - 1, first - 1, end - 1, excess, -1.0)


@njit(nogil=True, cache=True)
def _ends(region: Any, z: int, y: int) -> Any:
    """The first inner voxel of a row that lies in the region, and the one after the last."""
    row = region[z, y]
    first, end = 1, row.size - 1
    while first < end and row[first] == 0:
        first += 1
    while end > first and row[end - 1] == 0:
        end -= 1
    return first, end


@njit(nogil=True, cache=True)
def _excess(
    out: Any, target: Any, donor: Any, c: int, z: int, y: int, first: int, end: int, step: Any, region: Any, mixed: bool
) -> None:
    """The donor's gradient minus the target's at the edges from voxels to those a `step` on, where it is taken, else 0.

    In float64, where differences of float32 values are exact: the choice is then the reference's.
    """
    dz, dy, dx = step
    own, own_next = target[c, z, y, first:end], target[c, z + dz, y + dy, first + dx : end + dx]
    new, new_next = donor[c, z, y, first:end], donor[c, z + dz, y + dy, first + dx : end + dx]
    inside = region[z, y, first:end]
    for x in range(own.size):
        gradient = np.float64(own_next[x]) - np.float64(own[x])
        other = np.float64(new_next[x]) - np.float64(new[x])
        # without "and" and "or", which branch: no guess is good here, and a branch keeps the loop from vectorising
        keep = (inside[x] == 0) | (mixed & (abs(gradient) >= abs(other)))
        out[x] = 0.0 if keep else other - gradient


@njit(nogil=True, cache=True)
def _add(sums: Any, z: int, y: int, first: int, end: int, values: Any, sign: float) -> None:
    """Add values, or take them away, to a row of inner voxels from `first` on; what lies beyond is on a face."""
    if z >= sums.shape[0] or y >= sums.shape[1]:
        return
    line = sums[z, y, first : min(end, sums.shape[2])]
    for x in range(line.size):
        line[x] += np.float32(sign * values[x])
