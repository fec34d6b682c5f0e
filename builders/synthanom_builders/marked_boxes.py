"""Boxes in which anomalies may lie, in the numbers of whoever drew them, and the voxels that they mark."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from synthanom.arrays import MaskArray
from synthanom.errors import SynthanomError
from synthanom.volumes.boxes import Box, inside_boxes


@dataclass(frozen=True, kw_only=True)
class MarkedBox:
    """A box of one scan.

    Attributes
    ----------
    first, end : tuple of D numbers
        Per axis ([Z,] Y, X) of the scan's own grid: first voxel, and last + 1; or both as shares of the side.
    shares : bool
        Which of the two.
    """

    first: tuple[float, ...]
    end: tuple[float, ...]
    shares: bool

    def to_json(self) -> dict[str, Any]:
        """The box as JSON."""
        return {"first": list(self.first), "end": list(self.end), "shares": self.shares}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "MarkedBox":
        """The box that `to_json` gave."""
        return cls(first=tuple(data["first"]), end=tuple(data["end"]), shares=bool(data["shares"]))

    def voxels(self, shape: Sequence[int]) -> Box:
        """The box in voxels of a scan of this shape; of shares every voxel that it touches."""
        if not self.shares:
            return Box(first=tuple(map(int, self.first)), end=tuple(map(int, self.end)))
        first = tuple(min(math.floor(a * n), n - 1) for a, n in zip(self.first, shape, strict=True))
        last = (min(math.ceil(b * n), n) for b, n in zip(self.end, shape, strict=True))
        return Box(first=first, end=tuple(max(a + 1, b) for a, b in zip(first, last, strict=True)))


def marked_by(boxes: Sequence[MarkedBox], shape: Sequence[int], path: str) -> MaskArray:
    """The voxels of a scan that its boxes mark: bool (*S).

    Raises
    ------
    SynthanomError
        If a box has other axes or leaves the scan.
    """
    for box in boxes:
        if len(box.first) != len(shape):
            raise SynthanomError(
                f"{path}: boxes of --within must have the {len(shape)} axes of the scan, got {len(box.first)}; give "
                "volumes a table with the columns id,z0,z1,y0,y1,x0,x1"
            )
    return inside_boxes([box.voxels(shape) for box in boxes], shape, path=path, table="--within")
