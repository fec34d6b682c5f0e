"""Evaluations in the layout of the paper's Tables 1 and 2: data sets side by side, splits and models below each other.

References
----------
Baugh et al., Many tasks make light work, MICCAI 2023.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from synthanom.errors import SynthanomError
from synthanom.evaluation.figures import PREFERRED
from synthanom.evaluation.rows import MODEL, RANDOM
from synthanom.evaluation.tables import Table
from synthanom.evaluation.trivial import TRIVIAL

Numbers = Mapping[str, Any]  # what `Evaluation.to_dict` gives
TITLES = {"slice": "slice-wise", "pixel": "pixel-wise", "sample": "sample-wise"}
CAPTIONS = (
    "AP/AUROC in per cent. Samples count by the score that the model stores, slices and trivial maps by the mean of "
    "the top quarter. Random is a random classifier; intervals are in ranking.md of each evaluation",
)
BOLD = "the best AP of the methods is bold"
NO_TRIVIAL = "no trivial maps: evaluate with --images to have them"
SPREAD = "all: mean±s.d. of the single models' AP; ens.: AP of their mean"
UNKNOWN = "?"


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column: volumes count by slice, pictures by sample, both by pixel."""

    level: str
    data_set: str

    @property
    def title(self) -> str:
        """For the head of the table."""
        return f"{TITLES[self.level]} {self.data_set}"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One evaluation: its split of tasks, and the number of its model there, None for an ensemble."""

    numbers: Numbers
    split: str
    model: str | None

    @property
    def setup(self) -> str:
        """Added to the names of methods."""
        return " (CRADL setup)" if self.numbers.get("choices", {}).get("setup") == "cradl" else ""


def paper_tables(evaluations: Sequence[Numbers]) -> dict[str, Table]:
    """Tables 1 and 2 of evaluations, as JSON, of one or several models on one or several data sets.

    Raises
    ------
    SynthanomError
        None given, or two of one model on one data set.
    """
    if not evaluations:
        raise SynthanomError("tables need at least one evaluation, got none; name files of synthanom evaluate --out")
    entries = sorted((_entry(numbers) for numbers in evaluations), key=lambda e: (e.split, e.model is None, _number(e)))
    columns = tuple(_columns(entries))
    _check_once(entries)
    return {"table1": _first(entries, columns), "table2": _second(entries, columns)}


def _first(entries: Sequence[Entry], columns: Sequence[Column]) -> Table:
    """Methods above, splits below."""
    rows = [("method", "", name, *cells) for name, cells in _methods(entries, columns)]
    for split in dict.fromkeys(e.split for e in entries if e.split != UNKNOWN):
        own = [e for e in entries if e.split == split and not e.setup]
        spread = [_spread([e for e in own if e.model is not None], column) for column in columns]
        together = [_figure(_of(own, None, column), column, MODEL, pair=False) for column in columns]
        rows += [("split", split, "all", *spread)] if any(spread) else []
        rows += [("split", split, "ens.", *together)] if any(together) else []
    head = ("part", "train/val.", "maps", *(column.title for column in columns))
    return Table(title="Table 1", columns=head, rows=tuple(rows), captions=(*_captions(entries), BOLD, SPREAD))


def _second(entries: Sequence[Entry], columns: Sequence[Column]) -> Table:
    """A line for each model and each ensemble, then what knows nothing."""
    rows: list[tuple[str, ...]] = []
    for split, model, setup in dict.fromkeys((e.split, e.model, e.setup) for e in entries):
        own = [e for e in entries if (e.split, e.setup) == (split, setup)]
        cells = [_figure(_of(own, model, column), column, MODEL) for column in columns]
        rows.append((split + setup, "ens." if model is None else model, *cells))
    rows += [("", name, *cells) for name, cells in _methods(entries, columns, ours=False)]
    head = ("train/val.", "model", *(column.title for column in columns))
    return Table(title="Table 2", columns=head, rows=tuple(rows), left=2, captions=_captions(entries))


def _captions(entries: Sequence[Entry]) -> tuple[str, ...]:
    maps = {row["maps"] for entry in entries for row in entry.numbers["rows"]}
    return CAPTIONS if maps & set(TRIVIAL) else (*CAPTIONS, NO_TRIVIAL)


def _methods(
    entries: Sequence[Entry], columns: Sequence[Column], *, ours: bool = True
) -> Iterator[tuple[str, list[str]]]:
    """Other maps, the random classifier, and the model: an ensemble of the fewest training tasks if there is one."""
    for setup in dict.fromkeys(entry.setup for entry in entries):
        own = [entry for entry in entries if entry.setup == setup]
        names = dict.fromkeys(row["maps"] for entry in own for row in entry.numbers["rows"])
        order = [name for name in names if name not in (MODEL, RANDOM)] + [RANDOM] + [MODEL] * ours
        best = {column: _best(own, column, order) for column in columns}
        for name in order:
            cells = []
            for column in columns:
                cell = _figure(_chosen(own, column), column, name)
                cells.append(f"**{cell}**" if cell and best[column] == name and ours else cell)
            yield {MODEL: "ours", RANDOM: "random"}.get(name, name) + setup, cells


def _best(entries: Sequence[Entry], column: Column, names: Sequence[str]) -> str | None:
    rows = [(name, _row(_chosen(entries, column), column, name)) for name in names]
    known = [(row["average_precision"]["value"], name) for name, row in rows if row is not None]
    return max((pair for pair in known if pair[0] is not None), default=(0, None))[1]


def _chosen(entries: Sequence[Entry], column: Column) -> Entry | None:
    here = [e for e in entries if e.numbers["data_set"] == column.data_set]
    return next((e for e in here if e.model is None), next(iter(here), None))


def _of(entries: Sequence[Entry], model: str | None, column: Column) -> Entry | None:
    return next((e for e in entries if e.model == model and e.numbers["data_set"] == column.data_set), None)


def _spread(entries: Sequence[Entry], column: Column) -> str:
    rows = [_row(entry, column, MODEL) for entry in entries if entry.numbers["data_set"] == column.data_set]
    values = [100 * row["average_precision"]["value"] for row in rows if row and row["average_precision"]["value"]]
    if not values:
        return ""
    return f"{np.mean(values):.1f}±{np.std(values, ddof=1):.1f}" if len(values) > 1 else f"{values[0]:.1f}"


def _figure(entry: Entry | None, column: Column, maps: str, *, pair: bool = True) -> str:
    row = _row(entry, column, maps)
    if row is None:
        return ""
    values = [row[name]["value"] for name in ("average_precision", "roc_auc")[: 1 + pair]]
    return "/".join("-" if value is None else f"{100 * value:.1f}" for value in values)


def _row(entry: Entry | None, column: Column, maps: str) -> Any:
    """The line of these maps at a column's level, by the first of the preferred scores."""
    if entry is None or entry.numbers["data_set"] != column.data_set:
        return None
    rows = {r["score"]: r for r in entry.numbers["rows"] if r["maps"] == maps and r["level"] == column.level}
    return next((rows[score] for score in PREFERRED if score in rows), None)


def _columns(entries: Sequence[Entry]) -> Iterator[Column]:
    """Volumes first, as in the paper; each level with all its data sets."""
    levels: dict[str, set[str]] = {}
    for entry in entries:
        found = {row["level"] for row in entry.numbers["rows"]}
        levels.setdefault(entry.numbers["data_set"], set()).update(found)
    for whole in ("slice", "sample"):
        part = [name for name, found in levels.items() if ("slice" in found) == (whole == "slice")]
        for level in (whole, "pixel"):
            yield from (Column(level=level, data_set=name) for name in part if level in levels[name])


def _entry(numbers: Numbers) -> Entry:
    models = numbers.get("models", [])
    runs = [model.get("run") or {} for model in models]
    splits = {f"{len(r['train_tasks'])}/{len(r['validation_tasks'])}" for r in runs if r.get("train_tasks")}
    split = splits.pop() if len(splits) == 1 else UNKNOWN
    if len(models) > 1:
        return Entry(numbers=numbers, split=split, model=None)
    name = str(models[0].get("name", "")) if models else ""
    return Entry(numbers=numbers, split=split, model=str(runs[0].get("number", name)) if runs else "0")


def _number(entry: Entry) -> tuple[int, str]:
    return (int(entry.model), "") if entry.model and entry.model.isdigit() else (0, entry.model or "")


def _check_once(entries: Sequence[Entry]) -> None:
    seen: set[tuple[str, str | None, str, str]] = set()
    for entry in entries:
        key = (entry.split, entry.model, entry.setup, str(entry.numbers["data_set"]))
        if key in seen:
            what = "an ensemble" if entry.model is None else f"model {entry.model}"
            raise SynthanomError(
                f"each model must be evaluated once on a data set, got {what} of split {entry.split} twice on "
                f"{key[3]!r}; name each evaluation once"
            )
        seen.add(key)
