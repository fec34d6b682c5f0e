"""The two stages of a build, healthy images and anomalies: units that are not finished are handed to the pool."""

from collections.abc import Callable, Sequence

from synthanom.errors import SynthanomError
from synthanom.progress import Progress
from synthanom.unfinished.parts import Part, Unit, in_turn
from synthanom.unfinished.records import Skipped, UnitRecord, finished_unit
from synthanom_builders.abstract_workers import AbstractPool
from synthanom_builders.plan import Plan
from synthanom_builders.planning import check_folds
from synthanom_builders.units import Place, anomaly_unit, healthy_unit, missing_healthy_unit

TOLD = 5


def healthy_stage(
    pool: AbstractPool, place: Place, plan: Plan, progress: Progress, part: Part | None = None
) -> list[UnitRecord]:
    """All healthy images: anomalies need those of other subjects as donors.

    A part makes its own first, then whatever no other part has made by then: it waits for nobody, so that job
    schedulers may run parts together or one after another. Two parts that make the same write the same bytes.

    Raises
    ------
    SynthanomError
        If a fold has too few usable subjects, or a shard cannot be written.
    """
    units = in_turn({"healthy": plan.units("healthy")}, ["healthy"])
    if part is None:
        records = _run(pool, place, units, healthy_unit, ("healthy images", progress))
    else:
        shared = part.first_its_own(units)
        records = _run(pool, place, shared, missing_healthy_unit, ("healthy images", progress))
    records.sort(key=lambda record: record.number)
    subjects = [plan.cases[case].subject for record in records for case in record.cases]
    try:
        check_folds(plan.resolved["folds"], subjects, int(plan.options["folds"]))
    except SynthanomError:
        tell_skipped(progress, [(row.path, row.reason) for record in records for row in record.skipped])
        raise
    return records


def anomaly_stage(
    pool: AbstractPool, place: Place, plan: Plan, progress: Progress, part: Part | None = None
) -> list[UnitRecord]:
    """The anomalies of all tasks, or a part's own of them.

    Raises
    ------
    SynthanomError
        If a shard cannot be written or donors are missing.
    """
    names = list(plan.tasks)
    units = in_turn({name: plan.units(name) for name in names}, names)
    if part is None:
        return _run(pool, place, units, anomaly_unit, ("anomalies", progress))
    return _run(pool, place, part.share(units), anomaly_unit, (f"anomalies of part {part}", progress))


def tell_skipped(progress: Progress, rows: Sequence[tuple[str, str]]) -> None:
    """Name the first few images that cannot be used, where a refusal follows from their number."""
    for number, (path, reason) in enumerate(row for row in rows if row[1]):
        (progress.note if number < TOLD else progress.record)(f"cannot be used: {path}: {reason}")


def _run(
    pool: AbstractPool,
    place: Place,
    units: Sequence[Unit],
    function: Callable[..., UnitRecord],
    shown: tuple[str, Progress],
) -> list[UnitRecord]:
    """Run those of the units that are not yet finished; the records of all."""
    title, progress = shown
    records = {unit: finished_unit(place.out, place.plan, *unit) for unit in units}
    todo = [unit for unit in units if records[unit] is None]
    kept = len(units) - len(todo)
    title += f" ({kept} of {len(units)} units were there)" if kept else ""
    jobs = [(place, number) if stage == "healthy" else (place, stage, number) for stage, number in todo]
    results = pool.run(function, jobs)
    for number, record in progress.track(title, results, len(todo), unit="units"):
        records[todo[number]] = record
        for row in record.skipped:
            progress.record(f"skipped {row.path} ({row.stage}{_numbered(row)}): {row.reason}")
    return [record for record in records.values() if record is not None]


def _numbered(row: Skipped) -> str:
    return "" if row.variant is None else f", variant {row.variant}"
