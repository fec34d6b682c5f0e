"""A hand-made data set of 16 x 16 pictures with bright squares, for tests of training: no synthesis, no builder."""

from pathlib import Path

import numpy as np
import torch

from synthanom.arrays import canonical_json
from synthanom.manifest import Manifest, TaskRecord, describe_file, write_manifest
from synthanom.sample import Sample
from synthanom.shards import AnomalyRow, fingerprint, write_anomalies, write_healthy
from synthanom.tasks import PAPER_TASKS

TASKS = PAPER_TASKS
SHAPE = (16, 16)


def tiny_sample(number: int, shape=SHAPE) -> Sample:
    """The noisy picture of one subject."""
    rng = np.random.default_rng(number)
    return Sample.from_array(
        rng.standard_normal((1, *shape)).astype(np.float32), id=f"case-{number}", subject=f"p-{number}"
    )


def tiny_row(samples, healthy: int, task: int, variant: int) -> AnomalyRow:
    """A square whose place and height depend on task and variant."""
    before = samples[healthy].image
    after, label = before.copy(), np.zeros(before.shape[1:], np.float32)
    square = (slice(2 + variant, 8 + variant), *(slice(3 + task, 9 + task),) * (label.ndim - 1))
    after[(0, *square)] += 2.0 + 0.1 * task
    label[square] = 0.9
    sample = {"id": samples[healthy].id, "shape": list(before.shape), "sha256": samples[healthy].sha256}
    recipe = canonical_json({"format": 1, "sample": sample, "anomalies": [{"task": TASKS[task]}]})
    return AnomalyRow.from_arrays(
        healthy, variant, before=before, after=after, label=label, region=label > 0, recipe=recipe
    )


def write_tiny(
    folder: Path, *, subjects: int = 10, variants: int = 2, tasks=TASKS, folds=None, skip=(), shape=SHAPE
) -> Path:
    """Write the data set; `skip` holds (task, healthy row, variant) that could not be made."""
    samples = [tiny_sample(i, shape) for i in range(subjects)]
    half = (subjects + 1) // 2
    files = []
    for number, part in enumerate((samples[:half], samples[half:])):
        if part:
            offsets = [(0,) * len(shape)] * len(part)
            files.append(write_healthy(folder / f"healthy/{number:05d}.h5", part, offsets))
    records = []
    for k, task in enumerate(tasks):
        rows = [
            tiny_row(samples, i, k, v) for i in range(subjects) for v in range(variants) if (task, i, v) not in skip
        ]
        files.append(write_anomalies(folder / f"anomalies/{task}/00000.h5", rows, shape=shape, channels=1))
        records.append(TaskRecord(name=task, settings={}, rows=len(rows)))
    (folder / "skipped.csv").write_text("case,reason\n")
    files.append(describe_file(folder, "skipped.csv"))
    dealt = {s.subject: i % len(tasks) for i, s in enumerate(samples)} if folds is None else folds
    write_manifest(
        folder,
        Manifest(
            version="0.1.0",
            configuration={"made": "by hand"},
            preprocessing={"format": 1, "steps": []},
            seed=0,
            shape=shape,
            channels=1,
            variants=variants,
            tasks=tuple(records),
            folds=dealt,
            donor_folds={},
            counts={"healthy": subjects, "anomalies": sum(r.rows for r in records)},
            fingerprint=fingerprint(),
            files=tuple(sorted(files, key=lambda f: f.path)),
        ),
    )
    return folder


class DropoutNetwork(torch.nn.Module):
    """A foreign network that draws random numbers while it trains."""

    def __init__(self, *, in_channels: int, width: int = 4) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Conv2d(in_channels, width, 3, padding=1), torch.nn.Dropout(0.5), torch.nn.Conv2d(width, 1, 1)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)
