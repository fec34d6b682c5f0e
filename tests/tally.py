"""The tally of faults: how many were tried, how many a build survived, and whether its bytes were right in the end."""

from collections.abc import Iterable, Mapping
from typing import Any

PROPERTY = "fault"  # under which a test's report carries what came of a fault; reports travel between processes


def table(trials: Iterable[Mapping[str, Any]]) -> list[str]:
    """A line per kind of fault, and their total; nothing if there were none."""
    counts: dict[str, list[int]] = {}
    for trial in trials:
        for kind in (trial["fault"], "all"):
            row = counts.setdefault(kind, [0, 0, 0])
            for column, counted in enumerate((True, trial["survived"], trial["bytes_equal"])):
                row[column] += counted
    if not counts:
        return []
    counts["all"] = counts.pop("all")  # last
    width = max(len(kind) for kind in counts)
    head = f"{'fault':{width}}  tried  survived  bytes equal"
    return [head, *(f"{kind:{width}}  {row[0]:5}  {row[1]:8}  {row[2]:11}" for kind, row in counts.items())]
