"""Windows into a batch of images, cut out, put back and told from their padding, on any device.

Kernels of `gpu.py` files see volumes only: images (B, C, Z, Y, X), of pictures with Z = 1 ("flat"). Of N boxes, one per
item, every array is padded to one shape P = (pz, py, px), at least as large as any box: (N, C, *P) or (N, *P). The box
begins at the window's first voxel; what lies behind its end is padding, whose values mean nothing. Where a window
leaves the image, the border's values are repeated.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from synthanom.kernels.windows.grouping import Padded as Padded


def as_volumes(images: Tensor, dims: int) -> Tensor:
    """Insert an axis of length 1 before the `dims` = 2 spatial axes of pictures."""
    return images if dims == 3 else images.unsqueeze(-3)


def triple(values: Sequence[float], fill: float) -> tuple[float, float, float]:
    """Two or three numbers per axis as three, `fill` standing for the missing first axis."""
    z, y, x = values if len(values) == 3 else (fill, *values)
    return z, y, x


def upload(array: npt.NDArray[np.generic], device: torch.device) -> Tensor:
    """A host array on the device, without waiting for what is queued there: torch waits unless memory is pinned."""
    contiguous = np.ascontiguousarray(array)
    tensor = torch.from_numpy(contiguous if contiguous.flags.writeable else contiguous.copy())
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def on_device(values: Any, device: torch.device) -> Tensor:
    """A tensor, or a numpy array, as a tensor on a device."""
    return values.detach().to(device) if isinstance(values, Tensor) else upload(values, device)


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


def places(shape: Sequence[int], item: Tensor, start: Tensor, where: Tensor) -> Tensor:
    """Where windows lie in the memory of images (B, 1, Z, Y, X), row after row: int64 (N, *P).

    Parameters
    ----------
    shape : of the images
    item, start : as for `cut`
    where : bool (N, *P)
        The others, and what lies outside the image, get the place behind the last voxel.
    """
    padded, sides = where.shape[1:], shape[-3:]
    row = per_item(item)
    for axis in range(3):
        coordinate = per_item(start[:, axis]) + along(axis, padded[axis], item.device)
        where = where & ((coordinate >= 0) & (coordinate < sides[axis]))
        row = row * sides[axis] + coordinate  # only the last sum is as large as the windows
    return torch.where(where, row, shape[0] * sides[0] * sides[1] * sides[2])


class Canvas:
    """Images that windows are put back into: a copy of (B, C, Z, Y, X) and some room behind each channel.

    That room takes the values that belong nowhere, so that padding needs no selection, which would have to wait for the
    device.
    """

    def __init__(self, images: Tensor) -> None:
        count, channels, *sides = images.shape
        voxels = count * sides[0] * sides[1] * sides[2]
        self._memory = images.new_empty((channels, voxels + 1))
        self.images = self._memory[:, :voxels].view(channels, count, *sides).transpose(0, 1)
        self.images.copy_(images)

    def at(self, place: Tensor) -> Tensor:
        """Windows (N, C, *P) of what lies at places (N, *P)."""
        return torch.stack([memory[place] for memory in self._memory], dim=1)

    def put(self, place: Tensor, values: Tensor) -> None:
        """Write windows (N, C, *P) to the places (N, *P) that `places` gives; no voxel may be written twice."""
        flat = place.flatten()
        for channel, memory in enumerate(self._memory):
            memory[flat] = values[:, channel].flatten()


def product(one: Tensor, other: Tensor) -> Tensor:
    """Product of float32 matrices to float32's own precision, whatever the user allows elsewhere.

    Where TF32 is allowed, whose 10 bits would show, numbers are split into parts that it holds exactly: three products
    instead of one. The setting is not touched, as it is the whole process's: a network that trains beside would be
    rounded now this way, now that. Under autocast, too, products would be rounded, to half precision.
    """
    with torch.autocast(one.device.type, enabled=False):
        if not tf32_allowed(one.device):
            return torch.matmul(one, other)
        (a, b), (c, d) = split(one), split(other)
        return torch.matmul(a, c) + (torch.matmul(a, d) + torch.matmul(b, c))


def tf32_allowed(device: torch.device) -> bool:
    """Whether products of float32 matrices on a device may be rounded to TF32."""
    if device.type != "cuda":
        return False
    products = torch.backends.cuda.matmul
    # the older name of the setting raises once the newer one was used; the newer one is missing before torch 2.9
    return (
        str(getattr(products, "fp32_precision", "")) == "tf32"
        if hasattr(products, "fp32_precision")
        else bool(products.allow_tf32)
    )


def split(values: Tensor) -> tuple[Tensor, Tensor]:
    """Float32 numbers as those that TF32 holds, the last 13 bits of the significand cut off, and what is left."""
    high = (values.contiguous().view(torch.int32) & ~0x1FFF).view(torch.float32)
    return high, values - high
