"""Evaluations as tables of text: for terminals, Markdown and CSV."""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from synthanom.evaluation.rows import Evaluation
from synthanom.metrics import Interval

Cell = str | float | int | Interval | None
SAMPLES = "samples"
SHORT = {
    "average_precision": "AP",
    "roc_auc": "AUROC",
    "aupro": "AUPRO",
    "at_prevalence": "AP at prevalence",
    "dice": "Dice",
    "f_beta": "F",
    "accuracy": "accuracy",
    "precision": "precision",
    "recall": "recall",
    "specificity": "specificity",
    "negative_predictive_value": "NPV",
    "precision_at_prevalence": "precision at prevalence",
    "negative_predictive_value_at_prevalence": "NPV at prevalence",
}


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table: figures as intervals in [0, 1], shown in per cent; the first `left` columns are words."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    left: int = 3
    captions: tuple[str, ...] = ()


def tables_of(found: Evaluation) -> dict[str, Table]:
    """The tables of an evaluation by the name of their files; empty ones are left out."""
    made = {
        "ranking": ranking_table(found),
        "cuts": cut_table(found),
        "differences": difference_table(found),
        SAMPLES: sample_table(found),
    }
    return {name: table for name, table in made.items() if table.rows}


def ranking_table(found: Evaluation) -> Table:
    """Average precision, AUROC and AUPRO of everything, chance included."""
    reweighted = [f"{SHORT['at_prevalence']} {_shares(found)}"] if found.choices.prevalence else []
    rows = []
    for row in found.rows:
        extra = [row.at_prevalence] if reweighted else []
        figures = (row.average_precision, row.roc_auc, row.aupro, *extra)
        rows.append((row.level, row.maps, row.score, *figures, f"{row.positives} of {row.count}"))
    return Table(
        title=heading(found),
        columns=("level", "maps", "score", "AP", "AUROC", "AUPRO", *reweighted, "positive"),
        rows=tuple(rows),
        captions=found.captions,
    )


def cut_table(found: Evaluation, *, maps: Iterable[str] | None = None, figures: Iterable[str] = SHORT) -> Table:
    """Figures at cuts, of all maps or those named."""
    wanted = None if maps is None else set(maps)
    chosen = [row for row in found.cuts if wanted is None or row.maps in wanted]
    names = [name for name in figures if any(name in row.figures for row in chosen)]
    titles = [SHORT[name] if name != "f_beta" else f"F{found.choices.beta:g}" for name in names]
    return Table(
        title=f"at cuts; oracle is the cut of the best F{found.choices.beta:g} on this very truth",
        columns=("level", "maps", "score", "cut chosen", "cut", *titles),
        rows=tuple(
            (r.level, r.maps, r.score, r.chosen, None if np.isnan(r.cut) else float(f"{r.cut:.6g}"),
             *(r.figures.get(name) for name in names))
            for r in chosen
        ),
        left=4,
        captions=(
            *(lesion_captions(found) if any(row.level == "lesion" for row in chosen) else ()),
            *(found.captions if maps is None else ()),
        ),
    )  # fmt: skip


def difference_table(found: Evaluation, *, maps: Iterable[str] | None = None, figures: Iterable[str] = SHORT) -> Table:
    """The model minus other maps, of all or those named."""
    wanted, asked = None if maps is None else set(maps), list(figures)
    chosen = [row for row in found.differences if wanted is None or row.against in wanted]
    chosen = [row for row in chosen if set(asked) & set(row.figures)]
    names = [name for name in asked if any(name in row.figures for row in chosen)]
    titles = [SHORT[name] if name != "f_beta" else f"F{found.choices.beta:g}" for name in names]
    return Table(
        title="the model minus other maps, on the same resamples of subjects; an interval without 0 is a difference",
        columns=("level", "against", "score", "cut chosen", *titles),
        rows=tuple((r.level, r.against, r.score, r.chosen, *(r.figures.get(n) for n in names)) for r in chosen),
        left=4,
    )


def sample_table(found: Evaluation) -> Table:
    """Every image with its scores."""
    ways = list(found.samples[0].scores) if found.samples else []
    return Table(
        title="scores of every image",
        columns=("id", "subject", "anomalous", *ways),
        rows=tuple((s.id, s.subject, int(s.anomalous), *(s.scores[way] for way in ways)) for s in found.samples),
        left=2,
    )


def heading(found: Evaluation) -> str:
    """What was evaluated."""
    setup = ", CRADL setup" if found.choices.setup == "cradl" else ""
    return f"{found.images} images of {found.subjects} subjects{setup}; 95 % intervals by subject"


def lesion_captions(found: Evaluation) -> tuple[str, ...]:
    """How lesions are counted."""
    share = f"{100 * found.choices.overlap:g} %"
    return (
        f"a lesion is found where at least {share} of its voxels are called; a called part is right where at least "
        f"{share} of its voxels lie in lesions; chance calls no parts, so it has no line",
    )


def markdown(table: Table) -> str:
    """A table as Markdown, its title above and its captions below."""
    marks = [":--" if k < table.left else "--:" for k in range(len(table.columns))]
    lines = [list(table.columns), marks, *([shown(cell).replace("|", "\\|") for cell in row] for row in table.rows)]
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    below = "".join(f"\n* {caption}" for caption in table.captions)
    return f"{table.title}\n\n{text}\n" + (f"{below}\n" if below else "")


def comma_separated(table: Table) -> str:
    """A table as CSV: a figure is its value, and the ends of its interval in columns of their own."""
    spread = [any(isinstance(row[k], Interval) for row in table.rows) for k in range(len(table.columns))]
    head: list[str] = []
    for name, wide in zip(table.columns, spread, strict=True):
        head += [name, f"{name} low", f"{name} high"] if wide else [name]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    for row in table.rows:
        cells: list[str] = []
        for cell, wide in zip(row, spread, strict=True):
            cells += _numbers(cell) if wide else [_plain(cell)]
        writer.writerow(cells)
    return text.getvalue()


def shown(cell: Cell) -> str:
    """A cell for people."""
    if isinstance(cell, Interval):
        return interval_text(cell)
    if isinstance(cell, float):
        return f"{cell:.4g}"
    return "" if cell is None else str(cell)


def interval_text(interval: Interval) -> str:
    """A figure in per cent with its interval, where it has one; a dash where it is undefined."""
    if np.isnan(interval.value):
        return "-"
    text = f"{100 * interval.value:.1f}"
    if interval.draws == 0 or np.isnan(interval.low):
        return text
    return f"{text} [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def _shares(found: Evaluation) -> str:
    return ", ".join(f"{level} {100 * share:g} %" for level, share in found.choices.prevalence.items())


def _numbers(cell: Cell) -> list[str]:
    if not isinstance(cell, Interval):
        return ["", "", ""]
    return ["" if np.isnan(v) else repr(float(v)) for v in (cell.value, cell.low, cell.high)]


def _plain(cell: Cell) -> str:
    return "" if cell is None else repr(cell) if isinstance(cell, float) else str(cell)
