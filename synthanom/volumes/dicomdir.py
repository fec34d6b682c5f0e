"""What a DICOMDIR lists and its folder does not hold: files that a copy from a medium left behind."""

import io
import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthanom.volumes.discover import files_under
from synthanom.volumes.volume import shown

NAME = re.compile(r"dicomdir\.?(?:;\d+)?", re.IGNORECASE)
VERSION = re.compile(r";\d+$")  # ISO 9660 counts versions of a file behind its name
MAX_BYTES = 16 << 20  # of a DICOMDIR: some 30,000 images; parsing takes seconds and a hundred times the memory
RECORDS = 0x00041220  # (0004,1220), the Directory Record Sequence
UNDEFINED = 0xFFFFFFFF  # length of a sequence that ends with a delimiter
INACTIVE = 0  # Record In-use Flag of a deleted record
OUTSIDE = re.compile(r"|\.{1,2}|.*[:\0].*", re.DOTALL)  # empty (of an absolute path), '.', '..', and drives


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A DICOMDIR against its folder.

    Attributes
    ----------
    listed : int
        How many files it lists.
    missing : tuple of str
        Those that the folder does not hold, with slashes, in the order of the directory.
    outside : tuple of str
        Those that would lie outside of the folder, and were not looked for.
    problem : str
        Why its records cannot be read; empty where they can.
    """

    listed: int = 0
    missing: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    problem: str = ""


def dicomdir_notes(folder: Path) -> Iterator[str]:
    """One line for each DICOMDIR under a folder that lists files which are missing, or that cannot be read."""
    for path in files_under(folder, NAME):
        line = _note(check_dicomdir(path))
        if line:
            yield f"{shown(path.relative_to(folder).as_posix(), 200)}: {line}"


def check_dicomdir(path: Path) -> Checked:
    """Look for every file that a DICOMDIR lists in the folder that it lies in; none is opened.

    Names match as on media: upper and lower case are one, and so are names with and without a version (``;1``) or a
    closing dot. Links count where they lead to a file inside the folder, as for `discover`.
    """
    try:
        return _checked(path)
    except Exception as error:  # pydicom raises a dozen kinds at damage, some only where a value is first used
        return Checked(problem=f"cannot be read ({type(error).__name__}: {shown(error, 200)})")


def _checked(path: Path) -> Checked:
    ids, problem = _file_ids(path)
    tree = _Tree(path.parent)
    missing, outside = [], []
    for parts in ids:
        if any(OUTSIDE.fullmatch(part) for part in parts):
            outside.append("/".join(parts))
        elif not tree.holds(parts):
            missing.append("/".join(parts))
    return Checked(listed=len(ids), missing=tuple(missing), outside=tuple(outside), problem=problem)


class _Tree:
    """The names under a folder as a medium knows them, each folder listed once and only when asked for."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._inside = root.resolve()
        self._listed: dict[Path, dict[str, list[Path]]] = {}

    def holds(self, parts: Iterable[str]) -> bool:
        """Whether a file lies there; linked folders are not followed, as in `discover`."""
        level = [self._root]  # several where names differ by case only
        for part in parts:
            level = [child for parent in level for child in self._children(parent).get(_key(part), ())]
        return any(
            file.is_file() and (not file.is_symlink() or file.resolve().is_relative_to(self._inside)) for file in level
        )

    def _children(self, parent: Path) -> dict[str, list[Path]]:
        if parent not in self._listed:
            names: dict[str, list[Path]] = {}
            if parent == self._root or (parent.is_dir() and not parent.is_symlink()):
                for child in parent.iterdir():
                    names.setdefault(_key(child.name), []).append(child)
            self._listed[parent] = names
        return self._listed[parent]


def _key(name: str) -> str:
    return VERSION.sub("", name).removesuffix(".").upper()


def _file_ids(path: Path) -> tuple[list[tuple[str, ...]], str]:
    """The listed files, each once, as their components; and what is wrong with the directory, if anything."""
    import pydicom

    with path.open("rb") as stream:
        data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        return [], f"is larger than {MAX_BYTES >> 20} MiB"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's, about damage and about values that the standard forbids
        header = pydicom.dcmread(io.BytesIO(data), force=True, specific_tags=[RECORDS])
        if RECORDS not in header:
            return [], "holds no directory records"
        raw: Any = header.get_item(RECORDS)
        short = getattr(raw, "length", UNDEFINED) != UNDEFINED and raw.length > len(raw.value or b"")
        ids = dict.fromkeys(_components(record) for record in header[RECORDS].value)
    ids.pop((), None)
    return list(ids), "is cut short" if short else ""


def _components(record: Any) -> tuple[str, ...]:
    """The file that a record refers to, () where it refers to none or is deleted."""
    value = record.get("ReferencedFileID")
    if not value or record.get("RecordInUseFlag") == INACTIVE:
        return ()
    parts = [str(value)] if isinstance(value, str | bytes | int | float) else [str(part) for part in value]
    # components are values of their own; a writer that put slashes into one meant the same
    names = [name.strip() for name in "/".join(parts).split("/")]
    return tuple(name for i, name in enumerate(names) if name or i == 0)  # the first is empty of an absolute path


def _note(checked: Checked) -> str:
    """What is wrong, in one line; empty where nothing is."""
    said = []
    if checked.problem:
        said.append(f"{checked.problem}: images that it lists may be missing unnoticed")
    if checked.missing:
        count, first = len(checked.missing), shown(checked.missing[0])
        said.append(f"{count} of {checked.listed} files that it lists are missing, the first {first}")
    if checked.outside:
        count, first = len(checked.outside), shown(checked.outside[0])
        said.append(
            f"{count} of {checked.listed} files that it lists lie outside its folder and were not looked for, "
            f"the first {first}"
        )
    return "; ".join(said)
