"""Parts of one build become one data set."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from synthanom.errors import SynthanomError
from synthanom.manifest import NAME as MANIFEST
from synthanom.manifest import Manifest, read_manifest, replaced_file
from synthanom.progress import Track, untold
from synthanom.temporaries import remove_leftovers
from synthanom.unfinished.draft import PLAN, Draft, read_draft, write_draft
from synthanom.unfinished.finishing import finish, written_in
from synthanom.unfinished.lock import locked
from synthanom.unfinished.parts import Unit, in_turn, whose
from synthanom.unfinished.records import Skipped, UnitRecord, finished_unit, write_record


@dataclass(frozen=True, kw_only=True)
class Merged:
    """What a merge came to.

    Attributes
    ----------
    folder : Path
    manifest : Manifest
    skipped : tuple of Skipped
        Rows left out.
    already : bool
        Whether the data set had been finished before.
    """

    folder: Path
    manifest: Manifest
    skipped: tuple[Skipped, ...] = ()
    already: bool = False


def merge_parts(
    folders: Sequence[Path], out: Path | None = None, *, mixed: bool = False, track: Track = untold
) -> Merged:
    """Finish a build whose parts were made in one folder, or in several.

    Parameters
    ----------
    folders : sequence of Path
        One that all parts shared, or one for each.
    out : Path, optional
        Where the data set goes; the folder itself if there is one only. New, or of the same merge interrupted.
    mixed : bool
        Whether parts may have been made under different fingerprints.
    track : Track

    Raises
    ------
    SynthanomError
        If units are missing (named by the parts that have to be run again), the folders follow different plans, or
        something cannot be read or written. What is finished is kept.
    """
    target = folders[0] if out is None else out
    if out is None and len(folders) != 1:
        raise SynthanomError("--out must name the data set to be where there are several folders, got none")
    if (target / MANIFEST).exists():
        return Merged(folder=target, manifest=read_manifest(target), already=True)
    draft = _common_draft(folders)
    with locked(target):
        remove_leftovers(written_in(target))
        if target not in folders:
            _begin(target, folders[0], draft)
        units = [*in_turn(draft.units, ["healthy"]), *in_turn(draft.units, [s for s in draft.units if s != "healthy"])]
        found = [_settled(target, folders, draft, unit) for unit in track("units of the parts", units, len(units))]
        missing = [unit for unit, record in zip(units, found, strict=True) if record is None]
        if missing:
            raise SynthanomError(f"{target}: {whose(folders, draft.units, missing)}")
        records = [record for record in found if record is not None]
        manifest, skipped = finish(target, draft, records, mixed=mixed)
    return Merged(folder=target, manifest=manifest, skipped=skipped)


def _common_draft(folders: Sequence[Path]) -> Draft:
    drafts = [read_draft(folder) for folder in folders]
    for folder, draft in zip(folders, drafts, strict=True):
        if draft.plan != drafts[0].plan:
            raise SynthanomError(
                f"{folder}: must follow the plan of {folders[0]} ({drafts[0].plan[:12]}), got another "
                f"({draft.plan[:12]}); build all parts by one command from the same files"
            )
    return drafts[0]


def _begin(target: Path, first: Path, draft: Draft) -> None:
    """Bring the plan along, unless an earlier merge did."""
    others = sorted(entry.name for entry in target.iterdir() if not entry.name.startswith("."))
    if others:
        if (target / PLAN).exists() and read_draft(target).plan == draft.plan:
            return
        raise SynthanomError(f"{target}: must be new or empty, got {', '.join(others[:3])}; choose another --out")
    write_draft(target, draft)
    _copy(first / PLAN, target / PLAN)


def _settled(target: Path, folders: Sequence[Path], draft: Draft, unit: Unit) -> UnitRecord | None:
    """The record of a unit that is whole in the target, copied from the first folder that has it; None if none has."""
    record = finished_unit(target, draft.plan, *unit)
    if record is not None:
        return record
    for folder in folders:
        record = None if folder == target else finished_unit(folder, draft.plan, *unit)
        if record is not None:
            if record.file is not None:
                _copy(folder / record.file.path, target / record.file.path, record.file.sha256)
            write_record(target, record)
            return record
    return None


def _copy(source: Path, target: Path, digest: str | None = None) -> None:
    try:
        content = source.read_bytes()
    except OSError as error:
        raise SynthanomError(f"{source}: must be readable, got '{error.strerror or error}'; merge again") from error
    if digest is not None and hashlib.sha256(content).hexdigest() != digest:
        raise SynthanomError(f"{source}: changed while it was copied; merge again")
    with replaced_file(target) as file:
        file.write(content)
