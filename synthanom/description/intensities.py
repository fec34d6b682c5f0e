"""Intensities of any number of voxels in constant memory: a histogram whose bins need no range beforehand."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from synthanom.arrays import FloatArray, ImageArray

DROPPED_BITS = 12  # of a float32's 32: bins are 2^-11 of their value wide
QUANTILES = {"q01": 0.01, "median": 0.5, "q99": 0.99}
SHOWN = (0.001, 0.999)  # quantiles between which the histogram for people is drawn
BARS = 60


@dataclass(eq=False)
class Intensities:
    """Values of one channel, counted.

    Attributes
    ----------
    low, high : float
        Smallest and largest value.
    counts : ndarray of int64
        A histogram over float32 bit patterns.
    """

    low: float = np.inf
    high: float = -np.inf
    counts: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(2 ** (32 - DROPPED_BITS), np.int64))

    def add(self, values: ImageArray) -> None:
        """Count some values, float32 of shape (n,)."""
        if not values.size:
            return
        self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))
        self.counts += np.bincount(_keys(values) >> DROPPED_BITS, minlength=self.counts.size)

    @property
    def total(self) -> int:
        """How many values were counted."""
        return int(self.counts.sum())

    def quantiles(self, shares: npt.ArrayLike) -> FloatArray:
        """Values below which these shares lie, to a bin's width."""
        values, below = self._cumulated()
        return np.asarray(np.interp(np.asarray(shares) * below[-1], below, values))

    def histogram(self) -> tuple[FloatArray, npt.NDArray[np.int64]]:
        """Edges (n + 1,) and counts (n,) of equal bars between the 0.1 % and the 99.9 % quantile."""
        low, high = self.quantiles(SHOWN).tolist()
        edges = np.linspace(low, high if high > low else low + 1, BARS + 1)
        values, below = self._cumulated()
        upto = np.interp(edges, values, below)
        upto[0] = min(
            upto[0], SHOWN[0] * self.total
        )  # where many voxels share the lowest value they are in the first bar
        return edges, np.diff(np.rint(upto).astype(np.int64))

    def to_dict(self) -> dict[str, Any]:
        """Range, quantiles and histogram as JSON."""
        edges, counts = self.histogram()
        named = dict(zip(QUANTILES, self.quantiles(list(QUANTILES.values())).tolist(), strict=True))
        bars = {"edges": edges.tolist(), "counts": counts.tolist()}
        return {"voxels": self.total, "min": self.low, **named, "max": self.high, "histogram": bars}

    def _cumulated(self) -> tuple[FloatArray, FloatArray]:
        """Values, rising, and how many lie below each: both ends of every bin that is not empty."""
        filled = np.flatnonzero(self.counts)
        ends = np.stack([filled << DROPPED_BITS, (filled << DROPPED_BITS) + 2**DROPPED_BITS - 1], axis=1)
        values = np.clip(_values(ends.astype(np.uint32)).astype(np.float64), self.low, self.high)
        upto = np.cumsum(self.counts[filled])
        return values.ravel(), np.stack([upto - self.counts[filled], upto], axis=1).ravel().astype(np.float64)


def _keys(values: ImageArray) -> npt.NDArray[np.uint32]:
    """Integers in the order of the values."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    return np.where(bits >> 31, ~bits, bits | np.uint32(2**31))


def _values(keys: npt.NDArray[np.uint32]) -> ImageArray:
    """The values that have these keys."""
    return np.where(keys >> 31, keys ^ np.uint32(2**31), ~keys).astype(np.uint32).view(np.float32)
