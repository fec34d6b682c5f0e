"""What a network's map of an image takes in memory, what there is, and the largest window that fits."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from synthanom.detectors.abstract import AbstractDetector
from synthanom.errors import SynthanomError
from synthanom.networks.autoencoder import ConvolutionalAutoencoder
from synthanom.networks.positions import Place
from synthanom.networks.unet import UNet

FOREIGN = 32  # voxels that a network we do not know may stride by in all: five halvings
SHARE = {"cpu": 0.5, "cuda": 0.8}  # of the free memory that one command takes unless told otherwise
OPERATORS = 1.75  # times what tensors take, for copies inside convolutions and norms; measured: docs/predict.md
GIB = 1024**3
WeakStorage: Any = StorageWeakRef  # torch leaves it untyped
LIMITS = (  # (limit, use) of a container, cgroup 2 and 1
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"), Path("/sys/fs/cgroup/memory/memory.usage_in_bytes")),
)


def granularity(module: nn.Module) -> int:
    """Voxels that a network strides by from its finest to its coarsest grid; 32 where it is not ours."""
    return max(
        (part.factor for part in module.modules() if isinstance(part, UNet | ConvolutionalAutoencoder)), default=FOREIGN
    )


def bytes_per_voxel(detector: AbstractDetector, channels: int, dims: int) -> float:
    """What scoring takes at its peak per voxel of the image, in bytes, estimated on a small image.

    The tensors that are alive at once are counted, operation by operation, and three quarters added for what operators
    keep to themselves; parameters are not counted.

    Raises
    ------
    SynthanomError
        If the network refuses a small image.
    """
    module = detector.module
    side = 2 * granularity(module)
    device = next(module.parameters()).device
    images = torch.zeros((1, channels, *[side] * dims), device=device)
    place = Place(whole=(side,) * dims, corner=(0,) * dims)
    counted = _Alive(apart={p.untyped_storage().data_ptr() for p in (*module.parameters(), *module.buffers())})
    try:
        with torch.inference_mode(), counted:
            detector.score_map(images, place)
    except (RuntimeError, ValueError) as error:
        raise SynthanomError(
            f"this network must take an image of {side} voxels a side, on which its memory is measured, and refuses "
            f"it: {' '.join(str(error).split())[:200]}; score without measuring: --window whole"
        ) from error
    return OPERATORS * counted.most / float(side**dims)


def free_bytes(device: str) -> int | None:
    """Memory that is free on a device (of the CPU also what the system can reclaim), None where it is not told."""
    if device == "cuda":
        return int(torch.cuda.mem_get_info()[0])
    told = Path("/proc/meminfo")
    if not told.is_file():
        return None
    words = next(
        (line.split() for line in told.read_text(encoding="ascii").splitlines() if line.startswith("MemAvailable")),
        None,
    )
    free = None if words is None else int(words[1]) * 1024
    for limit, use in LIMITS:
        if limit.is_file() and use.is_file() and limit.read_text(encoding="ascii").strip().isdigit():
            left = max(0, int(limit.read_text(encoding="ascii")) - int(use.read_text(encoding="ascii")))
            free = left if free is None else min(free, left)
    return free


def allowed_bytes(device: Literal["cpu", "cuda"]) -> int | None:
    """What one command takes of a device's memory unless told otherwise: half of what is free, of a GPU's 80 %."""
    free = free_bytes(device)
    return None if free is None else max(1, int(SHARE[device] * free))


def largest_window(shape: Sequence[int], voxels: float, multiple: int) -> tuple[int, ...] | None:
    """The window with the fewest cuts of an image (*S) that holds at most so many voxels; None if none does.

    Sides of the image are kept whole where they can be; others are multiples of `multiple`, at least two of them. The
    longest side is shortened first.
    """
    # a network pads a side to the next multiple, and that is what it takes memory for
    padded = [-(-side // multiple) * multiple for side in shape]
    for _ in range(sum(padded) // multiple + 1):
        if np.prod(padded, dtype=np.float64) <= voxels:
            return tuple(min(size, int(side)) for size, side in zip(padded, shape, strict=True))
        longest = int(np.argmax(padded))
        if padded[longest] <= 2 * multiple:
            return None
        padded[longest] -= multiple
    return None


@dataclass(eq=False)
class _Alive(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of all tensors that are alive after each operation; `most` is the peak.

    Attributes
    ----------
    apart : set of int
        Addresses of storages that are not counted.
    """

    apart: set[int]
    most: int = 0
    alive: dict[int, tuple[Any, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        TorchDispatchMode.__init__(self)  # type: ignore[no-untyped-call]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for value in tree_flatten((args, kwargs, result))[0]:
            if isinstance(value, Tensor):
                self._see(value)
        self.most = max(self.most, sum(size for handle, size in self.alive.values() if not handle.expired()))
        return result

    def _see(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self.apart:
            handle = WeakStorage(storage)
            self.alive[handle.cdata] = (handle, storage.nbytes())
        for key in [key for key, (handle, _) in self.alive.items() if handle.expired()]:
            del self.alive[key]
