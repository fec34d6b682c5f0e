"""The definition: neighbourhood minima and maxima of the whole box, repeated until nothing changes."""

import itertools

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]


def close_and_fill(values: npt.NDArray[np.floating]) -> Values:
    """Grey closing, then reconstruction by erosion, of a box: float64 (*box)."""
    original = np.asarray(values, dtype=np.float64)
    closed = _extreme(_extreme(original, np.maximum), np.minimum)
    seed = closed.copy()
    seed[(slice(1, -1),) * seed.ndim] = closed.max()
    for _ in range(seed.size + 1):
        lower = np.maximum(_extreme(seed, np.minimum), closed)
        if np.array_equal(lower, seed):
            return np.maximum(seed, original)
        seed = lower
    raise AssertionError("each round lowers at least one voxel to its final value: it cannot take more than all")


def _extreme(values: Values, choose: np.ufunc) -> Values:
    """Minimum or maximum over the offsets of squared length <= 2; beyond the box there is nothing."""
    nothing = -np.inf if choose is np.maximum else np.inf
    padded = np.pad(values, 1, constant_values=nothing)
    out = values
    for offset in itertools.product((-1, 0, 1), repeat=values.ndim):
        if sum(o * o for o in offset) <= 2:
            window = tuple(slice(1 + o, 1 + o + n) for o, n in zip(offset, values.shape, strict=True))
            out = choose(out, padded[window])
    return out
