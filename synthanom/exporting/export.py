"""Exporting a data set: what it will take, and doing it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from synthanom.errors import SynthanomError
from synthanom.exporting.folder import check_place, data_digest, earlier, sizes, unchanged, write_record
from synthanom.exporting.hdf5 import Hdf5Groups
from synthanom.exporting.nifti import NiftiGroups
from synthanom.exporting.pictures import Pictures
from synthanom.exporting.room import Packing, Room, check_room, room_of, size_text
from synthanom.exporting.selection import Group, Selection, chosen_groups
from synthanom.exporting.threads import in_threads
from synthanom.exporting.writer import Writer
from synthanom.nearest import meant
from synthanom.progress import Track, untold
from synthanom.shards import DataSet
from synthanom.shards.dense import DENSE_CODECS
from synthanom.temporaries import remove_leftovers
from synthanom.volumes.write import GZIP_LEVEL

Form = Literal["hdf5", "nifti"]
EVERYTHING = Selection()


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What an export holds, or will hold.

    Attributes
    ----------
    rows : mapping of str to int
        Rows of each task, and "healthy" ones.
    room : Room
        Bytes needed by estimate, and as plain arrays.
    bytes : int or None
        Bytes of its files; None for a plan.
    kept : int
        Rows of files that an earlier run had finished.
    already : bool
        Whether it was finished before and nothing was written.
    """

    rows: Mapping[str, int]
    room: Room | None
    bytes: int | None = None
    kept: int = 0
    already: bool = False


def planned(
    folder: Path | str, out: Path | str, form: Form = "hdf5", *, selection: Selection = EVERYTHING, codec: str = "gzip"
) -> tuple[Exported, int]:
    """What `export` would write, and how many bytes are free for it; nothing is written.

    Parameters
    ----------
    folder, out, form, selection, codec
        As `export`.

    Returns
    -------
    plan : Exported
    free : int
        Bytes.

    Raises
    ------
    SynthanomError
        As `export`.
    """
    out = Path(out)
    _check_form(form, codec)
    check_place(Path(folder), out)
    with DataSet.open(folder) as data:
        groups = chosen_groups(data, selection)
        earlier(out, _about(data, form, selection, codec))
        room = room_of(Pictures(data), groups, _packing(form, codec))
    return Exported(rows=_counts(groups), room=room), check_room(out, room)


def export(
    folder: Path | str,
    out: Path | str,
    form: Form = "hdf5",
    *,
    selection: Selection = EVERYTHING,
    codec: str = "gzip",
    track: Track = untold,
    note: Callable[[str], None] = lambda text: None,
) -> Exported:
    """Write rows of a data set as plain arrays, each picture pasted together as a reader sees it.

    What an earlier, interrupted run of the same export finished is kept.

    Parameters
    ----------
    folder : path
        A finished data set.
    out : path
        Folder, new or empty; gets ``export.json`` and for ``"hdf5"`` one file for each task and for the healthy rows,
        for ``"nifti"`` one file for each image, label and mask, and ``rows.csv``.
    form : {"hdf5", "nifti"}
    selection : Selection
        All rows by default.
    codec : {"gzip", "none"}
        Of HDF5.
    track : Track
        Shows how many rows are written, group by group.
    note : callable
        Told what is about to be written.

    Returns
    -------
    Exported

    Raises
    ------
    SynthanomError
        If something that is asked for is not there, the export will not fit, `out` holds something else, a row is
        damaged, or a file cannot be written. No half-written file is left then.
    """
    folder, out = Path(folder), Path(out)
    _check_form(form, codec)
    check_place(folder, out)
    with DataSet.open(folder) as data:
        groups = chosen_groups(data, selection)
        about = _about(data, form, selection, codec)
        found = earlier(out, about)
        if found is not None and found.get("finished") and unchanged(out, found["files"]):
            return Exported(rows=_counts(groups), room=None, bytes=sum(found["files"].values()), already=True)
        remove_leftovers([out, *(out / group.name for group in groups)])
        pictures = Pictures(data)
        room = room_of(pictures, groups, _packing(form, codec))
        free = check_room(out, room)
        note(room_line(sum(map(len, groups)), room, free))
        write_record(out, about, {"finished": False, "rows": _counts(groups)})
        kept = _write(groups, _writer(pictures, out, form, about), track)
        files = sizes(out, [group.name for group in groups])
        write_record(out, about, {"finished": True, "rows": _counts(groups), "files": files})
    return Exported(rows=_counts(groups), room=room, bytes=sum(files.values()), kept=kept)


def room_line(rows: int, room: Room, free: int) -> str:
    """What an export takes, for people."""
    needed, plain = size_text(room.needed), size_text(room.plain)
    return f"{rows} rows: about {needed} ({plain} as plain arrays), {size_text(free)} are free"


def _write(groups: Sequence[Group], writer: Writer, track: Track) -> int:
    """Write the groups; how many rows were there before."""
    kept = 0
    for group in groups:
        if writer.there(group):
            kept += len(group)
            continue
        with writer.writing(group) as write, in_threads(write, range(len(group)), writer.threads) as rows:
            kept += sum(track(f"exporting {group.name}", rows, len(group)))
    writer.finish()
    return kept


def _writer(pictures: Pictures, out: Path, form: Form, about: Mapping[str, Any]) -> Writer:
    return NiftiGroups(pictures, out) if form == "nifti" else Hdf5Groups(pictures, out, about)


def _about(data: DataSet, form: Form, selection: Selection, codec: str) -> dict[str, Any]:
    """What makes one export differ from another."""
    return {
        "name": data.folder.resolve().name,
        "data_sha256": data_digest(data.folder),
        "form": form,
        "codec": codec if form == "hdf5" else "gzip",
        "selection": selection.to_dict(),
    }


def _check_form(form: str, codec: str) -> None:
    if form not in ("hdf5", "nifti"):
        raise SynthanomError(f"--format must be hdf5 or nifti, got {form!r}")
    if codec not in DENSE_CODECS:
        raise SynthanomError(
            f"--codec must be one of {', '.join(DENSE_CODECS)} to export, got {codec!r}{meant(codec, DENSE_CODECS)}"
        )
    if form == "nifti" and codec != DENSE_CODECS[0]:
        raise SynthanomError(f"NIfTI is written as .nii.gz, got --codec {codec}; leave it out, or export hdf5")


def _packing(form: Form, codec: str) -> Packing:
    if form == "nifti":
        return Packing(level=GZIP_LEVEL, shuffle=False)
    return Packing(level=1 if codec == "gzip" else 0, shuffle=True)


def _counts(groups: Sequence[Group]) -> dict[str, int]:
    return {group.name: len(group) for group in groups}
