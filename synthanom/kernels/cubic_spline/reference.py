"""The definition: the whole image filtered, scipy's interpolation in float64, the border repeated outside."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage


def sample(image: npt.NDArray[np.floating], points: npt.NDArray[np.float64], order: int = 3) -> npt.NDArray[np.float64]:
    """Interpolate an image (C, *S) at `points` (D, *P), in voxels: float64 (C, *P)."""
    values = np.asarray(image, dtype=np.float64)
    return np.stack([ndimage.map_coordinates(channel, points, order=order, mode="nearest") for channel in values])
