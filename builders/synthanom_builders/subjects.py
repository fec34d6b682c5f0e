"""Whom an image shows: by a table, by a pattern, or by the usual folder names."""

import csv
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from synthanom.errors import SynthanomError
from synthanom_builders.cases import Case

BIDS = re.compile(r"(?:^|/)(sub-[A-Za-z0-9]+)(?=[_/.]|$)")


def with_subjects(cases: Sequence[Case], rule: str | None) -> tuple[list[Case], str]:
    """Name the subject of every case, and say by which rule.

    Parameters
    ----------
    rule : str or None
        Path of a CSV file with the columns ``id`` (of the case, or the path of its image) and ``subject``; or a regular
        expression whose first group, searched in the image's path, is the subject; or None: ``sub-...`` as BIDS
        has it where a path holds it, else the subject that the case has already, else its id.

    Raises
    ------
    SynthanomError
        If the table or pattern is malformed, or leaves a case without a subject.
    """
    if rule is None:
        named = [replace(case, subject=_usual(case)) for case in cases]
        bids = sum(one.subject not in (case.id, case.subject) for one, case in zip(named, cases, strict=True))
        return (
            named,
            f"sub-... in the path of {bids} of {len(named)}, else each image" if bids else "each image its own",
        )
    if Path(rule).suffix.lower() in (".csv", ".tsv") or Path(rule).is_file():
        table = _table(Path(rule))
        return [replace(case, subject=_looked_up(case, table, rule)) for case in cases], f"the table {rule}"
    expression = _compiled(rule)
    return [replace(case, subject=_searched(case, expression)) for case in cases], f"the pattern {rule!r}"


def searched_or_own(case: Case, expression: re.Pattern[str]) -> Case:
    """The case with the subject that a pattern's group captures in its path; its own id where nothing matches."""
    match = expression.search(case.path)
    return replace(case, subject=match[1]) if match else case


def _usual(case: Case) -> str:
    match = BIDS.search(case.path)
    return match[1] if match else case.subject or case.id


def _table(path: Path) -> dict[str, str]:
    """id -> subject."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
            columns = set(rows.fieldnames or ())
            if not {"id", "subject"} <= columns:
                raise SynthanomError(
                    f"{path}: must have the columns id and subject, got {sorted(columns)}; rename them"
                )
            table: dict[str, str] = {}
            for row in rows:
                name, subject = (row["id"] or "").strip(), (row["subject"] or "").strip()
                if not subject or table.setdefault(name, subject) != subject:
                    raise SynthanomError(
                        f"{path}: line {rows.line_num} must give one subject for {name!r}, got {subject!r}; correct it"
                    )
    except (OSError, UnicodeError, csv.Error) as error:
        raise SynthanomError(f"{path}: must be a readable CSV file with the columns id and subject: {error}") from error
    return table


def _looked_up(case: Case, table: dict[str, str], rule: str) -> str:
    for name in (case.id, *(image.path for image in case.images)):
        if name in table:
            return table[name]
    raise SynthanomError(f"{rule}: must name the subject of {case.id!r} ({case.path}), got no such id; add a row")


def _compiled(rule: str) -> re.Pattern[str]:
    try:
        expression = re.compile(rule)
    except re.error as error:
        raise SynthanomError(
            f"--subjects {rule!r} must be a CSV file or a regular expression, got '{error}'"
        ) from error
    if expression.groups < 1:
        raise SynthanomError(
            f"--subjects {rule!r} is no file, and as a regular expression must have a group that captures the "
            "subject, got none; for example --subjects '(patient[0-9]+)'"
        )
    return expression


def _searched(case: Case, expression: re.Pattern[str]) -> str:
    match = expression.search(case.path)
    if match is None or not match[1]:
        raise SynthanomError(
            f"{case.path}: --subjects {expression.pattern!r} must capture its subject, got no match; change the pattern"
        )
    return match[1]
