"""Compiled twin of `reference`: the sine transform as products with sine matrices, summed in a fixed order.

The products are compiled here rather than given to BLAS: their bits depend on no BLAS build, and no thread is started.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from synthanom.arrays import FloatArray, ImageArray

TILE = 256  # columns of a product kept in the first-level cache


def solve(rhs: ImageArray, volume: bool) -> ImageArray:
    """Solution of the discrete Laplace equation with zero on the faces: float32 (Z, Y, X) at the inner voxels.

    `volume` is False for a flat first axis, which is then not transformed.
    """
    axes = (0, 1, 2) if volume else (1, 2)
    sines = [sine_matrix(n) for n in rhs.shape]
    work: npt.NDArray[np.float32] = rhs
    for axis in axes:
        work = transform(work, sines[axis], axis)
    work = (work * scale(rhs.shape, axes)).astype(np.float32)
    for axis in axes:
        work = transform(work, sines[axis], axis)
    return work


def sine_matrix(n: int) -> ImageArray:
    """sin(pi (i + 1)(j + 1) / (n + 1)), float32 (n, n): symmetric, its own inverse up to 2 / (n + 1)."""
    k = np.arange(1, n + 1)
    # the product modulo one period, so that large arguments lose nothing
    return np.sin(np.pi * ((k[:, None] * k) % (2 * (n + 1))) / (n + 1)).astype(np.float32)


def scale(shape: tuple[int, ...], axes: tuple[int, ...]) -> FloatArray:
    """1 / eigenvalue of the Laplacian, times the inverse transform's 2 / (n + 1) per axis."""
    total = np.zeros(shape)
    factor = 1.0
    for axis in axes:
        n = shape[axis]
        # 2 cos(a) - 2 written so that small eigenvalues keep their digits
        eigenvalues = -4.0 * np.sin(np.pi * np.arange(1, n + 1) / (2 * (n + 1))) ** 2
        total += eigenvalues.reshape([-1 if a == axis else 1 for a in range(3)])
        factor *= 2.0 / (n + 1)
    return np.asarray(factor / total)


def transform(values: ImageArray, sines: ImageArray, axis: int) -> ImageArray:
    """Multiply one axis of (Z, Y, X) values by a sine matrix: a new array."""
    out = np.empty_like(values)
    nz, ny, nx = values.shape
    if axis == 0:
        product(sines, values.reshape(nz, ny * nx), out.reshape(nz, ny * nx))
    elif axis == 1:
        plane_products(sines, values, out)
    else:
        product(values.reshape(nz * ny, nx), sines, out.reshape(nz * ny, nx))
    return out


@njit(nogil=True, cache=True)
def plane_products(a: Any, b: Any, out: Any) -> None:
    """out[z] = a @ b[z] for every plane."""
    for z in range(b.shape[0]):
        product(a, b[z], out[z])


@njit(nogil=True, cache=True)
def product(a: Any, b: Any, out: Any) -> None:
    """out = a @ b in float32; every element is summed over k in ascending order, whatever the machine.

    Four rows of `out` at a time, so that a row of `b` is loaded once for all of them.
    """
    n, depth = a.shape
    m = b.shape[1]
    lines = np.empty((4, TILE), np.float32)
    for start in range(0, m, TILE):
        width = min(TILE, m - start)
        whole = n - n % 4
        for i in range(0, whole, 4):
            lines[:] = np.float32(0)
            for k in range(depth):
                _add_four(lines, a[i, k], a[i + 1, k], a[i + 2, k], a[i + 3, k], b[k, start : start + width])
            for r in range(4):
                for j in range(width):
                    out[i + r, start + j] = lines[r, j]
        for i in range(whole, n):
            lines[0] = np.float32(0)
            for k in range(depth):
                for j in range(width):
                    lines[0, j] += a[i, k] * b[k, start + j]
            for j in range(width):
                out[i, start + j] = lines[0, j]


@njit(nogil=True, cache=True)
def _add_four(lines: Any, f0: Any, f1: Any, f2: Any, f3: Any, row: Any) -> None:
    """Add multiples of a row to four lines."""
    for j in range(row.shape[0]):
        v = row[j]
        lines[0, j] += f0 * v
        lines[1, j] += f1 * v
        lines[2, j] += f2 * v
        lines[3, j] += f3 * v


@njit(nogil=True, cache=True)
def _excess(target: Any, donor: Any, v: Any, after: Any, mixed: bool) -> float:
    """The donor's gradient minus the target's along one edge where the donor's is taken, else 0.

    In float64, where differences of float32 values are exact: the choice is then the reference's.
    """
    gradient = np.float64(target[after]) - np.float64(target[v])
    other = np.float64(donor[after]) - np.float64(donor[v])
    if mixed and abs(gradient) >= abs(other):
        return 0.0
    return float(other - gradient)


@njit(nogil=True, cache=True)
def divergence(target: Any, donor: Any, mask: Any, mixed: bool) -> Any:
    """div(v) - Laplacian(target) at the inner voxels: float32, zero but around edges of the region.

    Subtracting the target's Laplacian beforehand makes the unknown f - target, which vanishes on the faces.
    """
    nz, ny, nx = target.shape
    flat = 1 if nz == 1 else 0
    total = np.zeros((nz, ny, nx))
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                if not mask[z, y, x]:
                    continue
                if not flat:
                    e = _excess(target, donor, (z, y, x), (z + 1, y, x), mixed)
                    total[z, y, x] += e
                    total[z + 1, y, x] -= e
                e = _excess(target, donor, (z, y, x), (z, y + 1, x), mixed)
                total[z, y, x] += e
                total[z, y + 1, x] -= e
                e = _excess(target, donor, (z, y, x), (z, y, x + 1), mixed)
                total[z, y, x] += e
                total[z, y, x + 1] -= e
    if flat:
        return total[:, 1:-1, 1:-1].astype(np.float32)
    return total[1:-1, 1:-1, 1:-1].astype(np.float32)
