"""`cases.csv`: what a data set says of its healthy images beyond the images themselves."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from synthanom.manifest import replaced_file
from synthanom_builders.plan import Plan

NAME = "cases.csv"


def write_case_table(out: Path, plan: Plan, rows: Sequence[int]) -> bool:
    """Write a line for each healthy row, if the plan's cases have columns; whether they do.

    Parameters
    ----------
    rows : sequence of int
        Numbers of the cases that the healthy rows show, in order.
    """
    extra = sorted({name for case in plan.cases for name in case.columns})
    if not extra:
        return False
    folds = plan.resolved["folds"]
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["id", "subject", "fold", *extra])
    for number in rows:
        case = plan.cases[number]
        table.writerow([case.id, case.subject, folds[case.subject], *(case.columns.get(name, "") for name in extra)])
    with replaced_file(out / NAME) as file:
        file.write(text.getvalue().encode("utf-8"))
    return True
