"""What can be wrong with a grid of digits; every other cell stays as it was, to the last pixel."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from synthanom.arrays import ImageArray, MaskArray
from synthanom.errors import SynthanomError
from synthanom_builders.digit_files import Exemplars
from synthanom_builders.digit_grids import LEVELS, Grid, Levels, Mirror, mirrored, render_cell

FEW = 3  # cells that are novel, missing or flipped, at most
MIRRORS: tuple[Mirror, ...] = ("left-right", "up-down")
# mirrored, these still look like themselves
SYMMETRIC = {(1, "left-right"), (1, "up-down"), (8, "left-right"), (8, "up-down"), (3, "up-down")}
LEAST_FLIP = 0.05  # mean difference over the cell, of white, from which on a mirrored digit counts as anomalous
LEAST_DIFFERENCE = 0.1  # of white, above which a pixel belongs to the anomaly
TRIES = 64  # permutations; one in three moves every cell


def novel(rng: np.random.Generator, grid: Grid, exemplars: Exemplars) -> Grid:
    """One to three cells show the digit 0, which no grid has; their crops stay."""
    changed = list(grid)
    for at in _few(rng, len(grid)):
        cell, exemplar = grid[at], int(rng.integers(exemplars.counts[0]))
        assert cell is not None
        changed[at] = replace(cell, digit=0, exemplar=exemplar)
    return tuple(changed)


def missing(rng: np.random.Generator, grid: Grid, exemplars: Exemplars) -> Grid:
    """One to three cells are black."""
    del exemplars
    gone = _few(rng, len(grid))
    return tuple(None if at in gone else cell for at, cell in enumerate(grid))


def disordered(rng: np.random.Generator, grid: Grid, exemplars: Exemplars) -> Grid:
    """Two to nine cells exchange what they show, so that none of them keeps its own."""
    del exemplars
    count = int(rng.integers(2, len(grid) + 1))
    places = sorted(rng.choice(len(grid), size=count, replace=False).tolist())
    changed = list(grid)
    for at, source in enumerate(_derangement(rng, count)):
        changed[places[at]] = grid[places[source]]
    return tuple(changed)


def flipped(rng: np.random.Generator, grid: Grid, exemplars: Exemplars) -> Grid:
    """One to three cells are mirrored, of those that a mirror changes visibly.

    Raises
    ------
    SynthanomError
        If there is no such cell.
    """
    ways = {at: _visible_mirrors(grid, at, exemplars) for at in range(len(grid))}
    able = [at for at, mirrors in ways.items() if mirrors]
    if not able:
        raise SynthanomError("a mirror must change one of the digits 2 to 9 visibly, got none; replace the digits")
    changed = list(grid)
    for i in _few(rng, len(able)):
        at = able[i]
        cell, mirror = grid[at], ways[at][int(rng.integers(len(ways[at])))]
        assert cell is not None
        changed[at] = replace(cell, mirrored=mirror)
    return tuple(changed)


KINDS: dict[str, Callable[[np.random.Generator, Grid, Exemplars], Grid]] = {
    "novel": novel,
    "missing": missing,
    "disordered": disordered,
    "flipped": flipped,
}


def difference(normal: Levels, anomalous: Levels) -> MaskArray:
    """The pixels that the anomaly changes by more than a tenth of white."""
    return np.asarray(np.abs(normal.astype(np.int32) - anomalous) > LEAST_DIFFERENCE * LEVELS)


def _few(rng: np.random.Generator, count: int) -> list[int]:
    """One to three places out of `count`, or as many as there are."""
    wanted = min(int(rng.integers(1, FEW + 1)), count)
    return sorted(rng.choice(count, size=wanted, replace=False).tolist())


def _derangement(rng: np.random.Generator, count: int) -> list[int]:
    """A permutation that leaves nothing in its place."""
    for _ in range(TRIES):
        order = [int(source) for source in rng.permutation(count)]
        if all(at != source for at, source in enumerate(order)):
            return order
    return [*range(1, count), 0]  # as good as any, and never needed: 64 failures have a chance of 2e-13 or less


def _visible_mirrors(grid: Grid, at: int, exemplars: Exemplars) -> list[Mirror]:
    cell = grid[at]
    assert cell is not None
    able = [mirror for mirror in MIRRORS if (cell.digit, mirror) not in SYMMETRIC]
    return [mirror for mirror in able if _changes(render_cell(cell, exemplars), mirror)]


def _changes(picture: ImageArray, mirror: Mirror) -> bool:
    """Whether a mirror changes a picture (Y, X) visibly."""
    return float(np.abs(mirrored(picture, mirror) - picture).mean()) > LEAST_FLIP
