"""The definition: guidance field edge by edge, then the sparse linear system solved directly, in float64."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.linalg import spsolve


def blend(
    target: npt.NDArray[np.floating],
    donor: npt.NDArray[np.floating],
    region: npt.NDArray[np.bool_],
    corner: Sequence[int],
    *,
    mixed: bool = True,
) -> npt.NDArray[np.float64]:
    """Blend a donor (C, *box) into the box at `corner` of a target (C, *S): float64 (C, *S)."""
    out = np.asarray(target, dtype=np.float64).copy()
    box = tuple(slice(c, c + n) for c, n in zip(corner, region.shape, strict=True))
    mask = np.zeros_like(region)
    inner = (slice(1, -1),) * region.ndim
    mask[inner] = region[inner]
    for channel, patch in zip(out, np.asarray(donor, dtype=np.float64), strict=True):
        channel[box] = _solve(channel[box], _divergence(channel[box], patch, mask, mixed))
    return out


def integrate_box(
    target: npt.NDArray[np.floating], guidance: Sequence[npt.NDArray[np.floating]]
) -> npt.NDArray[np.float64]:
    """The box (C, *box) whose differences come closest to the guidance, one array per axis: float64, not clipped."""
    out = np.asarray(target, dtype=np.float64).copy()
    for c, values in enumerate(out):
        divergence = np.zeros(values.shape)
        for axis, fields in enumerate(guidance):
            for v in np.ndindex(*fields[c].shape):
                after = tuple(i + (a == axis) for a, i in enumerate(v))
                divergence[v] += fields[c][v]
                divergence[after] -= fields[c][v]
        out[c] = _solve(values, divergence)
    return out


def _divergence(
    target: npt.NDArray[np.float64], donor: npt.NDArray[np.float64], mask: npt.NDArray[np.bool_], mixed: bool
) -> npt.NDArray[np.float64]:
    """div(v) at the inner voxels of the box, v by forward differences along each axis."""
    out = np.zeros(target.shape)
    for axis in range(target.ndim):
        for v in np.ndindex(*target.shape):
            after = tuple(i + (a == axis) for a, i in enumerate(v))
            if after[axis] == target.shape[axis]:
                continue
            gradient, other = target[after] - target[v], donor[after] - donor[v]
            if mask[v] and not (mixed and abs(gradient) >= abs(other)):
                gradient = other
            out[v] += gradient
            out[after] -= gradient
    return out


def _solve(target: npt.NDArray[np.float64], divergence: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """f with Laplacian(f) = divergence inside and f = target on the faces."""
    inner = np.zeros(target.shape, dtype=bool)
    inner[(slice(1, -1),) * target.ndim] = True
    number = np.full(target.shape, -1)
    number[inner] = np.arange(int(inner.sum()))
    matrix = sparse.lil_matrix((int(inner.sum()),) * 2)
    rhs = divergence[inner].copy()
    for v in np.argwhere(inner):
        row = number[tuple(v)]
        matrix[row, row] = -2 * target.ndim
        for axis in range(target.ndim):
            for step in (-1, 1):
                neighbour = tuple(v + step * (np.arange(target.ndim) == axis))
                if inner[neighbour]:
                    matrix[row, number[neighbour]] = 1
                else:
                    rhs[row] -= target[neighbour]
    out = target.copy()
    if rhs.size:
        out[inner] = spsolve(matrix.tocsr(), rhs)
    return out
