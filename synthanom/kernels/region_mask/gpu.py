"""Batched twin: the same roundings as the compiled one, so that no voxel differs."""

import torch
from torch import Tensor

from synthanom.kernels.windows.gpu import Padded, along, per_item


def masks(ellipsoid: Tensor, half: Tensor, inverse: Tensor, start: Tensor, padded: Padded) -> Tensor:
    """The voxels of windows that lie inside shapes.

    Parameters
    ----------
    ellipsoid : bool (N,); the others are cuboids
    half : float64 (N, 3), half widths, voxels
    inverse : float64 (N, 3, 3), image axes to own axes
    start : float64 (N, 3), the windows' first voxels relative to the shapes' centres
    padded : sides of the windows

    Returns
    -------
    bool (N, *padded)

    Notes
    -----
    Every operation is a call of its own, so that no device fuses a product and a sum, whose common rounding would move
    voxels on the surface.
    """
    pz, py, px = (per_item(start[:, axis]) + along(axis, padded[axis], start.device) for axis in range(3))
    squares, cuboid = None, None
    for i in range(3):
        m = [per_item(inverse[:, i, j]) for j in range(3)]
        # as the compiled twin adds them up: what does not change along a row first
        own = (m[0] * pz + m[1] * py) + m[2] * px
        own = own.div_(per_item(half[:, i]))
        within = own.abs() <= 1.0
        cuboid = within if cuboid is None else cuboid.logical_and_(within)
        squared = own.mul_(own)
        squares = squared if squares is None else squares.add_(squared)
    assert squares is not None and cuboid is not None
    return torch.where(per_item(ellipsoid), squares <= 1.0, cuboid)


def largest_coordinates(mask: Tensor) -> Tensor:
    """How far marked voxels lie from the middle of windows with odd sides, along each axis: int64 (N, 3).

    For shapes about the middle, which are as long one way as the other; 0 for an axis of length 1.
    """
    out = []
    for axis in range(3):
        others = [1 + a for a in range(3) if a != axis]
        filled = mask.any(dim=others[1]).any(dim=others[0])
        place = torch.arange(filled.shape[1], device=mask.device)
        last = torch.where(filled, place, 0).amax(dim=1)
        out.append(last - filled.shape[1] // 2)
    return torch.stack(out, dim=1)


def nth_marked(mask: Tensor, n: Tensor) -> Tensor:
    """Coordinates, within windows (N, *P), of the n-th marked voxel of each (C order), n int64 (N,): int64 (N, 3)."""
    before = mask.flatten(1).cumsum(dim=1, dtype=torch.int32)
    flat = (before <= n.unsqueeze(1)).sum(dim=1)
    _, py, px = mask.shape[1:]
    return torch.stack([flat // (py * px), flat // px % py, flat % px], dim=1)
