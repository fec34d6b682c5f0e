"""The definition: the region less its erosion by the cross-shaped element."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def mean_distance(
    region: npt.NDArray[np.bool_], centre: Sequence[float], spacing: Sequence[float] | float = 1.0
) -> float:
    """Mean distance from `centre` to the region's voxels that have a face neighbour outside; nan if there are none."""
    padded = np.pad(region, 1)
    distances = []
    for v in np.argwhere(region):
        steps = np.concatenate([np.eye(region.ndim, dtype=int), -np.eye(region.ndim, dtype=int)])
        if not all(padded[tuple(v + 1 + step)] for step in steps):
            away = (v - np.asarray(centre, dtype=np.float64)) * np.asarray(spacing)
            distances.append(np.sqrt((away**2).sum()))
    return float(np.mean(distances)) if distances else float("nan")
