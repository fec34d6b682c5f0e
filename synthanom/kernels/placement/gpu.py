"""Batched twin: proposals judged by integer counts over the rows of convex regions."""

import torch
from torch import Tensor


def running_counts(allowed: Tensor) -> Tensor:
    """Allowed voxels before each place of a row: bool (B, Z, Y, X) -> int32 (B, Z, Y, X + 1)."""
    out = torch.zeros((*allowed.shape[:3], allowed.shape[3] + 1), dtype=torch.int32, device=allowed.device)
    torch.cumsum(allowed, dim=3, dtype=torch.int32, out=out[..., 1:])
    return out


def overlaps(before: Tensor, item: Tensor, mask: Tensor, start: Tensor) -> Tensor:
    """How many voxels of regions lie on allowed ones, for several places of their boxes.

    Parameters
    ----------
    before : int32 (B, Z, Y, X + 1), of `running_counts`
    item : int64 (N,), the image of each region
    mask : bool (N, *P), regions whose rows have no gaps
    start : int64 (N, K, 3), where the windows begin; their boxes fit the image

    Returns
    -------
    int64 (N, K)
    """
    _, nz, ny, nx = before.shape
    length = mask.sum(dim=3)
    # argmax of equal values is not defined to be the first one: the first marked place of a row by the smallest number
    place = torch.arange(mask.shape[3], device=mask.device, dtype=torch.int32)
    first = torch.where(mask, place, mask.shape[3]).amin(dim=3)
    first = torch.where(length > 0, first, 0)
    pz, py = mask.shape[1:3]
    # rows of the padding hold nothing, wherever they are looked up
    z = (start[:, :, 0, None, None] + torch.arange(pz, device=mask.device)[:, None]).clamp_(max=nz - 1)
    y = (start[:, :, 1, None, None] + torch.arange(py, device=mask.device)).clamp_(max=ny - 1)
    row = ((item[:, None, None, None] * nz + z) * ny + y) * nx
    low = row + (start[:, :, 2, None, None] + first.unsqueeze(1))
    flat = before.view(-1)
    counts = flat[low + length.unsqueeze(1)] - flat[low]
    return counts.sum(dim=(2, 3))


def first_good(before: Tensor, item: Tensor, mask: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
    """The first of K places where at least half of a region is allowed.

    Parameters as for `overlaps`.

    Returns
    -------
    chosen : int64 (N,), the place's number; 0 where there is none
    found : bool (N,)
    """
    wanted = (mask.flatten(1).sum(dim=1) + 1) // 2
    good = overlaps(before, item, mask, start) >= wanted.unsqueeze(1)
    number = torch.arange(start.shape[1], device=start.device)
    chosen = torch.where(good, number, start.shape[1]).amin(dim=1)
    found = chosen < start.shape[1]
    return torch.where(found, chosen, 0), found
