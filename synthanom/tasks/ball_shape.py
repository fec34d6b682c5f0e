"""Balls in the middle of the picture: the regions of the outliers that detectors were validated with in MOOD."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from synthanom.arrays import MaskArray, box_slices
from synthanom.errors import NoPlace, SynthanomError
from synthanom.kernels import placement
from synthanom.regions import PROPOSALS, REDRAWS, Geometry, Region, uniform_index
from synthanom.tasks.scaled_shape import AbstractScaledShape, sides_of


@dataclass(frozen=True, kw_only=True)
class BallShape(AbstractScaledShape):
    """Discs and balls. Further settings: `AbstractScaledShape`.

    Attributes
    ----------
    smallest, largest : float
        Bounds of the radius, uniform in between, as shares of the image's shortest side (in voxels, or in mm).
    core : float
        Share of every side of the image, in its middle, in which the centre lies, uniformly over its voxels.

    Notes
    -----
    The published outliers take the radius from the first side and lie anywhere in the core. Here at least half of a
    ball lies in the foreground, and a voxel is left free at the image's border. Of 32 centres the first such is taken;
    where none is, all are counted, and one of the good ones is drawn.
    """

    smallest: float = 0.05
    largest: float = 0.1
    core: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (0 < self.smallest <= self.largest <= 0.4 and 0 < self.core <= 1):
            raise SynthanomError(
                "a ball needs radii 0 < smallest <= largest <= 0.4 and core in (0, 1], got "
                f"{self.smallest}, {self.largest}, {self.core}"
            )

    def draw_scaled(self, rng: np.random.Generator, allowed: MaskArray, spacing: Sequence[float] | None) -> Region:
        """Draw a radius, then a place for it."""
        shortest = [min(allowed.shape)] * allowed.ndim if spacing is None else sides_of(allowed.shape, spacing)
        for _ in range(REDRAWS):
            share = self.smallest + rng.random() * (self.largest - self.smallest)
            radii = [share * side for side in shortest]
            centre = self._centre(rng, radii, allowed)
            if centre is not None:
                return Region.from_geometry(_ball(radii, centre), allowed.shape)
        raise NoPlace(
            f"no place for a ball: none of {REDRAWS} has a centre in the middle {self.core:g} of every side of the "
            f"image {allowed.shape} where half of it lies in the foreground of {int(allowed.sum())} voxels; check the "
            "foreground mask, or allow other centres (BallShape.core)"
        )

    def _centre(self, rng: np.random.Generator, radii: Sequence[float], allowed: MaskArray) -> tuple[int, ...] | None:
        """A voxel where a ball of these radii, in voxels of each axis, may lie; None if there is none."""
        reach = np.array([int(radius) for radius in radii])
        mask = _ball(radii, tuple(reach.tolist())).mask((2 * reach + 1).tolist())
        room = [_core(side, self.core, int(r)) for side, r in zip(allowed.shape, reach, strict=True)]
        first, count = np.array([f for f, _ in room]), [n for _, n in room]
        for proposal in rng.random((PROPOSALS, allowed.ndim)).tolist():
            corner = first - reach + [uniform_index(u, n) for u, n in zip(proposal, count, strict=True)]
            inside = mask & allowed[box_slices(corner.tolist(), mask.shape)]
            if 2 * np.count_nonzero(inside) >= np.count_nonzero(mask):
                return tuple((corner + reach).tolist())
        near = allowed[tuple(slice(f - r, f + n + r) for (f, n), r in zip(room, reach.tolist(), strict=True))]
        good = np.argwhere(placement.good_positions(near, mask))
        if len(good) == 0:
            return None
        return tuple((first + good[uniform_index(rng.random(), len(good))]).tolist())


def _ball(radii: Sequence[float], centre: tuple[int, ...]) -> Geometry:
    # sizes are whole voxels, radii are not: one voxel wide, scaled
    return Geometry("ellipsoid", (1,) * len(centre), 2 * np.diag(radii), centre)


def _core(side: int, core: float, reach: int) -> tuple[int, int]:
    """First voxel and number of voxels, along one axis, of the centres from which a ball leaves the border free."""
    lowest, end = reach + 1, side - reach - 1
    first = min(max(round((1 - core) / 2 * side), lowest), end - 1)
    return first, max(min(round((1 + core) / 2 * side), end) - first, 1)
