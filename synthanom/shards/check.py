"""Verifying a whole data set, row by row: digests, schema, ranges, and that its parts agree."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from synthanom.arrays import mask_digest
from synthanom.errors import SynthanomError
from synthanom.manifest import (
    ANOMALIES_NAME,
    HEALTHY_NAME,
    NAME,
    TABLES,
    FileRecord,
    Manifest,
    describe_file,
    manifest_bytes,
    read_manifest,
)
from synthanom.progress import Track, untold
from synthanom.sample import Sample
from synthanom.shards.boxes import AnomalyRow
from synthanom.shards.layout import ANOMALIES, HEALTHY, WITHIN, ShardKind
from synthanom.shards.opened import AnomalyShard, HealthyShard, ordered

RECIPE_FORMAT = 1
Known = tuple[str, str, str]  # of a healthy row: id, digest, digest of the location prior
UNREADABLE: Known = ("", "", "")


def check(folder: Path | str, *, track: Track = untold) -> list[str]:
    """Read a whole data set and look for damage.

    Memory stays bounded by one file's rows: files are read one after the other, pictures one row at a time.

    Parameters
    ----------
    folder : path
    track : Track
        Shows how many files and rows were read.

    Returns
    -------
    list of str
        One line per problem; none means that the data set is whole.
    """
    folder = Path(folder)
    try:
        manifest = read_manifest(folder)
    except SynthanomError as error:
        return [str(error)]
    files = track("reading files", manifest.files, len(manifest.files))
    changed = [problem for record in files for problem in _changed(folder, record)]
    rows = track("checking rows", _contents(folder, manifest), sum(manifest.counts.values()))
    beside = [*_respelled(folder, manifest), *_stray(folder, manifest)]
    return [*beside, *changed, *(problem for row in rows for problem in row)]


def _respelled(folder: Path, manifest: Manifest) -> Iterator[str]:
    """Bytes of `dataset.json` that are not as written, though they mean the same.

    Its digest is over what it means: the last digit of a number, or a hexadecimal one of an escaped letter, can change
    without it.
    """
    path = folder / NAME
    try:
        same = path.read_bytes() == manifest_bytes(manifest)
    except OSError as error:
        yield f"{path}: must be readable, got {error.strerror or error}"
        return
    if not same:
        yield f"{path}: must be spelled as it was written, got another spelling of the same: the file was changed"


def _stray(folder: Path, manifest: Manifest) -> Iterator[str]:
    """Files with the name of a shard or a table that the manifest does not list."""
    listed = {record.path for record in manifest.files}
    for path in sorted([*folder.glob("healthy/*"), *folder.glob("anomalies/*/*"), *folder.glob("*.*")]):
        name = path.relative_to(folder).as_posix()
        if name in listed:
            continue
        if HEALTHY_NAME.fullmatch(name) or ANOMALIES_NAME.fullmatch(name):
            yield f"{path}: must be listed in the manifest, got a stray shard; move it away"
        elif name in TABLES:
            yield f"{path}: must be listed in the manifest, got a stray table; move it away"


def _changed(folder: Path, record: FileRecord) -> Iterator[str]:
    try:
        found = describe_file(folder, record.path)
    except SynthanomError as error:
        yield str(error)
        return
    if found.sha256 != record.sha256:
        yield f"{folder / record.path}: SHA-256 must be {record.sha256}, got {found.sha256}: the file was changed"


def _contents(folder: Path, manifest: Manifest) -> Iterator[list[str]]:
    """Problems row by row, and of what is wrong with a whole file or all of them."""
    known: list[Known] = []
    for record in manifest.healthy_files:
        yield from _healthy_file(folder / record.path, manifest, record, known)
    names = [name for name, _, _ in known if name]
    if len(set(names)) != len(names):
        twice = sorted({name for name in names if names.count(name) > 1})[:3]
        yield [f"{folder}: ids of healthy rows must differ, got more than one {', '.join(twice)}"]
    for task in manifest.tasks:
        keys = [np.empty((0, 2), dtype=np.int64)]
        for record in manifest.anomaly_files(task.name):
            yield from _anomaly_file(folder, manifest, (task.name, record), (known, keys))
        rows = np.concatenate(keys)
        if not ordered(rows[:, 0], rows[:, 1]):
            yield [f"{folder}: rows of {task.name} must be ordered by healthy row and variant over its files"]


def _healthy_file(path: Path, manifest: Manifest, record: FileRecord, known: list[Known]) -> Iterator[list[str]]:
    try:
        shard = HealthyShard(path, _kind(manifest, HEALTHY, "", record), record.rows)
    except SynthanomError as error:
        known.extend([UNREADABLE] * record.rows)
        yield [str(error)]
        return
    for row in range(record.rows):
        try:
            sample = shard.sample(row)
            shard.offset(row)
        except SynthanomError as error:
            known.append(UNREADABLE)
            yield [str(error)]
            continue
        known.append((sample.id, sample.sha256, "" if sample.within is None else mask_digest(sample.within)))
        yield [f"{path}: row {row} ({sample.id}): {problem}" for problem in _healthy_row(sample, manifest)]
    shard.file.close()


def _healthy_row(sample: Sample, manifest: Manifest) -> Iterator[str]:
    if not np.isfinite(sample.image).all():
        yield "image must be finite, got NaN or infinity"
    if not sample.foreground.any():
        yield "foreground must not be empty"
    if sample.within is not None and not (sample.within & sample.foreground).any():
        yield "its location prior must mark a voxel of the foreground, got none"
    if (sample.within is None) == bool(manifest.configuration.get(WITHIN)):
        yield f"it must have a location prior if configuration names {WITHIN}, and only then"
    if sample.spacing is not None and not all(np.isfinite(s) and s > 0 for s in sample.spacing):
        yield f"spacing must be positive or unknown, got {sample.spacing}"
    if sample.affine is not None and not np.isfinite(sample.affine).all():
        yield "affine must be finite or unknown"
    if sample.subject not in manifest.folds:
        yield f"subject {sample.subject} must have a fold, got none"


def _anomaly_file(
    folder: Path,
    manifest: Manifest,
    task_file: tuple[str, FileRecord],
    seen: tuple[list[Known], list[Any]],
) -> Iterator[list[str]]:
    task, record = task_file
    known, keys = seen
    path = folder / record.path
    try:
        kind = _kind(manifest, ANOMALIES, task, record)
        shard = AnomalyShard(path, kind, record.rows, manifest.counts["healthy"])
    except SynthanomError as error:
        yield [str(error)]
        return
    keys.append(np.stack([shard.healthy_index, shard.variant.astype(np.int64)], axis=1))
    for row in range(record.rows):
        try:
            stored = shard.row(row)
        except SynthanomError as error:
            yield [str(error)]
            continue
        problems = [*_anomaly_row(stored), *_recipe(stored.recipe, task, known[stored.healthy_index])]
        yield [f"{path}: row {row}: {problem}" for problem in problems]
    shard.file.close()


def _anomaly_row(row: AnomalyRow) -> Iterator[str]:
    if not all(np.isfinite(box.values).all() for box in row.boxes):
        yield "values must be finite, got NaN or infinity"
    if not all(((box.labels >= 0) & (box.labels <= 1)).all() for box in row.boxes):  # false for NaN too
        yield "labels must lie in [0, 1]"
    if not any(box.region.any() for box in row.boxes):
        yield "region must not be empty"


def _recipe(content: bytes, task: str, healthy: Known) -> Iterator[str]:
    """Problems of a recipe: its format, its tasks, and the healthy image that it was made from."""
    try:
        recipe = json.loads(content)
        version, anomalies, sample = recipe["format"], recipe["anomalies"], recipe["sample"]
        tasks = {anomaly["task"] for anomaly in anomalies}
        made_from, within = (sample["id"], sample["sha256"]), sample.get("within")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        yield f"recipe must be JSON with format, sample and anomalies, got {type(error).__name__}: {error}"
        return
    if version != RECIPE_FORMAT:
        yield f"recipe must be of format {RECIPE_FORMAT}, got {version!r}"
    if tasks != {task}:
        yield f"recipe must name the task {task}, got {sorted(map(str, tasks))}"
    if healthy[0] and within is not None and within != healthy[2]:
        yield "recipe must be of the location prior of its healthy row, got one of another"
    if healthy[0] and made_from != healthy[:2]:
        yield f"recipe must be of the healthy row {healthy[0]} as stored, got one of {made_from[0]!r} or other values"


def _kind(manifest: Manifest, kind: str, task: str, record: FileRecord) -> ShardKind:
    shape, channels = manifest.shape, manifest.channels
    return ShardKind(kind=kind, task=task, shape=shape, channels=channels, content=record.content)
