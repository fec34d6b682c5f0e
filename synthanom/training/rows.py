"""Which pictures an epoch shows: a pure function of data set, run, seed and epoch number."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from synthanom.errors import SynthanomError
from synthanom.shards import DataSet
from synthanom.training.folds import Run
from synthanom.training.keyed import keyed_fraction, keyed_number


@dataclass(frozen=True, kw_only=True)
class Pick:
    """One picture: the healthy row itself where `task` is None, a stored anomaly, or one to be made.

    Attributes
    ----------
    healthy : int
        Healthy row.
    task : str or None
    row : int or None
        Stored row of `task`; None for healthy pictures and while training live.
    epoch : int
        Names the draw of a live picture.
    flip : bool
        Mirror left and right (the last axis).
    thick : (float, float) or None
        Show it in thick slices: along which axis, as a fraction of the axes in [0, 1), and how many times as thick.
    """

    healthy: int
    task: str | None = None
    row: int | None = None
    epoch: int = 0
    flip: bool = False
    thick: tuple[float, float] | None = None


@dataclass(frozen=True, kw_only=True)
class RowIndex:
    """Healthy rows of both sides of a run, their ids, and where their anomalies are stored.

    Attributes
    ----------
    ids : tuple of str
        Of every healthy row of the data set.
    train, validation : tuple of int
        Healthy rows of each side, in order.
    rows : mapping of str to mapping of int to tuple of int
        Task -> healthy row -> stored rows by variant; rows that could not be made are missing.
    """

    ids: tuple[str, ...]
    train: tuple[int, ...]
    validation: tuple[int, ...]
    rows: Mapping[str, Mapping[int, tuple[int, ...]]]


def index_rows(data: DataSet, run: Run) -> RowIndex:
    """Find the rows of a run.

    Raises
    ------
    SynthanomError
        If a row's subject has no fold, or a side of the run has no rows.
    """
    folds = [_fold_of(data, subject) for subject in data.healthy_subjects]
    train = tuple(i for i, fold in enumerate(folds) if fold in run.train_folds)
    validation = tuple(i for i, fold in enumerate(folds) if fold in run.validation_folds)
    for side, rows, chosen in (("train", train, run.train_folds), ("validate", validation, run.validation_folds)):
        if not rows:
            raise SynthanomError(
                f"{data.folder}: run {run.number} needs healthy rows to {side} on in the folds {list(chosen)}, "
                "got none; build the data set with more subjects"
            )
    stored = {task: {i: tuple(data.rows_of(task, i)) for i in train} for task in run.train_tasks}
    stored |= {task: {i: tuple(data.rows_of(task, i)) for i in validation} for task in run.validation_tasks}
    return RowIndex(ids=data.healthy_ids, train=train, validation=validation, rows=stored)


def training_picks(
    index: RowIndex,
    run: Run,
    *,
    epoch: int,
    seed: int,
    flip: float,
    live: bool = False,
    shown: Literal["anomalous", "healthy"] = "anomalous",
    thick: tuple[float, float] = (0.0, 5.0),
) -> tuple[Pick, ...]:
    """The pictures of one training epoch, in their order.

    Each training row comes once, with one training task drawn for it in this epoch; the variant moves on by one each
    epoch, from a start drawn per row and task, so that all are seen equally often. A row for which the drawn task has
    no picture takes the next training task; one without any is left out.

    Parameters
    ----------
    index : RowIndex
    run : Run
    epoch, seed : int
    flip : float
        Probability of a left-right flip.
    live : bool
        Pictures are made when asked for, not read.
    shown : str
        ``"healthy"``: every training row as it is, for detectors that learn from healthy pictures.
    thick : (float, float)
        Probability of thick slices, and how many times as thick they are at most.

    Raises
    ------
    SynthanomError
        If no row has a picture of any training task.
    """
    order = sorted(index.train, key=lambda i: keyed_number(seed, "order", index.ids[i], epoch))
    picks = []
    for healthy in order:
        name = index.ids[healthy]
        flipped = keyed_fraction(seed, "flip", name, epoch) < flip
        reduced = _thick(seed, name, epoch, *thick)
        if shown == "healthy":
            picks.append(Pick(healthy=healthy, epoch=epoch, flip=flipped, thick=reduced))
            continue
        first = keyed_number(seed, "task", name, epoch)
        for task in rotated(run.train_tasks, first):
            rows = index.rows[task][healthy]
            if live or rows:
                variant = epoch + keyed_number(seed, "variant", name, task)
                row = None if live else rows[variant % len(rows)]
                picks.append(Pick(healthy=healthy, task=task, row=row, epoch=epoch, flip=flipped, thick=reduced))
                break
    if not picks:
        raise SynthanomError(
            f"run {run.number} needs stored anomalies of {', '.join(run.train_tasks)} in the folds "
            f"{list(run.train_folds)}, got none; see skipped.csv, build with --variants 1 or more, or train with --live"
        )
    return tuple(picks)


def _thick(seed: int, name: str, epoch: int, probability: float, most: float) -> tuple[float, float] | None:
    """Axis and thickness of the slices, Uniform(1, most), or None."""
    if keyed_fraction(seed, "thick", name, epoch) >= probability:
        return None
    factor = 1.0 + (most - 1.0) * keyed_fraction(seed, "thickness", name, epoch)
    return keyed_fraction(seed, "axis", name, epoch), factor


def validation_picks(index: RowIndex, run: Run) -> tuple[Pick, ...]:
    """The pictures of every validation: each row healthy, and variant 0 of each (row, validation task).

    Where variant 0 could not be made the lowest that could stands in for it.

    Raises
    ------
    SynthanomError
        If there is no anomaly to validate on.
    """
    picks = [Pick(healthy=i) for i in index.validation]
    for task in run.validation_tasks:
        for healthy in index.validation:
            picks.extend(Pick(healthy=healthy, task=task, row=row) for row in index.rows[task][healthy][:1])
    if len(picks) == len(index.validation):
        raise SynthanomError(
            f"run {run.number} needs stored anomalies of {', '.join(run.validation_tasks)} in the folds "
            f"{list(run.validation_folds)}, got none; see skipped.csv, or build with --variants 1 or more, "
            "which --live needs too"
        )
    return tuple(picks)


def rotated(tasks: tuple[str, ...], first: int) -> tuple[str, ...]:
    """The tasks in their order, beginning with number `first` modulo their count."""
    start = first % len(tasks)
    return tasks[start:] + tasks[:start]


def _fold_of(data: DataSet, subject: str) -> int:
    if subject not in data.folds:
        raise SynthanomError(f"{data.folder}: every subject needs a fold, got none for {subject!r}; build it again")
    return data.folds[subject]
