"""From the records of all units to `dataset.json`, the last file of a build."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from synthanom.errors import SynthanomError
from synthanom.manifest import FileRecord, Manifest, TaskRecord, describe_file, write_manifest
from synthanom.temporaries import remove_leftovers
from synthanom.unfinished.draft import PLAN, Draft
from synthanom.unfinished.records import FOLDER, Skipped, UnitRecord
from synthanom.unfinished.tables import CASES, SKIPPED, in_order, write_cases, write_skipped

MIXED = "--mixed-fingerprints"


def finish(
    out: Path, draft: Draft, records: Sequence[UnitRecord], *, mixed: bool = False
) -> tuple[Manifest, tuple[Skipped, ...]]:
    """Write the tables and the manifest, with the folder's lock held, and remove what only a build needs.

    Parameters
    ----------
    out : Path
    draft : Draft
    records : sequence of UnitRecord
        Of every unit: the healthy ones first, in order.
    mixed : bool
        Whether units may have been made under different fingerprints.

    Returns
    -------
    manifest : Manifest
    skipped : tuple of Skipped
        Rows left out, in order.

    Raises
    ------
    SynthanomError
        If units were made under different fingerprints without `mixed`, or a file cannot be written.
    """
    fingerprint = _fingerprint(out, draft, records, mixed)
    skipped = in_order(draft, records)
    write_skipped(out, skipped)
    shown = [case for record in records if record.stage == "healthy" for case in record.cases]
    beside = [PLAN, SKIPPED, *([CASES] if write_cases(out, draft, shown) else [])]
    shards = [record.file for record in records if record.file is not None]
    manifest = _manifest(draft, shards, [describe_file(out, name) for name in beside], fingerprint)
    _remove_strays(out, manifest)
    write_manifest(out, manifest)
    tidy(out)
    return manifest, tuple(skipped)


def tidy(out: Path) -> None:
    """Remove what only a build needs from the folder of a finished data set."""
    shutil.rmtree(out / FOLDER, ignore_errors=True)
    remove_leftovers(written_in(out), every=True)


def written_in(out: Path) -> list[Path]:
    """The folders in which a build writes files."""
    return [out, out / FOLDER, out / "healthy", *out.glob("anomalies/*")]


def joined_fingerprints(found: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """One fingerprint of several: entries that differ hold all their values, so that no machine has it."""
    names = dict.fromkeys(name for each in found for name in each)
    return {name: " | ".join(sorted({each.get(name, "none") for each in found})) for name in names}


def _fingerprint(out: Path, draft: Draft, records: Sequence[UnitRecord], mixed: bool) -> Mapping[str, str]:
    own = draft.manifest.fingerprint
    others = [record for record in records if record.environment not in (None, own)]
    if not others:
        return own
    if not mixed:
        there = others[0].environment or {}
        name = next(name for name in sorted({*own, *there}) if own.get(name) != there.get(name))
        raise SynthanomError(
            f"{out}: every unit must be made under the plan's fingerprint, got {len(others)} under others (the first: "
            f"{name} {there.get(name)} instead of {own.get(name)}); allow it with {MIXED}"
        )
    return joined_fingerprints([own, *(record.environment or own for record in others)])


def _manifest(
    draft: Draft, shards: Sequence[FileRecord], tables: Sequence[FileRecord], fingerprint: Mapping[str, str]
) -> Manifest:
    bare = draft.manifest
    rows = {
        task.name: sum(file.rows for file in shards if file.path.startswith(f"anomalies/{task.name}/"))
        for task in bare.tasks
    }
    anomalies = sum(rows.values())
    return replace(
        bare,
        tasks=tuple(TaskRecord(name=task.name, settings=task.settings, rows=rows[task.name]) for task in bare.tasks),
        counts={"healthy": sum(file.rows for file in shards) - anomalies, "anomalies": anomalies},
        fingerprint=fingerprint,
        files=tuple(sorted([*shards, *tables], key=lambda file: file.path)),
    )


def _remove_strays(out: Path, manifest: Manifest) -> None:
    """Remove shards that no unit of this plan recorded: a worker that outlived an earlier build may have left one."""
    listed = {file.path for file in manifest.files}
    for path in [*out.glob("healthy/*.h5"), *out.glob("anomalies/*/*.h5")]:
        if path.relative_to(out).as_posix() not in listed:
            path.unlink(missing_ok=True)
