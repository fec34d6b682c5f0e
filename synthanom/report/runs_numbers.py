"""What several runs say of themselves side by side: figures per unseen task, task similarity, losses."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from synthanom.evaluation.history import Logged, best_marks, over_decades, read_history
from synthanom.evaluation.tables import Cell, Table
from synthanom.metrics import Interval
from synthanom.pictures.plots import Line, Plot
from synthanom.training.summary import (
    SIMILARITY,
    SIMILARITY_KEYS,
    SIMILARITY_NOTE,
    SUMMARY_NOTE,
    Trained,
    find_trained,
    kinds_shown,
    run_places,
    similarity_table,
    summary_table,
)

MOST_LINES = 40  # losses in one plot
MOST_ROWS = 500
WORDS = {
    "sample_average_precision": "average precision of images",
    "pixel_average_precision": "average precision of pixels",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class RunsNumbers:
    """The runs of a folder.

    Attributes
    ----------
    folder : Path
    trained : tuple of Trained
        The finished ones.
    unfinished : tuple of str
        Paths of the others, below the folder.
    """

    folder: Path
    trained: tuple[Trained, ...]
    unfinished: tuple[str, ...]


def read_runs(folder: Path) -> RunsNumbers:
    """The runs in a folder.

    Raises
    ------
    SynthanomError
        As `find_trained`.
    """
    trained = find_trained(folder)
    done = {run.folder for run in trained}
    others = tuple(str(place.relative_to(folder)) for place in run_places(folder) if place not in done)
    return RunsNumbers(folder=folder, trained=trained, unfinished=others)


def unseen_table(runs: RunsNumbers, figure: str) -> Table:
    """The average precision of each run on the tasks that it never saw, means over seeds."""
    tasks = _every_task(runs)
    groups: dict[tuple[str, int, int], list[Trained]] = {}
    for run in runs.trained:
        groups.setdefault((run.detector, run.training_tasks, run.run), []).append(run)
    rows: list[tuple[Cell, ...]] = []
    for group in groups.values():
        values = [_mean([_tasks(run).get(task, {}).get(figure) for run in group]) for task in tasks]
        loss = float(np.mean([run.loss for run in group]))
        every = _mean([run.validation.get(figure) for run in group])
        rows.append((", ".join(group[0].train_tasks), len(group), f"{loss:.5f}", *values, every))
    return Table(
        title=WORDS[figure],
        columns=("trained on", "models", "loss", *tasks, "all unseen"),
        rows=tuple(rows),
        left=1,
        captions=("means over seeds; each model on the pictures of tasks that it never saw, against healthy ones",),
    )


def model_table(runs: RunsNumbers, figure: str) -> Table:
    """As `unseen_table`, a line for every model."""
    tasks = _every_task(runs)
    rows: list[tuple[Cell, ...]] = []
    for run in runs.trained[:MOST_ROWS]:
        found = _tasks(run)
        values = [_figure(found.get(task, {}).get(figure)) for task in tasks]
        name = str(run.folder.relative_to(runs.folder))
        rows.append((name, ", ".join(run.train_tasks), f"{run.loss:.5f}", *values, _figure(run.validation.get(figure))))
    more = len(runs.trained) - MOST_ROWS
    return Table(
        title=WORDS[figure],
        columns=("run", "trained on", "loss", *tasks, "all unseen"),
        rows=tuple(rows),
        left=2,
        captions=(f"{more} more runs are not shown",) if more > 0 else (),
    )


def similarity(runs: RunsNumbers) -> Iterator[Table]:
    """Trained on one task, average precision on each other; a table per figure; none without single-task runs."""
    columns, rows = similarity_table(runs.trained)
    names, _ = kinds_shown(columns, rows)
    for figure in SIMILARITY:
        own = [row for row in rows if row[0] == figure]
        several = len({row[1] for row in own}) > 1
        if own:
            yield Table(
                title=WORDS[figure],
                columns=tuple(names[1:] if several else names[2:]),
                rows=tuple(
                    (
                        *row[1 if several else 2 : SIMILARITY_KEYS],
                        *(_figure(float(v)) if v else None for v in row[SIMILARITY_KEYS:]),
                    )
                    for row in own
                ),
                left=3 if several else 2,
                captions=(SIMILARITY_NOTE,),
            )


def spread_table(runs: RunsNumbers) -> Table:
    """Means and standard deviations over seeds, and over all models with as many training tasks."""
    columns, rows = summary_table(runs.trained)
    return Table(
        title="means and standard deviations", columns=tuple(columns), rows=tuple(tuple(row) for row in rows),
        left=4, captions=(SUMMARY_NOTE,),
    )  # fmt: skip


def loss_plots(runs: RunsNumbers) -> Iterator[Plot]:
    """Training and validation losses of the runs, coloured by how many tasks they were trained on; kept models marked.

    Raises
    ------
    SynthanomError
        A log that cannot be read.
    """
    found = [(run, history) for run in spread_runs(runs.trained) for history in [_history(run)] if history]
    for name in ("train_loss", "validation_loss"):
        lines = [_line(run, history[name]) for run, history in found if name in history]
        marks = [
            replace(mark, words="", colour=run.training_tasks - 1)
            for run, history in found
            for mark in best_marks(history.get(name), run.epoch)
            if name == "validation_loss"
        ]
        if lines:
            yield Plot(
                title=name.replace("_", " "), x="step", y="loss", lines=tuple(lines), marks=tuple(marks),
                logarithmic=over_decades(lines),
            )  # fmt: skip


def spread_runs(trained: Sequence[Trained]) -> list[Trained]:
    """At most `MOST_LINES` of the runs, evenly spread."""
    if len(trained) <= MOST_LINES:
        return list(trained)
    return [trained[int(place)] for place in np.linspace(0, len(trained) - 1, MOST_LINES).round()]


def _line(run: Trained, logged: Logged) -> Line:
    words = "1 training task" if run.training_tasks == 1 else f"{run.training_tasks} training tasks"
    return Line(name=words, x=logged.steps, y=logged.values, colour=run.training_tasks - 1)


def _history(run: Trained) -> Mapping[str, Logged]:
    return read_history(run.folder) if any(run.folder.glob("logs/**/metrics.csv")) else {}


def _tasks(run: Trained) -> Mapping[str, Mapping[str, float]]:
    found: Mapping[str, Mapping[str, float]] = run.validation.get("tasks", {})
    return found


def _every_task(runs: RunsNumbers) -> list[str]:
    return sorted({task for run in runs.trained for task in _tasks(run)})


def _mean(values: Sequence[float | None]) -> Cell:
    known = [value for value in values if value is not None]
    return _figure(float(np.mean(known)) if known else None)


def _figure(value: float | None) -> Cell:
    return None if value is None else Interval(value=value, low=np.nan, high=np.nan, draws=0)
