"""One open shard: its small columns in memory and verified, its pictures read row by row."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import h5py
import numpy as np
import numpy.typing as npt

from synthanom.arrays import ImageArray, MaskArray
from synthanom.errors import SynthanomError
from synthanom.manifest import DAMAGED
from synthanom.sample import Sample
from synthanom.shards.boxes import MAX_BOXES, AnomalyRow, Box, overlapping
from synthanom.shards.layout import ShardKind, check_file, packed_length

T = TypeVar("T")


class HealthyShard:
    """A healthy shard, open for reading."""

    def __init__(self, path: Path, kind: ShardKind, rows: int) -> None:
        self.path = path
        self._file, self._columns = _open(path, kind, rows)
        columns = self._columns
        self._kind = kind
        self.ids: list[str] = _guarded(path, "column id", lambda: columns["id"].asstr()[()].tolist())
        self.subjects: list[str] = _guarded(path, "column subject", lambda: columns["subject"].asstr()[()].tolist())

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def sample(self, row: int) -> Sample:
        """The sample of a row.

        Raises
        ------
        SynthanomError
            If the row is damaged.
        """
        return _guarded(self.path, f"row {row}", lambda: self._sample(row))

    def offset(self, row: int) -> tuple[int, ...]:
        """Where the row's image begins in the stored grid, D voxels.

        Raises
        ------
        SynthanomError
            If the row is damaged.
        """
        return _guarded(self.path, f"row {row}", lambda: tuple(self._columns["offset"][row].tolist()))

    def _sample(self, row: int) -> Sample:
        columns = self._columns
        image = columns["image"][row]
        bits = np.unpackbits(columns["foreground"][row], count=int(np.prod(self._kind.shape)))
        foreground = bits.view(np.bool_).reshape(self._kind.shape)
        spacing, affine = columns["spacing"][row], columns["affine"][row]
        for array in (image, foreground, affine):
            array.flags.writeable = False
        return Sample(
            image=image,
            foreground=foreground,
            spacing=None if np.isnan(spacing).all() else tuple(spacing.tolist()),
            affine=None if np.isnan(affine).all() else affine,
            id=self.ids[row],
            subject=self.subjects[row],
        )


class AnomalyShard:
    """A shard of one task, open for reading."""

    def __init__(self, path: Path, kind: ShardKind, rows: int, healthy_count: int) -> None:
        self.path = path
        self._file, self._columns = _open(path, kind, rows)
        self._kind = kind
        self.healthy_index = self._whole("healthy_index")
        self.variant = self._whole("variant")
        self._rows, self._values, self._recipes = map(self._whole, ("row_offsets", "value_offsets", "recipe_offsets"))
        self._corner, self._size = self._whole("corner"), self._whole("size")
        self._check(healthy_count)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def recipe(self, row: int) -> bytes:
        """The stored bytes of the row's recipe.

        Raises
        ------
        SynthanomError
            If the row is damaged.
        """
        start, stop = self._recipes[row : row + 2].tolist()
        return _guarded(self.path, f"row {row}", lambda: bytes(self._columns["recipe"][start:stop].tobytes()))

    def row(self, row: int) -> AnomalyRow:
        """Everything stored of a row.

        Raises
        ------
        SynthanomError
            If the row is damaged.
        """
        return AnomalyRow(
            healthy_index=int(self.healthy_index[row]),
            variant=int(self.variant[row]),
            boxes=_guarded(self.path, f"row {row}", lambda: self._boxes(row)),
            recipe=self.recipe(row),
        )

    def marks(self, row: int) -> tuple[ImageArray, MaskArray]:
        """Labels and region of a row's boxes, one after the other.

        Raises
        ------
        SynthanomError
            If the row is damaged.
        """
        first, last = self._rows[row : row + 2].tolist()
        start, stop = (self._values[[first, last]] // self._kind.channels).tolist()  # in voxels
        return _guarded(self.path, f"row {row}", lambda: self._marks(start, stop))

    def _whole(self, name: str) -> npt.NDArray[Any]:
        values: npt.NDArray[Any] = _guarded(self.path, f"column {name}", lambda: self._columns[name][()])
        return values

    def _boxes(self, row: int) -> tuple[Box, ...]:
        """One read per column: the boxes of a row lie behind each other."""
        first, last = self._rows[row : row + 2].tolist()
        ends = self._values[first : last + 1] // self._kind.channels  # in voxels
        start, stop = int(ends[0]), int(ends[-1])
        values = self._columns["values"][start * self._kind.channels : stop * self._kind.channels]
        labels, region = self._marks(start, stop)
        boxes = []
        for k, (a, b) in enumerate(pairwise((ends - start).tolist()), first):
            size = tuple(self._size[k].tolist())
            boxes.append(
                Box(
                    corner=tuple(self._corner[k].tolist()),
                    values=values[a * self._kind.channels : b * self._kind.channels].reshape(-1, *size),
                    labels=labels[a:b].reshape(size),
                    region=region[a:b].reshape(size),
                )
            )
        return tuple(boxes)

    def _marks(self, start: int, stop: int) -> tuple[ImageArray, MaskArray]:
        packed = self._columns["region"][start // 8 : packed_length(stop)]
        region = np.unpackbits(packed)[start % 8 : start % 8 + stop - start].view(np.bool_)
        return self._columns["labels"][start:stop], region

    def _check(self, healthy_count: int) -> None:
        """Raise unless the offsets fit the columns and every box lies in the image."""
        for requirement, met in self._requirements(healthy_count):
            if not met:
                raise SynthanomError(f"{self.path}: {requirement}, and it is not so; {DAMAGED}")

    def _requirements(self, healthy_count: int) -> Iterator[tuple[str, Any]]:
        """Requirements and whether they are met; each relies on those before it."""
        index, rows, corner, size = self.healthy_index, self._rows, self._corner, self._size.astype(np.int64)
        boxes = len(corner)
        voxels = size.prod(axis=1)
        total = int(voxels.sum())
        value_offsets = np.concatenate([[0], np.cumsum(voxels)]) * self._kind.channels
        lengths = [len(self._columns[name]) for name in ("values", "labels", "region")]
        yield "corner and size must describe the same boxes", len(size) == boxes
        yield "healthy_index must name healthy rows", ((index >= 0) & (index < healthy_count)).all()
        yield "variant must not be negative", (self.variant >= 0).all()
        yield "rows must be ordered by healthy_index, then variant", ordered(index, self.variant)
        yield "row_offsets must begin at 0 and end at the number of boxes", (rows[0], rows[-1]) == (0, boxes)
        yield f"every row must have 1 to {MAX_BOXES} boxes", ((np.diff(rows) >= 1) & (np.diff(rows) <= MAX_BOXES)).all()
        yield "sizes must fit the image", ((size >= 1) & (size <= self._kind.shape)).all()
        yield "boxes must lie in the image", ((corner >= 0) & (corner + size <= self._kind.shape)).all()
        yield "value_offsets must follow from the sizes", np.array_equal(self._values, value_offsets)
        expected = [total * self._kind.channels, total, packed_length(total)]
        yield "values, labels and region must be as long as the boxes", lengths == expected
        yield "recipe_offsets must begin at 0 and rise", self._recipes[0] == 0 and (np.diff(self._recipes) > 0).all()
        yield "recipe_offsets must end at the length of recipe", self._recipes[-1] == len(self._columns["recipe"])
        apart = (not overlapping(corner[a:b], size[a:b]) for a, b in pairwise(rows.tolist()))
        yield "the boxes of a row must be disjoint", all(apart)


def ordered(healthy_index: npt.NDArray[Any], variant: npt.NDArray[Any]) -> bool:
    """Whether the rows rise by healthy row, then variant, without repetition."""
    step = np.diff(healthy_index)
    return bool(((step > 0) | ((step == 0) & (np.diff(variant) > 0))).all())


def _open(path: Path, kind: ShardKind, rows: int) -> tuple[h5py.File, dict[str, h5py.Dataset]]:
    # without locking: network file systems often refuse locks, and a finished data set is never written to
    file = _guarded(path, "the file", lambda: h5py.File(path, "r", locking=False))
    try:
        return file, _guarded(path, "the header", lambda: check_file(file, path, kind, rows))
    except SynthanomError:
        file.close()
        raise


def _guarded(path: Path, what: str, read: Callable[[], T]) -> T:
    """The result of `read`; HDF5's errors become one line that names the file and the part of it."""
    try:
        return read()
    except SynthanomError:
        raise
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        # h5py raises all of these, by the part that is damaged (checksum, header, link, text, type)
        reason = " ".join(str(error).split())
        raise SynthanomError(f"{path}: {what} must be readable, got '{reason}': damaged; {DAMAGED}") from error
