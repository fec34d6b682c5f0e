"""The type-1 sine transform as matrix products of half the size, tile by tile, summed in a fixed order.

With S[i, j] = sin(pi (i + 1)(j + 1) / (n + 1)), S[n - 1 - i, j] = (-1)^j S[i, j]: folding a line onto its first half,
as sum and as difference, leaves one product for the even j and one for the odd. Frequencies are kept in that order.

Values are transformed along the middle axis of (planes, n, m), or along the last of (rows, n), a tile of lines at a
time in two flat arrays of room. Compiled here rather than given to BLAS: no build of it can change a bit, and no thread
starts.
"""

import math
from typing import Any

import numpy as np

from synthanom.kernels.compiled import njit
from synthanom.kernels.poisson.blocks import LANES, ROWS, TILE, product_block


@njit(nogil=True, cache=True)
def padded(n: int) -> int:
    """The next multiple of ROWS."""
    return (n + ROWS - 1) // ROWS * ROWS


@njit(nogil=True, cache=True)
def half_sines(n: int) -> Any:
    """The two halves of the transform, even and odd frequencies, and their transposes: float32 (4, side, side).

    Rows are frequencies, columns places of the first half; what goes beyond either is 0.
    """
    side = padded((n + 1) // 2)
    table = np.empty(2 * (n + 1))
    for k in range(table.size):
        table[k] = math.sin(math.pi * k / (n + 1))
    out = np.zeros((4, side, side), np.float32)
    for odd in range(2):
        count = (n + 1 - odd) // 2
        for i in range(count):
            # (i + 1)(2 j + odd + 1) modulo one period, so that large arguments lose nothing
            place = (i + 1) * (odd + 1)
            for j in range(count):
                out[odd, j, i] = out[2 + odd, i, j] = table[place]
                place += 2 * (i + 1)
                place -= table.size if place >= table.size else 0
    return out


@njit(nogil=True, cache=True)
def room(n: int) -> Any:
    """Room for a tile of lines of n values."""
    return np.zeros(2 * padded((n + 1) // 2) * TILE, np.float32)


@njit(nogil=True, cache=True)
def multiply(sines: Any, which: int, tile: Any, out: Any, width: int) -> None:
    """Multiply the halves of a tile by two of the four matrices: `which` 0, forth, or 2, back."""
    side = sines.shape[1]
    for odd in range(2):
        matrix, start = sines[which + odd].reshape(-1), odd * side * TILE
        for i in range(0, side, ROWS):
            for j in range(0, width, LANES):
                product_block(matrix, i * side, side, tile, start + j, out, start + i * TILE + j)


@njit(nogil=True, cache=True)
def fold_columns(values: Any, start: int, width: int, tile: Any, into: bool) -> None:
    """Fold `width` lines along the middle axis of (planes, n, m), counted from `start`, `into` a tile, or unfold them.

    Sum and difference are their own inverse, but for a factor of 2.
    """
    n, m = values.shape[1:]
    side, half = padded((n + 1) // 2), n // 2
    done = 0
    while done < width:
        p, x = (start + done) // m, (start + done) % m
        part = min(m - x, width - done)
        for i in range(half):
            one, other = values[p, i, x : x + part], values[p, n - 1 - i, x : x + part]
            even = tile[i * TILE + done : i * TILE + done + part]
            odd = tile[(side + i) * TILE + done : (side + i) * TILE + done + part]
            if into:
                for j in range(part):
                    even[j] = one[j] + other[j]
                    odd[j] = one[j] - other[j]
            else:
                for j in range(part):
                    one[j] = even[j] + odd[j]
                    other[j] = even[j] - odd[j]
        if n % 2:
            middle, even = values[p, half, x : x + part], tile[half * TILE + done : half * TILE + done + part]
            if into:
                for j in range(part):
                    even[j] = middle[j]
            else:
                for j in range(part):
                    middle[j] = even[j]
        done += part


@njit(nogil=True, cache=True)
def move_columns(values: Any, start: int, width: int, tile: Any, into: bool) -> None:
    """Copy lines of frequencies along the middle axis `into` a tile, or back."""
    n, m = values.shape[1:]
    gap = padded((n + 1) // 2) - (n + 1) // 2  # rows of 0 between the even and the odd ones
    done = 0
    while done < width:
        p, x = (start + done) // m, (start + done) % m
        part = min(m - x, width - done)
        for k in range(n):
            row = (k if k < (n + 1) // 2 else k + gap) * TILE + done
            line, target = values[p, k, x : x + part], tile[row : row + part]
            if into:
                for j in range(part):
                    target[j] = line[j]
            else:
                for j in range(part):
                    line[j] = target[j]
        done += part


@njit(nogil=True, cache=True)
def transform_columns(values: Any, forth: bool, sines: Any, tile: Any, other: Any) -> None:
    """Transform (planes, n, m) along the middle axis, in place: to frequencies, or back to places."""
    lines = values.shape[0] * values.shape[2]
    for start in range(0, lines, TILE):
        width = min(TILE, lines - start)
        whole = (width + LANES - 1) // LANES * LANES
        if forth:
            fold_columns(values, start, width, tile, True)
            multiply(sines, 0, tile, other, whole)
            move_columns(values, start, width, other, False)
        else:
            move_columns(values, start, width, tile, True)
            multiply(sines, 2, tile, other, whole)
            fold_columns(values, start, width, other, False)


@njit(nogil=True, cache=True)
def transform_rows(values: Any, forth: bool, sines: Any, tile: Any, other: Any) -> None:
    """Transform (rows, n) along the last axis, in place: as `transform_columns`, the tile holding rows upright."""
    rows, n = values.shape
    side, half = padded((n + 1) // 2), n // 2
    evens = n - half
    for start in range(0, rows, TILE):
        width = min(TILE, rows - start)
        whole = (width + LANES - 1) // LANES * LANES
        for j in range(width):
            line = values[start + j]
            if forth:
                for i in range(half):
                    tile[i * TILE + j] = line[i] + line[n - 1 - i]
                    tile[(side + i) * TILE + j] = line[i] - line[n - 1 - i]
                if n % 2:
                    tile[half * TILE + j] = line[half]
            else:
                for i in range(evens):
                    tile[i * TILE + j] = line[i]
                for i in range(half):
                    tile[(side + i) * TILE + j] = line[evens + i]
        multiply(sines, 0 if forth else 2, tile, other, whole)
        for j in range(width):
            line = values[start + j]
            if forth:
                for i in range(evens):
                    line[i] = other[i * TILE + j]
                for i in range(half):
                    line[evens + i] = other[(side + i) * TILE + j]
            else:
                for i in range(half):
                    even, odd = other[i * TILE + j], other[(side + i) * TILE + j]
                    line[i] = even + odd
                    line[n - 1 - i] = even - odd
                if n % 2:
                    line[half] = other[half * TILE + j]


@njit(nogil=True, cache=True)
def divide_columns(values: Any, own: Any, along: Any, across: Any, factor: float, room: Any) -> None:
    """Transform (planes, n, m) along the middle axis, divide by the eigenvalues, transform back.

    `along` (n,) are those of the middle axis, `across` (planes, m) the sums of all others'; `own` holds the sines.
    """
    planes, n, m = values.shape
    tile, other = room
    gap = padded((n + 1) // 2) - (n + 1) // 2
    lines = planes * m
    every = across.reshape(lines)
    scale = np.float32(factor)
    for start in range(0, lines, TILE):
        width = min(TILE, lines - start)
        whole = (width + LANES - 1) // LANES * LANES
        fold_columns(values, start, width, tile, True)
        multiply(own, 0, tile, other, whole)
        sums = every[start : start + width]
        for k in range(n):
            row = (k if k < (n + 1) // 2 else k + gap) * TILE
            line, eigenvalue = other[row : row + width], along[k]
            for j in range(width):
                line[j] = line[j] * (scale / (eigenvalue + sums[j]))
        multiply(own, 2, other, tile, whole)
        fold_columns(values, start, width, tile, False)


@njit(nogil=True, cache=True)
def eigenvalues(n: int) -> Any:
    """Those of the second difference with 0 beyond both ends, in the order of the transform: float32 (n,)."""
    out = np.empty(n, np.float32)
    evens = (n + 1) // 2
    for k in range(n):
        frequency = 2 * k if k < evens else 2 * (k - evens) + 1
        # 2 cos(a) - 2 written so that small eigenvalues keep their digits
        out[k] = -4.0 * math.sin(math.pi * (frequency + 1) / (2 * (n + 1))) ** 2
    return out


@njit(nogil=True, cache=True)
def solve(values: Any, flat: bool) -> None:
    """Solve Laplacian(f) = values with f = 0 around (Z, Y, X), in place; a `flat` first axis is left out."""
    nz, ny, nx = values.shape
    factor = 4.0 / ((ny + 1) * (nx + 1))
    tile_x, other_x, sines_x = room(nx), room(nx), half_sines(nx)
    tile_y, other_y, sines_y = room(ny), room(ny), half_sines(ny)
    rows = values.reshape(nz * ny, nx)
    transform_rows(rows, True, sines_x, tile_x, other_x)
    along_x, along_y = eigenvalues(nx), eigenvalues(ny)
    if flat:
        divide_columns(values, sines_y, along_y, along_x.reshape(1, nx), factor, (tile_y, other_y))
    else:
        transform_columns(values, True, sines_y, tile_y, other_y)
        across = np.empty((1, ny * nx), np.float32)
        for y in range(ny):
            for x in range(nx):
                across[0, y * nx + x] = along_y[y] + along_x[x]
        whole = values.reshape(1, nz, ny * nx)
        own = (room(nz), room(nz))
        divide_columns(whole, half_sines(nz), eigenvalues(nz), across, factor * 2.0 / (nz + 1), own)
        transform_columns(values, False, sines_y, tile_y, other_y)
    transform_rows(rows, False, sines_x, tile_x, other_x)
