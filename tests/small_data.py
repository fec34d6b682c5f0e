"""A data set of a few small pictures, written with the library's own writers."""

import dataclasses
import hashlib
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from synthanom.arrays import canonical_json
from synthanom.manifest import NAME, FileRecord, Manifest, TaskRecord, describe_file, write_manifest
from synthanom.sample import Sample
from synthanom.shards import AnomalyRow, fingerprint, write_anomalies, write_healthy
from synthanom.shards.codecs import DEFAULT

TASKS = ("sink", "source")


def small_samples(count: int, channels: int, shape: tuple[int, ...], seed: int = 3) -> list[Sample]:
    rng = np.random.default_rng(seed)
    affine = np.diag([2.0, 1.5, 1.0, 1.0])
    return [
        Sample.from_array(
            rng.standard_normal((channels, *shape)).astype(np.float32),
            foreground=rng.random(shape) < 0.7,
            affine=affine if i % 2 else None,
            id=f"cäse-{i}",
            subject=f"p-{i // 2}",
        )
        for i in range(count)
    ]


def small_recipe(task: str, sample: Sample, variant: int) -> bytes:
    reference = {"id": sample.id, "shape": list(sample.image.shape), "sha256": sample.sha256}
    return canonical_json({"format": 1, "sample": reference, "attempts": variant + 1, "anomalies": [{"task": task}]})


def small_pictures(task: str, sample: Sample, variant: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """After, label and region of a made-up anomaly of two parts."""
    rng = np.random.default_rng([variant, zlib.crc32(f"{task} {sample.id}".encode())])
    inside = np.zeros(sample.shape, dtype=bool)
    for low, high in ((1, 5), (7, 11)):
        inside[tuple(slice(int(rng.integers(low, low + 2)), high) for _ in sample.shape)] = True
    after = np.where(inside, sample.image + rng.standard_normal(sample.image.shape), sample.image).astype(np.float32)
    label = np.where(inside, rng.random(sample.shape), 0).astype(np.float32)
    region = inside & (rng.random(sample.shape) < 0.7)  # with holes: its bits must be told apart
    return after, label, region


def small_row(task: str, index: int, sample: Sample, variant: int) -> AnomalyRow:
    after, label, region = small_pictures(task, sample, variant)
    return AnomalyRow.from_arrays(
        index, variant, before=sample.image, after=after, label=label, region=region,
        recipe=small_recipe(task, sample, variant),
    )  # fmt: skip


def write_small(
    folder: Path,
    *,
    channels: int = 1,
    shape: tuple[int, ...] = (12, 13),
    count: int = 5,
    variants: int = 2,
    codec: str = DEFAULT,
    seed: int = 3,
) -> list[Sample]:
    """Write `count` healthy rows in shards of 3 and their anomalies in shards of 4; return the samples."""
    samples = small_samples(count, channels, shape, seed)
    files: list[FileRecord] = []
    for shard, start in enumerate(range(0, count, 3)):
        rows = samples[start : start + 3]
        offsets = [[start, *range(1, len(shape))] for _ in rows]
        files.append(write_healthy(folder / f"healthy/{shard:05}.h5", rows, offsets, codec=codec))
    total = 0
    for task in TASKS:
        made = [(i, v) for i in range(count) for v in range(variants) if (i, v) != (1, 0)]  # one could not be made
        total += len(made)
        for shard, start in enumerate(range(0, len(made), 4)):
            rows = (small_row(task, i, samples[i], v) for i, v in made[start : start + 4])
            path = folder / f"anomalies/{task}/{shard:05}.h5"
            files.append(write_anomalies(path, rows, shape=shape, channels=channels, codec=codec))
    (folder / "skipped.csv").write_text("id,task,variant,reason\n")
    files.append(describe_file(folder, "skipped.csv"))
    lines = [f"{s.id},{s.subject},{i // 2 % 2},{30 + i}\n" for i, s in enumerate(samples)]
    (folder / "cases.csv").write_text("id,subject,fold,age\n" + "".join(lines), encoding="utf-8")
    files.append(describe_file(folder, "cases.csv"))
    manifest = Manifest(
        version="0.1.0",
        configuration={"variants": variants, "title": "cäse", "share": 0.30000000000000004},  # spelled in two ways
        preprocessing={"steps": []},
        seed=7,
        shape=shape,
        channels=channels,
        variants=variants,
        tasks=tuple(TaskRecord(name=task, settings={}, rows=total // len(TASKS)) for task in TASKS),
        folds={f"p-{i}": i % 2 for i in range((count + 1) // 2)},
        donor_folds={},
        counts={"healthy": count, "anomalies": total},
        fingerprint=fingerprint(codec),
        files=tuple(sorted(files, key=lambda record: record.path)),
    )
    write_manifest(folder, manifest)
    return samples


def reseal(folder: Path) -> None:
    """Bring sizes and digests in dataset.json up to date after a test changed a shard on purpose."""
    content = stored_content(folder)
    records = [describe_file(folder, file["path"], file["rows"]) for file in content["files"]]
    content["files"] = [{k: v for k, v in dataclasses.asdict(r).items() if k != "content"} for r in records]
    seal(folder, content)


def resize(folder: Path) -> None:
    """Let dataset.json list the sizes that files have now, so that no reader tells another file by its size."""
    content = stored_content(folder)
    for record in content["files"]:
        record["bytes"] = (folder / record["path"]).stat().st_size
    seal(folder, content)


def stored_content(folder: Path) -> dict[str, Any]:
    """What dataset.json says, without its digest."""
    content: dict[str, Any] = json.loads((folder / NAME).read_text())
    del content["digest"]
    return content


def seal(folder: Path, content: Mapping[str, Any]) -> None:
    """Write dataset.json with a digest that fits."""
    digest = hashlib.sha256(canonical_json(content)).hexdigest()
    (folder / NAME).write_text(json.dumps({**content, "digest": digest}, sort_keys=True, indent=1) + "\n")


def rewrite(path: Path, column: str, values: np.ndarray, **filters: object) -> None:
    """Put other values into a column, with checksums that fit."""
    with h5py.File(path, "r+") as file:
        del file[column]
        file.create_dataset(column, data=values, **({"fletcher32": True, "chunks": values.shape} | filters))
