"""The units of a build: functions of (plan, number) that run in any process, in any order, with the same result."""

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from synthanom.donors import DonorSet
from synthanom.errors import NoPlace, NormalisationWarning, NothingVisible, SynthanomError, UnsuitableRegion
from synthanom.fold_donors import Kept, Memory, Shortlist, fold_donors, row_key
from synthanom.labels import labeller_from
from synthanom.manifest import NAME as MANIFEST
from synthanom.manifest import Manifest
from synthanom.preprocess import Pipeline
from synthanom.sample import Sample
from synthanom.shards import AnomalyRow, DataSet, write_anomalies, write_healthy
from synthanom.streams import stream
from synthanom.synthesis import synthesise
from synthanom.tasks import TASKS
from synthanom.tasks.abstract import AbstractTask
from synthanom.unfinished.records import (
    Skipped,
    UnitRecord,
    finished_unit,
    healthy_records,
    rows_of_cases,
    shard_name,
    write_record,
)
from synthanom.volumes.reading import Reading, reading_of
from synthanom_builders.cases import Case, relative
from synthanom_builders.environment import environment_of
from synthanom_builders.inputs import Unreadable, check_unchanged
from synthanom_builders.memory import memory_for, not_for_memory
from synthanom_builders.plan import NAME as PLAN
from synthanom_builders.plan import Plan, read_plan
from synthanom_builders.priors import prior_of
from synthanom_builders.settings import BuildSettings
from synthanom_builders.survey import Finding, look_at, reader_of

# donors that the units of one part share: of one fold so many bytes, of all folds so many in memory
DONOR_BYTES = 32 << 20
FEWEST_DONORS, MOST_DONORS = 4, 64
UNITS_TOGETHER = 16
KEPT_BYTES = 288 << 20
TEXTURE_BYTES = 256 << 20  # all 160 of five folds; made over and over they took a fifth of a large build


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a build reads and writes, and by which plan: all that a worker is told.

    Attributes
    ----------
    raw, out : Path
    plan : str
        The plan's digest.
    donors : Path or None
        Folder of the external donors' data set.
    mixed : bool
        Whether units may be made under another fingerprint than the plan's.
    """

    raw: Path
    out: Path
    plan: str
    donors: Path | None
    mixed: bool = False


def survey_unit(raw: Path, cases: tuple[Case, ...], settings: BuildSettings) -> list[Finding]:
    """Look at some cases."""
    findings = []
    for case in cases:
        with memory_for(f"looking at {case.path}"):
            findings.append(look_at(raw, case, settings))
    return findings


def healthy_unit(place: Place, number: int) -> UnitRecord:
    """Read and preprocess the cases of a unit and write their shard.

    Raises
    ------
    SynthanomError
        If the shard cannot be written, or files are not the planned ones; what else is wrong with a case is recorded.
    """
    plan = _plan(place.out, place.plan)
    environment_of(plan, place.mixed)
    first = number * plan.unit_rows
    rows, offsets, cases, skipped = [], [], [], []
    for index in range(first, min(first + plan.unit_rows, len(plan.cases))):
        with memory_for(f"preparing {plan.cases[index].path}"):
            made = _planned_case(place.raw, plan, index)
        if isinstance(made, Skipped):
            skipped.append(made)
            continue
        rows.append(made[0])
        offsets.append(made[1])
        cases.append(index)
    name = shard_name("healthy", number)
    _check_there(place)
    with memory_for(f"writing {name}"):
        file = write_healthy(place.out / name, rows, offsets, codec=plan.codec) if rows else None
    return _recorded(place, "healthy", number, file, (tuple(cases), tuple(skipped)))


def missing_healthy_unit(place: Place, number: int) -> UnitRecord:
    """As `healthy_unit`, unless somebody else has made it by now."""
    return finished_unit(place.out, place.plan, "healthy", number) or healthy_unit(place, number)


def _planned_case(raw: Path, plan: Plan, index: int) -> tuple[Sample, tuple[int, ...]] | Skipped:
    """A case as a sample and where its image begins, or why it leaves no row, which the planned files alone decide."""
    case, problem, digest = plan.cases[index], plan.problems[index], plan.digests[index]
    if problem:
        return Skipped(id=case.id, path=case.path, stage="read", variant=None, reason=problem)
    steps = plan.resolved["preprocessing"]
    try:
        made = prepare_case(raw, case, Pipeline.from_dict(steps), reading_of(steps), plan.options.get("dataset"))
    except Unreadable as error:
        not_for_memory(error)
        check_unchanged(raw, case, digest)  # says better what happened
        raise
    except (SynthanomError, OSError) as error:
        not_for_memory(error)
        check_unchanged(raw, case, digest)
        return Skipped(id=case.id, path=case.path, stage="prepare", variant=None, reason=relative(error, raw))
    check_unchanged(raw, case, digest)
    return made


def prepare_case(
    raw: Path, case: Case, pipeline: Pipeline, reading: Reading, dataset: str | None = None
) -> tuple[Sample, tuple[int, ...]]:
    """A case as a sample, and where its image begins in the stored grid (voxels).

    Raises
    ------
    SynthanomError
        Naming the file (`Unreadable` if it cannot be read); also where the image is not on the scale that the tasks'
        settings assume.
    """
    try:
        volume, mask = reader_of(dataset)(raw, case, reading)
        prior = prior_of(volume, case, raw, reading)
    except (SynthanomError, OSError) as error:
        raise Unreadable(
            f"{case.path}: must be readable as it was when the build was planned, got '{relative(error, raw)}'; run "
            "the same command again when it is (what is finished is kept)"
        ) from error
    prepared = pipeline.prepare(volume, mask, prior)
    with warnings.catch_warnings():
        warnings.simplefilter("error", NormalisationWarning)
        try:
            sample = prepared.sample(case.id, case.subject)
        except NormalisationWarning as unusual:
            raise SynthanomError(f"{case.path}: {unusual}") from unusual
    return sample, tuple(-side for side in prepared.offset)


def anomaly_unit(place: Place, task: str, number: int) -> UnitRecord:
    """Make the anomalous pictures of a unit of one task and write their shard.

    Raises
    ------
    SynthanomError
        If the shard cannot be written or donors are missing; pictures that cannot be made are recorded instead.
    """
    with memory_for(f"making {shard_name(task, number)}"):
        return _anomaly_unit(place, task, number)


def _anomaly_unit(place: Place, task: str, number: int) -> UnitRecord:
    plan = _plan(place.out, place.plan)
    environment_of(plan, place.mixed)
    opened = _opened(place)
    shortlist = _shortlist(plan, number)
    made, skipped = [], []
    for fold, cases in _by_fold(plan, number, opened.rows).items():
        donors = fold_donors(
            opened.data,
            fold,
            plan.resolved["donors"],
            _external(place.donors),
            shortlist=shortlist,
            memory=opened.memory,
        )
        for case, variants in cases.items():
            row = opened.rows[case]
            sample = opened.sample(row)
            for variant in variants:
                try:
                    made.append(make_row(plan, sample, task, (row, variant), donors))
                except (NoPlace, NothingVisible, UnsuitableRegion) as error:
                    reason, where = " ".join(str(error).split()), plan.cases[case].path
                    skipped.append(Skipped(id=sample.id, path=where, stage=task, variant=variant, reason=reason))
    made.sort(key=lambda row: (row.healthy_index, row.variant))
    path = place.out / shard_name(task, number)
    _check_there(place)
    shape, channels, codec = plan.shape, plan.channels, plan.codec
    file = write_anomalies(path, made, shape=shape, channels=channels, codec=codec) if made else None
    return _recorded(place, task, number, file, ((), tuple(skipped)))


def make_row(plan: Plan, sample: Sample, name: str, key: tuple[int, int], donors: Mapping[str, DonorSet]) -> AnomalyRow:
    """One anomalous picture of a task, `key` being its healthy row and its variant.

    Raises
    ------
    NoPlace, NothingVisible, UnsuitableRegion
        If this picture cannot be made.
    """
    healthy_index, variant = key
    result = synthesise(
        sample,
        _task(plan, name),
        labeller_from(plan.options["labeller"]),
        rng=stream(int(plan.options["seed"]), sample.id, name, variant),
        donors=donors,
        **plan.options["options"],
    )
    return AnomalyRow.from_arrays(
        healthy_index,
        variant,
        before=sample.image,
        after=result.image,
        label=result.label,
        region=result.region,
        recipe=result.recipe.to_json(),
        bounds=result.boxes,
    )


def _task(plan: Plan, name: str) -> AbstractTask:
    return TASKS[name].from_dict(plan.tasks[name])


@dataclass(frozen=True, kw_only=True, eq=False)
class Opened:
    """The healthy rows of a build that anomalies are drawn into, and the donors in memory.

    Attributes
    ----------
    data : DataSet
    rows : mapping
        Healthy row of every case that has one.
    memory : Memory
    """

    data: DataSet
    rows: Mapping[int, int]
    memory: Memory

    def sample(self, row: int) -> Sample:
        """A healthy row, kept for the other tasks and as a donor."""
        return self.memory.images.get(row_key(self.data, row), lambda: self.data.healthy(row))


def _shortlist(plan: Plan, number: int) -> Shortlist:
    """Whom the unit's rows borrow from: units of one part share few enough donors to be kept in memory."""
    held = int(4 * plan.channels * math.prod(plan.shape))
    few = min(MOST_DONORS, max(FEWEST_DONORS, DONOR_BYTES // held))
    return Shortlist(seed=int(plan.options["seed"]), part=number // UNITS_TOGETHER, subjects=few)


def _by_fold(plan: Plan, number: int, rows: Mapping[int, int]) -> dict[int, dict[int, list[int]]]:
    """Variants of the unit's cases with a healthy row, fold by fold and case by case."""
    first = number * plan.unit_rows
    folds = plan.resolved["folds"]
    found: dict[int, dict[int, list[int]]] = {}
    for pair in range(first, min(first + plan.unit_rows, len(plan.cases) * plan.variants)):
        case, variant = divmod(pair, plan.variants)
        if case in rows:
            fold = found.setdefault(folds[plan.cases[case].subject], {})
            fold.setdefault(case, []).append(variant)
    return dict(sorted(found.items()))


@lru_cache(maxsize=1)
def _opened(place: Place) -> Opened:
    """The healthy rows of a data set that has no manifest yet; opened once per process."""
    plan = _plan(place.out, place.plan)
    records = healthy_records(place.out, place.plan, plan.units("healthy"))
    files = tuple(record.file for record in records if record.file is not None)
    manifest = Manifest(
        version="",
        configuration={},
        preprocessing={},
        seed=int(plan.options["seed"]),
        shape=plan.shape,
        channels=plan.channels,
        variants=plan.variants,
        tasks=(),
        folds=plan.resolved["folds"],
        donor_folds={},
        counts={"healthy": sum(file.rows for file in files), "anomalies": 0},
        fingerprint={},
        files=files,
    )
    memory = Memory(images=Kept(most=KEPT_BYTES), textures=Kept(most=TEXTURE_BYTES))
    return Opened(data=DataSet(place.out, manifest), rows=rows_of_cases(records), memory=memory)


def forget() -> None:
    """Drop what this process keeps of a build, open files included."""
    for kept in (_opened, _plan, _external):
        kept.cache_clear()


def _check_there(place: Place) -> None:
    """Refuse to write into a folder that was removed, or finished by others.

    Parts of a data set without a plan would stand in the way, and a unit of a build that was killed may outlive it.
    """
    if not (place.out / PLAN).exists():
        raise SynthanomError(f"{place.out}: must stay while it is built, and was removed; run the same command again")
    if (place.out / MANIFEST).exists():
        raise SynthanomError(f"{place.out}: was finished by another command meanwhile; nothing was written")


def _recorded(
    place: Place, stage: str, number: int, file: Any, outcome: tuple[tuple[int, ...], tuple[Skipped, ...]]
) -> UnitRecord:
    cases, skipped = outcome
    record = UnitRecord(
        plan=place.plan,
        stage=stage,
        number=number,
        file=file,
        cases=cases,
        skipped=skipped,
        environment=environment_of(_plan(place.out, place.plan), place.mixed),
    )
    write_record(place.out, record)
    return record


@lru_cache(maxsize=1)
def _plan(out: Path, digest: str) -> Plan:
    """The plan in the folder; parsing a large one takes longer than a small unit."""
    plan = read_plan(out)
    if plan.digest != digest:
        raise SynthanomError(f"{out}: its plan changed while it was built; run the same command again")
    return plan


@lru_cache(maxsize=1)
def _external(folder: Path | None) -> DataSet | None:
    """The donors' data set, opened once per process."""
    return None if folder is None else DataSet.open(folder)
