"""Where scores count: masks beside the scans, or a table of boxes."""

import csv
import hashlib
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from synthanom.arrays import ImageArray, MaskArray
from synthanom.errors import SynthanomError
from synthanom.metrics import Aggregation
from synthanom.preprocess import mask_on_grid
from synthanom.volumes import Reading, Source, Volume

AXES = {2: ("y", "x"), 3: ("z", "y", "x")}


@dataclass(frozen=True, kw_only=True)
class Box:
    """Voxels of a scan's own grid, as stored: first, and last + 1, per axis ([Z,] Y, X)."""

    first: tuple[int, ...]
    end: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Within:
    """What `--within` asks for.

    Attributes
    ----------
    pattern : str or None
        Of mask files beside the scans.
    table : str
        Name of the table of boxes; empty where masks are used.
    digest : str
        SHA-256 of the table.
    boxes : mapping
        By id of the scan.
    """

    pattern: str | None = None
    table: str = ""
    digest: str = ""
    boxes: Mapping[str, tuple[Box, ...]]

    def to_dict(self) -> dict[str, str]:
        """As JSON."""
        return {"pattern": self.pattern} if self.pattern else {"boxes": self.table, "sha256": self.digest}

    def check_ids(self, ids: Iterable[str]) -> None:
        """Refuse boxes of scans that are not there.

        Raises
        ------
        SynthanomError
            Naming the first such id.
        """
        known = set(ids)
        unknown = sorted(set(self.boxes) - known)
        if unknown:
            raise SynthanomError(
                f"{self.table}: ids must be those of the scans (path without extension, such as {min(known)!r}), got "
                f"{len(unknown)} unknown, the first {unknown[0]!r}; correct or remove the row"
            )

    def region(self, name: str, volume: Volume, mask: Source | None, reading: Reading) -> MaskArray:
        """Where the scores of one scan count: bool (*S) on its own grid.

        Raises
        ------
        SynthanomError
            No mask or box, an empty mask, or one that leaves the scan's grid.
        """
        if self.pattern is not None:
            if mask is None:
                raise SynthanomError(
                    f"{volume.path}: a mask that matches --within {self.pattern!r} is needed beside it, got none; add "
                    "it, or leave the scan out"
                )
            return mask_on_grid(volume, mask, reading)
        shape = volume.image.shape[1:]
        inside = np.zeros(shape, dtype=bool)
        if name not in self.boxes:
            raise SynthanomError(
                f"{volume.path}: {self.table} has no box of {name!r}; add a row, or leave the scan out"
            )
        for box in self.boxes[name]:
            if any(end > side for end, side in zip(box.end, shape, strict=True)):
                raise SynthanomError(
                    f"{volume.path}: boxes must lie inside the scan, {shape} voxels, got first {box.first}, last + 1 "
                    f"{box.end} in {self.table}; count voxels as stored, axes {', '.join(AXES[len(shape)])}"
                )
            inside[tuple(slice(first, end) for first, end in zip(box.first, box.end, strict=True))] = True
        return inside


def asked_within(text: str, dims: int) -> Within:
    """Boxes where the text names a CSV file, else a pattern of masks.

    Raises
    ------
    SynthanomError
        A table that cannot be read, with other columns, or with a box that holds nothing.
    """
    if not text.lower().endswith(".csv"):
        return Within(pattern=text, boxes={})
    path = Path(text)
    try:
        content = path.read_bytes()
        rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True))
    except (OSError, UnicodeError, csv.Error) as error:
        raise SynthanomError(f"{path}: a readable table of boxes is needed, got: {error}") from error
    columns = ["id", *(f"{axis}{end}" for axis in AXES[dims] for end in (0, 1))]
    if not rows or [word.strip() for word in rows[0]] != columns:
        raise SynthanomError(
            f"{path}: the columns must be {','.join(columns)} (first voxel and last + 1 per axis), got "
            f"{','.join(rows[0]) if rows else 'nothing'!r}; correct the first line"
        )
    boxes: dict[str, list[Box]] = {}
    for number, row in enumerate(rows[1:], start=2):
        if row:
            boxes.setdefault(row[0], []).append(_box(row, dims, f"{path}, line {number}"))
    if not boxes:
        raise SynthanomError(f"{path}: at least one box is needed, got none; add a row")
    found = {name: tuple(entries) for name, entries in boxes.items()}
    return Within(table=path.name, digest=hashlib.sha256(content).hexdigest(), boxes=found)


def score_within(aggregation: Aggregation, values: ImageArray, inside: MaskArray, foreground: MaskArray) -> float:
    """The score of what lies inside a region, and in the area that the aggregation is over; all arrays (*S).

    Raises
    ------
    SynthanomError
        If nothing lies in both.
    """
    area: Any = foreground
    if aggregation.over == "image":
        area = np.ones_like(foreground)
    elif aggregation.over == "box" and foreground.any():
        area = np.zeros_like(foreground)
        area[tuple(slice(int(i.min()), int(i.max()) + 1) for i in np.nonzero(foreground))] = True
    counted: MaskArray = area & inside
    if not counted.any():
        raise SynthanomError(
            f"nothing of what --within marks lies in the {aggregation.over} as the model sees it; mark others "
            "or leave the scan out"
        )
    return replace(aggregation, over="foreground")(values, counted)


def _box(row: list[str], dims: int, where: str) -> Box:
    try:
        numbers = [int(word) for word in row[1:]]
    except ValueError:
        numbers = []
    first, end = tuple(numbers[0::2]), tuple(numbers[1::2])
    if len(numbers) != 2 * dims or not all(0 <= a < b for a, b in zip(first, end, strict=True)):
        raise SynthanomError(
            f"{where}: a box must be an id and {2 * dims} whole numbers, 0 <= first < last + 1 on each axis, got "
            f"{','.join(row)!r}; correct the line"
        )
    return Box(first=first, end=end)
