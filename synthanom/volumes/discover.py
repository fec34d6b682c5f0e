"""Finding the images in a folder."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from synthanom.errors import SynthanomError
from synthanom.volumes.dicom_headers import SliceHeader, read_slice_header, same_direction
from synthanom.volumes.volume import Format, Source

EXTENSIONS: tuple[tuple[str, Format], ...] = (
    (".nii.gz", "nifti"),
    (".nii", "nifti"),
    (".hdr.gz", "nifti"),
    (".hdr", "nifti"),
    (".mgz", "nifti"),
    (".mgh", "nifti"),
    (".nrrd", "itk"),
    (".mha", "itk"),
    (".mhd", "itk"),
    (".png", "picture"),
    (".jpg", "picture"),
    (".jpeg", "picture"),
    (".dcm", "dicom"),
    (".dicom", "dicom"),
    (".ima", "dicom"),
)
# known not to be images of their own: tables, notes, gradients, surfaces, and the data files of .hdr and .mhd
SIDECARS = frozenset(
    {".json", ".csv", ".tsv", ".txt", ".md", ".rst", ".xml", ".html", ".pdf", ".yaml", ".yml", ".toml", ".log"}
    | {".bval", ".bvec", ".mat", ".npy", ".npz", ".h5", ".py", ".sh", ".ipynb", ".zip", ".tar", ".tgz", ".7z"}
    | {".img", ".raw", ".zraw", ".trk", ".tck", ".gii", ".annot", ".label", ".db", ".ini", ".lock", ".tmp", ".part"}
)
HEAD_BYTES = 352
ANY = re.compile(r".*", re.DOTALL)


def format_of(path: Path) -> Format | None:
    """Which reader takes a file: by its first bytes where those are certain, else by its extension; or None."""
    name = path.name.lower()
    if path.suffix.lower() in SIDECARS or name.endswith(".img.gz"):
        return None
    with path.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
    certain = _format_of_bytes(head)
    if certain is not None:
        return certain
    for extension, kind in EXTENSIONS:
        if name.endswith(extension):
            return kind
    return "dicom" if _may_be_dicom(head) else None


def discover(folder: str | os.PathLike[str]) -> list[Source]:
    """Find the images under a folder, in the order of their ids, the same on every machine.

    Hidden files and folders and sidecars (tables, notes, DICOM reports and directories) are passed over. DICOM files
    of one folder, series, size and direction form one source; links are followed only to files inside the folder.

    Parameters
    ----------
    folder : path

    Returns
    -------
    list of Source

    Raises
    ------
    SynthanomError
        If the folder is missing, is a file, or holds no image.
    """
    root = Path(folder)
    if not root.is_dir():
        what = "is a file, not a folder" if root.exists() else "does not exist"
        raise SynthanomError(f"{root}: a folder of images is needed, this {what}; check the path")
    files = list(files_under(root))
    sources: list[Source] = []
    for parent, members in groupby(files, key=lambda file: file.parent):
        sources.extend(_sources_of(root, parent, list(members)))
    if not sources:
        raise SynthanomError(
            f"{root}: no image found among {len(files)} files; NIfTI, DICOM, NRRD, MetaImage, PNG and JPEG are read, "
            "hidden files and links that lead out of the folder are passed over"
        )
    return sorted(_with_own_ids(root, sources), key=lambda source: source.id)


def files_under(root: Path, name: re.Pattern[str] = ANY) -> Iterator[Path]:
    """Files of a name in sorted order, folder by folder; no hidden ones, no linked folders, no links out of `root`."""
    inside = root.resolve()
    for folder, folders, names in os.walk(root, followlinks=False):
        folders[:] = sorted(found for found in folders if not found.startswith("."))
        for found in sorted(names):
            if found.startswith(".") or not name.fullmatch(found):
                continue
            file = Path(folder) / found
            if file.is_file() and (not file.is_symlink() or file.resolve().is_relative_to(inside)):
                yield file


def _format_of_bytes(head: bytes) -> Format | None:
    if head[128:132] == b"DICM":
        return "dicom"
    if head.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")):
        return "picture"
    if head[344:348] in (b"n+1\0", b"ni1\0") or head[4:8] in (b"n+2\0", b"ni2\0"):
        return "nifti"
    if head.startswith((b"NRRD000", b"ObjectType")):
        return "itk"
    return None


def _may_be_dicom(head: bytes) -> bool:
    """DICOM without preamble starts with an element of group 0002 or 0008, in either byte order."""
    return head[:2] in (b"\x02\x00", b"\x08\x00", b"\x00\x08") and head[2:4] in (b"\x00\x00", b"\x01\x00", b"\x05\x00")


def _sources_of(root: Path, parent: Path, files: list[Path]) -> Iterator[Source]:
    """The sources of one folder's own files."""
    headers = []
    for file in files:
        kind = format_of(file)
        if kind == "dicom":
            header = read_slice_header(file)
            headers += [header] if header is not None else []
        elif kind is not None:
            yield Source(id=_plain_id(root, file), files=(file,), format=kind)
    stacks, alone = _stacks(headers)
    for header in alone:
        yield Source(id=_plain_id(root, header.file), files=(header.file,), format="dicom")
    place = _folder_id(root, parent)
    for stack, label in zip(stacks, _labels(stacks), strict=True):
        yield Source(id=f"{place}{label}", files=tuple(header.file for header in stack), format="dicom")


def _stacks(headers: Iterable[SliceHeader]) -> tuple[list[list[SliceHeader]], list[SliceHeader]]:
    """Group slices by series, size and direction; the second part are images of their own."""
    groups: list[list[SliceHeader]] = []
    alone = []
    for header in headers:
        if header.stack is None:
            alone.append(header)
            continue
        for group in groups:
            if group[0].stack == header.stack and same_direction(group[0].orientation, header.orientation):
                group.append(header)
                break
        else:
            groups.append([header])
    alone += [group[0] for group in groups if len(group) == 1]
    return [group for group in groups if len(group) > 1], sorted(alone, key=lambda header: header.file)


def _labels(stacks: list[list[SliceHeader]]) -> list[str]:
    """What tells the series of one folder apart: their numbers where those differ, else a count."""
    if len(stacks) < 2:
        return [""] * len(stacks)
    numbers = [stack[0].number for stack in stacks]
    if None not in numbers and len(set(numbers)) == len(numbers):
        return [f"#{number}" for number in numbers]
    return [f"#{i + 1}" for i in range(len(stacks))]


def _plain_id(root: Path, file: Path) -> str:
    """Path relative to the root without a known extension."""
    name = file.relative_to(root).as_posix()
    for extension, _ in EXTENSIONS:
        if name.lower().endswith(extension) and Path(name).name.lower() != extension:
            return name[: -len(extension)]
    return name


def _folder_id(root: Path, folder: Path) -> str:
    """Path of a series' folder relative to the root; for the root itself its own name."""
    return root.resolve().name if folder == root else folder.relative_to(root).as_posix()


def _with_own_ids(root: Path, sources: list[Source]) -> list[Source]:
    """Sources whose ids fell together keep their extension, or for a series gain a mark, so that ids are unique."""
    count = Counter(source.id for source in sources)
    named = []
    for source in sources:
        if count[source.id] > 1:
            whole = len(source.files) == 1
            name = source.files[0].relative_to(root).as_posix() if whole else f"{source.id}#series"
            named.append(replace(source, id=name))
        else:
            named.append(source)
    repeated = [name for name, n in Counter(source.id for source in named).items() if n > 1]
    if repeated:
        raise SynthanomError(f"{root}: two images would share the id {repeated[0]!r}; rename one of them")
    return named
