"""The definition: at each voxel the weighted mean of its neighbours along one axis after the other."""

import numpy as np

from synthanom.arrays import FloatArray


def smooth(image: FloatArray, weights: FloatArray) -> FloatArray:
    """Weigh each voxel by `weights[0]` and those at distance k, on both sides, periodically, by `weights[k]`."""
    out = image
    for axis in range(image.ndim):
        total = weights[0] * out
        for distance in range(len(weights) - 1, 0, -1):
            total += (np.roll(out, distance, axis) + np.roll(out, -distance, axis)) * weights[distance]
        out = total
    return out
