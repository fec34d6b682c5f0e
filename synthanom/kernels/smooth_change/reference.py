"""The definition, in float64 loops."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def apply(
    image: npt.NDArray[np.floating],
    region: npt.NDArray[np.bool_],
    corner: Sequence[int],
    ramp: float,
    change: npt.ArrayLike,
    limits: npt.ArrayLike | None = None,
) -> npt.NDArray[np.float64]:
    """Add `change` (C,), ramped over `ramp` voxels, inside `region` (*box) of an image (C, *S): float64 (C, *S)."""
    out = np.asarray(image, dtype=np.float64).copy()
    offset = np.asarray(change, dtype=np.float64)
    for c, channel in enumerate(out):
        low, high = (channel.min(), channel.max()) if limits is None else np.asarray(limits, dtype=np.float64)[:, c]
        for v, d in np.ndenumerate(depth(region)):
            p = tuple(a + b for a, b in zip(corner, v, strict=True))
            if d > 0:
                channel[p] = min(max(channel[p] + offset[c] * min(d / ramp, 1.0), low), high)
    return out


def depth(region: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Distance from each voxel of the region to the nearest voxel outside, by looking at all of them."""
    padded = np.pad(region, 1)
    outside = np.argwhere(~padded)
    out = np.zeros(region.shape)
    for v in np.argwhere(region):
        out[tuple(v)] = np.sqrt(((outside - (v + 1)) ** 2).sum(axis=1).min())
    return out
