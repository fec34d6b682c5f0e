"""Files of handwritten digits as arrays: idx, npz archives, and the table of 8 x 8 digits that scikit-learn has.

Every size is checked before memory is asked for, and nothing but numbers is read.

References
----------
LeCun, Cortes and Burges, "The MNIST database of handwritten digits", 1998 (idx).
Alpaydin and Kaynak, "Optical recognition of handwritten digits", UCI, 1998, doi:10.24432/C50P49 (the table).
"""

import gzip
import io
import math
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

from synthanom.errors import SynthanomError
from synthanom.preprocess.resampling import resample
from synthanom.volumes.volume import check_size, unreadable

Bytes = npt.NDArray[np.uint8]
T = TypeVar("T")
SIDE = 28  # pixels of a digit
UNSIGNED_BYTES = 8  # the idx code of the only type that MNIST has
SMALL, GREYS = 8, 16  # of the table: pixels a side, the largest grey value
INK = 20  # pixels that MNIST draws its digits into, with a margin around
TABLE_BYTES = 16 * 2**20  # scikit-learn's has 264,712
REMEDY = "download the file again"


def idx_digits(images: Path, labels: Path) -> tuple[Bytes, Bytes]:
    """Digits (N, 28, 28) and labels (N,) of two idx files, gzipped where their names say so.

    Raises
    ------
    SynthanomError
        Naming the file: unreadable, cut off, something else, or a header that declares too much.
    """
    pixels = _reading(images, lambda: _idx(images, dims=3))
    return _checked(images, pixels, _reading(labels, lambda: _idx(labels, dims=1)))


def npz_digits(path: Path, part: str) -> tuple[Bytes, Bytes]:
    """Digits (N, 28, 28) and labels (N,) of an npz archive's arrays ``x_<part>`` and ``y_<part>``.

    Raises
    ------
    SynthanomError
        As `idx_digits`; also for arrays that are not numbers.
    """

    def both() -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        with zipfile.ZipFile(path) as archive:
            return _member(path, archive, f"x_{part}", "u"), _member(path, archive, f"y_{part}", "ui")

    pixels, labels = _reading(path, both)
    return _checked(path, pixels, labels)


def table_digits(path: Path) -> tuple[Bytes, Bytes]:
    """Digits (N, 28, 28) and labels (N,) of a table with 64 grey values from 0 to 16 and a label in each row.

    They are enlarged to 20 x 20 with a margin of 4, as MNIST has its digits: a crop may cut the margin, not the ink.

    Raises
    ------
    SynthanomError
        As `idx_digits`.
    """

    def rows() -> npt.NDArray[np.float64]:
        with _opened(path) as stream:
            content = stream.read(TABLE_BYTES + 1)
        if len(content) > TABLE_BYTES:
            raise SynthanomError(f"{path}: must hold at most {TABLE_BYTES // 2**20} MiB of text; {REMEDY}")
        if not content.strip():
            return np.empty((0, 0))  # numpy would warn
        text = io.StringIO(content.decode("ascii"))
        return np.loadtxt(text, delimiter=",", comments=None, dtype=np.float64, ndmin=2)

    table = _reading(path, rows)
    if table.shape[1] != SMALL**2 + 1 or not len(table):
        raise SynthanomError(f"{path}: a row must have {SMALL**2} grey values and a label, got {table.shape}; {REMEDY}")
    if not ((table >= 0) & (table <= GREYS)).all():
        raise SynthanomError(f"{path}: grey values must be from 0 to {GREYS}, got others; {REMEDY}")
    small = (table[:, :-1] * (255 / GREYS)).astype(np.float32).reshape(-1, SMALL, SMALL)
    large = np.stack([resample(digit, (INK, INK), (SMALL / INK,) * 2, 1) for digit in small])
    margin = (SIDE - INK) // 2
    pixels = np.pad(np.rint(large).astype(np.uint8), ((0, 0), (margin, margin), (margin, margin)))
    return _checked(path, pixels, table[:, -1])


def _reading(path: Path, read: Callable[[], T]) -> T:
    """What `read` gives; whatever it finds broken is said in one line that names the file."""
    try:
        return read()
    except SynthanomError:
        raise
    except Exception as error:  # whatever gzip, zipfile and numpy throw at a broken file is the file's fault
        raise unreadable(path, error, what="the digits cannot be read") from error


def _opened(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path)) if path.name.endswith(".gz") else path.open("rb")


def _idx(path: Path, dims: int) -> Bytes:
    with _opened(path) as stream:
        head = stream.read(4 + 4 * dims)
        if head[:4] != bytes((0, 0, UNSIGNED_BYTES, dims)) or len(head) < 4 + 4 * dims:
            raise SynthanomError(
                f"{path}: must be an idx file of {dims} axes and 8-bit numbers, it begins with {head[:4].hex() or '-'};"
                f" {REMEDY}"
            )
        shape = struct.unpack(f">{dims}I", head[4:])
        return np.frombuffer(_content(path, stream, shape, 1), dtype=np.uint8).reshape(shape)


def _member(path: Path, archive: zipfile.ZipFile, name: str, kinds: str) -> npt.NDArray[Any]:
    """An array of an npz archive; its header is read by itself, for numpy asks for the memory that it declares."""
    with archive.open(f"{name}.npy") as stream:
        headers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, columns_first, dtype = headers[np.lib.format.read_magic(stream)](stream)
        if dtype.kind not in kinds:
            raise SynthanomError(f"{path}: {name} must hold whole numbers, got {dtype}; {REMEDY}")
        content = _content(path, stream, shape, dtype.itemsize)
    return np.frombuffer(content, dtype=dtype).reshape(shape, order="F" if columns_first else "C")


def _content(path: Path, stream: IO[bytes], shape: tuple[int, ...], itemsize: int) -> bytes:
    """The numbers that a header declares, no fewer and no more."""
    check_size(shape, itemsize, path)
    size = math.prod(shape) * itemsize
    content = stream.read(size + 1)
    if len(content) != size:
        got = "more" if len(content) > size else str(len(content))
        raise SynthanomError(f"{path}: must hold the {size} bytes that its header declares, got {got}; {REMEDY}")
    return content


def _checked(path: Path, pixels: npt.NDArray[Any], labels: npt.NDArray[Any]) -> tuple[Bytes, Bytes]:
    """Digits and labels that belong together, as bytes."""
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[1:] != (SIDE, SIDE):
        raise SynthanomError(
            f"{path}: digits must be {SIDE} x {SIDE} pixels of 8 bits, got shape {pixels.shape} of {pixels.dtype}; "
            f"{REMEDY}"
        )
    if labels.shape != pixels.shape[:1]:
        raise SynthanomError(
            f"{path}: every digit must have a label, got {len(pixels)} digits and labels of shape {labels.shape}; "
            f"{REMEDY}"
        )
    if not np.isin(labels, range(10)).all():
        raise SynthanomError(f"{path}: labels must be the digits 0 to 9, got others; {REMEDY}")
    return pixels, labels.astype(np.uint8)
