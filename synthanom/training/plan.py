"""What a run is going to be, checked before anything is written."""

from typing import Any

from synthanom.detectors.needs import needs_of
from synthanom.shards import DataSet
from synthanom.training.config import TrainingConfig
from synthanom.training.folds import Run, check_folds, choose_run
from synthanom.training.kinds import check_kinds, kinds_of, same_kind_pairs
from synthanom.training.rows import RowIndex, index_rows, training_picks, validation_picks


def plan(data: DataSet, config: TrainingConfig, *, train_tasks: int, run: int) -> tuple[Run, RowIndex]:
    """The run and its rows, after everything that can be refused before any work was checked.

    Raises
    ------
    SynthanomError
        A data set that does not suit the protocol or the settings.
    """
    check_folds(data.tasks, data.folds)
    chosen = choose_run(data.tasks, train_tasks, run, pairing=config.pairing)
    check_kinds([chosen], kinds_of(data.tasks), allow_same_kind=config.allow_same_kind)
    index = index_rows(data, chosen)
    shown = needs_of(config.detector).training
    training_picks(index, chosen, epoch=0, seed=config.seed, flip=0.0, live=config.live, shown=shown)
    validation_picks(index, chosen)
    return chosen, index


def describe(data: DataSet, run: Run, train_tasks: int) -> dict[str, Any]:
    """What `folds.json` says."""
    kinds = kinds_of(data.tasks)
    held = {str(f): sorted(s for s, fold in data.folds.items() if fold == f) for f in sorted(set(data.folds.values()))}
    return {
        "format": 1,
        "dataset": str(data.folder),
        "dataset_digest": data.manifest.to_dict()["digest"],
        "training_tasks": train_tasks,
        "run": run.to_dict(),
        "kinds": kinds,
        "same_kind_on_both_sides": [list(pair) for pair in same_kind_pairs(run, kinds)],
        "subjects": held,
    }
