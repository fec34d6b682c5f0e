"""Batched twin: squared depths axis by axis, whole windows at a time, and the ramp worked out at every voxel."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from synthanom.kernels.windows.gpu import as_volumes, on_device, per_item

SHIFTS = 16  # compared at once; bounds the memory


def squared_depth(region: Tensor, reach: int, *, flat: bool) -> Tensor:
    """Squared Euclidean distance to the nearest voxel outside, in voxels, exact up to `reach` squared.

    Parameters
    ----------
    region : bool (N, *P), windows, False in the padding; everything beyond the window is outside
    reach : int
    flat : bool
        Pictures, whose first axis has no sides.

    Returns
    -------
    int32 (N, *P); deeper voxels hold `reach` squared, or more
    """
    axes = range(1 if flat else 0, 3)
    reach = min(reach, *((region.shape[1 + axis] + 1) // 2 for axis in axes))  # no voxel is deeper
    if reach < 1:
        return torch.zeros(region.shape, dtype=torch.int32, device=region.device)
    # no sum exceeds twice the largest value
    dtype = torch.int16 if 2 * reach * reach < 2**15 else torch.int32
    depth = region.to(dtype).mul_(reach * reach)
    # the last shift need not be looked at: all depths are at most its square from the start
    squares = torch.arange(1 - reach, reach, dtype=dtype, device=region.device).square_()
    for axis in reversed(axes):
        depth = _lowest(depth, 1 + axis, squares)
    return depth.to(torch.int32)


def _lowest(values: Tensor, axis: int, squares: Tensor) -> Tensor:
    """The minimum over shifts k along an axis of values + k^2, 0 beyond the window; `squares`: of all shifts k."""
    most = squares.numel() // 2
    padding = [0, 0] * (values.ndim - 1 - axis) + [most, most]
    shifted = functional.pad(values, padding).unfold(axis, squares.numel(), 1).movedim(-1, 0)
    lowest = None
    for some, square in zip(torch.split(shifted, SHIFTS), torch.split(squares, SHIFTS), strict=True):
        # one shift behind the other in memory: the minimum then reads along rows
        sums = torch.empty(some.shape, dtype=values.dtype, device=values.device)
        torch.add(some, square.view(-1, *(1,) * values.ndim), out=sums)
        least = sums.amin(dim=0)
        lowest = least if lowest is None else torch.minimum(lowest, least, out=lowest)
    assert lowest is not None
    return lowest


def largest_depth(squared: Tensor, limit: Tensor) -> Tensor:
    """Depth of the deepest voxel of each region, at most `limit`, voxels: float64 (N,).

    Parameters
    ----------
    squared : int32 (N, *P), of `squared_depth` with a reach of at least every limit, rounded up
    limit : float64 (N,)
    """
    return squared.flatten(1).amax(dim=1).double().sqrt_().minimum(limit)


def add_ramp(values: Tensor, squared: Tensor, ramp: Tensor, change: Tensor, limits: Tensor) -> Tensor:
    """Add changes that rise from the regions' edges, and clip what was changed.

    Parameters
    ----------
    values : float32 (N, C, *P)
    squared : int32 (N, *P), squared depths, exact up to the ramp's square; 0 outside the regions
    ramp : float64 (N,), depth of full strength, voxels, > 0
    change : float64 (N, C)
    limits : (N, 2, C)

    Returns
    -------
    float32 (N, C, *P), new: values + change min(depth / ramp, 1) in the regions
    """
    ramp = ramp.clamp(min=1.0)  # a region's voxels are at least that deep
    slope = (change / ramp.unsqueeze(1)).to(torch.float32)
    rise = squared.sqrt().minimum(per_item(ramp.to(torch.float32)))
    low, high = per_item(limits.to(torch.float32)).unbind(dim=1)
    out = torch.addcmul(values, rise.unsqueeze(1), per_item(slope)).clamp_(low, high)
    return torch.where((squared > 0).unsqueeze(1), out, values)


def apply(image: Tensor, region: Any, box: tuple[slice, ...], ramp: float, change: Any, limits: Any | None) -> Tensor:
    """`smooth_change.apply` in one box of a picture (C, *S), on its device; the face has checked the arguments."""
    out = image.detach().to(torch.float32, copy=True, memory_format=torch.contiguous_format)
    dims, values, device = region.ndim, out[:, *box], out.device
    bounds = torch.stack(out.flatten(1).aminmax(dim=1)) if limits is None else on_device(limits, device)
    mask = as_volumes(on_device(region, device)[None], dims)
    after = add_ramp(
        as_volumes(values[None], dims),
        squared_depth(mask, math.ceil(ramp), flat=dims == 2),
        torch.full((1,), ramp, dtype=torch.float64, device=device),
        on_device(change, device).double()[None],
        bounds[None],
    )
    values.copy_(after.view(values.shape))
    return out
