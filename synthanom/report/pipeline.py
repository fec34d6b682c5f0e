"""The paper's figure of the pipeline, of one data set: which runs train and validate on which tasks and folds."""

from dataclasses import dataclass

from synthanom.description import Description
from synthanom.errors import SynthanomError
from synthanom.shards import DataSet
from synthanom.training.folds import Run, check_folds, runs

SHOWN_RUNS = 12  # of a number of training tasks; ten tasks would have 252 of five


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A task on a fold, and what a run does with it: ``"train"``, ``"validate"`` or ``"unused"``."""

    task: int
    fold: int
    use: str


@dataclass(frozen=True, kw_only=True)
class RunPicture:
    """A run, and its cells by task and fold."""

    run: Run
    cells: tuple[Cell, ...]
    words: str


@dataclass(frozen=True, kw_only=True)
class Level:
    """The runs with as many training tasks."""

    train_tasks: int
    runs: tuple[RunPicture, ...]
    total: int


@dataclass(frozen=True, kw_only=True)
class Fold:
    """What a fold holds: subjects, healthy images, and anomalous pictures by task."""

    number: int
    subjects: int
    images: int
    pictures: tuple[int, ...]


def pairs(data: DataSet, found: Description) -> list[Fold]:
    """Every fold, in order."""
    of_images = [data.folds[subject] for subject in data.healthy_subjects]
    return [
        Fold(
            number=fold,
            subjects=subjects,
            images=of_images.count(fold),
            pictures=tuple(task.folds.get(fold, 0) for task in found.tasks),
        )
        for fold, subjects in found.fold_sizes.items()
    ]


def unusable(data: DataSet) -> str:
    """Why no run can be trained on the data set; empty where some can."""
    try:
        check_folds(data.tasks, data.folds)
        runs(data.tasks, 1)
    except SynthanomError as reason:
        return str(reason)
    return ""


def levels(data: DataSet) -> list[Level]:
    """The runs by their number of training tasks; none where `unusable` says why."""
    if unusable(data):
        return []
    found = []
    for count in range(1, len(data.tasks)):
        every = runs(data.tasks, count)
        shown = tuple(_picture(run, data.tasks) for run in every[:SHOWN_RUNS])
        found.append(Level(train_tasks=count, runs=shown, total=len(every)))
    return found


def _picture(run: Run, tasks: tuple[str, ...]) -> RunPicture:
    def use(task: int, fold: int) -> str:
        if tasks[task] in run.train_tasks and fold in run.train_folds:
            return "train"
        return "validate" if tasks[task] in run.validation_tasks and fold in run.validation_folds else "unused"

    every = range(len(tasks))
    cells = tuple(Cell(task=task, fold=fold, use=use(task, fold)) for task in every for fold in every)
    train, validation = (" ".join(map(str, folds)) for folds in (run.train_folds, run.validation_folds))
    words = (
        f"run {run.number}: trains {', '.join(run.train_tasks)} on folds {train}; "
        f"validates {', '.join(run.validation_tasks)} on folds {validation}"
    )
    return RunPicture(run=run, cells=cells, words=words)
