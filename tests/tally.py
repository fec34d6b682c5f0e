"""What came of faults of builds and of damage to data sets: how many were tried, and how they ended."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

# under which a test's report carries what came of it; reports travel between processes
PROPERTY = "fault"
DAMAGES = "damages"


def table(trials: Iterable[Mapping[str, Any]]) -> list[str]:
    """A line per kind of fault, and their total; nothing if there were none."""
    return _counted("fault", ("survived", "bytes equal"), [
        (trial["fault"], (trial["survived"], trial["bytes_equal"])) for trial in trials
    ])  # fmt: skip


def damage_table(trials: Iterable[Mapping[str, Any]]) -> list[str]:
    """A line per part of a data set that was damaged, and their total; nothing if none was.

    A reader that was not refused gave the right values, unless it is counted as wrong: other values, another error than
    ours, a crash, or damage that `check` did not notice.
    """
    return _counted("damaged", ("noticed", "refused", "right", "wrong"), [
        (trial["part"], _ends(trial)) for trial in trials
    ])  # fmt: skip


def _ends(trial: Mapping[str, Any]) -> tuple[bool, ...]:
    bad = bool(trial["words"])
    return trial["noticed"], trial["refused"] and not bad, not trial["refused"] and not bad, bad


def _counted(title: str, columns: Sequence[str], ends: Iterable[tuple[str, Sequence[bool]]]) -> list[str]:
    """How many of each kind, and how many of them ended in each way."""
    counts: dict[str, list[int]] = {}
    for kind, counted in ends:
        for name in (kind, "all"):
            row = counts.setdefault(name, [0] * (1 + len(columns)))
            for column, true in enumerate((True, *counted)):
                row[column] += true
    if not counts:
        return []
    total = counts.pop("all")  # last
    width = max(map(len, (title, *counts)))
    widths = [max(5, len(name)) for name in ("tried", *columns)]
    lines = [(title, ("tried", *columns)), *sorted(counts.items()), ("all", total)]
    return [
        f"{kind:{width}}" + "".join(f"  {cell:>{wide}}" for cell, wide in zip(cells, widths, strict=True))
        for kind, cells in lines
    ]
