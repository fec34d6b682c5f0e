"""Boxes of the anomalies of many samples, merged where they overlap."""
# mypy: disallow-untyped-decorators=False

from typing import Any

from synthanom.kernels.compiled import njit


@njit(nogil=True, cache=True)
def merged_boxes(sample: Any, start: Any, size: Any, out: Any) -> int:
    """Replace overlapping boxes of one sample by their common bounding box until none overlap: `labels.merge_boxes`.

    Parameters
    ----------
    sample : int64 (N,), ascending
    start, size : int64 (N, 3), voxels
    out : int64 (N, 7)
        Written: sample, start and size of each box that is left.

    Returns
    -------
    int
        How many these are.
    """
    count = 0
    begin = 0
    while begin < sample.size:
        end = begin
        while end < sample.size and sample[end] == sample[begin]:
            end += 1
        first = count
        for i in range(begin, end):
            low, high = start[i].copy(), start[i] + size[i]
            j = first
            while j < count:  # each time it grows it is compared with all again; it grows at most N times
                apart = False
                for axis in range(3):
                    a, n = out[j, 1 + axis], out[j, 4 + axis]
                    apart |= a >= high[axis] or low[axis] >= a + n
                if apart:
                    j += 1
                    continue
                for axis in range(3):
                    a, n = out[j, 1 + axis], out[j, 4 + axis]
                    low[axis], high[axis] = min(low[axis], a), max(high[axis], a + n)
                count -= 1
                out[j] = out[count]
                j = first
            out[count, 0] = sample[begin]
            for axis in range(3):
                out[count, 1 + axis], out[count, 4 + axis] = low[axis], high[axis] - low[axis]
            count += 1
        begin = end
    return count
