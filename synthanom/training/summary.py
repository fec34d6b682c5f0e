"""What came of several trained runs: means and spreads over seeds, and how similar the tasks are."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from synthanom.errors import SynthanomError
from synthanom.manifest import replaced_file
from synthanom.training.checkpoint import read_card
from synthanom.training.folder import finished
from synthanom.training.kinds import kinds_of

FIGURES = ("sample_average_precision", "sample_roc_auc", "pixel_average_precision", "pixel_roc_auc")
SIMILARITY = ("sample_average_precision", "pixel_average_precision")
SIMILARITY_KEYS = 4  # columns of the similarity table before those of the tasks: figure, detector, task, kind
DEPTH = 3  # folders below the given one in which a run is looked for
MOST_RUNS = 10_000


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A finished run.

    Attributes
    ----------
    detector : str
    training_tasks, run, seed : int
        How many tasks it was trained on, and its number among those with as many.
    train_tasks : tuple of str
    loss : float
        The best validation loss.
    validation : mapping
        Figures on its synthetic validation pictures, with one mapping per task under ``tasks``.
    dataset : str
        Digest of the data set.
    folder : Path
        Where it lies.
    epoch : int or None
        The one whose model was kept.
    """

    detector: str
    training_tasks: int
    run: int
    seed: int
    train_tasks: tuple[str, ...]
    loss: float
    validation: Mapping[str, Any]
    dataset: str
    folder: Path = Path()
    epoch: int | None = None


def find_trained(folder: Path) -> tuple[Trained, ...]:
    """The finished runs in a folder, at most three levels down, in the order of their tasks and numbers.

    Raises
    ------
    SynthanomError
        None there, a damaged one, or runs of several data sets.
    """
    if not folder.is_dir():
        raise SynthanomError(f"{folder}: must be a folder with runs, got none; name the --out of synthanom-train")
    places = run_places(folder)
    found = [_read(place) for place in places if finished(place) is not None]
    if not found:
        raise SynthanomError(
            f"{folder}: must hold finished runs, got none of {len(places)} finished; train them with --all or the "
            "commands of --list first"
        )
    if len({run.dataset for run in found}) > 1:
        raise SynthanomError(f"{folder}: its runs must be of one data set to be compared, got several; summarise apart")
    return tuple(sorted(found, key=lambda run: (run.detector, run.training_tasks, run.run, run.seed)))


def run_places(folder: Path) -> list[Path]:
    """The run folders in a folder, itself among them, at most three levels down."""
    patterns = ["/".join(["*"] * depth + ["folds.json"]) for depth in range(DEPTH + 1)]
    return sorted({path.parent for pattern in patterns for path in folder.glob(pattern)})[:MOST_RUNS]


def write_tables(folder: Path, trained: Sequence[Trained]) -> tuple[Path, ...]:
    """Write `summary` and, where runs have a single training task, `similarity`, each as CSV and Markdown.

    Raises
    ------
    SynthanomError
        If a file cannot be written.
    """
    written = _write(folder / "summary", *summary_table(trained), SUMMARY_NOTE)
    columns, rows = similarity_table(trained)
    if not rows:
        return written
    return (*written, *_write(folder / "similarity", columns, rows, SIMILARITY_NOTE, shown=kinds_shown(columns, rows)))


SUMMARY_NOTE = (
    "Figures on each run's own synthetic validation pictures, so that runs with other validation tasks are not ranked "
    "by them. Mean and standard deviation over the models of a line: seeds of a run, or all models with as many "
    "training tasks."
)
SIMILARITY_NOTE = (
    "Trained on the task of a line, average precision on the pictures of a column's task against healthy ones, mean "
    'over seeds: high where the two tasks are alike to the detector. The kind says why: tasks of one kind ("same" in '
    "the table) do the same to a picture, and a detector that was trained on one has seen the trick of the other."
)


def summary_table(trained: Sequence[Trained]) -> tuple[list[str], list[list[str]]]:
    """Columns and lines: each run over its seeds, then all models with as many training tasks."""
    columns = ["detector", "training tasks", "run", "trained on", "models", "loss", "loss sd"]
    columns += [part for name in FIGURES for part in (name, f"{name} sd")]
    rows = []
    for detector, tasks in sorted({(run.detector, run.training_tasks) for run in trained}):
        same = [run for run in trained if (run.detector, run.training_tasks) == (detector, tasks)]
        for number in sorted({run.run for run in same}):
            group = [run for run in same if run.run == number]
            rows.append([detector, str(tasks), str(number), " ".join(group[0].train_tasks), *_spread(group)])
        rows.append([detector, str(tasks), "all", "", *_spread(same)])
    return columns, rows


def similarity_table(trained: Sequence[Trained]) -> tuple[list[str], list[list[str]]]:
    """Columns and lines of the single-task runs: one line per figure, detector and training task; empty without any.

    The first `SIMILARITY_KEYS` columns say what a line is, the others are tasks.
    """
    single = [run for run in trained if run.training_tasks == 1]
    tasks = sorted({run.train_tasks[0] for run in single} | {t for run in single for t in _tasks(run)})
    kinds = kinds_of(tasks)
    rows = []
    for figure in SIMILARITY:
        for detector, task in sorted({(run.detector, run.train_tasks[0]) for run in single}):
            group = [run for run in single if (run.detector, run.train_tasks[0]) == (detector, task)]
            values = [_mean([_tasks(run).get(other, {}).get(figure) for run in group]) for other in tasks]
            rows.append([figure, detector, task, kinds.get(task, ""), *values])
    return ["figure", "detector", "trained on", "kind", *tasks], rows


def kinds_shown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[list[str], list[list[str]]]:
    """A similarity table to be read: kinds beside the tasks of the columns, and where they are those of the line."""
    tasks = columns[SIMILARITY_KEYS:]
    kinds = kinds_of(tasks)
    named = [f"{task} ({kinds[task]})" if task in kinds else task for task in tasks]
    lines = []
    for row in rows:
        cells = [
            f"{value} same" if value and kinds.get(task) == row[SIMILARITY_KEYS - 1] else value
            for task, value in zip(tasks, row[SIMILARITY_KEYS:], strict=True)
        ]
        lines.append([*row[:SIMILARITY_KEYS], *cells])
    return [*columns[:SIMILARITY_KEYS], *named], lines


def _read(place: Path) -> Trained:
    card = read_card(place)
    training = card.training
    try:
        run = training["run"]
        return Trained(
            detector=card.detector,
            training_tasks=len(run["train_tasks"]),
            run=int(run["number"]),
            seed=int(training["seed"]),
            train_tasks=tuple(run["train_tasks"]),
            loss=float(training["loss"]),
            validation=training["validation"],
            dataset=str(training["dataset_digest"]),
            folder=place,
            epoch=training.get("epoch"),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise SynthanomError(
            f"{place}: its model must say how it was trained, and does not ({error}); train it again"
        ) from error


def _tasks(run: Trained) -> Mapping[str, Mapping[str, float]]:
    tasks: Mapping[str, Mapping[str, float]] = run.validation.get("tasks", {})
    return tasks


def _spread(group: Sequence[Trained]) -> list[str]:
    """Number of models, then mean and standard deviation of the loss and of each figure."""
    found = [str(len(group))]
    values = [[run.loss for run in group]]
    values += [[run.validation[name] for run in group if name in run.validation] for name in FIGURES]
    for numbers in values:
        found += [_mean(numbers), f"{stdev(numbers):.5f}" if len(numbers) > 1 else ""]
    return found


def _mean(values: Iterable[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{mean(known):.5f}" if known else ""


def _write(
    path: Path,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    note: str,
    *,
    shown: tuple[Sequence[str], Sequence[Sequence[str]]] | None = None,
) -> tuple[Path, Path]:
    """Write a table as CSV and Markdown; the latter may be `shown` otherwise."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    names, cells = shown or (columns, rows)
    lines = [note, "", "| " + " | ".join(names) + " |", "|" + " --- |" * len(names)]
    lines += ["| " + " | ".join(row) + " |" for row in cells]
    table, page = path.with_suffix(".csv"), path.with_suffix(".md")
    for target, content in ((table, text.getvalue()), (page, "\n".join(lines) + "\n")):
        with replaced_file(target) as file:
            file.write(content.encode())
    return table, page
