"""`dataset.json`: what a data set is, which files it consists of, and that it is finished.

The manifest is written last, so a folder without it is unfinished whatever else it holds.
"""

import hashlib
import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn

from synthanom.arrays import canonical_json
from synthanom.errors import SynthanomError
from synthanom.temporaries import temporary_path

FORMAT = 1
KIND = "synthanom-dataset"
NAME = "dataset.json"
TABLES = ("plan.json", "skipped.csv", "cases.csv")  # files beside the shards that a manifest may list
HEALTHY_NAME = re.compile(r"healthy/[0-9]{5}\.h5")
DIGEST = re.compile("[0-9a-f]{64}")
ANOMALIES_NAME = re.compile(r"anomalies/([a-z][a-z0-9_]*)/[0-9]{5}\.h5")
DAMAGED = "restore it from a copy, or build the data set again into an empty folder"


@dataclass(frozen=True, kw_only=True)
class FileRecord:
    """One file of a data set as it was when written.

    Attributes
    ----------
    path : str
        Relative to the data set's folder, with forward slashes.
    sha256 : str
        Of the file's bytes, in hexadecimal.
    bytes : int
        Length of the file.
    rows : int
        Rows in a shard; 0 for other files.
    content : str
        The name that a shard gives its content (root attribute ``content``), by which a reader knows that no other
        shard lies in its place; empty for other files, and in data sets that were written before shards had one.
    """

    path: str
    sha256: str
    bytes: int
    rows: int
    content: str = ""


@dataclass(frozen=True, kw_only=True)
class TaskRecord:
    """One task of a data set: its stored name, its settings as JSON, and its number of anomaly rows."""

    name: str
    settings: Mapping[str, Any]
    rows: int


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What `dataset.json` says; the mappings hold plain JSON values.

    Attributes
    ----------
    version : str
        Version of synthanom that built the data set.
    configuration : mapping
        The resolved configuration of the build.
    preprocessing : mapping
        The preprocessing pipeline as data.
    seed : int
    shape : tuple of D ints
        Spatial shape of every image.
    channels : int
    variants : int
        Anomalous pictures asked for per healthy row and task.
    tasks : tuple of TaskRecord
        In the order in which tasks and folds are paired.
    folds, donor_folds : mapping of str to int
        Fold of every subject, and of every donor of an external set.
    counts : mapping of str to int
        At least ``healthy`` and ``anomalies``, the numbers of rows.
    fingerprint : mapping of str to str
        What bytes depend on besides the inputs; see `synthanom.shards.fingerprint`.
    files : tuple of FileRecord
        Every file of the data set but `dataset.json`, ordered by path.
    """

    version: str
    configuration: Mapping[str, Any]
    preprocessing: Mapping[str, Any]
    seed: int
    shape: tuple[int, ...]
    channels: int
    variants: int
    tasks: tuple[TaskRecord, ...]
    folds: Mapping[str, int]
    donor_folds: Mapping[str, int]
    counts: Mapping[str, int]
    fingerprint: Mapping[str, str]
    files: tuple[FileRecord, ...]

    @property
    def healthy_files(self) -> tuple[FileRecord, ...]:
        """The healthy shards in name order: their rows in this order are the healthy rows."""
        return tuple(f for f in self.files if HEALTHY_NAME.fullmatch(f.path))

    def anomaly_files(self, task: str) -> tuple[FileRecord, ...]:
        """The shards of `task` in name order."""
        return tuple(f for f in self.files if f.path.startswith(f"anomalies/{task}/"))

    def to_dict(self) -> dict[str, Any]:
        """The manifest as JSON values, its own digest included."""
        content: dict[str, Any] = {
            "kind": KIND,
            "format": FORMAT,
            "version": self.version,
            "configuration": dict(self.configuration),
            "preprocessing": dict(self.preprocessing),
            "seed": self.seed,
            "shape": list(self.shape),
            "channels": self.channels,
            "variants": self.variants,
            "tasks": [{"name": t.name, "settings": dict(t.settings), "rows": t.rows} for t in self.tasks],
            "folds": dict(self.folds),
            "donor_folds": dict(self.donor_folds),
            "counts": dict(self.counts),
            "fingerprint": dict(self.fingerprint),
            "files": [_file_json(file) for file in self.files],
        }
        return {**content, "digest": hashlib.sha256(canonical_json(content)).hexdigest()}


def write_manifest(folder: Path | str, manifest: Manifest) -> None:
    """Write `dataset.json` into `folder`, whole or not at all: the last step of a build.

    Raises
    ------
    SynthanomError
        If the manifest contradicts itself, a listed file is missing or of another size, or the disk is full.
    """
    path = Path(folder) / NAME
    _check_consistency(manifest, path)
    _check_sizes(manifest, path.parent)
    with replaced_file(path) as file:
        file.write(manifest_bytes(manifest))


def manifest_bytes(manifest: Manifest) -> bytes:
    """What `dataset.json` holds, to the last byte."""
    text = json.dumps(manifest.to_dict(), sort_keys=True, indent=1, ensure_ascii=True, allow_nan=False)
    return text.encode("ascii") + b"\n"


def read_manifest(folder: Path | str) -> Manifest:
    """Read and verify `dataset.json`: its digest and schema, and that every listed file has its size.

    Raises
    ------
    SynthanomError
        If the data set is unfinished, of a newer format, damaged, or not a data set at all.
    """
    path = Path(folder) / NAME
    content = _parse(path)
    if content.get("kind") != KIND:
        raise SynthanomError(
            f"{path}: kind must be {KIND!r}, got {content.get('kind')!r}; name the folder of a data set that "
            "build-dataset made"
        )
    refuse_other_format(path, content.get("format"))
    digest = content.pop("digest", None)
    if digest != hashlib.sha256(canonical_json(content)).hexdigest():
        raise SynthanomError(f"{path}: its digest must match its content, and does not: it was edited; {DAMAGED}")
    manifest = manifest_from_json(path, content)
    _check_consistency(manifest, path)
    _check_sizes(manifest, path.parent)
    return manifest


def refuse_other_format(path: Path, found: object) -> None:
    """Raise unless `found` is the format number that this version reads, naming the file and the remedy.

    Raises
    ------
    SynthanomError
    """
    if isinstance(found, int) and not isinstance(found, bool) and found > FORMAT:
        raise SynthanomError(
            f"{path}: format must be at most {FORMAT}, got {found}: a newer synthanom wrote it; "
            "upgrade with pip install --upgrade synthanom"
        )
    if found != FORMAT or isinstance(found, bool):
        raise SynthanomError(f"{path}: format must be {FORMAT}, got {found!r}; {DAMAGED}")


def describe_file(folder: Path | str, path: str, rows: int = 0, content: str = "") -> FileRecord:
    """Record of the file `path` (relative to `folder`) as it is now on disk; `rows` and `content` are taken as given.

    Raises
    ------
    SynthanomError
        If it cannot be read.
    """
    full = Path(folder) / path
    digest = hashlib.sha256()
    size = 0
    try:
        with full.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
                size += len(block)
    except OSError as error:
        raise SynthanomError(f"{full}: must be readable, got {error.strerror or error}; {DAMAGED}") from error
    return FileRecord(path=path, sha256=digest.hexdigest(), bytes=size, rows=rows, content=content)


@contextmanager
def replaced_file(path: Path | str) -> Iterator[IO[bytes]]:
    """Open a temporary file that takes the name `path` when the block ends well and vanishes when it does not.

    The temporary name holds machine and process, so a leftover process of an earlier run cannot disturb this one. File
    and folder are synchronised to disk before and after the renaming.

    Raises
    ------
    SynthanomError
        If the file cannot be written, for example because the disk is full.
    """
    path = Path(path)
    temporary = temporary_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _synchronise(path.parent)
    except OSError as error:
        raise SynthanomError(
            f"{path}: must be writable, got '{error.strerror or error}'; free space or rights there, then run the "
            "same command again"
        ) from error
    finally:
        # also on KeyboardInterrupt; after the renaming there is nothing left of this name
        temporary.unlink(missing_ok=True)


def _file_json(file: FileRecord) -> dict[str, Any]:
    content = {"content": file.content} if file.content else {}  # so that older data sets keep their digest
    return {"path": file.path, "sha256": file.sha256, "bytes": file.bytes, "rows": file.rows, **content}


def _synchronise(folder: Path) -> None:
    if os.name == "nt":  # folders cannot be opened there
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _parse(path: Path) -> dict[str, Any]:
    """The JSON object in the file."""
    if not path.parent.is_dir():
        raise SynthanomError(f"{path.parent}: must be the folder of a data set, got no such folder; check the path")
    if not path.is_file():
        raise SynthanomError(
            f"{path.parent}: must hold {NAME}, got none: unfinished: run the same command again (or check the path)"
        )
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text, parse_float=_finite, parse_constant=_refuse_constant)
    except (OSError, ValueError, RecursionError) as error:
        raise SynthanomError(f"{path}: must be readable JSON, got '{error}'; {DAMAGED}") from error
    if not isinstance(content, dict):
        raise SynthanomError(f"{path}: must hold a JSON object, got {type(content).__name__}; {DAMAGED}")
    return content


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        _refuse_constant(text)
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def manifest_from_json(path: Path, content: dict[str, Any]) -> Manifest:
    """The manifest in a JSON object (`Manifest.to_dict` without its digest), each field of its own type.

    Raises
    ------
    SynthanomError
        Naming the file that it was read from.
    """
    expected: dict[str, type] = {
        "version": str, "configuration": dict, "preprocessing": dict, "seed": int, "shape": list, "channels": int,
        "variants": int, "tasks": list, "folds": dict, "donor_folds": dict, "counts": dict, "fingerprint": dict,
        "files": list,
    }  # fmt: skip
    _check_fields(path, "the manifest", content, {"kind": str, "format": int, **expected})
    for task in content["tasks"]:
        _check_fields(path, "a task", task, {"name": str, "settings": dict, "rows": int})
    for file in content["files"]:
        named = {"content": str} if isinstance(file, dict) and "content" in file else {}
        _check_fields(path, "a file", file, {"path": str, "sha256": str, "bytes": int, "rows": int, **named})
    for name, kind in (("folds", int), ("donor_folds", int), ("counts", int), ("fingerprint", str)):
        _check_fields(path, name, content[name], dict.fromkeys(content[name], kind))
    _check_fields(path, "shape", dict(enumerate(content["shape"])), dict.fromkeys(range(len(content["shape"])), int))
    plain = {name: content[name] for name in expected if name not in ("shape", "tasks", "files")}
    return Manifest(
        shape=tuple(content["shape"]),
        tasks=tuple(TaskRecord(**task) for task in content["tasks"]),
        files=tuple(FileRecord(**file) for file in content["files"]),
        **plain,
    )


def _check_fields(path: Path, what: str, found: object, expected: Mapping[Any, type]) -> None:
    """Raise unless `found` is an object with exactly these keys, each of its type (a bool is not an int)."""
    if not isinstance(found, dict) or found.keys() != expected.keys():
        keys = sorted(found) if isinstance(found, dict) else found
        raise SynthanomError(f"{path}: {what} must have the fields {sorted(expected)}, got {keys}; {DAMAGED}")
    for name, kind in expected.items():
        if type(found[name]) is not kind:
            got = type(found[name]).__name__
            raise SynthanomError(f"{path}: {what}: {name} must be of type {kind.__name__}, got {got}; {DAMAGED}")


def _check_consistency(manifest: Manifest, path: Path) -> None:
    """Raise unless names, paths, counts and shape agree with each other."""
    names = [task.name for task in manifest.tasks]
    paths = [file.path for file in manifest.files]
    healthy = sum(file.rows for file in manifest.healthy_files)
    rows = {name: sum(file.rows for file in manifest.anomaly_files(name)) for name in names}
    requirements = {
        "shape must be 2 or 3 positive sides": len(manifest.shape) in (2, 3) and min(manifest.shape) >= 1,
        "channels must be at least 1": manifest.channels >= 1,
        "variants must not be negative": manifest.variants >= 0,
        "task names must differ": len(set(names)) == len(names),
        "files must be listed once, in name order": paths == sorted(set(paths)),
        f"files must be shards of its tasks or {', '.join(TABLES)}": all(_known(p, names) for p in paths),
        "sizes and rows must not be negative": all(f.bytes >= 0 and f.rows >= 0 for f in manifest.files),
        "digests must be 64 hexadecimal digits": all(DIGEST.fullmatch(f.sha256) for f in manifest.files),
        "content must be 64 hexadecimal digits": all(DIGEST.fullmatch(f.content or f.sha256) for f in manifest.files),
        "folds must not be negative": min([*manifest.folds.values(), *manifest.donor_folds.values()], default=0) >= 0,
        "counts['healthy'] must be the rows of its files": manifest.counts.get("healthy") == healthy,
        "counts['anomalies'] must be the rows of its files": manifest.counts.get("anomalies") == sum(rows.values()),
        "the rows of a task must be those of its files": all(task.rows == rows[task.name] for task in manifest.tasks),
    }
    for requirement, met in requirements.items():
        if not met:
            raise SynthanomError(f"{path}: {requirement}, and it is not so; {DAMAGED}")


def _known(path: str, tasks: list[str]) -> bool:
    """Whether a manifest may list `path`; nothing it lists can lie outside the folder."""
    anomalies = ANOMALIES_NAME.fullmatch(path)
    return path in TABLES or HEALTHY_NAME.fullmatch(path) is not None or bool(anomalies and anomalies[1] in tasks)


def _check_sizes(manifest: Manifest, folder: Path) -> None:
    for record in manifest.files:
        path = folder / record.path
        try:
            size = path.stat().st_size
        except OSError as error:
            raise SynthanomError(f"{path}: must be there, got '{error.strerror or error}'; {DAMAGED}") from error
        if size != record.bytes:
            raise SynthanomError(f"{path}: must be {record.bytes} bytes long, got {size}; {DAMAGED}")
