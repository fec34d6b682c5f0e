"""Cases: which files make one image of a data set, whom it shows, and what the files looked like when planned."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from synthanom.arrays import MaskArray
from synthanom.errors import SynthanomError
from synthanom.preprocess import align, mask_on_grid
from synthanom.volumes import Source, Volume, read
from synthanom.volumes.reading import AS_STORED, Reading
from synthanom.volumes.volume import Format
from synthanom_builders.marked_boxes import MarkedBox
from synthanom_builders.tables import is_plain


@dataclass(frozen=True, kw_only=True)
class InputFile:
    """A raw file as it was when the build was planned.

    Attributes
    ----------
    path : str
        Relative to the folder of raw data, with forward slashes.
    bytes : int
    mtime_ns : int
        Time of the last change, nanoseconds.
    """

    path: str
    bytes: int
    mtime_ns: int


@dataclass(frozen=True, kw_only=True)
class Image:
    """One contrast or mask of a case: a discovered source with its files' sizes and times."""

    id: str
    format: str
    files: tuple[InputFile, ...]

    @property
    def path(self) -> str:
        """What to call it: its file, or the id of a series of several files."""
        return self.files[0].path if len(self.files) == 1 or self.format != "dicom" else self.id

    def source(self, raw: Path) -> Source:
        """The source to read, its files under `raw`."""
        files = tuple(raw / file.path for file in self.files)
        return Source(id=self.id, files=files, format=cast(Format, self.format))

    def to_json(self) -> dict[str, Any]:
        """The image as JSON."""
        return {
            "id": self.id,
            "format": self.format,
            "files": [[file.path, file.bytes, file.mtime_ns] for file in self.files],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Image":
        """The image that `to_json` gave."""
        files = tuple(InputFile(path=path, bytes=size, mtime_ns=mtime) for path, size, mtime in data["files"])
        return cls(id=data["id"], format=data["format"], files=files)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One image of the data set to be.

    Attributes
    ----------
    id : str
        Keys the image's random streams.
    subject : str
    images : tuple of Image
        The contrasts, one per channel, in channel order; empty if one of them is missing.
    mask : Image or None
        The foreground's file.
    problem : str
        Why the case cannot be built although its files may be fine; empty if it can.
    columns : mapping of str to str
        What else the data set says; goes into `cases.csv`.
    within : Image or None
        The file of a mask of where anomalies may lie.
    boxes : tuple of MarkedBox
        Where they may lie instead.
    """

    id: str
    subject: str
    images: tuple[Image, ...]
    mask: Image | None = None
    problem: str = ""
    columns: Mapping[str, str] = field(default_factory=dict, hash=False)
    within: Image | None = None
    boxes: tuple[MarkedBox, ...] = ()

    @property
    def path(self) -> str:
        """What to call the case: the path of its first image."""
        return self.images[0].path

    def to_json(self) -> dict[str, Any]:
        """The case as JSON."""
        return {
            "id": self.id,
            "subject": self.subject,
            "images": [image.to_json() for image in self.images],
            "mask": None if self.mask is None else self.mask.to_json(),
            "problem": self.problem,
            # so that plans without any keep their bytes
            **({"columns": dict(self.columns)} if self.columns else {}),
            **({} if self.within is None else {"within": self.within.to_json()}),
            **({"boxes": [box.to_json() for box in self.boxes]} if self.boxes else {}),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Case":
        """The case that `to_json` gave."""
        return cls(
            id=data["id"],
            subject=data["subject"],
            images=tuple(Image.from_json(image) for image in data["images"]),
            mask=None if data["mask"] is None else Image.from_json(data["mask"]),
            problem=data["problem"],
            columns=dict(data.get("columns", {})),
            within=Image.from_json(data["within"]) if "within" in data else None,
            boxes=tuple(MarkedBox.from_json(box) for box in data.get("boxes", [])),
        )


def image_of(source: Source, raw: Path) -> Image:
    """A discovered source with the present sizes and times of its files.

    Raises
    ------
    SynthanomError
        If a file vanished, its name is no Unicode, or it is a link that leads out of the raw data.
    """
    files = []
    for file in source.files:
        path = file.relative_to(raw).as_posix()
        try:
            path.encode("utf-8")
            stat = file.stat()
            check_inside(file, raw)
        except UnicodeEncodeError as error:
            raise SynthanomError(f"{path!r}: file names must be Unicode (UTF-8), got other bytes; rename it") from error
        except OSError as error:
            raise SynthanomError(f"{file}: must stay readable while building, got '{error.strerror}'") from error
        files.append(InputFile(path=path, bytes=stat.st_size, mtime_ns=stat.st_mtime_ns))
    return Image(id=source.id, format=source.format, files=tuple(files))


def case_named(raw: Path, place: Path, name: str, endings: Sequence[str], kind: Format) -> Case:
    """The case of an image that a table names without its ending; its subject is the name.

    Raises
    ------
    SynthanomError
        If the name leads elsewhere, for a table is data, or the file is missing.
    """
    if not is_plain(name):
        raise SynthanomError(f"{place}: a table must name files there, got {name!r}; correct the table")
    file = next((place / f"{name}{ending}" for ending in endings if (place / f"{name}{ending}").is_file()), None)
    if file is None:
        raise SynthanomError(f"{place / name}{endings[0]}: this image is missing; complete the download")
    source = Source(id=f"{place.relative_to(raw).as_posix()}/{name}", files=(file,), format=kind)
    return Case(id=source.id, subject=name, images=(image_of(source, raw),))


def check_folder(raw: Path) -> None:
    """Refuse raw data that are no folder.

    Raises
    ------
    SynthanomError
    """
    if not raw.is_dir():
        what = "is a file, not a folder" if raw.exists() else "does not exist"
        raise SynthanomError(f"{raw}: a folder of raw data is needed, this {what}; check the path")


def check_inside(file: Path, raw: Path) -> None:
    """Refuse a link that leads out of the raw data.

    Raises
    ------
    SynthanomError
    """
    if not file.resolve().is_relative_to(raw.resolve()):
        raise SynthanomError(f"{file}: is a link that leads out of {raw}; copy the file to its place")


def read_case(raw: Path, case: Case, reading: Reading = AS_STORED) -> tuple[Volume, MaskArray | None]:
    """Read a case: its contrasts stacked as channels, and its mask on the same grid.

    Raises
    ------
    SynthanomError
        Naming the file: unreadable, grids that differ, no mask where masks are asked for, a contrast missing.
    """
    if case.problem:
        raise SynthanomError(f"{case.path}: {case.problem}")
    volume = align([read(image.source(raw), reading) for image in case.images])
    return volume, None if case.mask is None else mask_on_grid(volume, case.mask.source(raw), reading)


def relative(error: BaseException, raw: Path) -> str:
    """The error's words on one line, with paths relative to the raw folder: the same wherever that folder lies."""
    return " ".join(str(error).replace(f"{raw}{os.sep}", "").split()) or type(error).__name__


def with_problem(case: Case, problem: str) -> Case:
    """The case, marked as one that cannot be built."""
    return replace(case, problem=problem)
