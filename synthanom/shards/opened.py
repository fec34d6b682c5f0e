"""One open shard: its small columns in memory and verified, its pictures read row by row."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from synthanom.arrays import ImageArray, MaskArray
from synthanom.errors import SynthanomError
from synthanom.manifest import DAMAGED
from synthanom.sample import Sample
from synthanom.shards.boxes import MAX_BOXES, AnomalyRow, Box, overlapping
from synthanom.shards.handle import Columns, ShardFile, whole
from synthanom.shards.layout import WITHIN, ShardKind, packed_length

Change = tuple[tuple[int, ...], ImageArray, ImageArray]  # corner, values (C, *size), labels (*size)


class HealthyShard:
    """A healthy shard, open for reading."""

    def __init__(self, path: Path, kind: ShardKind, rows: int) -> None:
        self.path = path
        self.file = ShardFile(path, kind, rows)
        self._kind = kind
        self.placed: bool = self.file.read("its columns", lambda columns: WITHIN in columns)
        self.ids: list[str] = self.file.read("column id", lambda columns: columns["id"].asstr()[()].tolist())
        self.subjects: list[str] = self.file.read("column subject", lambda c: c["subject"].asstr()[()].tolist())

    def image(self, row: int) -> ImageArray:
        """The image of a row alone, float32 (C, *S), the caller's own.

        Raises
        ------
        SynthanomError
            If the row is damaged.
        """
        image: ImageArray = self.file.read(f"row {row}", lambda columns: columns["image"][row])
        return image

    def sample(self, row: int) -> Sample:
        """The sample of a row.

        Raises
        ------
        SynthanomError
            If the row is damaged.
        """
        return self.file.read(f"row {row}", lambda columns: self._sample(columns, row))

    def offset(self, row: int) -> tuple[int, ...]:
        """Where the row's image begins in the stored grid, D voxels.

        Raises
        ------
        SynthanomError
            If the row is damaged.
        """
        return self.file.read(f"row {row}", lambda columns: tuple(columns["offset"][row].tolist()))

    def _sample(self, columns: Columns, row: int) -> Sample:
        image = columns["image"][row]
        foreground = self._mask(columns["foreground"][row])
        within = self._mask(columns[WITHIN][row]) if self.placed else None
        spacing, affine = columns["spacing"][row], columns["affine"][row]
        for array in (image, foreground, affine, *(() if within is None else (within,))):
            array.flags.writeable = False
        return Sample(
            image=image,
            foreground=foreground,
            spacing=None if np.isnan(spacing).all() else tuple(spacing.tolist()),
            affine=None if np.isnan(affine).all() else affine,
            id=self.ids[row],
            subject=self.subjects[row],
            within=within,
        )

    def _mask(self, packed: npt.NDArray[np.uint8]) -> MaskArray:
        bits = np.unpackbits(packed, count=int(np.prod(self._kind.shape)))
        return bits.view(np.bool_).reshape(self._kind.shape)


class AnomalyShard:
    """A shard of one task, open for reading."""

    def __init__(self, path: Path, kind: ShardKind, rows: int, healthy_count: int) -> None:
        self.path = path
        self.file = ShardFile(path, kind, rows)
        self._kind = kind
        self.healthy_index, self.variant = whole(self.file, "healthy_index"), whole(self.file, "variant")
        offsets = ("row_offsets", "value_offsets", "recipe_offsets")
        self._rows, self._values, self._recipes = (whole(self.file, name) for name in offsets)
        self._corner, self._size = whole(self.file, "corner"), whole(self.file, "size")
        self._check(healthy_count)

    def recipe(self, row: int) -> bytes:
        """The stored bytes of the row's recipe.

        Raises
        ------
        SynthanomError
            If the row is damaged.
        """
        start, stop = self._recipes[row : row + 2].tolist()
        return self.file.read(f"row {row}", lambda columns: bytes(columns["recipe"][start:stop].tobytes()))

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
            boxes=self.boxes(row),
            recipe=self.recipe(row),
        )

    def boxes(self, row: int) -> tuple[Box, ...]:
        """What changed in the picture of a row.

        Raises
        ------
        SynthanomError
            If the row is damaged.
        """
        return self.file.read(f"row {row}", lambda columns: self._boxes(columns, row))

    def changes(self, row: int) -> tuple[Change, ...]:
        """Corner, values and labels of each box of a row; neither region nor recipe is read.

        Raises
        ------
        SynthanomError
            If the row is damaged.
        """
        return self.file.read(f"row {row}", lambda columns: self._changes(columns, row))

    def marks(self, row: int) -> tuple[ImageArray, MaskArray]:
        """Labels and region of a row's boxes, one after the other.

        Raises
        ------
        SynthanomError
            If the row is damaged.
        """
        _, ends = self._extent(row)
        start, stop = int(ends[0]), int(ends[-1])
        return self.file.read(f"row {row}", lambda c: (c["labels"][start:stop], _region(c, start, stop)))

    def _changes(self, columns: Columns, row: int) -> tuple[Change, ...]:
        """One read per column: the boxes of a row lie behind each other."""
        channels, first, ends = self._kind.channels, *self._extent(row)
        start, stop = int(ends[0]), int(ends[-1])
        values, labels = columns["values"][start * channels : stop * channels], columns["labels"][start:stop]
        return tuple(
            (
                tuple(self._corner[k].tolist()),
                values[a * channels : b * channels].reshape(-1, *self._size[k].tolist()),
                labels[a:b].reshape(self._size[k].tolist()),
            )
            for k, (a, b) in enumerate(pairwise((ends - start).tolist()), first)
        )

    def _boxes(self, columns: Columns, row: int) -> tuple[Box, ...]:
        changes, (_, ends) = self._changes(columns, row), self._extent(row)
        region = _region(columns, int(ends[0]), int(ends[-1]))
        parts = np.split(region, ends[1:-1] - ends[0])
        return tuple(
            Box(corner=corner, values=values, labels=labels, region=part.reshape(labels.shape))
            for (corner, values, labels), part in zip(changes, parts, strict=True)
        )

    def _extent(self, row: int) -> tuple[int, npt.NDArray[np.int64]]:
        """The first box of a row, and where its boxes begin and the last ends, in voxels."""
        first, last = self._rows[row : row + 2].tolist()
        return first, self._values[first : last + 1] // self._kind.channels

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
        columns = self.file.columns()
        lengths = [len(columns[name]) for name in ("values", "labels", "region")]
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
        yield "recipe_offsets must end at the length of recipe", self._recipes[-1] == len(columns["recipe"])
        apart = (not overlapping(corner[a:b], size[a:b]) for a, b in pairwise(rows.tolist()))
        yield "the boxes of a row must be disjoint", all(apart)


def ordered(healthy_index: npt.NDArray[Any], variant: npt.NDArray[Any]) -> bool:
    """Whether the rows rise by healthy row, then variant, without repetition."""
    step = np.diff(healthy_index)
    return bool(((step > 0) | ((step == 0) & (np.diff(variant) > 0))).all())


def _region(columns: Columns, start: int, stop: int) -> MaskArray:
    packed = columns["region"][start // 8 : packed_length(stop)]
    return np.unpackbits(packed)[start % 8 : start % 8 + stop - start].view(np.bool_)
