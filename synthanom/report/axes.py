"""The axes of a chart: from values to places in the drawing, and round numbers along them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

TICKS = 5  # at most, beside the first


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One axis.

    Attributes
    ----------
    low, high : float
        The values at its ends, low < high; both above 0 where it is logarithmic.
    length : float
        In units of the drawing.
    logarithmic : bool
    upwards : bool
        The drawing's second axis, which grows downwards.
    """

    low: float
    high: float
    length: float
    logarithmic: bool = False
    upwards: bool = False

    def places(self, values: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Where values lie, clipped to one length beyond the ends."""
        given = np.asarray(values, dtype=np.float64)
        low, high = self.low, self.high
        if self.logarithmic:
            given, low, high = np.log(np.maximum(given, self.low * 1e-3)), math.log(low), math.log(high)
        share = np.clip((given - low) / (high - low), -1, 2)
        return self.length * (1 - share if self.upwards else share)

    def ticks(self) -> Iterator[tuple[float, str]]:
        """Place and words of round values within the axis."""
        from matplotlib.ticker import LogLocator, MaxNLocator

        locator: LogLocator | MaxNLocator = MaxNLocator(TICKS, steps=[1, 2, 2.5, 5, 10])
        ratio = self.high / self.low if self.logarithmic else 1.0
        if ratio > 8:  # over less there are hardly powers of ten
            locator = LogLocator(subs=(1.0, 2.0, 5.0) if ratio < 80 else (1.0,), numticks=2 * TICKS)
        room = 1e-9 * (self.high - self.low)
        for value in np.asarray(locator.tick_values(self.low, self.high)).tolist():
            if self.low - room <= value <= self.high + room:
                yield float(self.places(value)), f"{value + 0.0:.6g}".replace("-", "−")


def span(
    values: list[npt.NDArray[np.float64]], *, floor: float | None = None, room: float = 0.04
) -> tuple[float, float]:
    """The range of all finite values with some room; `floor` is its low end where it is given."""
    every = np.concatenate([np.empty(0), *(np.ravel(v) for v in values)])
    every = every[np.isfinite(every)]
    if not every.size:
        return (0.0 if floor is None else floor), 1.0 + (floor or 0.0)
    low, high = float(every.min()), float(every.max())
    wide = room * (high - low)
    low, high = (low - wide if floor is None else floor), high + wide
    return (low, high) if high > low else (low - 0.5 * (floor is None), low + 0.5 + 0.5 * (floor is not None))
