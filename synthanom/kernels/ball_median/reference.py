"""The definition: the middle one of the sorted values in the ball."""

from itertools import product

import numpy as np
import numpy.typing as npt


def filtered(values: npt.NDArray[np.float64], radius: int) -> npt.NDArray[np.float64]:
    """The median of the voxels at most `radius` from each voxel, 0 beyond the array."""
    padded = np.pad(values, radius)
    steps = [s for s in product(range(2 * radius + 1), repeat=values.ndim) if _squared(s, radius) <= radius**2]
    out = np.empty(values.shape)
    for place in np.ndindex(*values.shape):
        out[place] = np.median([padded[tuple(np.add(place, step))] for step in steps])
    return out


def _squared(step: tuple[int, ...], radius: int) -> int:
    return sum((s - radius) ** 2 for s in step)
