"""How fast work passes, and how long it will still take; by a clock that only goes forward."""

import time
from collections import deque

WINDOW = 30.0  # seconds whose work makes the rate
FEWEST = 8  # items that make it where they take longer
APART = 0.1  # seconds between two remembered moments: fast items need no more


class Pace:
    """Counts what passes.

    Parameters
    ----------
    total : int
        How many items there are.
    unit : str
        What they are, where the title of the stage does not say so.
    """

    def __init__(self, total: int, unit: str = "") -> None:
        self.total = total
        self.unit = unit
        self.done = 0
        self._began = time.monotonic()
        self._seen: deque[tuple[float, int]] = deque([(self._began, 0)])  # moments, and what was done by then

    def passed(self, count: int = 1) -> None:
        """Note that so many items are done."""
        now = time.monotonic()
        self.done += count
        if len(self._seen) > 1 and now - self._seen[-2][0] < APART:
            self._seen.pop()
        self._seen.append((now, self.done))
        for _ in range(len(self._seen)):
            if self._seen[1][0] > now - WINDOW or self.done - self._seen[1][1] < FEWEST:
                return
            self._seen.popleft()

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began

    @property
    def rate(self) -> float | None:
        """Items per second over the last 30 s, or the last 8 items; falls while nothing passes. None at first."""
        (first, before), (last, upto) = self._seen[0], self._seen[-1]
        if upto == before or last <= first:
            return None
        usual = (last - first) / (upto - before)
        return (upto - before) / max(last - first, time.monotonic() - usual - first)

    @property
    def left(self) -> float | None:
        """Seconds that the rest will take at this rate; None while it is not known."""
        rate = self.rate
        return None if rate is None else max(0.0, (self.total - self.done) / rate)

    @property
    def overall(self) -> str:
        """The rate from the beginning, for people; empty where nothing passed."""
        return rate_text(self.done / self.elapsed) if self.done and self.elapsed > 0 else ""

    def __str__(self) -> str:
        """Done and total, rate, seconds elapsed and left."""
        rate, left = self.rate, self.left
        parts = [f"{self.done}/{self.total}" + (f" {self.unit}" if self.unit else "")]
        if rate is not None:
            parts.append(rate_text(rate))
        known = "" if left is None or self.done >= self.total else f", {clock(left)} left"
        return "  ".join([*parts, f"{clock(self.elapsed)}{known}"])


def rate_text(rate: float) -> str:
    """Items per second, or seconds per item where these are more telling."""
    if rate >= 1:
        return f"{rate:.3g} per s" if rate < 1000 else f"{rate:.0f} per s"
    return f"{1 / rate:.3g} s each" if rate > 1e-3 else f"{1 / rate:.0f} s each"


def clock(seconds: float) -> str:
    """Minutes and seconds, with hours where there are any."""
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
