"""The definition: one point at a time, in float64."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def mask(
    kind: str,
    size: Sequence[float],
    matrix: npt.ArrayLike,
    position: Sequence[float],
    box: tuple[Sequence[int], Sequence[int]],
) -> npt.NDArray[np.bool_]:
    """Mark the voxels of a box that lie inside an ellipsoid or a cuboid."""
    corner, shape = box
    half = np.asarray(size, dtype=np.float64) / 2
    out = np.zeros(tuple(shape), dtype=bool)
    for v in np.ndindex(*out.shape):
        p = np.asarray(corner, dtype=np.float64) + v
        o = np.linalg.solve(np.asarray(matrix, dtype=np.float64), p - np.asarray(position, dtype=np.float64))
        if kind == "ellipsoid":
            out[v] = ((o / half) ** 2).sum() <= 1
        else:
            out[v] = (np.abs(o) <= half).all()
    return out
