"""A region as the stretches of its rows, which row-wise kernels run over many at a time.

*Rows* are int64 (n, 5): z, y, the first voxel, the one after the last, and how many voxels all rows before it hold.
"""

from typing import Any

import numpy as np

from synthanom.kernels.compiled import njit


@njit(nogil=True, cache=True)
def rows_of(region: Any) -> Any:
    """The rows of a region, uint8 (Z, Y, X), each from its first voxel to its last."""
    nz, ny, nx = region.shape
    spans = np.zeros((nz, ny, 2), np.int32)
    for z in range(nz):
        for y in range(ny):
            row = region[z, y]
            low, high = 0, nx
            while low < nx and row[low] == 0:
                low += 1
            while high > low and row[high - 1] == 0:
                high -= 1
            spans[z, y, 0], spans[z, y, 1] = low, high
    return rows_of_spans(spans)


@njit(nogil=True, cache=True)
def rows_of_spans(spans: Any) -> Any:
    """The rows of spans, int32 (Z, Y, 2), as `rows_of`."""
    rows = np.empty((spans.shape[0] * spans.shape[1], 5), np.int64)
    found = total = 0
    for z in range(spans.shape[0]):
        for y in range(spans.shape[1]):
            low, high = spans[z, y, 0], spans[z, y, 1]
            if high > low:
                rows[found, 0], rows[found, 1], rows[found, 2], rows[found, 3] = z, y, low, high
                rows[found, 4] = total
                total += high - low
                found += 1
    return rows[:found]


@njit(nogil=True, cache=True)
def end_of_block(rows: Any, start: int, room: int) -> int:
    """The row after the last that fits a block of at most `room` voxels beginning at row `start`; one always does."""
    end = start + 1
    while end < rows.shape[0] and rows[end, 4] + rows[end, 3] - rows[end, 2] - rows[start, 4] <= room:
        end += 1
    return end


@njit(nogil=True, cache=True)
def voxels_in(rows: Any, start: int, end: int) -> int:
    """How many voxels the rows from `start` to before `end` hold."""
    return int(rows[end - 1, 4] + rows[end - 1, 3] - rows[end - 1, 2] - rows[start, 4])
