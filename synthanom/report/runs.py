"""The report on several runs: what each reaches on tasks it never saw, how alike the tasks are, losses."""

from collections.abc import Sequence
from pathlib import Path

from synthanom.report.charts import plot_svg
from synthanom.report.grids import Grid, grid
from synthanom.report.page import Page, Section, section
from synthanom.report.runs_numbers import (
    MOST_LINES,
    RunsNumbers,
    loss_plots,
    model_table,
    read_runs,
    similarity,
    spread_table,
    unseen_table,
)
from synthanom.training.summary import SIMILARITY


def runs_page(folder: Path) -> Page:
    """The page about the runs in a folder.

    Raises
    ------
    SynthanomError
        As `synthanom.training.summary.find_trained`, or a log that cannot be read.
    """
    runs = read_runs(folder)
    alike = [grid(table, shaded=True) for table in similarity(runs)]
    unseen = [grid(unseen_table(runs, figure), shaded=True) for figure in SIMILARITY]
    models = [grid(model_table(runs, figure), shaded=True) for figure in SIMILARITY]
    sections = [_tables("unseen", "Unseen tasks", unseen, [("every model", models)])]
    if alike:
        sections.insert(0, _tables("similarity", "How alike the tasks are", alike))
    sections.append(_tables("spread", "Means", [grid(spread_table(runs))]))
    sections.append(_losses(runs))
    detectors = ", ".join(sorted({run.detector for run in runs.trained}))
    seeds = len({run.seed for run in runs.trained})
    return Page(
        kind="folder of runs",
        title=folder.resolve().name,
        lead=f"{len(runs.trained)} finished runs, {seeds} seed{'s' if seeds > 1 else ''}, detector {detectors}.",
        sections=tuple(sections),
    )


def _tables(name: str, title: str, tables: list[Grid], details: Sequence[tuple[str, list[Grid]]] = ()) -> Section:
    return section(name, title, "run/tables.html", tables=tables, details=details)


def _losses(runs: RunsNumbers) -> Section:
    words = ""
    if len(runs.trained) > MOST_LINES:
        words = f"{MOST_LINES} of {len(runs.trained)} runs, evenly spread."
    if runs.unfinished:
        names = ", ".join(runs.unfinished[:20]) + (" and more" if len(runs.unfinished) > 20 else "")
        words += f" {len(runs.unfinished)} runs are not finished and left out: {names}."
    return section(
        "losses", "Losses", "run/charts.html", charts=[plot_svg(plot) for plot in loss_plots(runs)], words=words.strip()
    )
