"""Which voxels an ellipsoid or cuboid holds, and how far it reaches."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from synthanom.arrays import FloatArray, MaskArray, inverse_matrix, pad_triple
from synthanom.errors import SynthanomError

KINDS = ("ellipsoid", "cuboid")


def mask(
    kind: str,
    size: Sequence[float],
    matrix: npt.ArrayLike,
    position: Sequence[float],
    box: tuple[Sequence[int], Sequence[int]],
) -> MaskArray:
    """Mark the voxels of a box that lie inside a shape.

    Parameters
    ----------
    kind : {"ellipsoid", "cuboid"}
    size : D full widths along the shape's own axes, voxels
    matrix : (D, D) map from own axes to image axes
    position : D image coordinates of the centre, voxels
    box : (corner, shape) of the box in the image, D integers each

    Returns
    -------
    ndarray of shape `box[1]`, bool

    Notes
    -----
    With o = matrix^-1 (p - position) and half widths r = size / 2, p is inside if sum((o_i / r_i)^2) <= 1 (ellipsoid)
    or every |o_i| <= r_i (cuboid).
    """
    from synthanom.kernels.region_mask.cpu import fill_mask

    check_kind(kind)
    corner, shape = box
    dims = len(shape)
    out = np.empty((1,) * (3 - dims) + tuple(int(n) for n in shape), dtype=np.bool_)
    # a flat axis (2D) never excludes a voxel: coordinate 0, half width 1
    start = pad_triple([c - p for c, p in zip(corner, position, strict=True)], 0.0)
    fill_mask(out, kind == "ellipsoid", pad_triple([s / 2 for s in size], 1.0), embed(inverse_matrix(matrix)), start)
    return out.reshape(tuple(int(n) for n in shape))


def half_extent(kind: str, size: Sequence[float], matrix: npt.ArrayLike) -> FloatArray:
    """How far the shape reaches from its centre along each image axis, in voxels: float64 (D,)."""
    check_kind(kind)
    reach = np.abs(np.asarray(matrix, dtype=np.float64) * (np.asarray(size, dtype=np.float64) / 2)[None, :])
    return np.asarray(np.sqrt((reach**2).sum(axis=1)) if kind == "ellipsoid" else reach.sum(axis=1))


def embed(matrix: FloatArray) -> FloatArray:
    """A (D, D) matrix as the last block of a 3 x 3 identity."""
    whole = np.eye(3)
    dims = matrix.shape[0]
    whole[3 - dims :, 3 - dims :] = matrix
    return whole


def check_kind(kind: str) -> None:
    """Raise unless `kind` names a shape.

    Raises
    ------
    SynthanomError
    """
    if kind not in KINDS:
        raise SynthanomError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
