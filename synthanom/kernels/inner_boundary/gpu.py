"""Batched twin of `reference`."""

import torch
from torch import Tensor

from synthanom.kernels.windows.gpu import along, per_item


def edges(region: Tensor, *, flat: bool) -> Tensor:
    """The voxels of regions, bool (N, *P), that have a face neighbour outside; what lies beyond a window is outside."""
    interior = region.clone()
    for axis in range(2 if flat else 1, 4):
        count = region.shape[axis]
        interior.narrow(axis, 0, 1).fill_(False)
        interior.narrow(axis, count - 1, 1).fill_(False)
        if count > 1:
            interior.narrow(axis, 1, count - 1).logical_and_(region.narrow(axis, 0, count - 1))
            interior.narrow(axis, 0, count - 1).logical_and_(region.narrow(axis, 1, count - 1))
    return region & ~interior


def mean_distance(region: Tensor, centre: Tensor, *, flat: bool) -> Tensor:
    """Mean distance from a point to the inner boundary of each region, voxels; nan for an empty one.

    Parameters
    ----------
    region : bool (N, *P)
    centre : (N, 3), in voxels of the window

    Returns
    -------
    float64 (N,)
    """
    edge = edges(region, flat=flat)
    squared = None
    for axis in range(3):
        away = along(axis, region.shape[1 + axis], region.device) - per_item(centre[:, axis].to(torch.float64))
        squared = away.square_() if squared is None else squared + away.square_()
    assert squared is not None
    total = torch.where(edge, squared.sqrt_(), 0.0).sum(dim=(1, 2, 3))
    return total / edge.sum(dim=(1, 2, 3))
