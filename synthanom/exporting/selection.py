"""Which rows of a data set are exported."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from synthanom.errors import SynthanomError
from synthanom.nearest import meant
from synthanom.shards import DataSet

HEALTHY = "healthy"  # name of the group of healthy rows


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What to export; None takes all.

    Attributes
    ----------
    tasks : tuple of str or None
        Stored names; empty for healthy rows alone.
    folds : tuple of ints or None
        Numbers of folds.
    variants : int or None
        The first so many variants of every image and task.
    limit : int or None
        At most so many rows of each task, and so many healthy ones.
    healthy : bool
        Whether healthy rows are exported.
    """

    tasks: tuple[str, ...] | None = None
    folds: tuple[int, ...] | None = None
    variants: int | None = None
    limit: int | None = None
    healthy: bool = True

    def __post_init__(self) -> None:
        for name, count in (("--variants", self.variants), ("--limit", self.limit)):
            if count is not None and count < 1:
                raise SynthanomError(f"{name} must be at least 1, got {count}")

    def to_dict(self) -> dict[str, Any]:
        """The selection as JSON."""
        return {
            "tasks": None if self.tasks is None else sorted(set(self.tasks)),
            "folds": None if self.folds is None else sorted(set(self.folds)),
            "variants": self.variants,
            "limit": self.limit,
            "healthy": self.healthy,
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class Group:
    """The chosen rows of one task, or the healthy ones.

    Attributes
    ----------
    name : str
        Stored name of the task, or "healthy".
    rows : ndarray of shape (n,), int64
        Their numbers in the data set.
    healthy_index : ndarray of shape (n,), int64
        The healthy row of each.
    variants : ndarray of shape (n,), int32, or None
        None for healthy rows.
    """

    name: str
    rows: npt.NDArray[np.int64]
    healthy_index: npt.NDArray[np.int64]
    variants: npt.NDArray[np.int32] | None

    def __len__(self) -> int:
        return len(self.rows)


def chosen_groups(data: DataSet, selection: Selection) -> tuple[Group, ...]:
    """The groups that hold a chosen row, healthy rows first, tasks as in the data set.

    Raises
    ------
    SynthanomError
        If a task or fold is not in the data set, or nothing is chosen.
    """
    names = data.tasks if selection.tasks is None else selection.tasks
    for name in names:
        if name not in data.tasks:
            there = ", ".join(data.tasks) or "none"
            raise SynthanomError(f"{data.folder}: has no task {name!r}; it has {there}{meant(name, data.tasks)}")
    folds = sorted(set(data.folds.values()))
    wanted = folds if selection.folds is None else selection.folds
    for fold in wanted:
        if fold not in folds:
            raise SynthanomError(f"{data.folder}: has no fold {fold}; it has {', '.join(map(str, folds))}")
    taken = np.array([data.folds[subject] in wanted for subject in data.healthy_subjects], dtype=bool)
    groups = [_healthy(taken, selection)] if selection.healthy else []
    groups += [_anomalies(data, name, taken, selection) for name in data.tasks if name in names]
    groups = [group for group in groups if len(group)]
    if not groups:
        raise SynthanomError(f"{data.folder}: nothing to export; choose more --tasks or --folds, or add --healthy")
    return tuple(groups)


def _healthy(taken: npt.NDArray[np.bool_], selection: Selection) -> Group:
    rows = np.flatnonzero(taken)[: selection.limit]
    return Group(name=HEALTHY, rows=rows, healthy_index=rows, variants=None)


def _anomalies(data: DataSet, task: str, taken: npt.NDArray[np.bool_], selection: Selection) -> Group:
    index, variants = data.made_from(task), data.variants(task)
    fit = taken[index]
    if selection.variants is not None:
        fit &= variants < selection.variants
    rows = np.flatnonzero(fit)[: selection.limit]
    return Group(name=task, rows=rows, healthy_index=index[rows], variants=variants[rows])
