"""The definition: one position at a time."""

import numpy as np
import numpy.typing as npt


def overlap_counts(allowed: npt.NDArray[np.bool_], mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """How many voxels of `mask` lie in `allowed`, for every place of its box in the image: int64 (*room)."""
    room = tuple(n - s + 1 for n, s in zip(allowed.shape, mask.shape, strict=True))
    counts = np.zeros(room, dtype=np.int64)
    for start in np.ndindex(*room):
        window = allowed[tuple(slice(a, a + s) for a, s in zip(start, mask.shape, strict=True))]
        counts[start] = (window & mask).sum()
    return counts


def good_positions(allowed: npt.NDArray[np.bool_], mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Where at least half of the mask lies in `allowed`: bool (*room)."""
    return np.asarray(2 * overlap_counts(allowed, mask) >= mask.sum())
