"""The tables beside the shards: what was left out, and what else is known of the healthy images."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from synthanom.manifest import replaced_file
from synthanom.unfinished.draft import Draft
from synthanom.unfinished.records import Skipped, UnitRecord

SKIPPED, CASES = "skipped.csv", "cases.csv"


def write_skipped(out: Path, skipped: Sequence[Skipped]) -> None:
    """Write a line for every row left out.

    Raises
    ------
    SynthanomError
        If it cannot be written.
    """
    rows = [[row.id, row.path, row.stage, "" if row.variant is None else row.variant, row.reason] for row in skipped]
    _write(out / SKIPPED, ["id", "path", "stage", "variant", "reason"], rows)


def in_order(draft: Draft, records: Sequence[UnitRecord]) -> list[Skipped]:
    """Rows left out, by stage, case and variant."""
    place = {name: number for number, name in enumerate(draft.ids)}
    order = {name: number for number, name in enumerate(("read", "prepare", *draft.units))}
    rows = [row for record in records for row in record.skipped]
    return sorted(rows, key=lambda row: (order[row.stage], place[row.id], row.variant or 0))


def write_cases(out: Path, draft: Draft, shown: Sequence[int]) -> bool:
    """Write a line for each healthy row, if the cases have columns; whether they do.

    Parameters
    ----------
    shown : sequence of int
        Numbers of the cases that the healthy rows show, in order.

    Raises
    ------
    SynthanomError
        If it cannot be written.
    """
    extra = sorted({name for row in draft.columns for name in row})
    if not extra:
        return False
    folds = draft.manifest.folds
    rows = []
    for case in shown:
        subject = draft.subjects[case]
        further = (draft.columns[case].get(name, "") for name in extra)
        rows.append([draft.ids[case], subject, folds[subject], *further])
    _write(out / CASES, ["id", "subject", "fold", *extra], rows)
    return True


def _write(path: Path, head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([head, *rows])
    with replaced_file(path) as file:
        file.write(text.getvalue().encode("utf-8"))
