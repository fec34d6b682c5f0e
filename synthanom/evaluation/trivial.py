"""Maps that know nothing of disease: what a detector has to beat."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from synthanom.arrays import ImageArray, MaskArray
from synthanom.kernels.components import bounds

DEVIATION = "|z| in the image"


def deviation(image: ImageArray, foreground: MaskArray) -> ImageArray:
    """How far each voxel is from the foreground's mean, in deviations, averaged over channels; 0 outside."""
    score = np.zeros(foreground.shape, dtype=np.float64)
    for channel in image.astype(np.float64):
        inside = channel[foreground]
        if inside.size and np.ptp(inside) > 0:
            score[foreground] += np.abs(inside - inside.mean()) / inside.std()
    return (score / len(image)).astype(np.float32)


def intensity(image: ImageArray, foreground: MaskArray) -> ImageArray:
    """The image itself, averaged over channels; outside the foreground its lowest value."""
    grey = image.mean(axis=0, dtype=np.float64)
    lowest = grey[foreground].min() if foreground.any() else 0.0
    return np.where(foreground, grey, lowest).astype(np.float32)


def area(image: ImageArray, foreground: MaskArray) -> ImageArray:
    """Everywhere in a slice, or in a picture, the share of it that is foreground."""
    planes = foreground.mean(axis=(-2, -1), keepdims=True)
    return np.broadcast_to(planes, foreground.shape).astype(np.float32)


def position(image: ImageArray, foreground: MaskArray) -> ImageArray:
    """1 in the middle of the foreground's box, falling to 0 at its corners and beyond."""
    if not foreground.any():
        return np.zeros(foreground.shape, np.float32)
    low, end = bounds(foreground)
    middle, half = (low + end - 1) / 2, np.maximum((end - low) / 2, 0.5)
    grids = np.ogrid[tuple(slice(0, n) for n in foreground.shape)]
    squares = sum(((g - m) / h) ** 2 for g, m, h in zip(grids, middle, half, strict=True))
    distance: npt.NDArray[np.float64] = np.sqrt(np.asarray(squares) / foreground.ndim)
    return np.maximum(1 - distance, 0).astype(np.float32)


def box_area(image: ImageArray, foreground: MaskArray) -> ImageArray:
    """Everywhere in a slice, or in a picture, the share of it that the box around its foreground takes."""
    rows, columns = np.asarray(foreground.any(axis=-1)), np.asarray(foreground.any(axis=-2))
    share = _extent(rows) * _extent(columns) / (foreground.shape[-2] * foreground.shape[-1])
    return np.broadcast_to(share[..., None, None], foreground.shape).astype(np.float32)


TRIVIAL: Mapping[str, Callable[[ImageArray, MaskArray], ImageArray]] = MappingProxyType(
    {
        DEVIATION: deviation,
        "intensity": intensity,
        "area of the foreground": area,
        "position in the foreground's box": position,
        "area of the foreground's box": box_area,
    }
)


def _extent(marked: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """From the first to the last marked one along the last axis; 0 where there is none."""
    first = np.argmax(marked, axis=-1)
    last = marked.shape[-1] - np.argmax(marked[..., ::-1], axis=-1)
    return np.where(marked.any(axis=-1), last - first, 0).astype(np.float64)
