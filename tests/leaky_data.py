"""Small hand-made data sets for leak checks: pictures, names, folds and donors are the test's to choose."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from phantoms import field as smooth_field

from synthanom.arrays import canonical_json
from synthanom.manifest import Manifest, TaskRecord, describe_file, write_manifest
from synthanom.sample import Sample
from synthanom.shards import AnomalyRow, fingerprint, write_anomalies, write_healthy

TASKS = ("intra_blend", "inter_blend")


def picture(seed: int, *, shape=(32, 36), channels=1) -> np.ndarray:
    """A picture unlike those of other seeds."""
    return smooth_field(shape, channels, seed=seed)


def sample(name: str, image: np.ndarray, subject: str | None = None, foreground=None) -> Sample:
    return Sample.from_array(np.ascontiguousarray(image), foreground, id=name, subject=subject)


@dataclass
class Plan:
    """What to write: folds by subject, and the donor of every anomaly row by (task, healthy row)."""

    samples: Sequence[Sample]
    folds: Mapping[str, int]
    donors: Mapping[tuple[str, int], Mapping[str, str]] = field(default_factory=dict)
    donor_folds: Mapping[str, int] = field(default_factory=dict)
    tasks: Sequence[str] = TASKS


def spread(samples: Sequence[Sample], folds: int = 2, **more: Any) -> Plan:
    """Subjects dealt into folds in turn."""
    subjects = list(dict.fromkeys(s.subject for s in samples))
    return Plan(samples=samples, folds={s: i % folds for i, s in enumerate(subjects)}, **more)


def write(folder: Path, plan: Plan) -> Path:
    channels, *shape = plan.samples[0].image.shape
    files = [write_healthy(folder / "healthy/00000.h5", plan.samples, [(0,) * len(shape)] * len(plan.samples))]
    for number, task in enumerate(plan.tasks):
        rows = [anomaly(plan, task, number, i) for i in range(len(plan.samples))]
        path = folder / f"anomalies/{task}/00000.h5"
        files.append(write_anomalies(path, rows, shape=tuple(shape), channels=channels))
    (folder / "skipped.csv").write_text("id,reason\n")
    files.append(describe_file(folder, "skipped.csv"))
    external = {"kind": "data set", "name": "others", "folds": dict(plan.donor_folds)}
    manifest = Manifest(
        version="0.1.0",
        configuration={"donors": external} if plan.donor_folds else {},
        preprocessing={"format": 1, "steps": []},
        seed=0,
        shape=tuple(shape),
        channels=channels,
        variants=1,
        tasks=tuple(TaskRecord(name=task, settings={}, rows=len(plan.samples)) for task in plan.tasks),
        folds=dict(plan.folds),
        donor_folds=dict(plan.donor_folds),
        counts={"healthy": len(plan.samples), "anomalies": len(plan.samples) * len(plan.tasks)},
        fingerprint=fingerprint(),
        files=tuple(sorted(files, key=lambda f: f.path)),
    )
    write_manifest(folder, manifest)
    return folder


def anomaly(plan: Plan, task: str, number: int, healthy: int) -> AnomalyRow:
    """A region of 4 x 5 [x 5] voxels for the first task, a row more for the next; one row is labelled 0.95."""
    before = plan.samples[healthy].image
    region = np.zeros(before.shape[1:], bool)
    region[(slice(2, 6 + number), *(slice(3, 8),) * (region.ndim - 1))] = True
    label = np.where(region, np.float32(0.05), np.float32(0))
    label[3] = np.where(region[3], np.float32(0.95), label[3])
    changed = region.copy()
    changed[6 + number, 3] = True  # beside the region: the boxes hold voxels of neither region nor label
    donor = plan.donors.get((task, healthy))
    recipe = canonical_json({"format": 1, "anomalies": [{"task": task, "donor": donor}]})
    return AnomalyRow.from_arrays(
        healthy, 0, before=before, after=before + changed.astype(np.float32), label=label, region=region, recipe=recipe
    )
