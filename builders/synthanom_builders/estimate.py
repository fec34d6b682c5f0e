"""How much disk and time a build will need, from a few of its images and anomalies."""

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from synthanom.donors import DonorSet
from synthanom.errors import SynthanomError
from synthanom.fold_donors import OWN_SET, textures_of
from synthanom.preprocess import Pipeline
from synthanom.progress import Track, untold
from synthanom.sample import Sample
from synthanom.shards import AnomalyRow, write_anomalies, write_healthy
from synthanom.tasks import TASKS
from synthanom.textures import SET_NAME
from synthanom.unfinished.records import shard_name
from synthanom.volumes.reading import reading_of
from synthanom_builders.plan import Plan
from synthanom_builders.survey import reader_of
from synthanom_builders.units import make_row, prepare_case

SAMPLES = 6  # images, evenly spread over the list
ROWS = 24  # of every task: sizes of anomalies differ by a factor of ten
START_SECONDS = 2.0  # of the workers
DRAWS = 1.8  # anomalies of a row, on average: how many donors it borrows from


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a build will take, roughly.

    Attributes
    ----------
    bytes : int
        On disk.
    seconds : float
        From the command to the end, on this machine as busy as it is now.
    """

    bytes: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class _Part:
    """Bytes and seconds of one image or row."""

    bytes: float
    seconds: float


def estimate(raw: Path, plan: Plan, workers: int, *, track: Track = untold) -> Estimate | None:
    """Prepare a few images, make a few anomalies in them, write both into a temporary folder, and scale up.

    Parameters
    ----------
    raw : Path
    plan : Plan
    workers : int
        Processes that will share the work.
    track : Track
        Shows how many tasks were tried.

    Returns
    -------
    Estimate or None
        None if none of the images could be prepared.
    """
    samples, reading = _prepared(raw, plan)
    if not samples:
        return None
    usable = sum(not problem for problem in plan.problems)
    with tempfile.TemporaryDirectory() as folder:
        healthy = _healthy(Path(folder), plan, samples)
        tasks = track("trying the tasks", plan.tasks, len(plan.tasks))
        rows = [_rows(Path(folder), plan, name, samples) for name in tasks]
    anomalies = usable * plan.variants
    size = usable * healthy.bytes + anomalies * sum(row.bytes for row in rows)
    work = usable * (reading + healthy.seconds) + anomalies * sum(row.seconds for row in rows)
    return Estimate(
        bytes=int(size), seconds=START_SECONDS + work / workers + _texture_seconds(plan, anomalies, workers)
    )


def _prepared(raw: Path, plan: Plan) -> tuple[list[Sample], float]:
    """Some images as samples, and the seconds that reading one twice (to look at it and to prepare it) takes."""
    pipeline = Pipeline.from_dict(plan.resolved["preprocessing"])
    reading, name = reading_of(plan.resolved["preprocessing"]), plan.options.get("dataset")
    usable = [case for case, problem in zip(plan.cases, plan.problems, strict=True) if not problem]
    step = max(1, len(usable) // SAMPLES)
    samples: list[Sample] = []
    seconds = 0.0
    for case in usable[::step][:SAMPLES]:
        try:
            if not samples:
                prepare_case(raw, case, pipeline, reading, name)  # once before: libraries are loaded now
            start = time.perf_counter()
            reader_of(name)(raw, case, reading)
            samples.append(prepare_case(raw, case, pipeline, reading, name)[0])
            seconds += time.perf_counter() - start
        except (SynthanomError, OSError):
            continue  # the build itself will list it
    return samples, seconds / max(1, len(samples))


def _healthy(folder: Path, plan: Plan, samples: Sequence[Sample]) -> _Part:
    start = time.perf_counter()
    offsets = [(0,) * len(plan.shape)] * len(samples)
    file = write_healthy(folder / shard_name("healthy", 0), samples, offsets, codec=plan.codec)
    return _Part(bytes=file.bytes / len(samples), seconds=(time.perf_counter() - start) / len(samples))


def _rows(folder: Path, plan: Plan, name: str, samples: Sequence[Sample]) -> _Part:
    """A row of one task; nothing where no anomaly can be made in these images."""
    made: list[AnomalyRow] = []
    start = 0.0
    for number in range(ROWS + 1):
        index = number % len(samples)
        try:
            row = make_row(plan, samples[index], name, (number, number), _donors(plan, samples, index))
        except SynthanomError:
            continue  # as above
        if start:
            made.append(row)
        else:
            start = time.perf_counter()  # the first is for compiling, or reading what was compiled
    if not made:
        return _Part(bytes=0, seconds=0)
    path = folder / shard_name(name, 0)
    file = write_anomalies(path, made, shape=plan.shape, channels=plan.channels, codec=plan.codec)
    return _Part(bytes=file.bytes / len(made), seconds=(time.perf_counter() - start) / len(made))


def _donors(plan: Plan, samples: Sequence[Sample], index: int) -> Mapping[str, DonorSet]:
    """Whom the row of a sample borrows from: the other samples, which cost as much as any other donors."""
    others = [sample for sample in samples if sample.subject != samples[index].subject]
    own = DonorSet(name=OWN_SET, samples=others)
    return {name: own for name, task in TASKS.items() if task.donor != "none"}


def _texture_seconds(plan: Plan, anomalies: int, workers: int) -> float:
    """Every worker makes its own textures, and keeps them."""
    donors = plan.resolved["donors"]
    if donors["kind"] != SET_NAME or "inter_blend" not in plan.tasks:
        return 0.0
    textures = textures_of(donors, 0)
    start = time.perf_counter()
    textures[0]
    one = time.perf_counter() - start
    return one * min(len(textures) * int(plan.options["folds"]), DRAWS * anomalies / workers)
