"""Windows into a batch of images, cut out, put back and told from their padding, on any device.

Kernels of `gpu.py` files see volumes only: images (B, C, Z, Y, X), of pictures with Z = 1 ("flat"). Of N boxes, one per
item, every array is padded to one shape P = (pz, py, px), at least as large as any box: (N, C, *P) or (N, *P). The box
begins at the window's first voxel; what lies behind its end is padding, whose values mean nothing. Where a window
leaves the image, the border's values are repeated.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

Padded = tuple[int, int, int]  # sides of the windows, voxels


def as_volumes(images: Tensor, dims: int) -> Tensor:
    """Insert an axis of length 1 before the `dims` = 2 spatial axes of pictures."""
    return images if dims == 3 else images.unsqueeze(-3)


def triple(values: Sequence[float], fill: float) -> tuple[float, float, float]:
    """Two or three numbers per axis as three, `fill` standing for the missing first axis."""
    z, y, x = values if len(values) == 3 else (fill, *values)
    return z, y, x


def along(axis: int, count: int, device: torch.device) -> Tensor:
    """0, 1, ... along one of three axes, int64, to be broadcast over windows (N, *P)."""
    shape = [1, 1, 1, 1]
    shape[1 + axis] = count
    return torch.arange(count, device=device).view(shape)


def per_item(values: Tensor, behind: int = 3) -> Tensor:
    """One number per item, (N,), or per item and channel, (N, C), with axes to be broadcast over its window."""
    return values.reshape(*values.shape, *(1,) * behind)


def inside(size: Tensor, padded: Padded) -> Tensor:
    """The voxels of windows that belong to their boxes of `size`, int64 (N, 3): bool (N, *P)."""
    parts = [along(axis, padded[axis], size.device) < per_item(size[:, axis]) for axis in range(3)]
    return parts[0] & parts[1] & parts[2]


def strictly_inside(size: Tensor, padded: Padded, *, flat: bool) -> Tensor:
    """The voxels of boxes that are not on their faces: bool (N, *P). A picture's first axis has no faces."""
    out = torch.ones((1, 1, 1, 1), dtype=torch.bool, device=size.device)
    for axis in range(1 if flat else 0, 3):
        place = along(axis, padded[axis], size.device)
        out = out & (place >= 1) & (place < per_item(size[:, axis]) - 1)
    return out.expand(size.shape[0], *padded)


def cut(images: Tensor, item: Tensor, start: Tensor, padded: Padded) -> Tensor:
    """Windows of images (B, C, Z, Y, X): (N, C, *P).

    Parameters
    ----------
    item : int64 (N,), the image of each window
    start : int64 (N, 3), its first voxel, which may lie outside; the border is repeated there
    """
    z, y, x = (_places(start, axis, padded[axis], images.shape[2 + axis]) for axis in range(3))
    channel = torch.arange(images.shape[1], device=images.device).view(1, -1, 1, 1, 1)
    return images[item.view(-1, 1, 1, 1, 1), channel, z.unsqueeze(1), y.unsqueeze(1), x.unsqueeze(1)]


def _places(start: Tensor, axis: int, count: int, side: int) -> Tensor:
    """Image coordinates of windows along an axis, int64, the border's where they leave it."""
    return (per_item(start[:, axis]) + along(axis, count, start.device)).clamp(0, side - 1)


class Canvas:
    """Images that windows are put back into: a copy of (B, C, Z, Y, X) and one number more.

    That number takes the values that belong nowhere, so that padding needs no selection, which would have to wait for
    the device.
    """

    def __init__(self, images: Tensor) -> None:
        self._flat = images.new_empty(images.numel() + 1)
        self.images = self._flat[:-1].view(images.shape)
        self.images.copy_(images)

    def put(self, item: Tensor, start: Tensor, values: Tensor, where: Tensor) -> None:
        """Write windows (N, C, *P) back where `where`, bool (N, *P), says; no voxel may be written twice."""
        _, channels, *sides = self.images.shape
        place = item.view(-1, 1, 1, 1, 1) * channels + torch.arange(channels, device=item.device).view(1, -1, 1, 1, 1)
        for axis in range(3):
            coordinate = per_item(start[:, axis]) + along(axis, values.shape[2 + axis], item.device)
            where = where & (coordinate >= 0) & (coordinate < sides[axis])
            place = place * sides[axis] + coordinate.unsqueeze(1)
        scrap = self._flat.numel() - 1
        self._flat[torch.where(where.unsqueeze(1), place, scrap).view(-1)] = values.reshape(-1)


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Products of float32 matrices without TF32, whose 10 bits would show, whatever the user allows elsewhere."""
    if device.type != "cuda" or not torch.backends.cuda.matmul.allow_tf32:
        yield
        return
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = True
