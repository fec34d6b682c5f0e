"""Compiled twin of `reference`, on volumes; a flat first axis has one lattice point."""

import math
from typing import Any

import numpy as np

from synthanom.kernels.compiled import njit


@njit(nogil=True, cache=True)
def sample_rows(out: Any, wanted: Any, gradients: Any, matrix: Any, offset: Any) -> None:
    """Write the noise to `out` (Z, Y, X) float64, 0 where it is not wanted (uint8, as `out`).

    Gradients are (n_0, n_1, n_2, 3), n_0 = 1 for pictures.
    """
    place, weights, corners = np.empty((3, 2)), np.empty((3, 2)), np.empty(3, np.int64)
    pairs = min(2, gradients.shape[0])
    root = math.sqrt(2.0)
    for z in range(out.shape[0]):
        for y in range(out.shape[1]):
            for x in range(out.shape[2]):
                out[z, y, x] = 0.0
                if not wanted[z, y, x]:
                    continue
                for axis in range(3):
                    t = matrix[axis, 0] * z + matrix[axis, 1] * y + matrix[axis, 2] * x + offset[axis]
                    point = max(min(math.floor(t), gradients.shape[axis] - 2), 0)
                    corners[axis] = point
                    part = t - point
                    faded = part * part * part * (part * (part * 6.0 - 15.0) + 10.0)
                    place[axis, 0], place[axis, 1] = part, part - 1.0
                    weights[axis, 0], weights[axis, 1] = 1.0 - faded, faded
                total = 0.0
                for i in range(pairs):
                    for j in range(2):
                        for k in range(2):
                            slope = gradients[corners[0] + i, corners[1] + j, corners[2] + k]
                            dot = slope[0] * place[0, i] + slope[1] * place[1, j] + slope[2] * place[2, k]
                            total += weights[0, i] * weights[1, j] * weights[2, k] * dot
                out[z, y, x] = root * total
