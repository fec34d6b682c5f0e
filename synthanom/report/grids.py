"""Tables as the templates lay them out: every cell in words, some shaded by how high their figure is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from synthanom.evaluation.tables import Cell, Table, shown
from synthanom.metrics import Interval


@dataclass(frozen=True, kw_only=True)
class GridCell:
    """Words, and how dark the cell is, in [0, 1]; None for a plain one."""

    words: str
    shade: float | None = None


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A table; the first `left` columns are words."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[GridCell, ...], ...]
    left: int
    captions: tuple[str, ...] = ()


def grid(table: Table, *, shaded: bool = False) -> Grid:
    """A table in words; with `shaded` its figures are the darker the higher they are."""
    used = [place for place in range(len(table.columns)) if any(shown(row[place]) for row in table.rows)]
    return Grid(
        title=table.title,
        columns=tuple(table.columns[place] for place in used),
        rows=tuple(tuple(_cell(row[place], shaded) for place in used) for row in table.rows),
        left=sum(place < table.left for place in used),
        captions=table.captions,
    )


def pairs(title: str, rows: Sequence[tuple[str, str]]) -> Grid:
    """Names and what they are."""
    cells = tuple((GridCell(words=name), GridCell(words=value)) for name, value in rows)
    return Grid(title=title, columns=("", ""), rows=cells, left=2)


def _cell(cell: Cell, shaded: bool) -> GridCell:
    if shaded and isinstance(cell, Interval) and not np.isnan(cell.value):
        return GridCell(words=shown(cell), shade=float(np.clip(cell.value, 0, 1)))
    return GridCell(words=shown(cell))
