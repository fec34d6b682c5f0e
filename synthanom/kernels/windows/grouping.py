"""Boxes of similar size, which waste little when padded to one size."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Padded = tuple[int, int, int]  # sides of the windows, voxels


def similar(sides: Integers, limit: int, cost: int) -> Iterator[tuple[Integers, Padded]]:
    """Sort boxes of `sides`, int64 (N, 3), into groups that waste little when padded: (rows, padded sides) of each.

    A group is parted in two where that spares more voxels than the `cost` of one group more, and wherever its windows
    together would exceed the `limit` of voxels.
    """
    waiting = [np.arange(sides.shape[0])] if sides.shape[0] else []
    while waiting:  # each turn yields a group or replaces it by two smaller ones
        rows = waiting.pop()
        own = sides[rows]
        voxels = int(own.max(axis=0).prod()) * rows.size
        halves = _halves(own)
        spared = voxels - sum(int(own[half].max(axis=0, initial=0).prod()) * half.size for half in halves)
        if rows.size > 1 and (spared > cost or voxels > limit):
            waiting += [rows[half] for half in halves]
            continue
        z, y, x = (int(n) for n in own.max(axis=0))
        yield rows, (z, y, x)


def _halves(sides: Integers) -> tuple[Integers, Integers]:
    """The better of ways to part boxes in two: by one of their sides, or by their volume, at one of three places."""
    best, least = (np.arange(sides.shape[0]), np.arange(0)), np.inf
    for key in (*sides.T, sides.prod(axis=1)):
        order = np.argsort(key, kind="stable")
        ahead = np.maximum.accumulate(sides[order], axis=0).prod(axis=1) * np.arange(1, order.size + 1)
        behind = np.maximum.accumulate(sides[order[::-1]], axis=0).prod(axis=1) * np.arange(1, order.size + 1)
        for quarter in (1, 2, 3):
            cut = order.size * quarter // 4
            if 0 < cut < order.size and ahead[cut - 1] + behind[order.size - cut - 1] < least:
                best, least = (order[:cut], order[cut:]), ahead[cut - 1] + behind[order.size - cut - 1]
    if best[1].size == 0 and sides.shape[0] > 1:
        middle = sides.shape[0] // 2
        return best[0][:middle], best[0][middle:]
    return best
