"""What a run says of itself, as tables and plots: losses, figures per unseen task, thresholds, settings."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from synthanom.errors import SynthanomError
from synthanom.evaluation.history import Logged, best_marks, history_plot, read_history
from synthanom.evaluation.tables import Cell, Table
from synthanom.metrics import Interval
from synthanom.pictures.plots import Line, Plot
from synthanom.training.checkpoint import ModelCard, read_card
from synthanom.training.folder import CONFIG, ENVIRONMENT, FOLDS, finished, read_json

LEVELS = {"sample": "images", "pixel": "pixels"}
RULES = {"false_positive_rate": "false-positive rate", "f_beta": "F"}
FIGURES = {
    "sample_average_precision": "AP, images",
    "sample_roc_auc": "AUROC, images",
    "pixel_average_precision": "AP, pixels",
    "pixel_roc_auc": "AUROC, pixels",
}
CHECKED = {
    "false_positive_rate": "false-positive rate",
    "sensitivity": "recall",
    "precision": "precision",
    "f_beta": "F",
}
PRECISION = "validation_average_precision"


@dataclass(frozen=True, kw_only=True, eq=False)
class RunNumbers:
    """A run folder, read.

    Attributes
    ----------
    folder : Path
    folds : mapping
        Data set, tasks and folds.
    config : mapping
        The settings.
    starts : tuple of mappings
        The environment of every start.
    outcome : mapping or None
        How it ended; None while it has not.
    card : ModelCard or None
        Of the kept model; None before the first validation.
    history : mapping of str to Logged
        Empty before the first logged step.
    picture : bytes or None
        The PNG of validation pictures.
    """

    folder: Path
    folds: Mapping[str, Any]
    config: Mapping[str, Any]
    starts: tuple[Mapping[str, Any], ...]
    outcome: Mapping[str, Any] | None
    card: ModelCard | None
    history: Mapping[str, Logged]
    picture: bytes | None


def read_run(folder: Path) -> RunNumbers:
    """Read what a run folder holds; what an unfinished run does not have yet is left out.

    Raises
    ------
    SynthanomError
        A file that is damaged.
    """
    folds = read_json(folder / FOLDS)
    if not isinstance(folds.get("run"), dict):
        raise SynthanomError(f"{folder / FOLDS}: must say which run this is, and does not; train into an empty folder")
    logs = any(folder.glob("logs/**/metrics.csv"))
    environment = read_json(folder / ENVIRONMENT) if (folder / ENVIRONMENT).exists() else {}
    picture = folder / "pictures" / "validation.png"
    return RunNumbers(
        folder=folder,
        folds=folds,
        config=_settings(folder / CONFIG),
        starts=tuple(environment.get("starts", ())),
        outcome=finished(folder),
        card=read_card(folder) if (folder / "best" / "model.json").exists() else None,
        history=read_history(folder) if logs else {},
        picture=picture.read_bytes() if picture.is_file() else None,
    )


def loss_plots(run: RunNumbers) -> Iterator[Plot]:
    """Losses over steps and, where it was logged, average precision; the kept model is marked."""
    if not run.history:
        return
    best = None if run.card is None else run.card.training.get("epoch")
    yield history_plot(dict(run.history), "losses", best_epoch=best)
    logged = run.history.get(PRECISION)
    if logged is not None:
        line = Line(name="validation average precision", x=logged.steps, y=logged.values, colour=2)
        yield Plot(
            title="average precision of pixels, while training", x="step", y="average precision", lines=(line,),
            marks=tuple(best_marks(logged, best)),
        )  # fmt: skip


def task_table(run: RunNumbers) -> Table | None:
    """Figures on synthetic pictures of each task that the run never saw, and of all together."""
    validation = _validation(run)
    if not validation:
        return None
    tasks: Mapping[str, Mapping[str, float]] = validation.get("tasks", {})
    rows: list[tuple[Cell, ...]] = [(task, *_known(found)) for task, found in tasks.items()]
    rows.append(("all together", *_known(validation)))
    return Table(
        title="synthetic validation pictures of tasks that the model never saw, against healthy ones",
        columns=("task", *FIGURES.values(), "pictures"),
        rows=tuple(rows),
        left=1,
    )


def threshold_table(run: RunNumbers) -> Table | None:
    """What the model stores to cut scores at, and how the rules do on subjects that they were not chosen on."""
    if run.card is None or not run.card.thresholds:
        return None
    held_out: Mapping[str, Any] = run.card.training.get("held_out") or {}
    rows: list[tuple[Cell, ...]] = []
    for level, words in LEVELS.items():
        for rule, meaning in RULES.items():
            key = f"{level}_{rule}"
            if key in run.card.thresholds:
                checks = held_out.get(key, {})
                rows.append((words, _rule(meaning, level, run), _used(run.card, level, key), run.card.thresholds[key],
                             *(_interval(checks.get(name)) for name in CHECKED)))  # fmt: skip
    captions = [
        "a picture or pixel is called anomalous from the cut on; recall and precision are of synthetic anomalies, the "
        "false-positive rate is of healthy pictures"
    ]
    if held_out:
        captions.append(
            f"figures beside a cut: chosen on one half of {held_out.get('subjects')} validation subjects, counted on "
            "the other, and the other way round; 95 % intervals by subject"
        )
    return Table(
        title="where scores are cut",
        columns=("of", "chosen by", "used", "cut", *CHECKED.values()),
        rows=tuple(rows),
        captions=tuple(captions),
    )


def aggregation_table(run: RunNumbers) -> Table | None:
    """The ways to make one number of a map that were tried, the chosen one marked."""
    if run.card is None:
        return None
    tried = run.card.training.get("aggregations_tried") or ()
    chosen = run.card.sample_score().to_dict()
    rows = tuple(
        (aggregation_words(entry), "used" if _same(entry, chosen) else "", _plain(entry.get("average_precision")))
        for entry in tried
    )
    if not rows:
        rows = ((aggregation_words(chosen), "used", None),)
    return Table(
        title="how a map becomes the score of an image",
        columns=("score", "used", "AP, mean over tasks"),
        rows=rows,
        left=2,
    )


def aggregation_words(entry: Mapping[str, Any]) -> str:
    """An aggregation for people."""
    statistic, value = entry.get("statistic"), entry.get("value")
    area = f"over the {entry.get('over')}"
    if statistic == "top" and isinstance(value, int | float):
        return f"mean of the top {100 * value:g} % {area}"
    if statistic == "percentile":
        return f"percentile {value:g} {area}"
    return f"{statistic} {area}"


def about_table(run: RunNumbers) -> Table:
    """Which run this is, and how it went."""
    asked = run.folds["run"]
    rows: list[tuple[Cell, ...]] = [
        ("data set", str(run.folds.get("dataset", "unknown"))),
        ("its digest", str(run.folds.get("dataset_digest", "unknown"))),
        ("trained on", ", ".join(asked.get("train_tasks", ()))),
        ("validated on", ", ".join(asked.get("validation_tasks", ()))),
        ("folds", f"training {_numbers(asked, 'train_folds')}; validation {_numbers(asked, 'validation_folds')}"),
        ("state", _state(run)),
    ]
    if run.card is not None:
        rows.append(("detector", run.card.detector))
        rows.append(("weights, SHA-256", run.card.weights_sha256))
    return Table(title="the run", columns=("", ""), rows=tuple(rows), left=2)


def settings_table(run: RunNumbers) -> Table:
    """The configuration, one line a key."""
    rows = tuple(_flat(run.config))
    return Table(title="configuration", columns=("setting", "value"), rows=rows, left=2)


def environment_table(run: RunNumbers) -> Table | None:
    """Where it was computed, a column for every start that differed."""
    if not run.starts:
        return None
    names = sorted({name for start in run.starts for name in start})
    return Table(
        title="environment",
        columns=("", *(f"start {number + 1}" for number in range(len(run.starts)))),
        rows=tuple((name, *(str(start.get(name, "")) for start in run.starts)) for name in names),
        left=1 + len(run.starts),
    )


def _settings(path: Path) -> Mapping[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise SynthanomError(f"{path}: must be readable YAML, got: {reason}; train into an empty folder") from error
    return content if isinstance(content, dict) else {}


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[Cell, ...]]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield (f"{prefix}{key}", "none" if value is None else str(value))


def _validation(run: RunNumbers) -> Mapping[str, Any]:
    found = {} if run.card is None else run.card.training.get("validation") or {}
    return found if isinstance(found, Mapping) else {}


def _known(figures: Mapping[str, float]) -> tuple[Cell, ...]:
    values = [_plain(figures.get(name)) for name in FIGURES]
    pictures = figures.get("pictures")
    return (*values, None if pictures is None else int(pictures))


def _plain(value: float | None) -> Cell:
    return None if value is None else Interval(value=value, low=np.nan, high=np.nan, draws=0)


def _interval(entry: Mapping[str, float] | None) -> Cell:
    if entry is None:
        return None
    return Interval(value=entry["value"], low=entry["low"], high=entry["high"], draws=1)


def _rule(meaning: str, level: str, run: RunNumbers) -> str:
    settings = {} if run.card is None else run.card.training.get("calibration") or {}
    if meaning == "F":
        return f"best F{settings.get('beta', '')}"
    rate = settings.get("pixel_false_positive_rate" if level == "pixel" else "false_positive_rate")
    return meaning if rate is None else f"{meaning} of {100 * rate:g} %"


def _used(card: ModelCard, level: str, key: str) -> str:
    return "used" if card.thresholds.get(level) == card.thresholds[key] else ""


def _same(entry: Mapping[str, Any], chosen: Mapping[str, Any]) -> bool:
    return all(entry.get(name) == value for name, value in chosen.items())


def _numbers(asked: Mapping[str, Any], key: str) -> str:
    return ", ".join(str(fold) for fold in asked.get(key, ()))


def _state(run: RunNumbers) -> str:
    if run.outcome is None:
        return "unfinished"
    why = "patience ran out" if run.outcome.get("reason") == "patience" else "all epochs done"
    loss = run.outcome.get("best_loss")
    return (
        f"{run.outcome.get('epochs')} epochs ({why}), best validation loss "
        f"{loss if loss is None else f'{loss:.5f}'} in epoch {run.outcome.get('best_epoch')}"
    )
