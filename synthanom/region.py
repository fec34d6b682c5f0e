"""The voxels of an anomaly, over the box that holds them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from synthanom.arrays import MaskArray, box_slices, check_mask
from synthanom.errors import SynthanomError, UnsuitableRegion
from synthanom.geometry import Geometry
from synthanom.kernels import region_mask

MARGIN = 1  # voxels around the region's bounding box that stay untouched


@dataclass(frozen=True, eq=False)
class Region:
    """The voxels of an anomaly, over a box with an empty margin of one voxel wherever the image allows it.

    Attributes
    ----------
    geometry : Geometry or None
        None for a region given as a mask.
    corner : tuple of D integers
        The box's first voxel in the image.
    mask : ndarray of shape (*box), bool
    """

    geometry: Geometry | None
    corner: tuple[int, ...]
    mask: MaskArray

    @classmethod
    def from_geometry(cls, geometry: Geometry, shape: Sequence[int]) -> "Region":
        """The region of a shape in an image of spatial `shape`; what leaves the image is cut off.

        Raises
        ------
        UnsuitableRegion
            If no voxel lies inside.
        """
        g = geometry
        found = region_mask.tight_mask(g.kind, g.size, g.matrix, g.position, shape, margin=MARGIN)
        if found is None:
            raise UnsuitableRegion(f"the shape at {geometry.position} must reach into the image {tuple(shape)}")
        return cls(geometry, *found)

    @classmethod
    def from_mask(cls, mask: npt.NDArray[np.bool_]) -> "Region":
        """The region marked by a mask over the whole image, bool (*S).

        Raises
        ------
        UnsuitableRegion
            If the mask is empty.
        """
        check_mask(mask, mask.shape, name="region mask")
        return _tight(mask)

    @property
    def size(self) -> tuple[int, ...]:
        """Side lengths of the box, voxels."""
        return tuple(self.mask.shape)

    @cached_property
    def slices(self) -> tuple[slice, ...]:
        """The box as slices of the image's spatial axes."""
        return box_slices(self.corner, self.mask.shape)

    @cached_property
    def count(self) -> int:
        """Number of voxels inside."""
        return int(np.count_nonzero(self.mask))

    def to_dict(self) -> dict[str, Any]:
        """The region as JSON: the geometry, or the mask as run lengths (outside first, C order)."""
        if self.geometry is not None:
            return self.geometry.to_dict()
        flat = self.mask.ravel()
        edges = np.flatnonzero(np.diff(np.concatenate([[False], flat]).astype(np.int8))).tolist()
        runs = np.diff([0, *edges, flat.size]).tolist()
        return {"kind": "mask", "corner": list(self.corner), "size": list(self.size), "rle": runs}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], shape: Sequence[int]) -> "Region":
        """The region that `to_dict` gave, in an image of spatial `shape`.

        Raises
        ------
        SynthanomError
            If a mask's runs do not fill its box, or it leaves the image.
        """
        if data["kind"] != "mask":
            return cls.from_geometry(Geometry.from_dict(data), shape)
        size, runs = tuple(data["size"]), np.asarray(data["rle"], dtype=np.int64)
        inside = any(c < 0 or c + n > s for c, n, s in zip(data["corner"], size, shape, strict=True))
        if inside or runs.sum() != np.prod(size) or runs.min(initial=0) < 0:
            raise SynthanomError(f"a mask region's runs must fill its box inside the image, got box {size} in {shape}")
        flat = np.repeat(np.arange(runs.size) % 2 == 1, runs)
        return cls(None, tuple(int(c) for c in data["corner"]), flat.reshape(size))


def _tight(mask: MaskArray) -> Region:
    """The region of a mask over the whole image: its bounding box plus the margin."""
    low, high = [], []
    for axis in range(mask.ndim):
        filled = np.flatnonzero(mask.any(axis=tuple(a for a in range(mask.ndim) if a != axis)))
        if filled.size == 0:
            raise UnsuitableRegion("a region must hold at least one voxel, got none")
        low.append(max(0, int(filled[0]) - MARGIN))
        high.append(min(mask.shape[axis], int(filled[-1]) + 1 + MARGIN))
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    return Region(None, tuple(low), np.ascontiguousarray(mask[box]))
