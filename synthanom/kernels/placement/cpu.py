"""Compiled twin of `reference`: integer counts over the rows of a region.

A region is given by its spans (see `region_mask.cpu`), int32 (Z, Y, 2), the width of its box and its number of voxels;
`allowed` is uint8 (Z, Y, X), 0 or 1, its sides under 65536 voxels (`Sample` sees to it).
"""

from typing import Any

import numpy as np

from synthanom.kernels.compiled import njit


@njit(nogil=True, cache=True)
def half_of(count: Any) -> Any:
    """How many of a region's voxels must be allowed: at least half."""
    return (count + 1) // 2


@njit(nogil=True, cache=True)
def is_good(allowed: Any, spans: Any, count: Any, start: Any) -> Any:
    """Whether at least half of a region lies in `allowed` when its box begins at `start`."""
    wanted, left = half_of(count), count
    for z in range(spans.shape[0]):
        for y in range(spans.shape[1]):
            low, high = spans[z, y, 0], spans[z, y, 1]
            if high > low:
                first = start[2] + low
                row = allowed[start[0] + z, start[1] + y, first : first + (high - low)]
                inside = np.int32(0)
                for x in range(row.size):
                    inside += np.int32(row[x])
                wanted -= inside
                left -= high - low
                if wanted <= 0 or wanted > left:
                    return wanted <= 0
    return wanted <= 0


@njit(nogil=True, cache=True)
def reachable(allowed: Any, size: Any, window: Any) -> int:
    """Count allowed voxels; write to `window`, [first, end) per axis (3, 2), where boxes holding any lie."""
    total = 0
    bounds = np.empty((3, 2), np.int64)
    bounds[:, 0] = 2**31
    bounds[:, 1] = -1
    nx = allowed.shape[2]
    for z in range(allowed.shape[0]):
        for y in range(allowed.shape[1]):
            inside = np.int32(0)
            for x in range(nx):
                inside += np.int32(allowed[z, y, x])
            if inside > 0:
                total += int(inside)
                first, last = 0, nx - 1
                while allowed[z, y, first] == 0:
                    first += 1
                while allowed[z, y, last] == 0:
                    last -= 1
                bounds[0, 0], bounds[0, 1] = min(bounds[0, 0], z), z
                bounds[1, 0], bounds[1, 1] = min(bounds[1, 0], y), max(bounds[1, 1], y)
                bounds[2, 0], bounds[2, 1] = min(bounds[2, 0], first), max(bounds[2, 1], last)
    for axis in range(3):
        window[axis, 0] = max(0, bounds[axis, 0] - size[axis] + 1)
        window[axis, 1] = min(allowed.shape[axis], bounds[axis, 1] + size[axis])
    return total


@njit(nogil=True, cache=True)
def running_counts(allowed: Any) -> Any:
    """Allowed voxels before each place of a row, modulo 2^16: uint16 (Z, Y, X + 1); differences within a row hold."""
    nz, ny, nx = allowed.shape
    before = np.empty((nz, ny, nx + 1), np.uint16)
    for z in range(nz):
        for y in range(ny):
            total = np.uint16(0)
            before[z, y, 0] = total
            for x in range(nx):
                total = np.uint16(total + allowed[z, y, x])
                before[z, y, x + 1] = total
    return before


@njit(nogil=True, cache=True)
def add_windows(counts: Any, row: Any, low: int, high: int) -> None:
    """Add to counts[x] what lies in [x + low, x + high) of a row of running counts."""
    size = counts.size
    left, right = row[low : low + size], row[high : high + size]
    for x in range(size):
        counts[x] += np.int32(np.uint16(right[x] - left[x]))


@njit(nogil=True, cache=True)
def subtract_windows(counts: Any, row: Any, low: int, high: int) -> None:
    """Take away what `add_windows` adds."""
    size = counts.size
    left, right = row[low : low + size], row[high : high + size]
    for x in range(size):
        counts[x] -= np.int32(np.uint16(right[x] - left[x]))


@njit(nogil=True, cache=True)
def good_positions(allowed: Any, spans: Any, width: int, count: int) -> Any:
    """Mark the starts of a region's box at which at least half of it lies in `allowed`: uint8 (*room).

    Counts are made only where the whole box holds enough: sums over all boxes slide at 1 ns a voxel, the counts of the
    region take a row of it at a time, for all positions of a row of the image at once.
    """
    nz, ny, nx = allowed.shape
    bz, by = spans.shape[0], spans.shape[1]
    rz, ry, rx = nz - bz + 1, ny - by + 1, nx - width + 1
    before = running_counts(allowed)
    good = np.zeros((rz, ry, rx), np.uint8)
    wanted = np.int32(half_of(count))
    strips = np.zeros((ny, rx), np.int32)  # allowed voxels of the box's depth and width, per row
    box, counts = np.empty(rx, np.int32), np.empty(rx, np.int32)
    for z in range(nz):
        for y in range(ny):
            add_windows(strips[y], before[z, y], 0, width)
            if z >= bz:
                subtract_windows(strips[y], before[z - bz, y], 0, width)
        first = z - bz + 1
        if first < 0:
            continue
        box[:] = 0
        for y in range(ny):
            for x in range(rx):
                box[x] += strips[y, x]
            if y >= by - 1:
                low, high = enough(box, wanted)
                if low < high:
                    counts[low:high] = 0
                    count_region(counts[low:high], before, spans, first, y - by + 1, low)
                    for x in range(low, high):
                        good[first, y - by + 1, x] = counts[x] >= wanted
                for x in range(rx):
                    box[x] -= strips[y - by + 1, x]
    return good


@njit(nogil=True, cache=True)
def enough(box: Any, wanted: Any) -> Any:
    """The first and one after the last place where a box holds at least `wanted`; (0, 0) if none does."""
    most = np.int32(0)
    for x in range(box.size):
        most = max(most, box[x])
    if most < wanted:
        return 0, 0
    low, high = 0, box.size
    while box[low] < wanted:
        low += 1
    while box[high - 1] < wanted:
        high -= 1
    return low, high


@njit(nogil=True, cache=True)
def count_region(counts: Any, before: Any, spans: Any, z: int, y: int, x: int) -> None:
    """Add up a region's allowed voxels for the boxes that begin at (z, y, x), (z, y, x + 1), ..."""
    last = before.shape[2] - 1
    for k in range(spans.shape[0]):
        for j in range(spans.shape[1]):
            low, high = spans[k, j, 0], spans[k, j, 1]
            row = before[z + k, y + j]
            if high > low and (row[last] != row[0] or last > 65535):  # rows without any add nothing
                add_windows(counts, row, x + low, x + high)


@njit(nogil=True, cache=True)
def nth_marked(marked: Any, n: Any, place: Any) -> None:
    """Write the index of the n-th marked voxel (C order) of a mask, uint8 (Z, Y, X), to `place`."""
    for z in range(marked.shape[0]):
        for y in range(marked.shape[1]):
            inside = np.int32(0)
            for x in range(marked.shape[2]):
                inside += np.int32(marked[z, y, x])
            if n < inside:
                for x in range(marked.shape[2]):
                    if marked[z, y, x]:
                        if n == 0:
                            place[0], place[1], place[2] = z, y, x
                            return
                        n -= 1
            n -= inside


@njit(nogil=True, cache=True)
def count_marked(marked: Any) -> int:
    """How many voxels of a mask, uint8 (Z, Y, X), are marked."""
    total = 0
    for z in range(marked.shape[0]):
        for y in range(marked.shape[1]):
            inside = np.int32(0)
            for x in range(marked.shape[2]):
                inside += np.int32(marked[z, y, x])
            total += int(inside)
    return total
