"""Compiled twins of `reference`, in place, one axis each; the sums run in its order, so the bytes are the same."""

from typing import Any

import numpy as np

from synthanom.kernels.compiled import njit

WIDTH = 32  # columns worked on together: they and their periodic continuation stay in the processor's nearest memory


@njit(nogil=True, cache=True)
def smooth_slabs(image: Any, weights: Any) -> None:
    """Along the middle axis of (n, length, m) float64."""
    count, length, width = image.shape
    radius = weights.shape[0] - 1
    lines = np.zeros((length + 2 * radius, WIDTH))
    total = np.empty((length, WIDTH))
    for k in range(count):
        for first in range(0, width, WIDTH):
            some = min(WIDTH, width - first)
            for i in range(length + 2 * radius):
                lines[i, :some] = image[k, (i - radius) % length, first : first + some]
            _weigh(lines.reshape(-1), weights, total.reshape(-1), WIDTH)
            image[k, :, first : first + some] = total[:, :some]


@njit(nogil=True, cache=True)
def smooth_rows(image: Any, weights: Any) -> None:
    """Along the last axis of (n, length) float64."""
    count, length = image.shape
    radius = weights.shape[0] - 1
    line, total = np.empty(length + 2 * radius), np.empty(length)
    for k in range(count):
        for i in range(length + 2 * radius):
            line[i] = image[k, (i - radius) % length]
        _weigh(line, weights, total, 1)
        image[k] = total


@njit(nogil=True, cache=True)
def _weigh(values: Any, weights: Any, total: Any, step: int) -> None:
    """Weighted sums over neighbours `step` apart; `values` has as many more at both ends as the weights reach."""
    middle = values[(weights.shape[0] - 1) * step :]
    for i in range(total.shape[0]):
        total[i] = weights[0] * middle[i]
    for distance in range(weights.shape[0] - 1, 0, -1):
        weight = weights[distance]
        low = values[(weights.shape[0] - 1 - distance) * step :]
        high = values[(weights.shape[0] - 1 + distance) * step :]
        for i in range(total.shape[0]):
            total[i] += (low[i] + high[i]) * weight
