"""Compiled twin of `reference`, on integers: the bits of floats >= 0 order as the floats do, and a chain of integer
minima and maxima takes a third of the time.

A *padded* volume is int32 (Z, Y + 2, X + 1): a row before and after the box's and one value after each row, so that one
loop runs over a whole layer with any neighbour at a fixed distance, whatever the length of a row.
"""

from typing import Any

import numpy as np

from synthanom.kernels.compiled import njit

LOWEST, HIGHEST = np.int32(-(2**31)), np.int32(2**31 - 1)


@njit(nogil=True, cache=True)
def room_for(nz: int, ny: int, nx: int) -> Any:
    """A padded volume of float32 zeros for a box."""
    return np.zeros((nz, ny + 2, nx + 1), np.float32)


@njit(nogil=True, cache=True)
def fill_volume(values: Any) -> Any:
    """Close and fill int32 (Z, Y, X): a new array."""
    nz, ny, nx = values.shape
    padded = np.empty((nz, ny + 2, nx + 1), np.int32)
    padded[:, 1:-1, :-1] = values
    return fill_padded(padded)[:, 1:-1, :-1].copy()


@njit(nogil=True, cache=True)
def fill_padded(values: Any) -> Any:
    """Close and fill a padded volume, which is overwritten: a new one, whose padding means nothing."""
    other = np.empty_like(values)
    _spread(values, other)
    _spread(other, values)
    reconstruct(values, other)
    return other


@njit(nogil=True, cache=True)
def _pad(layer: Any) -> None:
    """Write what no maximum is, around a layer."""
    last = layer.shape[1] - 1
    layer[0] = LOWEST
    layer[-1] = LOWEST
    for y in range(1, layer.shape[0] - 1):
        layer[y, last] = LOWEST


@njit(nogil=True, cache=True)
def larger(a: int, b: int) -> int:
    """Maximum."""
    return a if a > b else b


@njit(nogil=True, cache=True)
def smaller(a: int, b: int) -> int:
    """Minimum."""
    return a if a < b else b


# ------------------------------------------------------------------ closing
@njit(nogil=True, cache=True)
def _spread(values: Any, out: Any) -> None:
    """The complement of the maximum over the element: done twice, it is the closing, as ~ turns the order round.

    The element is the union of the 3 x 3 squares in the coordinate planes; a picture, of one layer, has one of them.
    """
    nz, ny, pitch = values.shape[0], values.shape[1] - 2, values.shape[2]
    n = ny * pitch
    along = np.full((ny + 2) * pitch, LOWEST, np.int32)
    up, here, down = along[:n], along[pitch : pitch + n], along[2 * pitch :]
    cross, last = np.empty(n, np.int32), np.full(n, LOWEST, np.int32)
    for z in range(nz):
        _pad(values[z])
        line = values[z].reshape(-1)
        target = out[z].reshape(-1)[pitch : pitch + n]
        _of_three(line[pitch - 1 : pitch - 1 + n], line[pitch : pitch + n], line[pitch + 1 : pitch + 1 + n], here)
        _of_four(up, here, down, last, target)
        if nz > 1:
            _of_three(line[:n], here, line[2 * pitch :], cross)
            if z > 0:
                _finish(cross, out[z - 1].reshape(-1)[pitch : pitch + n])
            cross, last = last, cross
    _finish(target, target)


@njit(nogil=True, cache=True)
def _of_three(a: Any, b: Any, c: Any, out: Any) -> None:
    for x in range(out.shape[0]):
        out[x] = larger(larger(a[x], c[x]), b[x])


@njit(nogil=True, cache=True)
def _of_four(a: Any, b: Any, c: Any, d: Any, out: Any) -> None:
    for x in range(out.shape[0]):
        out[x] = larger(larger(a[x], c[x]), larger(b[x], d[x]))


@njit(nogil=True, cache=True)
def _finish(a: Any, out: Any) -> None:
    for x in range(out.shape[0]):
        out[x] = ~larger(out[x], a[x])


# ------------------------------------------------------------------ reconstruction
LOWER_SIDE, UPPER_SIDE = np.uint8(1), np.uint8(2)  # which neighbours of a row have changed since it was visited


@njit(nogil=True, cache=True)
def reconstruct(closed: Any, level: Any) -> None:
    """Write the reconstruction by erosion of a padded volume from its box's faces into `level`.

    A voxel is *settled* at its closed value. One pass from the first row to the last settles all but a few percent; of
    each row only the stretch between its first and last unsettled voxel is looked at again, and only after a
    neighbouring row has changed. A round that changes nothing is the fixed point; each round before it settles
    at least one voxel for good, hence the bound.
    """
    nz, rows, pitch = closed.shape
    floor, values = closed.reshape(-1), level.reshape(-1)
    _copy(floor, values)
    first = 1 if nz > 1 else 0
    layer = rows * pitch if nz > 1 else 0
    stretch = np.zeros((nz * rows, 2), np.int32)
    waiting = np.zeros(nz * rows, np.uint8)
    for z in range(first, nz - first):
        for row in range(z * rows + 2, z * rows + rows - 2):
            start, end = _between_slopes(floor, row * pitch, (row + 1) * pitch - 1)
            if start < end:
                values[start:end] = HIGHEST
                _lower(values, floor, start, end, -pitch, -layer)
                start, end = _along_row(values, floor, start, end)
                stretch[row, 0], stretch[row, 1] = start, end
                if start < end:
                    waiting[row] = UPPER_SIDE
    begin, stop = first * rows, (nz - first) * rows
    for _ in range(closed.size + 1):
        changed = False
        for row in range(stop - 1, begin - 1, -1):
            if waiting[row] != 0:
                changed |= _visit(values, floor, stretch, waiting, row, rows, pitch, layer)
        for row in range(begin, stop):
            if waiting[row] != 0:
                changed |= _visit(values, floor, stretch, waiting, row, rows, pitch, layer)
        if not changed:
            break


@njit(nogil=True, cache=True)
def _copy(values: Any, out: Any) -> None:
    for i in range(out.shape[0]):
        out[i] = values[i]


@njit(nogil=True, cache=True)
def _between_slopes(floor: Any, start: int, end: int) -> Any:
    """The stretch of a row after its rise from the first voxel and before its fall to the last.

    From a slope the way to the box's face along the row leads nowhere higher: it is settled.
    """
    row = floor[start:end]
    first, last = 1, row.shape[0] - 1
    while first < last and row[first] >= row[first - 1]:
        first += 1
    while first < last and row[last - 1] >= row[last]:
        last -= 1
    return start + first, start + last


@njit(nogil=True, cache=True)
def _visit(level: Any, floor: Any, stretch: Any, waiting: Any, row: int, rows: int, pitch: int, layer: int) -> bool:
    """Bring one row in line with its neighbours; if it changed, those beside the change wait for a visit."""
    sides = waiting[row]
    waiting[row] = 0
    start, end = stretch[row, 0], stretch[row, 1]
    changed = np.int32(0)
    if sides & LOWER_SIDE:
        changed |= _lower(level, floor, start, end, -pitch, -layer)
    if sides & UPPER_SIDE:
        changed |= _lower(level, floor, start, end, pitch, layer)
    if changed == 0:
        return False
    stretch[row, 0], stretch[row, 1] = _along_row(level, floor, start, end)
    _wake(stretch, waiting, row - 1, start - pitch, end - pitch, UPPER_SIDE)
    _wake(stretch, waiting, row + 1, start + pitch, end + pitch, LOWER_SIDE)
    if layer > 0:
        for j in range(-1, 2):
            _wake(stretch, waiting, row - rows + j, start - layer + j * pitch, end - layer + j * pitch, UPPER_SIDE)
            _wake(stretch, waiting, row + rows + j, start + layer + j * pitch, end + layer + j * pitch, LOWER_SIDE)
    return True


@njit(nogil=True, cache=True)
def _wake(stretch: Any, waiting: Any, row: int, start: int, end: int, side: Any) -> None:
    """Let a row wait if its unsettled stretch lies beside [start, end)."""
    if stretch[row, 0] <= end and stretch[row, 1] >= start and stretch[row, 0] < stretch[row, 1]:
        waiting[row] |= side


@njit(nogil=True, cache=True)
def _lower(level: Any, floor: Any, start: int, end: int, pitch: int, layer: int) -> Any:
    """Lower a stretch to its neighbours in the row and the layer on one side; returns 0 if nothing changed."""
    row, low = level[start:end], floor[start:end]
    one = level[start + pitch - 1 : end + pitch + 1]
    changed = np.int32(0)
    if layer == 0:
        for x in range(row.shape[0]):
            m = smaller(smaller(one[x], one[x + 2]), smaller(one[x + 1], row[x]))
            m = larger(m, low[x])
            changed |= m ^ row[x]
            row[x] = m
        return changed
    two = level[start + layer - 1 : end + layer + 1]
    above, below = (
        level[start + layer - pitch : end + layer - pitch],
        level[start + layer + pitch : end + layer + pitch],
    )
    for x in range(row.shape[0]):
        m = smaller(smaller(one[x], one[x + 2]), smaller(one[x + 1], row[x]))
        k = smaller(smaller(two[x], two[x + 2]), smaller(two[x + 1], above[x]))
        m = larger(smaller(smaller(m, k), below[x]), low[x])
        changed |= m ^ row[x]
        row[x] = m
    return changed


@njit(nogil=True, cache=True)
def _along_row(level: Any, floor: Any, start: int, end: int) -> Any:
    """Lower a stretch of a row to its neighbours along the row, forth and back; returns the unsettled stretch left."""
    start, end = _unsettled(level, floor, start, end)
    if start == end:
        return start, end
    row, low = level[start - 1 : end + 1], floor[start - 1 : end + 1]
    n = row.shape[0] - 1
    before = row[0]
    for x in range(1, n):
        before = larger(smaller(row[x], before), low[x])
        row[x] = before
    before = row[n]
    for x in range(n - 1, 0, -1):
        before = larger(smaller(row[x], before), low[x])
        row[x] = before
    return _unsettled(level, floor, start, end)


@njit(nogil=True, cache=True)
def _unsettled(level: Any, floor: Any, start: int, end: int) -> Any:
    """From the first voxel of a stretch that is not settled to the last."""
    while start < end and level[start] == floor[start]:
        start += 1
    while start < end and level[end - 1] == floor[end - 1]:
        end -= 1
    return start, end
