"""Compiled twin of `reference`: everything by runs and boxes of the region's components, nothing over the whole box."""

from typing import Any

import numpy as np
from numba import types

from synthanom.kernels.compiled import njit
from synthanom.kernels.components.cpu import boxes_of, by_component, find_runs, join_runs
from synthanom.kernels.flipped_exponential.cpu import flip
from synthanom.kernels.grey_reconstruct.cpu import fill_padded, room_for

BLOCK = 1024  # changes labelled at a time
# one signature, so that nothing is compiled again for a view, a whole image, or one that must not be written
IMAGE = types.Array(types.float32, 4, "A", readonly=True)
SIGNATURE = types.float64(
    IMAGE, IMAGE, types.Array(types.uint8, 3, "C"), types.float64, types.boolean, types.boolean,
    types.Array(types.float32, 3, "A"),
)  # fmt: skip


@njit(nogil=True, cache=True)
def label_runs(before: Any, after: Any, runs: Any, scale: float, out: Any) -> float:
    """Write the pointwise label into the runs of `out`; returns the largest.

    The runs are labelled many at a time: alone, most are too short for vectors.
    """
    room = max(BLOCK, out.shape[2])
    changes, labels = np.zeros(room), np.zeros(room, np.float32)
    largest = np.zeros(out.shape[2], np.float32)
    done = 0
    while done < runs.shape[0]:
        first, used = done, 0
        while done < runs.shape[0] and used + runs[done, 3] - runs[done, 2] <= room:
            for c in range(before.shape[0]):
                _add_change(before, after, c, runs, done, changes, used)
            used += runs[done, 3] - runs[done, 2]
            done += 1
        flip(changes[:used], scale, labels[:used])
        used = 0
        for i in range(first, done):
            _put(labels, used, runs, i, out, largest)
            used += runs[i, 3] - runs[i, 2]
    return np.float64(largest.max()) if largest.size else 0.0


# what follows takes whole arrays: a slice as an argument is counted by reference, at 10 ns and more each
@njit(nogil=True, cache=True)
def _add_change(before: Any, after: Any, c: int, runs: Any, i: int, changes: Any, place: int) -> None:
    """Add a channel's absolute change in a run to `changes` from `place` on; the first replaces what is there."""
    z, y, start, end = runs[i, 0], runs[i, 1], runs[i, 2], runs[i, 3]
    one, other, total = before[c, z, y, start:end], after[c, z, y, start:end], changes[place : place + end - start]
    if c == 0:
        for x in range(total.shape[0]):
            total[x] = abs(np.float64(other[x]) - np.float64(one[x]))
    else:
        for x in range(total.shape[0]):
            total[x] += abs(np.float64(other[x]) - np.float64(one[x]))


@njit(nogil=True, cache=True)
def _put(labels: Any, place: int, runs: Any, i: int, out: Any, largest: Any) -> None:
    """Write a run's labels, and the larger of each and `largest` into that.

    Elementwise, as a maximum over the run would wait for each value in turn.
    """
    z, y, start, end = runs[i, 0], runs[i, 1], runs[i, 2], runs[i, 3]
    values, target = labels[place : place + end - start], out[z, y, start:end]
    for x in range(target.shape[0]):
        target[x] = values[x]
        largest[x] = values[x] if values[x] > largest[x] else largest[x]


@njit(nogil=True, cache=True)
def fill_runs(out: Any, runs: Any, rows: Any, flat: bool) -> None:
    """Close and fill the values of `out` in the runs, component by component, in place."""
    numbers, count = join_runs(runs, rows, out.shape[1])
    boxes = boxes_of(runs, numbers, count)
    order, begin = by_component(numbers, count)
    large = 0
    for k in range(count):
        large += _has_inside(boxes, k, flat)
    # a component that is filled may raise voxels of another, whose own values still are those before
    pointwise = out.copy() if large > 1 else out
    for k in range(count):
        if not _has_inside(boxes, k, flat):
            continue
        low, end = boxes[k, 0], boxes[k, 1]
        nz, ny, nx = end[0] - low[0], end[1] - low[1], end[2] - low[2]
        values = room_for(nz, ny, nx)
        for i in order[begin[k] : begin[k + 1]]:
            _take(pointwise, runs, i, low, values)
        filled = fill_padded(values.view(np.int32)).view(np.float32)
        for z in range(nz):
            for y in range(ny):
                _raise(out, z + low[0], y + low[1], low[2], filled, z, y + 1)


@njit(nogil=True, cache=True)
def _has_inside(boxes: Any, k: int, flat: bool) -> bool:
    """Whether a component's box has voxels that are not on its faces."""
    nz, ny, nx = boxes[k, 1, 0] - boxes[k, 0, 0], boxes[k, 1, 1] - boxes[k, 0, 1], boxes[k, 1, 2] - boxes[k, 0, 2]
    return ny >= 3 and nx >= 3 and (nz >= 3 or flat)


@njit(nogil=True, cache=True)
def _take(out: Any, runs: Any, i: int, low: Any, values: Any) -> None:
    """Copy a run's labels into a padded volume whose box begins at `low`."""
    z, y, start, end = runs[i, 0], runs[i, 1], runs[i, 2], runs[i, 3]
    target, row = values[z - low[0], y - low[1] + 1, start - low[2] : end - low[2]], out[z, y, start:end]
    for x in range(target.shape[0]):
        target[x] = row[x]


@njit(nogil=True, cache=True)
def _raise(out: Any, z: int, y: int, start: int, filled: Any, layer: int, row: int) -> None:
    """Raise a row of the label to a row of a padded volume."""
    values = filled[layer, row, : filled.shape[2] - 1]
    target = out[z, y, start : start + values.shape[0]]
    for x in range(target.shape[0]):
        target[x] = values[x] if values[x] > target[x] else target[x]


# last, as it is compiled on the spot
@njit(signature_or_function=SIGNATURE, nogil=True, cache=True)
def label_volume(before: Any, after: Any, region: Any, scale: float, fill: bool, flat: bool, out: Any) -> float:
    """Write the label of (C, Z, Y, X) into `out` (Z, Y, X), which holds zeros; returns the largest before filling.

    The label is 1 - exp(-scale t^2), t the sum over channels. `region` as from `components.in_eights`; `flat`: a
    picture, whose first axis has no sides.
    """
    runs, rows = find_runs(region)
    peak = label_runs(before, after, runs, scale, out)
    if fill:
        fill_runs(out, runs, rows, flat)
    return peak
