"""How much of a device's memory batches may take."""

from dataclasses import dataclass

import torch

from synthanom.errors import SynthanomError

GIB = 2**30
WINDOW_VOXEL_BYTES = 150  # that the arrays of a group of windows take per voxel, at their peak


def share_of_memory(device: torch.device, most: int, part: int) -> int:
    """`most` bytes, or one `part`-th of a CUDA device's memory where that is less."""
    return min(most, torch.cuda.mem_get_info(device)[1] // part) if device.type == "cuda" else most


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds of what a batch takes on its device beyond its inputs, its outputs and the pool of donors.

    Attributes
    ----------
    chunk_bytes : int
        Of a chunk's own pictures, labels, regions and counts; a chunk holds one sample at least.
    window_voxels : int
        Voxels of windows that are worked on at once, about 150 bytes each; a group holds one window at least.
    """

    chunk_bytes: int = 2 * GIB
    window_voxels: int = 2**24

    def __post_init__(self) -> None:
        if min(self.chunk_bytes, self.window_voxels) < 1:
            raise SynthanomError(
                f"limits must be positive, got chunk_bytes {self.chunk_bytes} and window_voxels {self.window_voxels}"
            )

    @classmethod
    def of(cls, device: torch.device) -> "Limits":
        """The defaults, smaller where a device has less than 24 GiB."""
        return cls(
            chunk_bytes=share_of_memory(device, cls.chunk_bytes, 12),
            window_voxels=share_of_memory(device, cls.window_voxels * WINDOW_VOXEL_BYTES, 10) // WINDOW_VOXEL_BYTES,
        )
