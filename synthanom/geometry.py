"""An ellipsoid or cuboid, turned and sheared, at a place in an image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from synthanom.arrays import FloatArray, MaskArray, check_coordinates
from synthanom.errors import SynthanomError
from synthanom.kernels import region_mask


@dataclass(frozen=True)
class Geometry:
    """An ellipsoid or cuboid in image coordinates; the region follows from these four values alone.

    Attributes
    ----------
    kind : {"ellipsoid", "cuboid"}
    size : tuple of D full widths along the shape's own axes, voxels (of the smallest voxel side, if drawn in mm)
    matrix : ndarray of shape (D, D), float64
        Own axes to image axes (rotation, shear, scale).
    position : tuple of D image coordinates of the centre, voxels
    """

    kind: str
    size: tuple[int, ...]
    matrix: FloatArray
    position: tuple[float, ...]

    def __post_init__(self) -> None:
        region_mask.check_kind(self.kind)
        matrix = np.array(self.matrix, dtype=np.float64)
        dims = len(self.size)
        if matrix.shape != (dims, dims) or len(self.position) != dims or dims not in (2, 3):
            raise SynthanomError(
                "a geometry needs 2 or 3 sizes, as many coordinates and a square matrix of that side, got "
                f"{len(self.size)}, {len(self.position)} and {matrix.shape}"
            )
        if min(self.size) < 1:
            raise SynthanomError(f"sizes must be at least 1 voxel, got {self.size}")
        for name in ("size", "matrix", "position"):
            check_coordinates(getattr(self, name), name=f"a geometry's {name}")
        matrix.flags.writeable = False
        object.__setattr__(self, "size", tuple(int(s) for s in self.size))
        object.__setattr__(self, "matrix", matrix)
        object.__setattr__(self, "position", tuple(float(p) for p in self.position))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Geometry) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash((self.kind, self.size, self.matrix.tobytes(), self.position))

    def mask(self, shape: Sequence[int]) -> MaskArray:
        """The voxels of an image of spatial `shape` that lie inside: bool (*S)."""
        return self.mask_in_box([0] * len(self.size), shape)

    def mask_in_box(self, corner: Sequence[int], size: Sequence[int]) -> MaskArray:
        """The voxels of a box that lie inside: bool (*size)."""
        return region_mask.mask(self.kind, self.size, self.matrix, self.position, (corner, size))

    @classmethod
    def of_box(cls, corner: Sequence[int], size: Sequence[int]) -> "Geometry":
        """The upright cuboid that holds exactly the voxels of a box."""
        middle = tuple(c + (n - 1) / 2 for c, n in zip(corner, size, strict=True))
        return cls("cuboid", tuple(size), np.eye(len(middle)), middle)

    def at(self, position: Sequence[float]) -> "Geometry":
        """The same shape centred elsewhere (image coordinates, voxels)."""
        return Geometry(self.kind, self.size, self.matrix, tuple(position))

    def to_dict(self) -> dict[str, Any]:
        """The geometry as JSON."""
        return {
            "kind": self.kind,
            "size": list(self.size),
            "matrix": self.matrix.tolist(),
            "position": list(self.position),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Geometry":
        """The geometry that `to_dict` gave."""
        return cls(data["kind"], tuple(data["size"]), np.array(data["matrix"]), tuple(data["position"]))
