"""How much disk a build will need, from a few of its images."""

import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from synthanom.errors import SynthanomError
from synthanom.preprocess import Pipeline
from synthanom.sample import Sample
from synthanom.tasks import TASKS
from synthanom.volumes.reading import reading_of
from synthanom_builders.plan import Plan
from synthanom_builders.units import make_row, prepare_case

SAMPLES = 2
VARIANTS = 3


def estimated_bytes(raw: Path, plan: Plan) -> int | None:
    """Bytes that the data set will take, roughly; None if none of the tried images could be prepared.

    Anomalies are judged by the tasks that need no donor: how much of the picture a task changes is settled by the
    region, which all tasks draw alike.
    """
    samples = _samples(raw, plan)
    if not samples:
        return None
    usable = sum(not problem for problem in plan.problems)
    healthy = np.mean([_packed([sample.image]) for sample in samples])
    tasks = [name for name in plan.tasks if TASKS[name].donor == "none"]
    rows = [size for sample in samples for name in tasks for size in _rows(plan, sample, name)]
    # without such a task: the share of the picture that shapes of the default settings cover on average
    row = float(np.mean(rows)) if rows else 0.1 * float(healthy)
    return int(usable * (float(healthy) + row * plan.variants * len(plan.tasks)))


def _samples(raw: Path, plan: Plan) -> list[Sample]:
    """The first few images that can be prepared."""
    pipeline = Pipeline.from_dict(plan.resolved["preprocessing"])
    reading = reading_of(plan.resolved["preprocessing"])
    samples: list[Sample] = []
    for case, problem in zip(plan.cases, plan.problems, strict=True):
        if len(samples) == SAMPLES:
            break
        if not problem:
            try:
                samples.append(prepare_case(raw, case, pipeline, reading, plan.options.get("dataset"))[0])
            except (SynthanomError, OSError):
                continue  # the build itself will list it
    return samples


def _rows(plan: Plan, sample: Sample, name: str) -> list[int]:
    sizes = []
    for variant in range(min(VARIANTS, plan.variants)):
        try:
            row = make_row(plan, sample, name, (0, variant), {})
        except SynthanomError:
            continue  # as above
        arrays = [array for box in row.boxes for array in (box.values, box.labels, np.packbits(box.region))]
        sizes.append(_packed(arrays) + len(zlib.compress(row.recipe, 1)))
    return sizes


def _packed(arrays: Sequence[npt.NDArray[np.generic]]) -> int:
    """Bytes after shuffling and gzip, as shards do it."""
    shuffled = [np.frombuffer(a.tobytes(), np.uint8).reshape(-1, a.itemsize).T.tobytes() for a in arrays]
    return sum(len(zlib.compress(data, 1)) for data in shuffled)
