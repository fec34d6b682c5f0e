"""A constant change of intensity that fades in from the region's edge."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from synthanom.arrays import (
    FloatArray,
    ImageArray,
    MaskArray,
    as_numpy,
    backend_of,
    box_slices,
    check_image,
    check_mask,
    shape_only,
    to_volume,
    value_range,
)
from synthanom.errors import SynthanomError
from synthanom.kernels.region_mask import byte_volume


def apply(
    image: Any,
    region: Any,
    corner: Sequence[int],
    ramp: float,
    change: npt.ArrayLike,
    limits: npt.ArrayLike | None = None,
) -> Any:
    """Add an offset per channel inside a region, rising linearly over `ramp` voxels from its edge.

    Parameters
    ----------
    image : ndarray or tensor of shape (C, *S), float32 or float64
    region : bool array of shape (*box)
    corner : D integers, the box's place in the image
    ramp : float
        Depth in voxels at which the change reaches full strength, > 0.
    change : (C,), image intensity units
    limits : (2, C), optional
        Range that the result is clipped to per channel; the image's own by default.

    Returns
    -------
    array of shape (C, *S), float32, of the same backend; `image` is not written

    Raises
    ------
    SynthanomError
        If shapes disagree, the box leaves the image, or the ramp is not positive.

    Notes
    -----
    x + change min(depth / ramp, 1), depth the Euclidean distance to the nearest voxel outside the region; everything
    beyond the box is outside.
    """
    picture, mask = shape_only(image), shape_only(region)
    check_image(picture)
    box = box_slices(corner, mask.shape)
    if backend_of(image) == "torch":
        from synthanom.kernels.smooth_change.gpu import apply as kernel

        offset, bounds = _as_given(change), None if limits is None else _as_given(limits)
        shape = (2, picture.shape[0]) if bounds is None else bounds.shape
        _check(picture[:, *box], mask, ramp, offset.shape, shape)
        return kernel(image, region, box, float(ramp), offset, bounds)
    out = np.array(image, dtype=np.float32, order="C")
    bounds = value_range(out) if limits is None else _numbers(limits)
    out[:, *box] = change_box(out[:, *box], as_numpy(region), ramp, _numbers(change), bounds)
    return out


def change_box(
    values: ImageArray, region: MaskArray, ramp: float, change: npt.NDArray[Any], limits: npt.NDArray[Any]
) -> ImageArray:
    """`apply` on the values of the region's box alone: float32 (C, *box)."""
    from synthanom.kernels.smooth_change.cpu import add_ramp

    _check(values, region, ramp, change.shape, limits.shape)
    dims = region.ndim
    out = np.array(values, dtype=np.float32, order="C")
    squared, cap = _squared_depth(region, ramp)
    add_ramp(to_volume(out, dims), squared, cap, float(ramp), change.astype(np.float64), limits.astype(np.float64))
    return out


def _check(
    values: npt.NDArray[Any], region: npt.NDArray[Any], ramp: float, change: Sequence[int], limits: Sequence[int]
) -> None:
    """Raise unless the arguments fit the values of the region's box (C, *box); `change` and `limits` are shapes."""
    channels = values.shape[0]
    check_mask(region, values.shape[1:], name="region")
    if not (np.isfinite(ramp) and ramp > 0):
        raise SynthanomError(f"ramp must be a positive number of voxels, got {ramp}")
    if tuple(change) != (channels,) or tuple(limits) != (2, channels):
        raise SynthanomError(
            f"change must have shape ({channels},) and limits (2, {channels}), got {tuple(change)} and {tuple(limits)}"
        )


def _numbers(values: Any) -> FloatArray:
    """A few numbers as float64, whether they come as a sequence, an array or a tensor."""
    plain = values if isinstance(values, list | tuple) else as_numpy(values)
    return np.asarray(plain, dtype=np.float64)


def _as_given(values: Any) -> Any:
    """A few numbers as a tensor where they are one, which fetching would wait for the device, else as float64 array."""
    if isinstance(values, list | tuple) or backend_of(values) == "numpy":
        return _numbers(values)
    return values


def squared_depth(region: MaskArray, *, limit: float = np.inf) -> npt.NDArray[np.int32]:
    """Squared Euclidean distance to the nearest voxel outside; beyond the box is outside.

    Parameters
    ----------
    region : ndarray of shape (*box), bool
    limit : float
        Voxels up to which the depth is exact; deeper voxels hold some value of at least `limit` squared.

    Returns
    -------
    ndarray of shape (*box), int32
    """
    return _squared_depth(region, limit)[0].reshape(region.shape)


def _squared_depth(region: MaskArray, limit: float) -> tuple[npt.NDArray[np.int32], int]:
    """Squared depths of a region as a volume, and the largest value that they may have."""
    from synthanom.kernels.smooth_change.cpu import fill_squared_depth

    volume = byte_volume(region)
    cap = ((min(region.shape) + 1) // 2) ** 2  # beyond the box all is outside
    if limit * limit < cap:
        cap = math.ceil(limit) ** 2
    out = np.empty(volume.shape, dtype=np.int32)
    fill_squared_depth(out, volume, cap, region.ndim == 2)
    return out, cap


def largest_depth(region: MaskArray, *, limit: float = np.inf) -> float:
    """Distance from the region's deepest voxel to the nearest voxel outside.

    Parameters
    ----------
    region : ndarray of shape (*box), bool
    limit : float
        Voxels; no larger depth is given.

    Returns
    -------
    float
        Voxels; 0 for an empty region.
    """
    from synthanom.kernels.smooth_change.cpu import holds_ball

    if limit < min(region.shape) and holds_ball(byte_volume(region), region.ndim == 2, float(limit)):
        return float(limit)
    return min(math.sqrt(_squared_depth(region, limit)[0].max(initial=0)), float(limit))
