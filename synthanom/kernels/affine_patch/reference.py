"""The definition: scipy's interpolation at matrix @ q + offset, clipped per channel, in float64."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from synthanom.kernels.cubic_spline.reference import sample as interpolate


def sample(
    donor: npt.NDArray[np.floating],
    matrix: npt.ArrayLike,
    offset: Sequence[float],
    size: Sequence[int],
    limits: npt.ArrayLike | None = None,
) -> npt.NDArray[np.float64]:
    """Resample a donor (C, *S) onto a box: float64 (C, *size)."""
    points = np.empty((len(size), *size))
    for q in np.ndindex(*size):
        points[(slice(None), *q)] = np.asarray(matrix, dtype=np.float64) @ q + np.asarray(offset, dtype=np.float64)
    patch = interpolate(donor, points)
    for c, channel in enumerate(donor):
        low, high = (channel.min(), channel.max()) if limits is None else np.asarray(limits, dtype=np.float64)[:, c]
        patch[c] = np.clip(patch[c], low, high)
    return patch
