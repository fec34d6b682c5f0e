"""The stages of a build: discover, plan, healthy images, anomalies, the manifest last."""

import csv
import io
import os
import re
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from synthanom.errors import SynthanomError
from synthanom.manifest import NAME as MANIFEST
from synthanom.manifest import (
    Manifest,
    TaskRecord,
    describe_file,
    read_manifest,
    replaced_file,
    software_version,
    write_manifest,
)
from synthanom.progress import Progress
from synthanom_builders import case_table
from synthanom_builders import plan as plans
from synthanom_builders.cases import check_folder
from synthanom_builders.folder import Listing
from synthanom_builders.lock import NAME as LOCK
from synthanom_builders.lock import locked
from synthanom_builders.plan import Plan, write_plan
from synthanom_builders.planning import check_folds, existing_plan, keeps, make_plan, requested
from synthanom_builders.pool import Pool, workers
from synthanom_builders.records import FOLDER, Skipped, UnitRecord, finished_unit
from synthanom_builders.settings import BuildSettings
from synthanom_builders.survey import survey
from synthanom_builders.units import Place, anomaly_unit, healthy_unit, stages, survey_unit

SKIPPED = "skipped.csv"
TOLD = 5
SURVEYED_TOGETHER = 16  # cases per job: reading a small picture takes less than handing out a job
TEMPORARY = re.compile(r"\..+\.([0-9]+)\.tmp")

Lister = Callable[[Path, Path, BuildSettings], Listing]  # (raw, out, settings): a data set's file has one


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a build came to.

    Attributes
    ----------
    manifest : Manifest or None
        None for a dry run.
    plan : Plan
    skipped : tuple of Skipped
        Rows left out, in order; empty for a data set that had been finished before.
    already : bool
        Whether the data set had been finished before.
    """

    manifest: Manifest | None
    plan: Plan
    skipped: tuple[Skipped, ...]
    already: bool


def build(
    raw: Path,
    out: Path,
    settings: BuildSettings,
    lister: Lister,
    *,
    size: int,
    progress: Progress,
    dry_run: bool = False,
) -> Outcome:
    """Build a data set, or go on with one.

    Parameters
    ----------
    raw, out : Path
        Folder of the raw data, and of the data set.
    settings : BuildSettings
    lister : function of (raw, out, settings)
        A data-set file's: lists the cases.
    size : int
        Number of worker processes; the bytes do not depend on it.
    progress : Progress
    dry_run : bool
        Plan only, write nothing.

    Raises
    ------
    SynthanomError
        For inputs, settings or an output folder that do not allow it; what is finished is kept.
    """
    raw, out = raw.resolve(), out.resolve()
    check_folder(raw)
    old = existing_plan(out)
    listing = lister(raw, out, settings)
    for note in listing.notes:
        progress.note(note)
    request = requested(listing, settings)
    if old is not None and keeps(out, old, request):
        if (out / MANIFEST).exists():
            _tidy(out)
            return Outcome(manifest=read_manifest(out), plan=old, skipped=(), already=True)
        plan = old
        progress.note("going on with the build that is there")
    else:
        old = None
    with workers(size) as pool:
        if old is None:
            plan = _new_plan(pool, raw, listing, settings, progress)
        if dry_run:
            return Outcome(manifest=None, plan=plan, skipped=(), already=False)
        progress.record(_about(plan))
        with locked(out):
            _settle(out, plan, fresh=old is None)
            place = Place(raw=raw, out=out, plan=plan.digest, donors=settings.donors and settings.donors.resolve())
            try:
                return _all_stages(pool, place, plan, progress)
            except BaseException:
                pool.stop()  # first, so that nothing appears in the folder after the lock is gone
                raise
            finally:
                _remove_temporaries(out)


def _about(plan: Plan) -> str:
    """What a log should say of a plan."""
    versions = ", ".join(f"{name} {value}" for name, value in plan.environment.items())
    rows = f"{plan.unit_rows} rows a unit"
    return f"plan {plan.digest}: {len(plan.cases)} images, {', '.join(plan.tasks)}, {rows}; fingerprint: {versions}"


def _new_plan(pool: Pool, raw: Path, listing: Listing, settings: BuildSettings, progress: Progress) -> Plan:
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
        _tell_skipped(progress, [(case.path, problem) for case, problem in zip(cases, decided.problems, strict=True)])
        raise


def _settle(out: Path, plan: Plan, *, fresh: bool) -> None:
    """Write the plan of a fresh build, with the folder's lock held; another build may have been faster."""
    _remove_temporaries(out)
    now = existing_plan(out)
    finished = (out / MANIFEST).exists()
    if now is not None and now.digest == plan.digest and not finished:
        return
    if finished or not fresh or (now is not None and keeps(out, now, plan.request)):
        raise SynthanomError(f"{out}: another build wrote there meanwhile; run the same command again")
    write_plan(out, plan)


def _all_stages(pool: Pool, place: Place, plan: Plan, progress: Progress) -> Outcome:
    healthy = _run(pool, place, plan, ["healthy"], progress)
    subjects = [plan.cases[case].subject for record in healthy for case in record.cases]
    try:
        check_folds(plan.resolved["folds"], subjects, int(plan.options["folds"]))
    except SynthanomError:
        _tell_skipped(progress, [(row.path, row.reason) for record in healthy for row in record.skipped])
        _abandon(place.out)
        raise
    anomalies = _run(pool, place, plan, list(plan.tasks), progress)
    records = [*healthy, *anomalies]
    skipped = _in_order(plan, records)
    _write_skipped(place.out, skipped)
    shown = case_table.write_case_table(place.out, plan, [case for record in healthy for case in record.cases])
    manifest = _manifest(place.out, plan, records, [plans.NAME, SKIPPED, *([case_table.NAME] if shown else [])])
    _remove_strays(place.out, manifest)
    write_manifest(place.out, manifest)
    shutil.rmtree(place.out / FOLDER)
    _remove_temporaries(place.out, every=True)
    return Outcome(manifest=manifest, plan=plan, skipped=tuple(skipped), already=False)


def _run(pool: Pool, place: Place, plan: Plan, names: Sequence[str], progress: Progress) -> list[UnitRecord]:
    """Run what is not yet finished of some stages; their records in order."""
    # all tasks of the same images after one another: the images are still in memory
    most = max((plan.units(name) for name in names), default=0)
    units = [(name, number) for number in range(most) for name in names if number < plan.units(name)]
    records = {unit: finished_unit(place.out, place.plan, *unit) for unit in units}
    todo = [unit for unit in units if records[unit] is None]
    if names == ["healthy"]:
        title, results = "healthy images", pool.run(healthy_unit, [(place, number) for _, number in todo])
    else:
        title, results = "anomalies", pool.run(anomaly_unit, [(place, *unit) for unit in todo])
    kept = len(units) - len(todo)
    title += f" ({kept} of {len(units)} units were there)" if kept else ""
    for number, record in progress.track(title, results, len(todo), unit="units"):
        records[todo[number]] = record
        for row in record.skipped:
            progress.record(f"skipped {row.path} ({row.stage}{_numbered(row)}): {row.reason}")
    return [record for record in records.values() if record is not None]


def _numbered(row: Skipped) -> str:
    return "" if row.variant is None else f", variant {row.variant}"


def _abandon(out: Path) -> None:
    """Remove what a plan left that can never be finished, so that the command works once its inputs are mended."""
    (out / plans.NAME).unlink()
    for name in ("healthy", FOLDER):
        shutil.rmtree(out / name, ignore_errors=True)  # there may have been nothing to write


def _tell_skipped(progress: Progress, rows: Sequence[tuple[str, str]]) -> None:
    """Name the first few images that cannot be used, where a refusal follows from their number."""
    for number, (path, reason) in enumerate(row for row in rows if row[1]):
        (progress.note if number < TOLD else progress.record)(f"cannot be used: {path}: {reason}")


def _in_order(plan: Plan, records: Sequence[UnitRecord]) -> list[Skipped]:
    """Rows left out, by stage, case and variant."""
    place = {case.id: number for number, case in enumerate(plan.cases)}
    order = {name: number for number, name in enumerate(("read", "prepare", *stages(plan)))}
    rows = [row for record in records for row in record.skipped]
    return sorted(rows, key=lambda row: (order[row.stage], place[row.id], row.variant or 0))


def _write_skipped(out: Path, skipped: Sequence[Skipped]) -> None:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["id", "path", "stage", "variant", "reason"])
    for row in skipped:
        table.writerow([row.id, row.path, row.stage, "" if row.variant is None else row.variant, row.reason])
    with replaced_file(out / SKIPPED) as file:
        file.write(text.getvalue().encode("utf-8"))


def _manifest(out: Path, plan: Plan, records: Sequence[UnitRecord], beside: Sequence[str]) -> Manifest:
    shards = [record.file for record in records if record.file is not None]
    rows = {
        name: sum(file.rows for file in shards if file.path.startswith(f"anomalies/{name}/")) for name in plan.tasks
    }
    healthy = sum(file.rows for file in shards) - sum(rows.values())
    tables = [describe_file(out, name) for name in beside]
    resolved = plan.resolved
    names = ("kind", "contrasts", "donors")
    return Manifest(
        version=software_version(),
        configuration={**plan.options, **{name: resolved[name] for name in names}},
        preprocessing=resolved["preprocessing"],
        seed=int(plan.options["seed"]),
        shape=plan.shape,
        channels=plan.channels,
        variants=plan.variants,
        tasks=tuple(TaskRecord(name=name, settings=plan.tasks[name], rows=rows[name]) for name in plan.tasks),
        folds=resolved["folds"],
        donor_folds=resolved["donors"].get("folds", {}),
        counts={"healthy": healthy, "anomalies": sum(rows.values())},
        fingerprint=plan.environment,
        files=tuple(sorted([*shards, *tables], key=lambda file: file.path)),
    )


def _remove_strays(out: Path, manifest: Manifest) -> None:
    """Remove shards that no unit of this plan recorded: a worker that outlived an earlier build may have left one."""
    listed = {file.path for file in manifest.files}
    for path in [*out.glob("healthy/*.h5"), *out.glob("anomalies/*/*.h5")]:
        if path.relative_to(out).as_posix() not in listed:
            path.unlink(missing_ok=True)


def _tidy(out: Path) -> None:
    """Remove what a build left that was killed after `dataset.json` was there."""
    if (out / FOLDER).exists() or (out / LOCK).exists():
        # it cannot be written, or is just being tidied: the data set is whole either way
        with suppress(SynthanomError), locked(out):
            shutil.rmtree(out / FOLDER, ignore_errors=True)
            _remove_temporaries(out, every=True)


def _remove_temporaries(out: Path, *, every: bool = False) -> None:
    """Remove what processes that are gone had not finished writing.

    A killed worker that nobody has waited for yet still counts as a process; `every` removes its file too, once
    nothing that it could write is wanted any more.
    """
    for folder in (out, out / FOLDER, out / "healthy", *out.glob("anomalies/*")):
        for path in folder.glob(".*.tmp"):
            match = TEMPORARY.fullmatch(path.name)
            if match is not None and (every or not _alive(int(match[1]))):
                path.unlink(missing_ok=True)


def _alive(process: int) -> bool:
    if process == os.getpid():
        return False  # this one is not writing anything just now
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # another user's
    return True
