"""How a command of `build-dataset` runs: what it says before, meanwhile and after, and its exit status."""

import os
from dataclasses import dataclass
from pathlib import Path

import typer

from synthanom import exits
from synthanom.errors import SynthanomError
from synthanom.long_runs import long_run
from synthanom.progress import Progress
from synthanom.run_log import log_beside
from synthanom.unfinished.parts import Part, parsed_part
from synthanom_builders.answers import build_answer, plan_answer, truth_answer
from synthanom_builders.build import Build, Lister, Outcome, build
from synthanom_builders.estimate import estimate
from synthanom_builders.known import KnownLister
from synthanom_builders.local_workers import MOST_ON_WINDOWS
from synthanom_builders.plan import Plan
from synthanom_builders.pool import Crew
from synthanom_builders.settings import BuildSettings
from synthanom_builders.truth import list_truth

SHOWN = 5  # skipped rows that are printed; the rest is in skipped.csv


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How a command builds, apart from what."""

    workers: int | None
    scheduler: str | None
    part: str | None
    mixed: bool
    dry_run: bool
    as_json: bool


def run_build(raw: Path, out: Path, settings: BuildSettings, lister: Lister, how: Manner) -> int:
    """Build, say what came of it, and return the exit status."""
    crew = _crew(how)
    part = parsed_part(how.part)
    with long_run(None if how.dry_run else log_beside(out), announce=True) as run:
        asked = Build(raw=raw.resolve(), out=out.resolve(), settings=settings, lister=lister, mixed=how.mixed)
        outcome = build(asked, crew=crew, progress=run.progress, dry_run=how.dry_run, part=part)
        if how.dry_run and outcome.manifest is None:
            _tell_plan(raw, outcome.workers, outcome.plan, run.progress, as_json=how.as_json)
            return exits.DONE
        status = exits.SKIPPED if outcome.skipped else exits.DONE
        words = _told(outcome, part, out, settings, run.progress)
        run.end(status, words, wrote=not outcome.already)
        log = run.log_path
    if how.as_json:
        exits.report(build_answer(outcome, part, out) | {"log": log}, status)
    else:
        typer.echo(words)
    return status


def run_list(raw: Path, out: Path, settings: BuildSettings, lister: KnownLister | None, how: Manner) -> int:
    """List a test set, say what came of it, and return the exit status."""
    if lister is None:
        raise SynthanomError(f"{settings.dataset}: has no scans whose truth is known; leave --test out")
    if settings.within is not None:
        raise SynthanomError("--test lists scans as they are, got --within; leave it out")
    if how.scheduler is not None:
        raise SynthanomError("--test lists on this machine, got --scheduler; leave it out")
    with long_run(None if how.dry_run else log_beside(out), announce=True) as run:
        found = list_truth(raw, out, settings, lister, size=_crew(how).size, progress=run.progress, dry_run=how.dry_run)
        for path, reason in found.skipped[:SHOWN]:
            run.progress.tell(f"skipped {path}: {reason}")
        for path, reason in found.skipped:
            run.progress.record(f"skipped {path}: {reason}")
        if len(found.skipped) > SHOWN:
            where = "" if how.dry_run else f", see {out / 'skipped.csv'}"
            run.progress.tell(f"skipped {len(found.skipped)} in all{where}")
        status = exits.SKIPPED if found.skipped else exits.DONE
        content = truth_answer(found, out)
        known = f"{content['anomalous']} anomalous, {content['healthy']} healthy, {content['masks']} masks"
        after = "nothing was written" if how.dry_run else f"score them with synthanom predict --input {out}"
        words = f"{out}: {content['scans']} scans to test on ({known}); {after}"
        run.end(status, words)
        log = run.log_path
    if how.as_json:
        exits.report(content | {"dry_run": how.dry_run, "log": log}, status)
    else:
        typer.echo(words)
    return status


def _crew(how: Manner) -> Crew:
    """Who does the work; by default as many processes as there are cores that this one may use."""
    if how.scheduler is not None and how.workers is not None:
        raise SynthanomError(
            "--workers must be left out with --scheduler, whose cluster has as many workers as were started there, got "
            f"{how.workers}"
        )
    told = hasattr(os, "sched_getaffinity")  # on Linux
    cores = len(os.sched_getaffinity(0)) if told else min(os.cpu_count() or 1, MOST_ON_WINDOWS)
    return Crew(size=cores if how.workers is None else how.workers, scheduler=how.scheduler)


def _told(outcome: Outcome, part: Part | None, out: Path, settings: BuildSettings, progress: Progress) -> str:
    """Say on stderr what was skipped; the outcome in one line."""
    for row in outcome.skipped[:SHOWN]:
        progress.tell(f"skipped {row.path} ({row.stage}): {row.reason}")
    if outcome.manifest is None:
        more = f"; {len(outcome.skipped)} rows skipped" if outcome.skipped else ""
        return f"{out}: part {part} done{more}; when all are: synthanom merge {out}"
    manifest = outcome.manifest
    counts = f"{manifest.counts['healthy']} healthy images, {manifest.counts['anomalies']} anomalies"
    if outcome.already:
        return f"{out}: finished already ({counts}); nothing was written"
    if len(outcome.skipped) > SHOWN:
        progress.tell(f"skipped {len(outcome.skipped)} in all, see {out / 'skipped.csv'}")
    size = sum(file.bytes for file in manifest.files)
    tasks = f"{len(settings.tasks)} tasks x {settings.variants} variants, {settings.folds} folds"
    return f"{out}: {counts} ({tasks}), {_size(size)}"


def _tell_plan(raw: Path, workers: int, plan: Plan, progress: Progress, *, as_json: bool) -> None:
    """List what a build would make."""
    needs = estimate(raw.resolve(), plan, workers, track=progress.track)
    if as_json:
        exits.report(plan_answer(plan, needs, workers))
        return
    folds = plan.resolved["folds"]
    typer.echo("fold  subject  image")
    for case, problem in zip(plan.cases, plan.problems, strict=True):
        typer.echo(f"{folds[case.subject]:4}  {case.subject}  {case.id}" + (f"  SKIPPED: {problem}" if problem else ""))
    usable = sum(not problem for problem in plan.problems)
    rows = usable * plan.variants * len(plan.tasks)
    typer.echo(f"images: {usable} of {len(plan.cases)}, {len(set(folds))} subjects in {len(set(folds.values()))} folds")
    typer.echo(f"shape: {' x '.join(map(str, plan.shape))}, channels: {plan.channels}")
    typer.echo(f"rows: {usable} healthy, up to {rows} anomalous ({', '.join(plan.tasks)}; {plan.variants} variants)")
    if needs is None:
        typer.echo("disk and time: unknown; nothing was written")
    else:
        what = f"disk: about {_size(needs.bytes)}; time: about {_duration(needs.seconds)} with {workers} workers"
        typer.echo(f"{what}; nothing was written")


def _size(count: int) -> str:
    """A number of bytes for people."""
    for power, unit in ((3, "GB"), (2, "MB"), (1, "kB")):
        if count >= 1000**power:
            return f"{count / 1000**power:.3g} {unit}"
    return f"{count} bytes"


def _duration(seconds: float) -> str:
    """A length of time for people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
