"""Grids of the digits 1 to 9, an "anatomy" in which every digit has its place: drawn as numbers, then rendered."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from synthanom.arrays import ImageArray
from synthanom.preprocess.resampling import resample
from synthanom_builders.digit_files import Exemplars
from synthanom_builders.digit_formats import SIDE

Levels = npt.NDArray[np.uint16]
Mirror = Literal["none", "left-right", "up-down"]
ACROSS, CELL = 3, 32  # cells a side, pixels a side of a cell
LEVELS = 65535  # white
LEAST_AREA = 0.6  # of a digit, that its crop shows


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What one cell shows.

    Attributes
    ----------
    digit, exemplar : int
        Which digit, and which of those that were written.
    side : int
        Of the square crop that is enlarged to the cell, in pixels of the exemplar.
    corner : tuple of 2 ints
        Of the crop (Y, X), in pixels of the exemplar.
    mirrored : {"none", "left-right", "up-down"}
    """

    digit: int
    exemplar: int
    side: int
    corner: tuple[int, int]
    mirrored: Mirror = "none"


Grid = tuple[Cell | None, ...]  # row by row; None is a cell that stays black


def draw_grid(rng: np.random.Generator, counts: Sequence[int]) -> Grid:
    """A grid as it should be: 1 at the top left to 9 at the bottom right, each written and cropped anyhow.

    Parameters
    ----------
    counts : sequence of 10 ints
        Number of exemplars, by digit.
    """
    return tuple(_draw_cell(rng, digit, counts[digit]) for digit in range(1, ACROSS**2 + 1))


def _draw_cell(rng: np.random.Generator, digit: int, count: int) -> Cell:
    exemplar = int(rng.integers(count))
    side = round(SIDE * float(rng.uniform(LEAST_AREA, 1.0)) ** 0.5)
    top, left = (int(at) for at in rng.integers(SIDE - side + 1, size=2))
    return Cell(digit=digit, exemplar=exemplar, side=side, corner=(top, left))


def render(grid: Grid, exemplars: Exemplars) -> Levels:
    """The picture (96, 96) of a grid in 16 bits.

    Rounding to levels makes what is rendered for training and what is written as PNG for testing one and the same.
    """
    cells = [np.rint(render_cell(cell, exemplars) * LEVELS).astype(np.uint16) for cell in grid]
    return np.block([cells[i : i + ACROSS] for i in range(0, len(cells), ACROSS)])


def render_cell(cell: Cell | None, exemplars: Exemplars) -> ImageArray:
    """The picture (32, 32) of a cell in [0, 1]: the crop enlarged linearly, then mirrored."""
    if cell is None:
        return np.zeros((CELL, CELL), dtype=np.float32)
    (top, left), side = cell.corner, cell.side
    crop = exemplars.images[cell.digit][cell.exemplar][top : top + side, left : left + side]
    large = np.clip(resample(crop.astype(np.float32) / 255, (CELL, CELL), (side / CELL,) * 2, 1), 0.0, 1.0)
    return mirrored(large, cell.mirrored)


def mirrored(picture: ImageArray, mirror: Mirror) -> ImageArray:
    """The picture (Y, X) in a mirror."""
    if mirror == "none":
        return picture
    return np.flip(picture, axis=1 if mirror == "left-right" else 0)
