"""A rotated and scaled patch of a donor, resampled onto the box that it is blended into."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from synthanom.arrays import as_numpy, back_to, check_image, pad_triple, to_volume
from synthanom.errors import SynthanomError
from synthanom.kernels import cubic_spline, region_mask


def sample(
    donor: Any,
    matrix: npt.ArrayLike,
    offset: Sequence[float],
    size: Sequence[int],
    limits: npt.ArrayLike | None = None,
) -> Any:
    """Resample a donor onto a box by cubic B-splines, clipped to the donor's range.

    Parameters
    ----------
    donor : ndarray or tensor of shape (C, *S), float32 or float64
    matrix : (D, D), offset : (D,)
        Voxel q of the box is taken at donor coordinates matrix @ q + offset, in voxels; the donor's border is
        repeated outside.
    size : D integers, the box
    limits : (2, C), optional
        Values to clip to per channel; the donor's own range by default.

    Returns
    -------
    array of shape (C, *size), float32, of the same backend

    Raises
    ------
    SynthanomError
        For a donor of another number of axes than `size`.
    """
    from synthanom.kernels.affine_patch.cpu import gather_box

    values = as_numpy(donor)
    check_image(values, name="donor")
    dims = len(size)
    if values.ndim != dims + 1:
        raise SynthanomError(f"donor must have {dims} spatial axes as the box has, got shape {values.shape}")
    linear = np.asarray(matrix, dtype=np.float64)
    shift = np.asarray(offset, dtype=np.float64)
    edge = linear * (np.asarray(size, dtype=np.float64) - 1)[None, :]
    low, high = shift + np.minimum(edge, 0).sum(axis=1), shift + np.maximum(edge, 0).sum(axis=1)
    volume = to_volume(values.astype(np.float32, copy=False), dims)
    spline = cubic_spline.crop(volume, pad_triple(low, 0.0), pad_triple(high, 0.0))
    out = np.empty((values.shape[0], *(1,) * (3 - dims), *(int(n) for n in size)), dtype=np.float32)
    bounds = _range(values) if limits is None else np.asarray(limits, dtype=np.float64)
    gather_box(
        out,
        spline.coefficients,
        region_mask.embed(linear),
        pad_triple(shift, 0.0) - spline.origin,
        bounds.astype(np.float64),
    )
    return back_to(out.reshape(values.shape[0], *(int(n) for n in size)), donor)


def _range(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    axes = tuple(range(1, values.ndim))
    return np.stack([values.min(axis=axes), values.max(axis=axes)]).astype(np.float64)
