"""What `synthanom check` says."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from synthanom import exits, shards
from synthanom.manifest import read_manifest
from synthanom.progress import shown
from synthanom.replaying import ReplayReport, check_replay


def check_data(data: Path, *, replay: bool, donors: Sequence[Path], as_json: bool) -> int:
    """Check a data set, say what was found, and return the exit status.

    Raises
    ------
    SynthanomError
        If its donors cannot be opened.
    """
    progress = shown()
    problems = shards.check(data, track=progress.track)
    answer: dict[str, Any] = {"data": str(data), "problems": problems, "files": None, "rows": None, "replay": None}
    lines = list(problems)
    if not problems:
        manifest = read_manifest(data)
        answer |= {"files": len(manifest.files), "rows": sum(manifest.counts.values())}
        lines.append(f"fine: {answer['files']} files, {answer['rows']} rows")
    if not as_json:  # what is known is shown before replaying, which takes longer
        _show(lines)
    if replay and not problems:
        report = check_replay(data, donors, track=progress.track)
        answer |= {"problems": list(report.problems), "replay": _replayed(report)}
        if not as_json:
            _show([*report.problems, _summary(report)])
    status = exits.REFUSED if answer["problems"] else exits.DONE
    if as_json:
        exits.report(answer, status)
    return status


def _show(lines: list[str]) -> None:
    for line in lines:
        typer.echo(line)


def _replayed(report: ReplayReport) -> dict[str, Any]:
    return {
        "rows": report.rows,
        "same_fingerprint": report.same_fingerprint,
        "largest_difference": None if math.isnan(report.largest_difference) else report.largest_difference,
    }


def _summary(report: ReplayReport) -> str:
    demanded = "equality (same fingerprint)" if report.same_fingerprint else "agreement within 1e-4 of the range"
    summary = f"{report.rows} rows replayed, {demanded} demanded, largest difference {report.largest_difference:.2g}"
    return f"{len(report.problems)} of {summary}" if report.problems else f"fine: {summary}"
