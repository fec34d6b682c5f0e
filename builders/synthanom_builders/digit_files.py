"""Which files hold the digits, and the exemplars of every digit for training and for testing, which share none."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from synthanom.errors import SynthanomError
from synthanom_builders.digit_formats import Bytes, idx_digits, npz_digits, table_digits

Part = Literal["train", "test"]
Layout = Literal["idx", "npz", "table"]
IDX: dict[Part, tuple[str, str]] = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
ARCHIVE, TABLES = "mnist.npz", ("digits.csv.gz", "digits.csv")
REMEDY = f"name the folder that holds the idx files of MNIST, {ARCHIVE}, or {TABLES[0]} of scikit-learn"
TESTED = 3  # one in so many digits of a table without parts is for testing


@dataclass(frozen=True, kw_only=True)
class DigitFiles:
    """The files of one part: how they are laid out, and digits before labels where those are two files."""

    layout: Layout
    part: Part
    files: tuple[Path, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Exemplars:
    """How people wrote each digit.

    Attributes
    ----------
    images : tuple of 10 ndarrays of shape (n, 28, 28), uint8, n > 0
        By digit; white on black.
    """

    images: tuple[Bytes, ...]

    @property
    def counts(self) -> tuple[int, ...]:
        """Number of exemplars, by digit."""
        return tuple(len(images) for images in self.images)


def find_digits(raw: Path, part: Part) -> DigitFiles:
    """The files of a part; one layout is taken for both parts, idx files before the archive before the table.

    Raises
    ------
    SynthanomError
        Naming the first file that is missing.
    """
    idx = {name: _spelled(raw, name) for names in IDX.values() for name in names}
    if any(file is not None for file in idx.values()):
        files = tuple(file for name in IDX[part] if (file := idx[name]) is not None)
        missing = [name for name in IDX[part] if idx[name] is None]
        if not missing:
            return DigitFiles(layout="idx", part=part, files=files)
        raise _missing(raw, missing[0])
    if (raw / ARCHIVE).is_file():
        return DigitFiles(layout="npz", part=part, files=(raw / ARCHIVE,))
    table = next((raw / name for name in TABLES if (raw / name).is_file()), None)
    if table is not None:
        return DigitFiles(layout="table", part=part, files=(table,))
    raise _missing(raw, IDX[part][0])


def load_digits(found: DigitFiles) -> Exemplars:
    """The exemplars of a part, read once per process as long as the files do not change.

    Raises
    ------
    SynthanomError
        If a file is damaged, or a digit has no exemplar.
    """
    try:
        stats = [file.stat() for file in found.files]
    except OSError as error:
        raise SynthanomError(f"{found.files[0]}: must stay readable, got '{error.strerror}'") from error
    return _loaded(found, tuple((stat.st_mtime_ns, stat.st_size) for stat in stats))


@lru_cache(maxsize=2)  # the two parts
def _loaded(found: DigitFiles, stamps: tuple[tuple[int, int], ...]) -> Exemplars:
    del stamps  # part of the key
    pixels, labels = _numbers(found)
    kept = [np.flatnonzero(labels == digit) for digit in range(10)]
    if found.layout == "table":
        kept = [_of_part(rows, found.part) for rows in kept]
    for digit, rows in enumerate(kept):
        if not len(rows):
            raise SynthanomError(
                f"{found.files[0]}: must have every digit in its {found.part} part, got no {digit}; {REMEDY}"
            )
    images = tuple(pixels[rows] for rows in kept)
    for of_digit in images:
        of_digit.flags.writeable = False  # shared by all who ask
    return Exemplars(images=images)


def _numbers(found: DigitFiles) -> tuple[Bytes, Bytes]:
    if found.layout == "idx":
        images, labels = found.files
        return idx_digits(images, labels)
    if found.layout == "npz":
        return npz_digits(found.files[0], found.part)
    return table_digits(found.files[0])


def _of_part(rows: npt.NDArray[np.intp], part: Part) -> npt.NDArray[np.intp]:
    """The last third of a digit's rows is for testing."""
    tested = -(-len(rows) // TESTED)
    first = len(rows) - tested
    return rows[first:] if part == "test" else rows[:first]


def _spelled(raw: Path, name: str) -> Path | None:
    """The file under any of its usual names."""
    spellings = (name, name.replace("-idx", ".idx"))
    candidates = [raw / f"{spelling}{ending}" for spelling in spellings for ending in ("", ".gz")]
    return next((path for path in candidates if path.is_file()), None)


def _missing(raw: Path, name: str) -> SynthanomError:
    return SynthanomError(f"{raw / name}: this file of the digits is missing; {REMEDY}")
