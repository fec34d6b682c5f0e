"""Boxes of voxels in scans, as a table beside them lists them."""

import csv
import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from synthanom.arrays import MaskArray
from synthanom.errors import SynthanomError

AXES = {2: ("y", "x"), 3: ("z", "y", "x")}


@dataclass(frozen=True, kw_only=True)
class Box:
    """Voxels of a scan's own grid, as stored: first, and last + 1, per axis ([Z,] Y, X)."""

    first: tuple[int, ...]
    end: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class BoxTable:
    """A table of boxes.

    Attributes
    ----------
    name : str
        Of its file.
    digest : str
        SHA-256 of the file.
    boxes : mapping
        By id of the scan.
    """

    name: str
    digest: str
    boxes: Mapping[str, tuple[Box, ...]]

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
                f"{self.name}: ids must be those of the scans (path without extension, such as {min(known)!r}), got "
                f"{len(unknown)} unknown, the first {unknown[0]!r}; correct or remove the row"
            )


def inside_boxes(boxes: Iterable[Box], shape: Sequence[int], *, path: str | Path, table: str) -> MaskArray:
    """The voxels of a scan that lie in any of its boxes.

    Parameters
    ----------
    boxes : iterable of Box
    shape : sequence of D ints
        Of the scan's own grid.
    path, table : str
        Of the scan, and where the boxes came from, for messages.

    Returns
    -------
    ndarray of shape (*S), bool

    Raises
    ------
    SynthanomError
        If a box leaves the scan.
    """
    inside = np.zeros(tuple(shape), dtype=bool)
    for box in boxes:
        if any(end > side for end, side in zip(box.end, shape, strict=True)):
            raise SynthanomError(
                f"{path}: boxes must lie inside the scan, {tuple(shape)} voxels, got first {box.first}, last + 1 "
                f"{box.end} in {table}; count voxels as stored, axes {', '.join(AXES[len(shape)])}"
            )
        inside[tuple(slice(first, end) for first, end in zip(box.first, box.end, strict=True))] = True
    return inside


def read_box_table(path: Path, dims: Sequence[int] = (2, 3)) -> BoxTable:
    """Read a CSV file of boxes with the columns id and, per axis ([Z,] Y, X), first voxel and last + 1: id,y0,y1,x0,x1.

    Parameters
    ----------
    path : Path
    dims : sequence of ints
        How many axes the scans may have.

    Raises
    ------
    SynthanomError
        A table that cannot be read, with other columns, or with a box that holds nothing.
    """
    try:
        content = path.read_bytes()
        rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True))
    except (OSError, UnicodeError, csv.Error) as error:
        raise SynthanomError(f"{path}: a readable table of boxes is needed, got: {error}") from error
    head = [word.strip() for word in rows[0]] if rows else []
    axes = next((count for count in dims if head == _columns(count)), None)
    if axes is None:
        raise SynthanomError(
            f"{path}: the columns must be {' or '.join(','.join(_columns(count)) for count in dims)} (first voxel and "
            f"last + 1 per axis), got {','.join(rows[0]) if rows else 'nothing'!r}; correct the first line"
        )
    boxes: dict[str, list[Box]] = {}
    for number, row in enumerate(rows[1:], start=2):
        if row:
            boxes.setdefault(row[0], []).append(_box(row, axes, f"{path}, line {number}"))
    if not boxes:
        raise SynthanomError(f"{path}: at least one box is needed, got none; add a row")
    found = {name: tuple(entries) for name, entries in boxes.items()}
    return BoxTable(name=path.name, digest=hashlib.sha256(content).hexdigest(), boxes=found)


def _columns(axes: int) -> list[str]:
    return ["id", *(f"{axis}{end}" for axis in AXES[axes] for end in (0, 1))]


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
