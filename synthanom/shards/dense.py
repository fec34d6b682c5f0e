"""Dense HDF5: whole arrays of pictures, one row a chunk, that h5py and any other HDF5 tool read without plugins."""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np
import numpy.typing as npt

from synthanom.errors import SynthanomError
from synthanom.manifest import replaced_file
from synthanom.shards.layout import TEXT

DENSE_KIND, DENSE_FORMAT = "synthanom-dense", 1
DENSE_CODECS = ("gzip", "none")  # what HDF5 itself reads everywhere
Values = npt.NDArray[Any] | Sequence[str]
Attributes = Mapping[str, str | int]


@dataclass(frozen=True, kw_only=True)
class DenseColumn:
    """A column that is written row by row.

    Attributes
    ----------
    dtype : str
        Of numpy, or `layout.TEXT`.
    shape : tuple of ints
        Of one row.
    about : mapping
        The column's attributes: its axes, its unit or meaning.
    """

    dtype: str
    shape: tuple[int, ...] = ()
    about: Attributes


class DenseFile:
    """A file that is being filled; made by `dense_file`."""

    def __init__(self, columns: Mapping[str, h5py.Dataset], target: "_Target") -> None:
        self._columns, self._target = columns, target

    def write(self, row: int, values: Mapping[str, npt.NDArray[Any] | str]) -> None:
        """Write one row of every column.

        Raises
        ------
        OSError
            If the file cannot be written, for example because the disk is full.
        """
        for name, column in self._columns.items():
            column[row] = values[name]
        if self._target.error is not None:
            raise self._target.error


@contextmanager
def dense_file(
    path: Path,
    rows: int,
    columns: Mapping[str, DenseColumn],
    *,
    known: Mapping[str, Values],
    attributes: Attributes,
    codec: str,
) -> Iterator[DenseFile]:
    """Open a dense file for writing; it takes its name when the block ends well and vanishes when it does not.

    Parameters
    ----------
    path : Path
    rows : int
        Of every column; at least 1.
    columns : mapping of str to DenseColumn
        To be written row by row, in any order of rows.
    known : mapping of str to array or sequence of str
        Columns written at once.
    attributes : mapping
        Of the file, besides `kind` and `format`.
    codec : {"gzip", "none"}

    Raises
    ------
    SynthanomError
        If the file cannot be written.
    """
    with replaced_file(path) as raw:
        target = _Target(raw)
        file = h5py.File(target, "w", libver=("v110", "v110"))
        try:
            file.attrs.update({"kind": DENSE_KIND, "format": DENSE_FORMAT, **attributes})
            made = {name: _created(file, name, rows, column, codec) for name, column in columns.items()}
            for name, values in known.items():
                dtype = h5py.string_dtype() if not isinstance(values, np.ndarray) else values.dtype
                file.create_dataset(name, data=values, dtype=dtype, track_times=False)
            yield DenseFile(made, target)
        finally:
            _close(file, target)
        if target.error is not None:
            raise target.error


def holds_dense(path: Path, rows: int, attributes: Attributes) -> bool:
    """Whether a file is the dense one that `dense_file` writes with these attributes and so many rows.

    Raises
    ------
    SynthanomError
        If it cannot be read as HDF5.
    """
    try:
        with h5py.File(path, "r", locking=False) as file:
            wanted = {"kind": DENSE_KIND, "format": DENSE_FORMAT, **attributes}
            found = {name: file.attrs.get(name) for name in wanted}
            same = all(found[name] == value for name, value in wanted.items())
            return same and all(len(column) == rows for column in file.values())
    except (OSError, RuntimeError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise SynthanomError(f"{path}: must be readable HDF5, got '{reason}'; delete it") from error


def _created(file: h5py.File, name: str, rows: int, column: DenseColumn, codec: str) -> h5py.Dataset:
    how: dict[str, Any] = {}
    if len(column.shape) > 1 and column.dtype != TEXT:
        how = {"chunks": (1, *column.shape), "fletcher32": True}
        if codec == "gzip":
            how |= {"compression": "gzip", "compression_opts": 1, "shuffle": True}
    dtype = h5py.string_dtype() if column.dtype == TEXT else np.dtype(column.dtype)
    made = file.create_dataset(name, shape=(rows, *column.shape), dtype=dtype, track_times=False, **how)
    made.attrs.update(column.about)
    return made


def _close(file: h5py.File, target: "_Target") -> None:
    try:
        file.close()
    except (OSError, RuntimeError):
        if target.error is None:
            raise  # otherwise HDF5 stumbles over what could not be written; the file is thrown away anyway


class _Target(io.RawIOBase):
    """A file for HDF5 that never fails: it keeps the first error and drops what comes after.

    HDF5 cannot be left with a file that it could not write: closing it raises again, and once more when Python ends;
    with text of variable length that was a segmentation fault (h5py 3.16.0, tried with a limit on the file's size).
    """

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self.error: OSError | None = None

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._raw.seek(offset, whence)

    def tell(self) -> int:
        return self._raw.tell()

    def readinto(self, buffer: Any) -> int:
        content = self._raw.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def write(self, content: Any) -> int:
        if self.error is None:
            try:
                self._raw.write(content)
            except OSError as error:
                self.error = error
        return len(content)

    def truncate(self, size: int | None = None) -> int:
        if self.error is None:
            try:
                return self._raw.truncate(size)
            except OSError as error:
                self.error = error
        return size or 0

    def flush(self) -> None:
        if self.error is None:
            try:
                self._raw.flush()
            except OSError as error:
                self.error = error
