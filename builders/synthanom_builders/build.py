"""The stages of a build: discover, plan, healthy images, anomalies, the manifest last; whole, or a part of it."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from synthanom.errors import SynthanomError
from synthanom.manifest import NAME as MANIFEST
from synthanom.manifest import Manifest, read_manifest
from synthanom.progress import Progress
from synthanom.temporaries import remove_leftovers
from synthanom.unfinished.draft import write_draft
from synthanom.unfinished.finishing import finish, tidy, written_in
from synthanom.unfinished.lock import NAME as LOCK
from synthanom.unfinished.lock import locked, waited_for
from synthanom.unfinished.parts import Part, note_part
from synthanom.unfinished.records import FOLDER, Skipped
from synthanom.unfinished.tables import in_order
from synthanom_builders import plan as plans
from synthanom_builders.abstract_workers import AbstractPool, Needs
from synthanom_builders.cases import check_folder
from synthanom_builders.drafting import draft_of
from synthanom_builders.folder import Listing
from synthanom_builders.plan import Plan, write_plan
from synthanom_builders.planning import TooFewSubjects, existing_plan, keeps, make_plan, requested
from synthanom_builders.pool import Crew, workers
from synthanom_builders.priors import with_box_priors
from synthanom_builders.settings import BuildSettings
from synthanom_builders.stages import anomaly_stage, healthy_stage, tell_skipped
from synthanom_builders.survey import survey
from synthanom_builders.units import Place, survey_unit

SURVEYED_TOGETHER = 16  # cases per job: reading a small picture takes less than handing out a job
PLAN_LOCK = ".plan.lock"

Lister = Callable[[Path, Path, BuildSettings], Listing]  # (raw, out, settings): a data set's file has one


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a build came to.

    Attributes
    ----------
    manifest : Manifest or None
        None for a dry run, and for a part.
    plan : Plan
    skipped : tuple of Skipped
        Rows left out, in order; empty for a data set that had been finished before.
    already : bool
        Whether the data set had been finished before.
    workers : int
        How many processes there were to do the work.
    """

    manifest: Manifest | None
    plan: Plan
    skipped: tuple[Skipped, ...]
    already: bool
    workers: int


@dataclass(frozen=True, kw_only=True)
class Build:
    """What one command was asked to build, and where.

    Attributes
    ----------
    raw, out : Path
        Folder of the raw data, and of the data set; absolute.
    settings : BuildSettings
    lister : function of (raw, out, settings)
        A data-set file's: lists the cases.
    mixed : bool
        Whether units may be made under another fingerprint than the plan's.
    """

    raw: Path
    out: Path
    settings: BuildSettings
    lister: Lister
    mixed: bool = False

    def place(self, plan: Plan) -> Place:
        """What a worker is told."""
        donors = self.settings.donors and self.settings.donors.resolve()
        return Place(raw=self.raw, out=self.out, plan=plan.digest, donors=donors, mixed=self.mixed)


def build(asked: Build, *, crew: Crew, progress: Progress, dry_run: bool = False, part: Part | None = None) -> Outcome:
    """Build a data set, or go on with one.

    Parameters
    ----------
    asked : Build
    crew : Crew
        Who does the work; the bytes do not depend on it.
    progress : Progress
    dry_run : bool
        Plan only, write nothing.
    part : Part, optional
        Make the units of this part only; `synthanom merge` finishes the data set.

    Raises
    ------
    SynthanomError
        For inputs, settings or an output folder that do not allow it; what is finished is kept.
    """
    check_folder(asked.raw)
    with workers(crew) as pool:
        pool.admit(Needs(raw=asked.raw, codec=asked.settings.codec, mixed=asked.mixed))
        if dry_run:
            plan, fresh = _planned(pool, asked, progress)
            there = not fresh and (asked.out / MANIFEST).exists()
            return Outcome(
                manifest=read_manifest(asked.out) if there else None,
                plan=plan,
                skipped=(),
                already=there,
                workers=pool.size,
            )
        if part is not None and not (asked.out / MANIFEST).exists():
            return _part(pool, asked, part, progress)
        return _whole(pool, asked, progress)


def _whole(pool: AbstractPool, asked: Build, progress: Progress) -> Outcome:
    plan, fresh = _planned(pool, asked, progress)
    if (asked.out / MANIFEST).exists() and not fresh:
        return _finished_before(pool, asked.out, plan)
    progress.record(_about(plan))
    with locked(asked.out):
        _settle(asked, plan, fresh=fresh)
        with _stopped_at_once(pool, asked.out):
            pool.enter(asked.out, progress.note)
            return _all_stages(pool, asked, plan, progress)


def _part(pool: AbstractPool, asked: Build, part: Part, progress: Progress) -> Outcome:
    """The units of one part; others may be at work in the same folder."""
    out = asked.out
    alone = locked(out, f".{part.name}.lock", held_by=f"another part {part}")
    with locked(out, shared=True), alone, _stopped_at_once(pool, out):
        with waited_for(out, PLAN_LOCK, lambda: progress.note("another part is planning; waiting for it")):
            plan, fresh = _planned(pool, asked, progress)
            _settle(asked, plan, fresh=fresh)
        pool.enter(out, progress.note)
        note_part(out, part)
        progress.record(_about(plan))
        place = asked.place(plan)
        healthy = healthy_stage(pool, place, plan, progress, part)
        own = {*part.share([("healthy", record.number) for record in healthy])}
        records = [
            *(record for record in healthy if ("healthy", record.number) in own),
            *anomaly_stage(pool, place, plan, progress, part),
        ]
    left_out = tuple(in_order(draft_of(plan), records))
    return Outcome(manifest=None, plan=plan, skipped=left_out, already=False, workers=pool.size)


@contextmanager
def _stopped_at_once(pool: AbstractPool, out: Path) -> Iterator[None]:
    """End the workers first if the block ends by an exception, so that nothing appears once the lock is gone."""
    try:
        yield
    except BaseException:
        pool.stop()
        raise
    finally:
        remove_leftovers(written_in(out))


def _planned(pool: AbstractPool, asked: Build, progress: Progress) -> tuple[Plan, bool]:
    """The plan in the folder if it is what the command asks for, else a new one; whether it is new."""
    old = existing_plan(asked.out)
    listing = asked.lister(asked.raw, asked.out, asked.settings)
    cases, notes = with_box_priors(listing.cases, asked.settings.within)
    listing = replace(listing, cases=cases, notes=(*listing.notes, *notes))
    for note in listing.notes:
        progress.note(note)
    request = requested(listing, asked.settings)
    if old is not None and keeps(asked.out, old, request, mixed=asked.mixed):
        if not (asked.out / MANIFEST).exists():
            progress.note("going on with the build that is there")
        return old, False
    return _new_plan(pool, asked.raw, listing, asked.settings, progress), True


def _finished_before(pool: AbstractPool, out: Path, plan: Plan) -> Outcome:
    """The data set that is there, without what a build left that was killed after `dataset.json` was written."""
    if (out / FOLDER).exists() or (out / LOCK).exists():
        # it cannot be written, or is just being tidied: the data set is whole either way
        with suppress(SynthanomError), locked(out):
            tidy(out)
    return Outcome(manifest=read_manifest(out), plan=plan, skipped=(), already=True, workers=pool.size)


def _about(plan: Plan) -> str:
    """What a log should say of a plan."""
    versions = ", ".join(f"{name} {value}" for name, value in plan.environment.items())
    rows = f"{plan.unit_rows} rows a unit"
    return f"plan {plan.digest}: {len(plan.cases)} images, {', '.join(plan.tasks)}, {rows}; fingerprint: {versions}"


def _new_plan(pool: AbstractPool, raw: Path, listing: Listing, settings: BuildSettings, progress: Progress) -> Plan:
    """Look at every case, and plan."""
    cases = listing.cases
    jobs = [(raw, cases[i : i + SURVEYED_TOGETHER], settings) for i in range(0, len(cases), SURVEYED_TOGETHER)]
    unit = f"jobs of up to {SURVEYED_TOGETHER}"
    found = dict(progress.track("looking at the images", pool.run(survey_unit, jobs), len(jobs), unit=unit))
    decided = survey([finding for i in range(len(jobs)) for finding in found[i]], settings)
    for note in decided.notes:
        progress.note(note)
    try:
        return make_plan(listing, settings, decided)
    except SynthanomError:
        tell_skipped(progress, [(case.path, problem) for case, problem in zip(cases, decided.problems, strict=True)])
        raise


def _settle(asked: Build, plan: Plan, *, fresh: bool) -> None:
    """Write a fresh plan, and what finishing needs to know of it; another build may have been faster."""
    out = asked.out
    remove_leftovers(written_in(out))
    now = existing_plan(out)
    finished = (out / MANIFEST).exists()
    if now is None or now.digest != plan.digest or finished:
        kept = now is not None and keeps(out, now, plan.request, mixed=asked.mixed)
        if finished or not fresh or kept:
            raise SynthanomError(f"{out}: another build wrote there meanwhile; run the same command again")
        write_plan(out, plan)
    write_draft(out, draft_of(plan))


def _all_stages(pool: AbstractPool, asked: Build, plan: Plan, progress: Progress) -> Outcome:
    place = asked.place(plan)
    try:
        healthy = healthy_stage(pool, place, plan, progress)
    except TooFewSubjects:
        _abandon(asked.out)
        raise
    records = [*healthy, *anomaly_stage(pool, place, plan, progress)]
    manifest, skipped = finish(asked.out, draft_of(plan), records, mixed=asked.mixed)
    return Outcome(manifest=manifest, plan=plan, skipped=skipped, already=False, workers=pool.size)


def _abandon(out: Path) -> None:
    """Remove what a plan left that can never be finished, so that the command works once its inputs are mended."""
    (out / plans.NAME).unlink()
    for name in ("healthy", FOLDER):
        shutil.rmtree(out / name, ignore_errors=True)  # there may have been nothing to write
