"""The report on a run: losses, figures on tasks it never saw, where scores are cut, settings and environment."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from synthanom.evaluation.tables import Table
from synthanom.pictures.plots import Line, Mark, Plot
from synthanom.report.charts import plot_svg
from synthanom.report.grids import grid
from synthanom.report.page import Page, Section, section
from synthanom.report.run_numbers import (
    LEVELS,
    RULES,
    RunNumbers,
    about_table,
    aggregation_table,
    environment_table,
    loss_plots,
    read_run,
    settings_table,
    task_table,
    threshold_table,
)
from synthanom.report.viewer import data_uri

MOST_BYTES = 4_000_000  # of the picture of validation


def run_page(folder: Path) -> Page:
    """The page about one run; what an unfinished run does not have yet is left out, and said to be.

    Raises
    ------
    SynthanomError
        A file of the run is damaged.
    """
    run = read_run(folder)
    asked = run.folds["run"]
    tasks = ", ".join(asked.get("train_tasks", ()))
    sections = [
        _tables("run", "The run", [about_table(run)]),
        *_sections(run),
        _tables("configuration", "Configuration", [settings_table(run), environment_table(run)]),
    ]
    state = "" if run.outcome is not None else " It is not finished."
    return Page(
        kind="run",
        title=folder.resolve().name,
        lead=f"A model trained on {tasks}, validated on {', '.join(asked.get('validation_tasks', ()))}.{state}",
        sections=tuple(sections),
    )


def history_sections(folder: Path) -> tuple[Section, ...]:
    """What another page shows of a run: losses, unseen tasks, cuts.

    Raises
    ------
    SynthanomError
        As `read_run`.
    """
    return tuple(_sections(read_run(folder)))


def _sections(run: RunNumbers) -> Iterator[Section]:
    yield section(
        "losses",
        "Losses",
        "run/charts.html",
        charts=[plot_svg(plot) for plot in loss_plots(run)],
        words="" if run.history else "Nothing is logged yet.",
    )
    yield _tables("unseen", "Unseen tasks", [task_table(run)])
    yield section(
        "thresholds",
        "Thresholds",
        "run/thresholds.html",
        charts=[plot_svg(plot) for plot in calibration_plots(run)],
        tables=[grid(table) for table in (threshold_table(run), aggregation_table(run)) if table is not None],
    )
    if run.picture is not None and len(run.picture) <= MOST_BYTES:
        yield section("pictures", "Validation pictures", "run/picture.html", source=data_uri(run.picture))


def _tables(name: str, title: str, tables: list[Table | None]) -> Section:
    """A section of tables, those that there are."""
    found = [grid(table) for table in tables if table is not None]
    return section(name, title, "run/tables.html", tables=found, details=())


def calibration_plots(run: RunNumbers) -> Iterator[Plot]:
    """For images and pixels, what each cut would give, and what the stored ones reach on other subjects."""
    for level, words in LEVELS.items():
        yield from _curve_plot(run, level, words)
        yield from _reached_plot(run, level, words)


def _curve_plot(run: RunNumbers, level: str, words: str) -> Iterator[Plot]:
    """False-positive rate on healthy pictures and F on all against the cut; nothing for models that keep no curve."""
    training = {} if run.card is None else run.card.training
    curve = (training.get("threshold_curves") or {}).get(level)
    if run.card is None or not curve:
        return
    cuts = np.array(curve["cut"])
    beta = (training.get("calibration") or {}).get("beta", "")
    lines = (
        Line(name="false-positive rate, healthy", x=cuts, y=np.array(curve["false_positive_rate"]), colour=0),
        Line(name=f"F{beta}, synthetic", x=cuts, y=np.array(curve["f_beta"]), colour=1),
    )
    stored = [(k, run.card.thresholds.get(f"{level}_{rule}")) for k, rule in enumerate(RULES)]
    marks = [Mark(words=f"stored {x:.3g}", x=x, look="dashed", colour=k) for k, x in stored if x is not None]
    ends = [*cuts.tolist(), *(mark.x for mark in marks)]
    yield Plot(
        title=f"{words}: what a cut gives", x="cut", y="share", lines=lines, marks=tuple(marks),
        limits=((min(ends), max(*ends, min(ends) + 1e-9)), (0.0, 1.02)),
    )  # fmt: skip


def _reached_plot(run: RunNumbers, level: str, words: str) -> Iterator[Plot]:
    """Recall against the false-positive rate where each rule cuts, on subjects that it was not chosen on."""
    held_out = {} if run.card is None else run.card.training.get("held_out") or {}
    lines, marks = [], []
    for number, (rule, meaning) in enumerate(RULES.items()):
        found = held_out.get(f"{level}_{rule}", {})
        if "false_positive_rate" not in found or "sensitivity" not in found:
            continue
        rate, recall = found["false_positive_rate"], found["sensitivity"]
        name = f"cut by {meaning}"
        lines.append(_cross(name, (rate["low"], rate["high"]), (recall["value"],) * 2, number))
        lines.append(_cross(name, (rate["value"],) * 2, (recall["low"], recall["high"]), number))
        marks.append(Mark(words="", x=rate["value"], y=recall["value"], colour=number))
    if lines:
        right = max(0.05, *(1.1 * float(line.x.max()) for line in lines))
        yield Plot(
            title=f"{words}: what the stored cuts reach on other subjects", x="false-positive rate, healthy",
            y="recall, synthetic", lines=tuple(lines), marks=tuple(marks),
            limits=((0.0, min(1.0, right)), (0.0, 1.02)),
        )  # fmt: skip


def _cross(name: str, x: tuple[float, float], y: tuple[float, float], number: int) -> Line:
    return Line(name=name, x=np.array(x), y=np.array(y), colour=number)
