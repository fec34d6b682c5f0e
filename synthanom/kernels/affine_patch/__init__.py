"""A rotated and scaled patch of a donor, resampled onto the box that it is blended into."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from synthanom.arrays import (
    as_numpy,
    backend_of,
    check_coordinates,
    check_image,
    check_mask,
    pad_triple,
    read_only,
    to_volume,
)
from synthanom.errors import SynthanomError
from synthanom.kernels import region_mask


def sample(
    donor: Any,
    matrix: npt.ArrayLike,
    offset: Sequence[float],
    size: Sequence[int],
    limits: Any = None,
    region: Any = None,
) -> Any:
    """Resample a donor onto a box by cubic B-splines, clipped to the donor's range.

    Parameters
    ----------
    donor : ndarray or tensor of shape (C, *S), float32 or float64
    matrix : (D, D), offset : (D,)
        Voxel q of the box is taken at donor coordinates matrix @ q + offset, in voxels; the donor's border is
        repeated outside.
    size : D integers, the box
    limits : (2, C), array or tensor, optional
        Values to clip to per channel; the donor's own range by default.
    region : ndarray or tensor of shape (*size), bool, optional
        Of an array only what blending in it looks at is computed, its voxels and their next neighbours along each axis
        (and what lies between those of a row); the rest is 0. Of a tensor all is computed.

    Returns
    -------
    array of shape (C, *size), float32, of the same backend

    Raises
    ------
    SynthanomError
        For a donor of another number of axes than `size`, or numbers that are not finite or above 1e9.
    """
    dims, sides = len(size), tuple(int(n) for n in size)
    if backend_of(donor) == "torch":
        from synthanom.kernels.affine_patch.gpu import sample_one
        from synthanom.kernels.cubic_spline.gpu import check_tensor

        check_tensor(donor, name="donor")
        _check_settings(donor.shape, matrix, offset, dims)
        if region is not None:
            check_mask(as_numpy(region), sides, name="region")
        return sample_one(donor, matrix, offset, sides, limits)
    from synthanom.kernels.affine_patch.cpu import all_rows, needed_rows, sample_rows
    from synthanom.kernels.cubic_spline.cpu import WEIGHTS

    values = np.asarray(donor)
    check_image(values, name="donor")
    _check_settings(values.shape, matrix, offset, dims)
    out = np.zeros((values.shape[0], *(1,) * (3 - dims), *sides), dtype=np.float32)
    if region is None:
        rows = all_rows(out.shape[1:])
    else:
        check_mask(region, sides, name="region")
        rows = needed_rows(region_mask.byte_volume(region), dims == 2)
    sample_rows(
        out,
        read_only(to_volume(np.ascontiguousarray(values, dtype=np.float32), dims)),
        region_mask.embed(np.asarray(matrix, dtype=np.float64)),
        pad_triple(offset, 0.0),
        _range(values) if limits is None else np.asarray(limits, dtype=np.float64),
        rows,
        WEIGHTS[3],
    )
    return out.reshape(values.shape[0], *sides)


def _check_settings(shape: Sequence[int], matrix: npt.ArrayLike, offset: Sequence[float], dims: int) -> None:
    if len(shape) != dims + 1:
        raise SynthanomError(f"donor must have {dims} spatial axes as the box has, got shape {tuple(shape)}")
    check_coordinates(matrix, name="the patch's matrix")
    check_coordinates(offset, name="the patch's offset")


def _range(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    axes = tuple(range(1, values.ndim))
    return np.stack([values.min(axis=axes), values.max(axis=axes)]).astype(np.float64)
