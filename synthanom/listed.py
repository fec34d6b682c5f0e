"""The files beside the shards of a finished data set: read whole, and never otherwise than the manifest lists them."""

import csv
import hashlib
import io
from pathlib import Path

from synthanom.errors import SynthanomError
from synthanom.manifest import DAMAGED, NAME, Manifest


def is_listed(manifest: Manifest, name: str) -> bool:
    """Whether the data set has a file of this name."""
    return any(file.path == name for file in manifest.files)


def listed_bytes(folder: Path, manifest: Manifest, name: str) -> bytes:
    """What a file of a data set holds, after its size and SHA-256 were found to be those that the manifest lists.

    Raises
    ------
    SynthanomError
        If the data set has no such file, or it cannot be read or was changed.
    """
    path = folder / name
    record = next((file for file in manifest.files if file.path == name), None)
    if record is None:
        raise SynthanomError(f"{path}: must be listed in {NAME}, and is not; the data set has no such file")
    try:
        with path.open("rb") as file:
            content = file.read(record.bytes + 1)  # of a file that grew, no more than shows it
    except OSError as error:
        raise SynthanomError(f"{path}: must be readable, got '{error.strerror or error}'; {DAMAGED}") from error
    if hashlib.sha256(content).hexdigest() != record.sha256:
        raise SynthanomError(f"{path}: must be as {NAME} lists it (SHA-256), and was changed; {DAMAGED}")
    return content


def listed_rows(folder: Path, manifest: Manifest, name: str) -> list[dict[str, str]]:
    """The lines of a table, by the names of its columns.

    Raises
    ------
    SynthanomError
        As `listed_bytes`, or if the file is no table.
    """
    text = listed_bytes(folder, manifest, name)
    try:
        return list(csv.DictReader(io.StringIO(text.decode("utf-8"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise SynthanomError(
            f"{folder / name}: must be a table (CSV in UTF-8), got '{error}'; read it as text"
        ) from error
