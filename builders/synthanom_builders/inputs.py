"""Whether the files of a case still are what the build was planned with."""

import hashlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from synthanom.errors import SynthanomError
from synthanom_builders.cases import Case, InputFile

MOST_KEPT = 256  # digests of files in memory: some data sets keep all their images in a few
WAY_OUT = "restore it and run the same command again (what is finished is kept), or build into another --out"


class Unreadable(SynthanomError):
    """A case that could be read when the build was planned cannot be read now: leaving it out would be chance."""


def files_of(case: Case) -> Iterator[InputFile]:
    """The files of its images, then of its masks."""
    for image in (*case.images, case.mask, case.within):
        yield from () if image is None else image.files


def digest_of(raw: Path, case: Case) -> str:
    """SHA-256 of the present bytes of a case's files, one after the other.

    Raises
    ------
    SynthanomError
        If one cannot be read.
    """
    digest = hashlib.sha256()
    for file in files_of(case):
        try:
            stat = (raw / file.path).stat()
            digest.update(_file_digest(raw / file.path, (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)))
        except OSError as error:
            raise SynthanomError(
                f"{file.path}: must be readable, got '{error.strerror or error}'; restore it or leave it out"
            ) from error
    return digest.hexdigest()


def check_unchanged(raw: Path, case: Case, digest: str) -> None:
    """Refuse a case whose files are not the planned ones, by size, time and bytes: the plan would name other images.

    Parameters
    ----------
    raw : Path
    case : Case
        As planned.
    digest : str
        `digest_of` when it was planned; empty if a version planned it that kept none.

    Raises
    ------
    SynthanomError
        Naming the file.
    """
    for file in files_of(case):
        try:
            stat = (raw / file.path).stat()
        except OSError as error:
            raise _changed(file.path, f"'{error.strerror}'") from error
        if stat.st_size != file.bytes:
            raise _changed(file.path, f"{file.bytes} bytes then, {stat.st_size} now")
        if stat.st_mtime_ns != file.mtime_ns:
            raise _changed(file.path, "written to at another time")
    try:
        same = not digest or digest_of(raw, case) == digest
    except SynthanomError as error:
        raise _changed(case.path, "it cannot be read now") from error
    if not same:
        raise _changed(case.path, "other bytes of the same size and time")


def _changed(path: str, how: str) -> SynthanomError:
    return SynthanomError(f"{path}: must stay as it was when the build was planned, got another ({how}); {WAY_OUT}")


@lru_cache(maxsize=MOST_KEPT)
def _file_digest(path: Path, as_it_is: tuple[int, int, int]) -> bytes:
    """Of one file; `as_it_is`, its size and times, makes a file that changes another one."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
