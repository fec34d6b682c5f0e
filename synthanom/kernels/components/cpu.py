"""Compiled twin of `reference`, by runs: rows of marked voxels, joined where runs of neighbouring rows overlap.

`runs` is int32 (n, 4): z, y, first voxel, end; in raster order. `rows` (Z * Y + 1) says where each row's runs begin.
"""

from typing import Any

import numpy as np

from synthanom.kernels.compiled import njit

NONE_MARKED, EIGHT_MARKED = np.uint64(0), np.uint64(0x0101010101010101)  # a row is read eight voxels at a time


@njit(nogil=True, cache=True)
def find_runs(region: Any) -> Any:
    """The runs of a mask (Z, Y, X), uint8 with 0 or 1 and X a multiple of 8, and where each row's begin."""
    nz, ny, nx = region.shape
    most = (nx + 1) // 2  # in one row
    runs = np.empty((2 * nz * ny + most, 4), np.int32)
    rows = np.empty(nz * ny + 1, np.int64)
    marked, words, eighth = region.reshape(-1), region.reshape(-1).view(np.uint64), nx // 8
    edges = np.empty(nx + 2, np.int32)
    n, row = 0, 0
    for z in range(nz):
        for y in range(ny):
            rows[row] = n
            if n + most > runs.shape[0]:
                more = np.empty((2 * runs.shape[0] + most, 4), np.int32)
                more[:n] = runs[:n]
                runs = more
            found = _edges_of_row(marked, words, row * eighth, eighth, edges)
            for i in range(0, found, 2):
                runs[n, 0], runs[n, 1], runs[n, 2], runs[n, 3] = z, y, edges[i], edges[i + 1]
                n += 1
            row += 1
    rows[row] = n
    return runs[:n], rows


@njit(nogil=True, cache=True)
def _edges_of_row(marked: Any, words: Any, first: int, count: int, edges: Any) -> int:
    """Write first voxels and ends of the runs in `count` words from the first in turn; returns how many.

    Takes whole arrays: a slice as an argument is counted by reference, which took five times as long as the work.
    """
    inside, same = np.uint8(0), NONE_MARKED
    found = 0
    for k in range(count):
        if words[first + k] == same:
            continue
        # written always and kept if it is one: a branch would be guessed wrongly at every edge
        for x in range(8 * k, 8 * k + 8):
            edges[found] = x
            found += 1 if marked[8 * first + x] != inside else 0
            inside = marked[8 * first + x]
        same = EIGHT_MARKED if inside else NONE_MARKED
    if inside:
        edges[found] = 8 * count
        found += 1
    return found


@njit(nogil=True, cache=True)
def join_runs(runs: Any, rows: Any, ny: int) -> Any:
    """The number of each run's component, from 0 in the order of first runs, and how many components there are."""
    n = runs.shape[0]
    parent = np.empty(n, np.int32)
    for i in range(n):
        parent[i] = i
    for row in range(1, rows.shape[0] - 1):
        if rows[row] == rows[row + 1]:
            continue
        if row % ny != 0:
            _join_rows(runs, parent, rows, row - 1, row)
        if row >= ny:
            _join_rows(runs, parent, rows, row - ny, row)
    count = 0
    for i in range(n):
        # a parent comes before its children, so it has its number already
        if parent[i] == i:
            parent[i] = count
            count += 1
        else:
            parent[i] = parent[parent[i]]
    return parent, count


@njit(nogil=True, cache=True)
def _join_rows(runs: Any, parent: Any, rows: Any, first: int, second: int) -> None:
    """Unite the overlapping runs of two rows."""
    a, b = rows[first], rows[second]
    while a < rows[first + 1] and b < rows[second + 1]:
        if runs[a, 2] < runs[b, 3] and runs[b, 2] < runs[a, 3]:
            one, other = _root(parent, a), _root(parent, b)
            if one < other:
                parent[other] = one
            else:
                parent[one] = other
        if runs[a, 3] < runs[b, 3]:
            a += 1
        else:
            b += 1


@njit(nogil=True, cache=True)
def _root(parent: Any, i: int) -> int:
    """The first run of a component, its paths halved on the way."""
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@njit(nogil=True, cache=True)
def boxes_of(runs: Any, numbers: Any, count: int) -> Any:
    """First voxel and end of each component's box: int64 (count, 2, 3)."""
    boxes = np.empty((count, 2, 3), np.int64)
    boxes[:, 0] = 2**31
    boxes[:, 1] = 0
    for i in range(runs.shape[0]):
        low, end = boxes[numbers[i], 0], boxes[numbers[i], 1]
        z, y, start, stop = runs[i, 0], runs[i, 1], runs[i, 2], runs[i, 3]
        low[0], end[0] = min(low[0], z), max(end[0], z + 1)
        low[1], end[1] = min(low[1], y), max(end[1], y + 1)
        low[2], end[2] = min(low[2], start), max(end[2], stop)
    return boxes


@njit(nogil=True, cache=True)
def sizes_of(runs: Any, numbers: Any, count: int, by: Any) -> Any:
    """Voxels of each component, and how many of them `by` (Z, Y, X), bytes of 0 or 1, marks: int64 (count, 2)."""
    sizes = np.zeros((count, 2), np.int64)
    for i in range(runs.shape[0]):
        z, y, start, stop = runs[i, 0], runs[i, 1], runs[i, 2], runs[i, 3]
        sizes[numbers[i], 0] += stop - start
        for x in range(start, stop):
            sizes[numbers[i], 1] += by[z, y, x]
    return sizes


@njit(nogil=True, cache=True)
def by_component(numbers: Any, count: int) -> Any:
    """Runs sorted by component, and where each component's begin (count + 1)."""
    begin = np.zeros(count + 1, np.int64)
    for number in numbers:
        begin[number + 1] += 1
    for k in range(count):
        begin[k + 1] += begin[k]
    order = np.empty(numbers.shape[0], np.int32)
    place = begin.copy()
    for i in range(numbers.shape[0]):
        order[place[numbers[i]]] = i
        place[numbers[i]] += 1
    return order, begin


@njit(nogil=True, cache=True)
def paint(out: Any, runs: Any, numbers: Any) -> None:
    """Write each component's number, from 1, into `out` (Z, Y, X)."""
    for i in range(runs.shape[0]):
        out[runs[i, 0], runs[i, 1], runs[i, 2] : runs[i, 3]] = numbers[i] + 1


@njit(nogil=True, cache=True)
def bounds_of(marked: Any) -> Any:
    """First voxel and end of the box around all marked voxels of (Z, Y, X) bytes, 0 or 1: int64 (2, 3)."""
    nz, ny, nx = marked.shape
    out = np.zeros((2, 3), np.int64)
    any_in_column = np.zeros(nx, np.uint8)
    out[0] = 2**31
    for z in range(nz):
        for y in range(ny):
            if _merge(marked[z, y], any_in_column):
                out[0, 0], out[1, 0] = min(out[0, 0], z), z + 1
                out[0, 1], out[1, 1] = min(out[0, 1], y), max(out[1, 1], y + 1)
    for x in range(nx):
        if any_in_column[x]:
            out[0, 2], out[1, 2] = min(out[0, 2], x), x + 1
    if out[1, 0] == 0:
        out[0] = 0
    return out


@njit(nogil=True, cache=True)
def _merge(row: Any, columns: Any) -> bool:
    """Mark the columns that a row marks, in place; returns whether there are any."""
    found = np.uint8(0)
    for x in range(row.shape[0]):
        found |= row[x]
        columns[x] |= row[x]
    return bool(found != 0)


@njit(nogil=True, cache=True)
def join_windows(edges: Any, layers: int, rows: int, width: int) -> Any:
    """Join the runs of several windows (layers, rows, width - 1), each for itself.

    Parameters
    ----------
    edges : int64 (2 n,)
        Of each run the place of its first voxel and of the voxel behind its last, ascending, counted over all windows
        as if every row held `width` voxels.

    Returns
    -------
    numbers : int32 (n,), each run's component, from 1, in the order of windows and first runs
    window : int64 (m,), boxes : int64 (m, 2, 3), of the components
    """
    n = edges.size // 2
    numbers, window, boxes = np.empty(n, np.int32), np.empty(n, np.int64), np.empty((n, 2, 3), np.int64)
    voxels, found, begin = layers * rows * width, 0, 0
    first = np.empty(layers * rows + 1, np.int64)
    while begin < n:
        own = edges[2 * begin] // voxels
        end, last = begin, -1
        while end < n and edges[2 * end] // voxels == own:
            end += 1
        runs = np.empty((end - begin, 4), np.int32)
        for i in range(end - begin):
            place = edges[2 * (begin + i)] - own * voxels
            row = place // width
            runs[i, 0], runs[i, 1], runs[i, 2] = row // rows, row % rows, place - row * width
            runs[i, 3] = edges[2 * (begin + i) + 1] - own * voxels - row * width
            for k in range(last + 1, row + 1):
                first[k] = i
            last = row
        for k in range(last + 1, first.size):
            first[k] = end - begin
        parts, count = join_runs(runs, first, rows)
        boxes[found : found + count] = boxes_of(runs, parts, count)
        window[found : found + count] = own
        for i in range(end - begin):
            numbers[begin + i] = parts[i] + found + 1
        found += count
        begin = end
    return numbers, window[:found].copy(), boxes[:found].copy()
