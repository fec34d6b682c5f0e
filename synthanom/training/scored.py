"""Validation pictures with what a model made of them."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

CLEARLY = 0.5  # a voxel counts as anomalous where its label is at least this


@dataclass(frozen=True, kw_only=True, eq=False)
class Scored:
    """Score maps beside the truth.

    Attributes
    ----------
    maps : ndarray of shape (n, voxels), float32
        In [0, 1].
    labels : ndarray of shape (n, voxels), bool
    samples : ndarray of shape (n, k), float64
        Scores of the whole image, by k aggregations.
    tasks : tuple of str or None
        None for healthy pictures.
    subjects : tuple of str
    """

    maps: npt.NDArray[Any]
    labels: npt.NDArray[np.bool_]
    samples: npt.NDArray[np.float64]
    tasks: tuple[str | None, ...]
    subjects: tuple[str, ...]

    @property
    def anomalous(self) -> npt.NDArray[np.bool_]:
        """Which pictures are."""
        return np.array([task is not None for task in self.tasks], dtype=bool)

    @property
    def score(self) -> npt.NDArray[np.float64]:
        """The sample score, where one was chosen."""
        return self.samples[:, 0]

    def with_score(self, number: int) -> "Scored":
        """The same with one aggregation's scores only."""
        return replace(self, samples=self.samples[:, number : number + 1])

    def by_task(self) -> dict[str, npt.NDArray[np.int64]]:
        """Rows of each task's pictures together with the healthy ones; no task where nothing is healthy."""
        healthy = [row for row, task in enumerate(self.tasks) if task is None]
        names = sorted({task for task in self.tasks if task is not None}) if healthy else []
        return {
            name: np.array([*healthy, *(row for row, task in enumerate(self.tasks) if task == name)], dtype=np.int64)
            for name in names
        }

    def rows(self, subjects: set[str]) -> npt.NDArray[np.int64]:
        """Rows of these subjects."""
        return np.array([row for row, subject in enumerate(self.subjects) if subject in subjects], dtype=np.int64)

    def taken(self, rows: npt.NDArray[np.int64]) -> "Scored":
        """Only these rows."""
        return Scored(
            maps=self.maps[rows],
            labels=self.labels[rows],
            samples=self.samples[rows],
            tasks=tuple(self.tasks[row] for row in rows),
            subjects=tuple(self.subjects[row] for row in rows),
        )
