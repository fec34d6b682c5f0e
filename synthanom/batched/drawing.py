"""The recipes of a batch, drawn by one compiled call: what `synthesise` draws, as far as no picture is needed for it.

A sample's stream is read as if the first 32 places proposed for each shape held a good one, and as if every shape
suited its task, which is nearly always so. Where the device finds otherwise, and where `certain` is False, the sample
is drawn again by `synthesise` itself.
"""
# mypy: disallow-untyped-decorators=False

import math
from typing import Any

import numpy as np

from synthanom.drawing import draw_shape, turn, uniform_index
from synthanom.kernels.compiled import njit
from synthanom.kernels.region_mask.cpu import extent, invert

PROPOSALS = 32  # `regions.PROPOSALS`, and of patches
TRIES = 64  # `donors.TRIES`
BLEND, DEFORMATION, INTENSITY = 0, 1, 2  # kinds of tasks
# columns of a task's settings, after the six of `ShapeSettings.numbers`
ANGLE, SCALE, OTHER_SUBJECT = 6, 7, 8  # blend
CHANGE, RAMP_OFFSET, RAMP_SCALE = 6, 7, 8  # intensity
SETTINGS = 9
# columns of an anomaly's whole numbers
SAMPLE, ROUND, KIND, TASK, ELLIPSOID, DONOR = range(6)
REACH = 6  # three: how far the shape may reach from its centre, voxels
WHOLE = 9
# columns of its other numbers
HALF, MATRIX, INVERSE = 0, 3, 12  # half widths, own axes to image axes and back
PLACES = 21  # 32 x 3 uniform numbers
TURNED = PLACES + 3 * PROPOSALS  # rotation times scale of a patch
MIDDLES = TURNED + 9  # 32 x 3 uniform numbers
NUMBERS = MIDDLES + 3 * PROPOSALS  # centre and push, or share of the ramp and change per channel


@njit(nogil=True, cache=True, error_model="numpy")
def draw_anomaly(rng: Any, sides: Any, dims: int, task: Any, own: int, channels: int, whole: Any, real: Any) -> Any:
    """Draw one anomaly into a row of whole and a row of other numbers; False if only `synthesise` can tell its place.

    `task` is (kind, settings, subject of each donor), `own` the sample's subject.
    """
    kind, settings, donors = task
    first = 3 - dims
    size, matrix, inverse = np.empty(3, np.int64), np.empty((3, 3)), np.empty((3, 3))
    ellipsoid = draw_shape(rng, sides, dims, settings[:6], size, matrix)
    determinant = invert(matrix, inverse)
    if determinant == 0.0 or not math.isfinite(determinant):
        return False
    whole[KIND], whole[ELLIPSOID], whole[DONOR] = kind, ellipsoid, -1
    half = size / 2
    for i in range(3):
        real[HALF + i] = half[i]
        for j in range(3):
            real[MATRIX + 3 * i + j], real[INVERSE + 3 * i + j] = matrix[i, j], inverse[i, j]
        reach = 0.0 if i < first else extent(ellipsoid, half, matrix, i)
        whole[REACH + i] = math.floor(reach * (1.0 + 1e-9) + 1e-9)
        if i >= first and 2 * whole[REACH + i] + 3 > sides[i]:
            return False
    _draw_triples(rng, real, PLACES, first)
    if kind == BLEND:
        whole[DONOR] = draw_donor(rng, donors, own, settings[OTHER_SUBJECT] > 0.0)
        _draw_turn(rng, real, first, settings[ANGLE], settings[SCALE])
        _draw_triples(rng, real, MIDDLES, first)
        return whole[DONOR] >= 0
    if kind == DEFORMATION:
        real[NUMBERS] = rng.random()
        real[NUMBERS + 1] = rng.random()
        return True
    real[NUMBERS] = settings[RAMP_OFFSET] + settings[RAMP_SCALE] * rng.standard_gamma(3.0)
    for c in range(channels):
        sign = 1.0 if rng.random() < 0.5 else -1.0
        real[NUMBERS + 1 + c] = sign * (settings[CHANGE] / 2 + settings[CHANGE] * rng.standard_gamma(3.0))
    return True


@njit(nogil=True, cache=True)
def _draw_triples(rng: Any, real: Any, column: int, first: int) -> None:
    """Draw proposals, uniform numbers for all axes but the flat one, from a column on."""
    for k in range(PROPOSALS):
        for axis in range(3):
            real[column + 3 * k + axis] = rng.random() if axis >= first else 0.0


@njit(nogil=True, cache=True)
def draw_donor(rng: Any, donors: Any, own: int, other_subject: bool) -> int:
    """Draw a donor as `donors.choose` does; -1 if all show the sample's own subject."""
    for _ in range(TRIES):
        index = uniform_index(rng.random(), donors.size)
        if not other_subject or donors[index] != own:
            return index
    others = 0
    for i in range(donors.size):
        others += donors[i] != own
    if others == 0:
        return -1
    wanted = uniform_index(rng.random(), others)
    for i in range(donors.size):
        if donors[i] != own:
            if wanted == 0:
                return i
            wanted -= 1
    return -1


@njit(nogil=True, cache=True)
def _draw_turn(rng: Any, real: Any, first: int, largest_angle: float, mean_excess: float) -> None:
    """Draw how a patch is turned and scaled, as `tasks.donor_patch` does."""
    angles = np.empty(3)
    pairs = 3 if first == 0 else 1
    for k in range(pairs):
        angles[k] = largest_angle * (2 * rng.random() - 1)
    enlarge = rng.random() < 0.5
    scale = 1 + mean_excess * rng.standard_exponential()
    if not enlarge:
        scale = 1 / scale
    matrix = np.zeros((3, 3))
    for i in range(3):
        matrix[i, i] = 1.0
    k = 0
    for a in range(first, 3):
        for b in range(a + 1, 3):
            turn(matrix, a, b, angles[k])
            k += 1
    for i in range(3):
        for j in range(3):
            scaled = i >= first and j >= first
            real[TURNED + 3 * i + j] = matrix[i, j] * scale if scaled else matrix[i, j]


@njit(nogil=True, cache=True)
def draw_sample(rng: Any, given: Any, task: Any, own: int, whole: Any, real: Any, place: int) -> Any:
    """Draw the anomalies of one sample into rows from `place` on: (number of rows, certain).

    `given` is (sides, dims, channels, most anomalies, probability of another).
    """
    sides, dims, channels, most, repeat = given
    for number in range(most):
        row = place + number
        whole[row, ROUND] = number
        if not draw_anomaly(rng, sides, dims, task, own, channels, whole[row], real[row]):
            return 0, False
        if number + 1 < most and rng.random() >= repeat:
            return number + 1, True
    return most, True


@njit(nogil=True, cache=True)
def draw_streams(
    memory: Any, states: Any, chosen: Any, given: Any, tasks: Any, table: Any, whole: Any, real: Any, certain: Any
) -> int:
    """Draw the anomalies of the chosen samples, one Philox stream after another; returns how many rows there are.

    Parameters
    ----------
    memory : (generator, counter, key, rest) of a `PhiloxMemory`
    states : uint64 (B, 12), moved on
    chosen : int64 (n,), samples
    given : as for `draw_sample`
    tasks : int64 (B, 2), each sample's task and subject
    table : (kinds (T,), settings (T, 9), subjects of all tasks' donors, first donor of each task (T + 1,))
    whole, real : room for 4 n rows
    certain : bool (n,), written
    """
    rng, counter, key, rest = memory
    kinds, settings, subjects, begin = table
    rows = 0
    for k in range(chosen.size):
        i = chosen[k]
        for j in range(4):
            counter[j] = states[i, j]
        for j in range(2):
            key[j] = states[i, 4 + j]
        for j in range(6):
            rest[j] = states[i, 6 + j]
        t, own = tasks[i, 0], tasks[i, 1]
        task = (kinds[t], settings[t], subjects[begin[t] : begin[t + 1]])
        added, certain[k] = draw_sample(rng, given, task, own, whole, real, rows)
        for j in range(added):
            whole[rows + j, SAMPLE], whole[rows + j, TASK] = i, t
        rows += added
        for j in range(4):
            states[i, j] = counter[j]
        for j in range(6):
            states[i, 6 + j] = rest[j]
    return rows


@njit(nogil=True, cache=True)
def draw_stream(rng: Any, i: int, given: Any, tasks: Any, table: Any, whole: Any, real: Any, place: int) -> Any:
    """`draw_streams` for one sample and any generator, into rows from `place` on: (number of rows, certain)."""
    kinds, settings, subjects, begin = table
    t, own = tasks[i, 0], tasks[i, 1]
    task = (kinds[t], settings[t], subjects[begin[t] : begin[t + 1]])
    added, certain = draw_sample(rng, given, task, own, whole, real, place)
    for j in range(added):
        whole[place + j, SAMPLE], whole[place + j, TASK] = i, t
    return added, certain
