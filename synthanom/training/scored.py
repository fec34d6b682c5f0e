"""What a model made of the validation pictures: a few numbers for each, and counts of voxels by score."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from synthanom.metrics.pixels import Counts
from synthanom.metrics.score_counts import ScoreBins

CLEARLY = 0.5  # a voxel counts as anomalous where its label is at least this
Group = tuple[str | None, int]  # task, None for healthy pictures, and half of the subjects


@dataclass(frozen=True, kw_only=True, eq=False)
class Scored:
    """Scores beside the truth.

    Attributes
    ----------
    voxels : ScoreBins
        Of the maps, in [0, 1], by task and half.
    samples : ndarray of shape (n, k), float64
        Scores of the whole image, by k aggregations.
    tasks : tuple of n str or None
        None for healthy pictures.
    subjects : tuple of n str
    halves : tuple of n int
        Which half of the subjects each picture belongs to, 0 or 1.
    """

    voxels: ScoreBins[Group]
    samples: npt.NDArray[np.float64]
    tasks: tuple[str | None, ...]
    subjects: tuple[str, ...]
    halves: tuple[int, ...]

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

    def voxel_counts(self, *tasks: str | None) -> Counts:
        """Negatives and positives per bin (B, 2) of the pictures of these tasks, None for healthy ones; or of all."""
        return self.voxels.counts(lambda group: not tasks or group[0] in tasks)

    def half(self, number: int) -> "Scored":
        """Only the pictures of one half of the subjects."""
        rows = [row for row, half in enumerate(self.halves) if half == number]
        counts = {group: counts for group, counts in self.voxels.groups.items() if group[1] == number}
        return Scored(
            voxels=replace(self.voxels, groups=counts),
            samples=self.samples[rows],
            tasks=tuple(self.tasks[row] for row in rows),
            subjects=tuple(self.subjects[row] for row in rows),
            halves=(number,) * len(rows),
        )


def halves_of(subjects: Sequence[str]) -> tuple[int, ...]:
    """The half that each subject is dealt into, by its name alone: as many subjects in each, but for an odd one."""
    names = sorted(set(subjects), key=lambda name: hashlib.sha256(name.encode()).digest())
    dealt = {name: place % 2 for place, name in enumerate(names)}
    return tuple(dealt[subject] for subject in subjects)
