"""The settings of a batch's tasks as rows of numbers, for the compiled drawing and for the device."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synthanom.arrays import FloatArray
from synthanom.batched import drawing
from synthanom.regions import ShapeSettings
from synthanom.tasks import InterBlend, IntraBlend, Sink, SmoothIntensity, Source
from synthanom.tasks.abstract import AbstractTask
from synthanom.tasks.deformation import AbstractDeformation
from synthanom.tasks.donor_patch import AbstractBlend

Integers = npt.NDArray[np.int64]
# columns of a task's settings for the device
LARGEST_PART, MIXED, THRESHOLD = 0, 1, 2  # blend
CALIBRATED, LEAST_PUSH, MOST_PUSH, SINK, ORDER = 0, 1, 2, 3, 4  # deformation
COLUMNS = 5
BATCHED = (IntraBlend, InterBlend, Sink, Source, SmoothIntensity)


@dataclass(frozen=True, kw_only=True, eq=False)
class TaskTable:
    """The distinct tasks of a batch; a task that borrows from two sets of donors counts as two.

    Attributes
    ----------
    of_sample : int64 (B,), the task of each sample
    sets : int64 (T,), the number of the set that each task borrows from; -1 for none
    kinds : int64 (T,), BLEND, DEFORMATION or INTENSITY
    drawn : float64 (T, 9), the settings that drawing needs
    applied : float64 (T, 5), those that the device needs
    """

    of_sample: Integers
    sets: Integers
    kinds: Integers
    drawn: FloatArray
    applied: FloatArray


def is_batched(task: AbstractTask) -> bool:
    """Whether a task has a batched form: a subclass, another shape, a setting in mm may be drawn in ways of its own."""
    simple = type(task.shape) is ShapeSettings and task.shape.has_geometry
    return type(task) in BATCHED and simple and not task.physical


def task_table(tasks: Sequence[AbstractTask], sets: Sequence[int]) -> TaskTable:
    """The table of a batch's tasks, all of them batched, and the sets that they borrow from, one for each sample."""
    pairs = {(id(task), number): task for task, number in zip(tasks, sets, strict=True)}
    index = {pair: i for i, pair in enumerate(pairs)}
    rows = [_row(task) for task in pairs.values()]
    return TaskTable(
        of_sample=np.array([index[id(t), n] for t, n in zip(tasks, sets, strict=True)], dtype=np.int64),
        sets=np.array([number for _, number in pairs], dtype=np.int64),
        kinds=np.array([kind for kind, _, _ in rows], dtype=np.int64),
        drawn=np.array([[*_shape(t).numbers, *own] for t, (_, own, _) in zip(pairs.values(), rows, strict=True)]),
        applied=np.array([[*own, *(0.0,) * (COLUMNS - len(own))] for _, _, own in rows]),
    )


def _shape(task: AbstractTask) -> ShapeSettings:
    assert isinstance(task.shape, ShapeSettings)
    return task.shape


def _row(task: AbstractTask) -> tuple[int, tuple[float, ...], tuple[float, ...]]:
    """A task's kind, its settings for drawing and those for the device."""
    if isinstance(task, AbstractBlend):
        patch = task.patch
        own = (patch.largest_angle, patch.scale, float(task.donor == "other_subject"))
        return drawing.BLEND, own, (patch.largest_part, float(task.mixed), task.join_threshold)
    if isinstance(task, AbstractDeformation):
        low, high = task.push or (0.0, 0.0)
        applied = (float(task.push is not None), low, high, float(task.direction == "sink"), float(task.order))
        return drawing.DEFORMATION, (0.0, 0.0, 0.0), applied
    assert isinstance(task, SmoothIntensity)
    return drawing.INTENSITY, (task.scale, task.ramp_offset, task.ramp_scale), ()
