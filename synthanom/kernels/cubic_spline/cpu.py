"""Compiled prefilter and gather on volumes (C, Z, Y, X); an axis of length 1 is left alone."""

import math
from typing import Any

import numpy as np
from numba import njit

POLE = np.float32(math.sqrt(3.0) - 2.0)
START = 12  # terms of the mirrored start sum; POLE**12 = 1.4e-7


@njit(nogil=True, cache=True)
def copy_clamped(image: Any, start: Any, out: Any) -> None:
    """Copy the part of `image` (C, Z, Y, X) that begins at `start` (3,) into `out`, the border repeated outside."""
    channels, nz, ny, nx = out.shape
    sz, sy, sx = image.shape[1:]
    for c in range(channels):
        for z in range(nz):
            iz = min(max(start[0] + z, 0), sz - 1)
            for y in range(ny):
                iy = min(max(start[1] + y, 0), sy - 1)
                first = min(max(-start[2], 0), nx)  # before it, and from `last` on, the border repeats
                last = max(min(sx - start[2], nx), first)
                for x in range(first):
                    out[c, z, y, x] = image[c, iz, iy, 0]
                for x in range(first, last):
                    out[c, z, y, x] = image[c, iz, iy, start[2] + x]
                for x in range(last, nx):
                    out[c, z, y, x] = image[c, iz, iy, sx - 1]


@njit(nogil=True, cache=True)
def prefilter(values: Any, margin: int) -> None:
    """Turn values into cubic B-spline coefficients in place, the ends mirrored.

    `margin` voxels at each face are not wanted afterwards: an axis that has been filtered is left out there.
    """
    channels, nz, ny, nx = values.shape
    mz, my = (margin if nz > 1 else 0), (margin if ny > 1 else 0)
    for c in range(channels):
        if nz > 1:
            for y in range(ny):
                _filter_rows(values[c, :, y, :])
        if ny > 1:
            for z in range(mz, nz - mz):
                _filter_rows(values[c, z])
        if nx > 1:
            for z in range(mz, nz - mz):
                for y in range(my, ny - my):
                    _filter_line(values[c, z, y])


@njit(nogil=True, cache=True)
def _filter_line(line: Any) -> None:
    """Causal then anticausal recursion along a line."""
    n = line.shape[0]
    first = line[0]
    power = POLE
    for k in range(1, min(START, n)):
        first += power * line[k]
        power *= POLE
    line[0] = first
    for k in range(1, n):
        line[k] += POLE * line[k - 1]
    line[n - 1] = (POLE / (POLE * POLE - np.float32(1))) * (line[n - 1] + POLE * line[n - 2])
    for k in range(n - 2, -1, -1):
        line[k] = POLE * (line[k + 1] - line[k])
    for k in range(n):
        line[k] *= np.float32(6)


@njit(nogil=True, cache=True)
def _filter_rows(plane: Any) -> None:
    """`_filter_line` along the first axis of a plane, all columns at once so that the inner loop is contiguous."""
    n, m = plane.shape
    power = POLE
    for k in range(1, min(START, n)):
        for j in range(m):
            plane[0, j] += power * plane[k, j]
        power *= POLE
    for k in range(1, n):
        for j in range(m):
            plane[k, j] += POLE * plane[k - 1, j]
    last = POLE / (POLE * POLE - np.float32(1))
    for j in range(m):
        plane[n - 1, j] = last * (plane[n - 1, j] + POLE * plane[n - 2, j])
    for k in range(n - 2, -1, -1):
        for j in range(m):
            plane[k, j] = POLE * (plane[k + 1, j] - plane[k, j])
    for k in range(n):
        for j in range(m):
            plane[k, j] *= np.float32(6)


@njit(nogil=True, cache=True)
def weights(position: float, size: int, order: int, out: Any) -> int:
    """Write the taps' weights at `position` into `out` (4,) and return the first tap's index.

    A flat axis has one tap of weight 1; linear interpolation two.
    """
    if size == 1:
        out[0] = 1.0
        return 0
    base = math.floor(position)
    t = position - base
    if order == 1:
        out[0] = 1.0 - t
        out[1] = t
        return base
    s = 1.0 - t
    out[0] = s * s * s / 6.0
    out[1] = 2.0 / 3.0 - t * t * (2.0 - t) / 2.0
    out[2] = 2.0 / 3.0 - s * s * (2.0 - s) / 2.0
    out[3] = t * t * t / 6.0
    return base - 1


@njit(nogil=True, cache=True)
def gather(coefficients: Any, channel: int, first: Any, taps: Any, w: Any) -> Any:
    """Weighted sum of the coefficients under the taps; `first` (3,) indices, `taps` (3,) counts, `w` (3, 4) weights.

    Indexed directly: taking a row or plane as an array of its own costs more than its arithmetic.
    """
    z, y, x = first[0], first[1], first[2]
    w0, w1, w2, w3 = w[2, 0], w[2, 1], w[2, 2], w[2, 3]
    total = 0.0
    if taps[2] == 4:
        for a in range(taps[0]):
            plane = 0.0
            for b in range(4):
                plane += w[1, b] * (
                    w0 * coefficients[channel, z + a, y + b, x]
                    + w1 * coefficients[channel, z + a, y + b, x + 1]
                    + w2 * coefficients[channel, z + a, y + b, x + 2]
                    + w3 * coefficients[channel, z + a, y + b, x + 3]
                )
            total += w[0, a] * plane
        return total
    for a in range(taps[0]):
        for b in range(2):
            row = w0 * coefficients[channel, z + a, y + b, x] + w1 * coefficients[channel, z + a, y + b, x + 1]
            total += w[0, a] * w[1, b] * row
    return total


@njit(nogil=True, cache=True)
def tap_counts(shape: Any, order: int, out: Any) -> None:
    """Write the number of taps per axis into `out` (3,): 1 on a flat axis, else 2 (linear) or 4 (cubic)."""
    for a in range(3):
        if shape[1 + a] == 1:
            out[a] = 1
        else:
            out[a] = 2 if order == 1 else 4
