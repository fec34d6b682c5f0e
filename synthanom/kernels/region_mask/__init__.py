"""Which voxels an ellipsoid or cuboid holds, and how far it reaches."""

import math
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
    from synthanom.kernels.region_mask.cpu import fill_spans, mask_of

    check_kind(kind)
    corner, shape = box
    whole = (1,) * (3 - len(shape)) + tuple(int(n) for n in shape)
    spans = np.empty((*whole[:2], 2), dtype=np.int32)
    # a flat axis (2D) never excludes a voxel: coordinate 0, half width 1
    start = pad_triple([c - p for c, p in zip(corner, position, strict=True)], 0.0)
    half = pad_triple([s / 2 for s in size], 1.0)
    fill_spans(spans, whole[2], kind == "ellipsoid", half, embed(inverse_matrix(matrix)), start)
    return np.asarray(mask_of(spans, whole[2]).reshape(whole[3 - len(shape) :]))


def tight_mask(
    kind: str,
    size: Sequence[float],
    matrix: npt.ArrayLike,
    position: Sequence[float],
    shape: Sequence[int],
    *,
    margin: int,
) -> tuple[tuple[int, ...], MaskArray] | None:
    """Mark a shape's voxels over their bounding box in an image and `margin` voxels around it, as far as there are any.

    Parameters
    ----------
    kind, size, matrix, position : as for `mask`
    shape : D sides of the image
    margin : int
        Voxels.

    Returns
    -------
    (corner, mask) of the box, or None if the image holds no voxel of the shape

    Raises
    ------
    SynthanomError
        If the matrix has no inverse.
    """
    from synthanom.kernels.region_mask.cpu import mask_of, shape_spans

    check_kind(kind)
    flat = 3 - len(shape)
    box = np.array([(0, 1)] * flat + [(0, int(n)) for n in shape], dtype=np.int64)
    corner = np.empty(3, dtype=np.int64)
    spans, width, count = shape_spans(
        kind == "ellipsoid",
        pad_triple([s / 2 for s in size], 1.0),
        embed(np.asarray(matrix, dtype=np.float64)),
        pad_triple(position, 0.0),
        margin,
        box,
        corner,
    )
    if count < 0:
        raise SynthanomError(f"a shape's matrix must be invertible, got {np.asarray(matrix).tolist()}")
    if count == 0:
        return None
    marked = mask_of(spans, width)
    return tuple(corner[flat:].tolist()), marked.reshape(marked.shape[flat:])


def half_extent(kind: str, size: Sequence[float], matrix: npt.ArrayLike) -> FloatArray:
    """How far a shape reaches from its centre along each image axis.

    Parameters
    ----------
    kind, size, matrix
        As for `mask`.

    Returns
    -------
    ndarray of shape (D,), float64
        Voxels.
    """
    check_kind(kind)
    half = [float(s) / 2 for s in size]
    # a handful of numbers: Python's floats take 3 us, arrays took 15
    own = np.asarray(matrix, dtype=np.float64).tolist()
    rows = [[abs(m * r) for m, r in zip(row, half, strict=True)] for row in own]
    if kind == "ellipsoid":
        return np.array([math.sqrt(sum(part * part for part in row)) for row in rows])
    return np.array([sum(row) for row in rows])


def embed(matrix: FloatArray) -> FloatArray:
    """A (D, D) matrix as the last block of a 3 x 3 identity."""
    if matrix.shape[0] == 3:
        return np.ascontiguousarray(matrix)
    whole = np.zeros((3, 3))
    whole[0, 0] = 1.0
    whole[1:, 1:] = matrix
    return whole


def byte_volume(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """A mask (*S) as compiled code wants it: read-only, C-contiguous uint8 (Z, Y, X), one layer for a picture.

    A view where the memory allows; one kind of array means one compiled version of each kernel.
    """
    values = np.ascontiguousarray(mask).view(np.uint8)
    volume = values.reshape((1,) * (3 - mask.ndim) + mask.shape)
    volume.flags.writeable = False
    return volume


def check_kind(kind: str) -> None:
    """Raise unless `kind` names a shape.

    Raises
    ------
    SynthanomError
    """
    if kind not in KINDS:
        raise SynthanomError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
