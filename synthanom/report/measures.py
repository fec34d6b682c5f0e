"""Depth, label mass and change of some stored anomalies of each task."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from synthanom.arrays import FloatArray, ImageArray, box_slices
from synthanom.kernels.smooth_change import largest_depth
from synthanom.pictures.charts import Chart, Series
from synthanom.progress import Track
from synthanom.report.rows import evenly
from synthanom.shards import AnomalyRow, DataSet

READ_VOXELS, FEWEST, MOST = 1_000_000_000, 24, 300  # of the healthy images that are read, and rows of a task
BARS = 16


@dataclass(frozen=True, kw_only=True, eq=False)
class Measures:
    """Of the rows of one task that were read.

    Attributes
    ----------
    name : str
    depth : ndarray of shape (n,)
        Voxels from the deepest voxel of the region to the nearest outside.
    mass : ndarray of shape (n,)
        Sum of the label.
    change : ndarray of shape (n,)
        Mean size of the change where the label is above 0, over all channels, in units of the image.
    """

    name: str
    depth: FloatArray
    mass: FloatArray
    change: FloatArray


def measured(data: DataSet, track: Track) -> list[Measures]:
    """Measure evenly spread rows of every task that has any."""
    voxels = data.channels * math.prod(data.shape) * max(1, len(data.tasks))
    most = min(MOST, max(FEWEST, READ_VOXELS // voxels))
    found = []
    for task in data.tasks:
        rows = evenly(data.rows(task), most)
        taken = [_measure(data, task, row) for row in track(f"measuring {task}", rows, len(rows))]
        if taken:
            depth, mass, change = np.array(taken, dtype=np.float64).T
            found.append(Measures(name=task, depth=depth, mass=mass, change=change))
    return found


def measure_charts(found: Sequence[Measures]) -> list[Chart]:
    """A histogram of each measure."""
    if not found:
        return []
    return [
        _chart("depth of the anomalies", "voxels to the region's edge", found, lambda each: each.depth),
        _chart("label mass", "sum of the label over its voxels", found, lambda each: each.mass, logarithmic=True),
        _chart("change", "mean |after − before| where labelled", found, lambda each: each.change),
    ]


def _measure(data: DataSet, task: str, row: int) -> tuple[float, float, float]:
    stored = data.anomaly_row(task, row)
    before = data.healthy(stored.healthy_index).image
    depth = max(largest_depth(np.pad(box.region, 1)) for box in stored.boxes)
    mass = sum(float(box.labels.sum(dtype=np.float64)) for box in stored.boxes)
    return depth, mass, _change(stored, before)


def _change(stored: AnomalyRow, before: ImageArray) -> float:
    total, count = 0.0, 0
    for box in stored.boxes:
        place = (slice(None), *box_slices(box.corner, box.size))
        marked = box.labels > 0
        total += float(np.abs(box.values.astype(np.float64) - before[place])[:, marked].sum())
        count += len(box.values) * int(marked.sum())
    return total / max(1, count)


def _chart(
    title: str,
    x: str,
    found: Sequence[Measures],
    values: Callable[[Measures], FloatArray],
    *,
    logarithmic: bool = False,
) -> Chart:
    every = np.concatenate([values(each) for each in found])
    low, high = float(every.min()), float(every.max())
    if logarithmic:
        low = max(low, 1e-3)
        edges = np.geomspace(low, max(high, 1.01 * low) * (1 + 1e-9), BARS + 1)
    else:
        edges = np.linspace(0, high if high > 0 else 1, BARS + 1)
    return Chart(
        title=title,
        x=x,
        y="share of the task's pictures, %",
        series=tuple(
            Series(name=each.name, counts=100 * np.histogram(values(each), edges)[0] / len(values(each)), edges=edges)
            for each in found
        ),
        logarithmic=logarithmic,
    )
