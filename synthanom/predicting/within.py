"""Where scores count: masks beside the scans, or a table of boxes."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from synthanom.arrays import ImageArray, MaskArray
from synthanom.errors import SynthanomError
from synthanom.metrics import Aggregation
from synthanom.preprocess import mask_on_grid
from synthanom.volumes import Reading, Source, Volume
from synthanom.volumes.boxes import BoxTable, inside_boxes, read_box_table


@dataclass(frozen=True, kw_only=True)
class Within:
    """What `--within` asks for.

    Attributes
    ----------
    pattern : str or None
        Of mask files beside the scans.
    table : BoxTable or None
        Where masks are not used.
    """

    pattern: str | None = None
    table: BoxTable | None = None

    def to_dict(self) -> dict[str, str | None]:
        """As JSON."""
        if self.table is None:
            return {"pattern": self.pattern}
        return {"boxes": self.table.name, "sha256": self.table.digest}

    def check_ids(self, ids: Iterable[str]) -> None:
        """Refuse boxes of scans that are not there.

        Raises
        ------
        SynthanomError
            Naming the first such id.
        """
        if self.table is not None:
            self.table.check_ids(ids)

    def region(self, name: str, volume: Volume, mask: Source | None, reading: Reading) -> MaskArray:
        """Where the scores of one scan count: bool (*S) on its own grid.

        Raises
        ------
        SynthanomError
            No mask or box, an empty mask, or one that leaves the scan's grid.
        """
        if self.table is None:
            if mask is None:
                raise SynthanomError(
                    f"{volume.path}: a mask that matches --within {self.pattern!r} is needed beside it, got none; add "
                    "it, or leave the scan out"
                )
            return mask_on_grid(volume, mask, reading)
        if name not in self.table.boxes:
            raise SynthanomError(
                f"{volume.path}: {self.table.name} has no box of {name!r}; add a row, or leave the scan out"
            )
        shape = volume.image.shape[1:]
        return inside_boxes(self.table.boxes[name], shape, path=volume.path, table=self.table.name)


def asked_within(text: str, dims: int) -> Within:
    """Boxes where the text names a CSV file, else a pattern of masks.

    Raises
    ------
    SynthanomError
        A table that cannot be read, with other columns, or with a box that holds nothing.
    """
    if not text.lower().endswith(".csv"):
        return Within(pattern=text)
    return Within(table=read_box_table(Path(text), (dims,)))


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
