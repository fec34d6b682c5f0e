"""Cases of single picture files that a data set's layout or list names."""

import os
from pathlib import Path

from synthanom.errors import SynthanomError
from synthanom.volumes.discover import format_of
from synthanom.volumes.volume import Source
from synthanom_builders.cases import Case, image_of

ENDINGS = (".png", ".jpg", ".jpeg")


def picture_case(raw: Path, file: Path, what: str, subject: str | None = None) -> Case:
    """The case of a file; its id is its path, its subject the id unless another is given.

    Parameters
    ----------
    what : str
        What messages call it.

    Raises
    ------
    SynthanomError
        If it is missing or no image.
    """
    kind = format_of(file) if file.is_file() else None
    if kind is None:
        state = "is not an image" if file.exists() else "is missing"
        raise SynthanomError(f"{file}: {what} {state}; complete the download")
    identity = file.relative_to(raw).as_posix()
    image = image_of(Source(id=identity, files=(file,), format=kind), raw)
    return Case(id=identity, subject=subject or identity, images=(image,))


def pictures_in(folder: Path) -> list[Path]:
    """Picture files of a folder, by name; no hidden ones, no links."""
    with os.scandir(folder) as entries:
        return sorted(
            Path(entry.path)
            for entry in entries
            if entry.name.lower().endswith(ENDINGS)
            and not entry.name.startswith(".")
            and entry.is_file(follow_symlinks=False)
        )
