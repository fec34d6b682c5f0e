"""An HDF5 file that is verified once, then closed and opened again as the number of open files demands."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import h5py

from synthanom.errors import SynthanomError
from synthanom.manifest import DAMAGED
from synthanom.shards.holes import LzfColumn, column_of
from synthanom.shards.layout import ShardKind, check_file

T = TypeVar("T")
CACHED_BYTES = 0  # of a column's chunks: rows are read at random, once, and HDF5 would keep 1 MiB a column


class Columns:
    """The columns of an open file. Whoever reads holds this object: the file closes with it."""

    def __init__(self, file: h5py.File, found: Mapping[str, h5py.Dataset]) -> None:
        self._file = file
        self._found = {name: column_of(dataset) for name, dataset in found.items()}
        self._descriptor: int = file.id.get_vfd_handle()
        self._length = os.fstat(self._descriptor).st_size

    def __contains__(self, name: str) -> bool:
        return name in self._file

    def __getitem__(self, name: str) -> h5py.Dataset | LzfColumn:
        if name not in self._found:
            self._found[name] = column_of(self._file[name])
        return self._found[name]

    def read(self, read: Callable[["Columns"], T]) -> T:
        """The result of `read`, unless the file was cut short meanwhile: HDF5 reads zeros behind its end.

        Raises
        ------
        OSError
        """
        value = read(self)
        length = os.fstat(self._descriptor).st_size
        if length != self._length:
            raise OSError(f"it was {self._length} bytes long when it was opened, and is {length}")
        return value

    def close(self) -> None:
        """Close the file, whoever still reads from it."""
        self._file.close()


class ShardFile:
    """One shard file. `columns` opens it where it is not open; `release` lets it go."""

    def __init__(self, path: Path, kind: ShardKind, rows: int) -> None:
        self.path = path
        self._kind, self._rows = kind, rows
        self._columns: Columns | None = None
        self._verified: tuple[int, ...] = ()
        self.columns()

    def columns(self) -> Columns:
        """The columns, verified if the file is not the one that was verified before.

        Raises
        ------
        SynthanomError
            If it cannot be opened or is not what the manifest says.
        """
        columns = self._columns
        if columns is None:
            columns = guarded(self.path, "the file", self._opened)
            self._columns = columns
        return columns

    def read(self, what: str, read: Callable[[Columns], T]) -> T:
        """What `read` makes of the columns; `what` names it in an error.

        Raises
        ------
        SynthanomError
            If it is damaged.
        """
        columns = self.columns()
        return guarded(self.path, what, lambda: columns.read(read))

    def release(self) -> None:
        """Close the file once nobody reads from it; the next read opens it again."""
        self._columns = None

    def close(self) -> None:
        """Close the file at once."""
        if self._columns is not None:
            self._columns.close()
        self._columns = None

    def _opened(self) -> Columns:
        # without locking: network file systems often refuse locks, and a finished data set is never written to
        file = h5py.File(self.path, "r", locking=False, rdcc_nbytes=CACHED_BYTES)
        try:
            status = self.path.stat()
            # the time of change too: copying another file over this one can bring the time of modification along
            identity = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            if identity == self._verified:
                return Columns(file, {})
            found = guarded(self.path, "the header", lambda: check_file(file, self.path, self._kind, self._rows))
            self._verified = identity
            return Columns(file, found)
        except BaseException:
            file.close()
            raise


def guarded(path: Path, what: str, read: Callable[[], T]) -> T:
    """The result of `read`; HDF5's errors become one line that names the file and the part of it.

    Raises
    ------
    SynthanomError
    """
    try:
        return read()
    except SynthanomError:
        raise
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        # h5py raises all of these, by the part that is damaged (checksum, header, link, text, type)
        reason = " ".join(str(error).split())
        raise SynthanomError(f"{path}: {what} must be readable, got '{reason}': damaged; {DAMAGED}") from error


def whole(file: ShardFile, name: str) -> Any:
    """A column as one array.

    Raises
    ------
    SynthanomError
        If it is damaged.
    """
    return file.read(f"column {name}", lambda columns: columns[name][()])
