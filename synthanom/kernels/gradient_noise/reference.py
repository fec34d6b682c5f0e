"""The definition, voxel by voxel and lattice point by lattice point."""

import itertools
import math
from collections.abc import Sequence

import numpy as np

from synthanom.arrays import FloatArray


def sample(gradients: FloatArray, matrix: FloatArray, offset: FloatArray, size: Sequence[int]) -> FloatArray:
    """Gradient noise at lattice coordinates matrix @ q + offset for every voxel q of a box: float64 (*size)."""
    out = np.zeros(tuple(size))
    for voxel in np.ndindex(out.shape):
        t = np.asarray(matrix) @ voxel + offset
        for corner in itertools.product((0, 1), repeat=len(size)):
            point = [min(math.floor(x), n - 2) + c for x, n, c in zip(t, gradients.shape[:-1], corner, strict=True)]
            away = t - point
            weight = math.prod(1 - fade(abs(x)) for x in away)
            out[voxel] += math.sqrt(2) * weight * float(gradients[tuple(point)] @ away)
    return out


def fade(x: float) -> float:
    """From 0 at 0 to 1 at 1, flat and without curvature at both."""
    return 6 * x**5 - 15 * x**4 + 10 * x**3
