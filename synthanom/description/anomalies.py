"""Numbers, sizes and labels of a data set's anomalous pictures."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from synthanom.progress import Track
from synthanom.shards import DataSet

MARKED_ROWS = 1000  # rows of a task whose regions and labels are read, evenly spread: quantiles to about 1.5 %
LABEL_BARS = 10
LABEL_EDGES = [bar / LABEL_BARS for bar in range(LABEL_BARS + 1)]
SIZE_QUANTILES = {"min": 0.0, "q05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95, "max": 1.0}


@dataclass(frozen=True, kw_only=True, eq=False)
class TaskContent:
    """What a data set holds of one task.

    Attributes
    ----------
    name : str
    rows : int
    folds : dict of int to int
        Rows of every fold.
    sizes : ndarray of shape (n,), int64, or None
        Voxels of the region of each row that was read; None if none was asked for.
    labels : ndarray of shape (10,), int64, or None
        Voxels whose label is above 0, by equal bins of the label.
    """

    name: str
    rows: int
    folds: dict[int, int]
    sizes: npt.NDArray[np.int64] | None
    labels: npt.NDArray[np.int64] | None

    def to_dict(self, share: float) -> dict[str, Any]:
        """The content as JSON; `share` is that of the task's rows in all rows."""
        return {
            "name": self.name,
            "rows": self.rows,
            "share": share,
            "folds": {str(fold): count for fold, count in self.folds.items()},
            "rows_read": 0 if self.sizes is None else len(self.sizes),
            "region_voxels": self.size_quantiles(),
            "label_histogram": None if self.labels is None else {"edges": LABEL_EDGES, "counts": self.labels.tolist()},
        }

    def size_quantiles(self) -> dict[str, float] | None:
        """Quantiles of the voxels of a region; None where no row was read."""
        if self.sizes is None or not len(self.sizes):
            return None
        return dict(zip(SIZE_QUANTILES, np.quantile(self.sizes, list(SIZE_QUANTILES.values())).tolist(), strict=True))


def task_contents(data: DataSet, track: Track | None) -> tuple[TaskContent, ...]:
    """Describe every task; without `track` no region or label is read.

    Raises
    ------
    SynthanomError
        If a row is damaged.
    """
    row_folds = np.array([data.folds[subject] for subject in data.healthy_subjects], dtype=np.int64)
    every = sorted(set(data.folds.values()))
    contents = []
    for task in data.tasks:
        folds = row_folds[data.made_from(task)]
        counted = {fold: int((folds == fold).sum()) for fold in every}
        sizes, labels = (None, None) if track is None else _marks(data, task, track)
        contents.append(TaskContent(name=task, rows=data.rows(task), folds=counted, sizes=sizes, labels=labels))
    return tuple(contents)


def _marks(data: DataSet, task: str, track: Track) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Region sizes of evenly spread rows, and the histogram of their labels."""
    count = min(data.rows(task), MARKED_ROWS)
    rows = np.linspace(0, data.rows(task) - 1, count).round().astype(np.int64).tolist()
    sizes, bars = [], np.zeros(LABEL_BARS, np.int64)
    for row in track(f"reading {task}", rows, len(rows)):
        labels, region = data.marks(task, row)
        sizes.append(int(region.sum()))
        bars += np.histogram(labels[labels > 0], bins=LABEL_BARS, range=(0, 1))[0]
    return np.array(sizes, dtype=np.int64), bars
