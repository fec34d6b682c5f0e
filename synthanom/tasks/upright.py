"""What tasks with upright boxes share: sides with a middle voxel, and drawing boxes until one has a place."""

from collections.abc import Callable

import numpy as np

from synthanom.arrays import MaskArray
from synthanom.regions import REDRAWS, Geometry, Region, no_place, place


def draw_fitting(rng: np.random.Generator, allowed: MaskArray, draw_one: Callable[[], Geometry]) -> Region:
    """Draw shapes, at the origin, until `place` finds a place for one.

    Raises
    ------
    NoPlace
        If none of 50 shapes has one.
    """
    for _ in range(REDRAWS):
        region = place(rng, draw_one(), allowed)
        if region is not None:
            return region
    raise no_place(allowed)


def odd_side(width: float, side: int) -> int:
    """The odd number of voxels nearest to a width, from 3 to what leaves a margin in an image of this side."""
    return max(3, min(2 * round((width - 1) / 2) + 1, side - 3 + side % 2))
