"""Finished data sets, built apart, become one; what would make its folds invalid is refused."""

import hashlib
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from synthanom.arrays import canonical_json
from synthanom.errors import SynthanomError
from synthanom.listed import is_listed, listed_bytes
from synthanom.manifest import NAME, FileRecord, Manifest, TaskRecord, describe_file, replaced_file, write_manifest
from synthanom.progress import Track, untold
from synthanom.shards import AnomalyRow, DataSet, write_anomalies
from synthanom.shards.codecs import DEFAULT
from synthanom.unfinished.finishing import MIXED, joined_fingerprints
from synthanom.unfinished.merging import Merged

FEWEST = 2  # subjects of a fold: intra_blend borrows from another one
EQUAL = ("shape", "channels", "variants", "seed", "preprocessing")
CONFIGURATION = ("labeller", "options", "codec", "contrasts", "kind", "folds")  # of a configuration, the same in all


@dataclass(frozen=True, kw_only=True)
class _Source:
    """One of the data sets, opened, and how many healthy rows come before its own."""

    data: DataSet
    before: int

    @property
    def name(self) -> str:
        return str(self.data.folder)


def joinable(folders: Sequence[Path], out: Path | None) -> bool:
    """Whether these are finished data sets to be joined, and not parts of one build.

    Raises
    ------
    SynthanomError
        If only some are finished.
    """
    finished = [(folder / NAME).is_file() for folder in folders]
    if any(finished) and not all(finished):
        parts, whole = (folders[finished.index(wanted)] for wanted in (False, True))
        raise SynthanomError(
            f"{parts}: must be a finished data set like {whole}, got none; finish it first, or merge parts alone"
        )
    return all(finished) and (len(folders) > 1 or out is not None)


def join(folders: Sequence[Path], out: Path | None, *, mixed: bool = False, track: Track = untold) -> Merged:
    """Join finished data sets: their healthy rows in the order given, each with its anomalies.

    Parameters
    ----------
    folders : sequence of Path
        At least two.
    out : Path
        Folder of the joined data set; new or empty.
    mixed : bool
        Whether they may have been built under different fingerprints.
    track : Track

    Raises
    ------
    SynthanomError
        If they differ in what a data set has one of, a subject lies in different folds, the same image or id is in
        two of them, or something cannot be read or written. Nothing is left then.
    """
    if out is None:
        raise SynthanomError("--out must name the joined data set, got none")
    if len({folder.resolve() for folder in folders}) < max(2, len(folders)):
        raise SynthanomError(f"at least two different data sets are needed, got {', '.join(map(str, folders))}")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SynthanomError(f"{out}: must be new or empty, and is not; choose another --out")
    sources = _opened(folders)
    _check_alike(sources, mixed)
    _check_rows(sources, track)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as folder:
        draft = Path(folder) / out.name  # shards are known by the names of their folders
        manifest = _written(draft, sources, track)
        write_manifest(draft, manifest)
        draft.replace(out)
    for source in sources:
        source.data.close()
    return Merged(folder=out, manifest=manifest)


def _opened(folders: Sequence[Path]) -> list[_Source]:
    sources: list[_Source] = []
    for folder in folders:
        data = DataSet.open(folder)
        before = sources[-1].before + len(sources[-1].data) if sources else 0
        sources.append(_Source(data=data, before=before))
    return sources


def _check_alike(sources: Sequence[_Source], mixed: bool) -> None:
    """Raise unless everything that a data set has one of is the same in all."""
    first = sources[0]
    for other in sources[1:]:
        for name, ours, theirs in _compared(first.data.manifest, other.data.manifest):
            if canonical_json(ours) != canonical_json(theirs):
                raise SynthanomError(
                    f"{other.name}: {name} must be as in {first.name} ({_short(ours)}), got {_short(theirs)}; build "
                    "both with the same settings"
                )
        ours, theirs = (dict(source.data.manifest.fingerprint) for source in (first, other))
        if ours != theirs and not mixed:
            name = next(name for name in sorted({*ours, *theirs}) if ours.get(name) != theirs.get(name))
            raise SynthanomError(
                f"{other.name}: must be built under the fingerprint of {first.name} ({name} {ours.get(name)}), got "
                f"{theirs.get(name)}; allow it with {MIXED}"
            )


def _compared(first: Manifest, other: Manifest) -> Iterator[tuple[str, Any, Any]]:
    """Names and values of what has to be the same."""
    for name in EQUAL:
        yield name, _plain(getattr(first, name)), _plain(getattr(other, name))
    yield "tasks", _tasks(first), _tasks(other)
    for name in CONFIGURATION:
        yield name, first.configuration.get(name), other.configuration.get(name)
    yield "having location priors", _placed(first), _placed(other)
    yield "donors", _donors(first), _donors(other)
    yield "the number of folds", _folds(first), _folds(other)


def _tasks(manifest: Manifest) -> list[dict[str, Any]]:
    return [{"name": task.name, "settings": dict(task.settings)} for task in manifest.tasks]


def _folds(manifest: Manifest) -> int:
    return max(manifest.folds.values(), default=-1) + 1


def _placed(manifest: Manifest) -> bool:
    """Whether the healthy rows have location priors; they may be from masks in one and from boxes in the other."""
    return bool(manifest.configuration.get("within"))


def _donors(manifest: Manifest) -> Any:
    """What two data sets have to agree on; an external set may lie elsewhere."""
    found = manifest.configuration.get("donors")
    return {k: v for k, v in found.items() if k != "path"} if isinstance(found, Mapping) else found


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else dict(value) if isinstance(value, Mapping) else value


def _check_rows(sources: Sequence[_Source], track: Track) -> None:
    """Raise if an id, or an image of different folds, is there twice, or a subject has two folds."""
    ids: dict[str, str] = {}
    folds: dict[str, tuple[int, str]] = {}
    images: dict[str, tuple[int, str]] = {}
    for source in sources:
        data = source.data
        for subject, fold in data.folds.items():
            known, where = folds.setdefault(subject, (fold, source.name))
            if known != fold:
                raise SynthanomError(
                    f"{source.name}: subject {subject} must lie in fold {known} as in {where}, got fold {fold}: it "
                    "would be trained on and judged by; build all its scans in one data set"
                )
        for row in track(f"images of {data.folder.name}", range(len(data)), len(data)):
            sample = data.healthy(row)
            if ids.setdefault(sample.id, source.name) != source.name:
                raise SynthanomError(
                    f"{source.name}: id {sample.id} must be in one data set, got it in {ids[sample.id]} too; rename it"
                )
            fold, where = images.setdefault(sample.sha256, (data.folds[sample.subject], f"{source.name}, {sample.id}"))
            if fold != data.folds[sample.subject]:
                raise SynthanomError(
                    f"{source.name}: image {sample.id} must lie in one fold, got the same pixels in fold {fold} "
                    f"({where}) and in fold {data.folds[sample.subject]}; leave one of them out"
                )
    sizes = Counter(fold for fold, _ in folds.values())
    small = [fold for fold in range(max(sizes) + 1) if sizes[fold] < FEWEST]
    if small:
        raise SynthanomError(f"fold {small[0]} must have at least {FEWEST} subjects, got {sizes[small[0]]}")


def _written(out: Path, sources: Sequence[_Source], track: Track) -> Manifest:
    """Write everything but the manifest, and return that."""
    first = sources[0].data.manifest
    files: list[FileRecord] = []
    healthy = [(source, record) for source in sources for record in source.data.manifest.healthy_files]
    for number, (source, record) in enumerate(track("healthy shards", healthy, len(healthy))):
        files.append(_copied(source.data.folder, record, out, f"healthy/{number:05}.h5"))
    tasks = []
    for task in first.tasks:
        shards = [(source, record) for source in sources for record in source.data.manifest.anomaly_files(task.name)]
        made = [
            _shifted(source, task.name, record, out / f"anomalies/{task.name}/{number:05}.h5")
            for number, (source, record) in enumerate(track(f"{task.name} shards", shards, len(shards)))
        ]
        files += made
        tasks.append(TaskRecord(name=task.name, settings=task.settings, rows=sum(record.rows for record in made)))
    files += _tables(out, sources)
    manifests = [source.data.manifest for source in sources]
    return replace(
        first,
        configuration={**first.configuration, "merged_from": [_named(source) for source in sources]},
        tasks=tuple(tasks),
        folds={subject: fold for m in manifests for subject, fold in m.folds.items()},
        counts={name: sum(m.counts[name] for m in manifests) for name in ("healthy", "anomalies")},
        fingerprint=joined_fingerprints([m.fingerprint for m in manifests]),
        files=tuple(sorted(files, key=lambda file: file.path)),
    )


def _named(source: _Source) -> dict[str, str]:
    digest = hashlib.sha256((source.data.folder / NAME).read_bytes()).hexdigest()
    return {"name": source.data.folder.resolve().name, "sha256": digest}


def _copied(folder: Path, record: FileRecord, out: Path, path: str) -> FileRecord:
    """Copy a shard under another name, and make sure that it is the one that the manifest lists."""
    with (folder / record.path).open("rb") as source, replaced_file(out / path) as target:
        shutil.copyfileobj(source, target, 1 << 20)
    copied = describe_file(out, path, record.rows, record.content)
    if copied.sha256 != record.sha256:
        raise SynthanomError(f"{folder / record.path}: must be as the manifest says, and is not; see synthanom check")
    return copied


def _shifted(source: _Source, task: str, record: FileRecord, path: Path) -> FileRecord:
    """Write a shard of anomalies again, its healthy rows counted on from those of the data sets before."""
    data, manifest = source.data, source.data.manifest
    first = sum(f.rows for f in manifest.anomaly_files(task) if f.path < record.path)
    stored = [data.anomaly_row(task, row) for row in range(first, first + record.rows)]
    rows: list[AnomalyRow] = [replace(row, healthy_index=row.healthy_index + source.before) for row in stored]
    codec = str(manifest.configuration.get("codec", DEFAULT))
    return write_anomalies(path, rows, shape=manifest.shape, channels=manifest.channels, codec=codec)


def _tables(out: Path, sources: Sequence[_Source]) -> list[FileRecord]:
    """One `skipped.csv` of all; `cases.csv` only where all have the same columns."""
    files = []
    for name in ("skipped.csv", "cases.csv"):
        given = [(source.data.folder, source.data.manifest) for source in sources]
        tables = [listed_bytes(*place, name).partition(b"\n") for place in given if is_listed(place[1], name)]
        heads = {head for head, _, _ in tables}
        if len(tables) == len(sources) and len(heads) == 1:
            with replaced_file(out / name) as file:
                file.write(heads.pop() + b"\n" + b"".join(rows for _, _, rows in tables))
            files.append(describe_file(out, name))
    return files


def _short(value: Any) -> str:
    text = canonical_json(value).decode()
    return text if len(text) <= 120 else text[:117] + "..."
