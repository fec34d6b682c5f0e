"""The columns of a shard, how they are cut into chunks, and what a reader insists on. Format 1."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from synthanom.errors import SynthanomError
from synthanom.manifest import DAMAGED, refuse_other_format
from synthanom.shards.codecs import CODECS, codec_of

HEALTHY, ANOMALIES = "healthy", "anomalies"
WITHIN = "within"  # column of the location priors of healthy rows
MAX_UNIT_ROWS = 64
MAX_UNIT_BYTES = 256 * 2**20  # of the dense arrays of a unit
MAX_CHUNK_SIDE = {2: 256, 3: 64}  # voxels, by dimensions: at most 1 MiB a chunk, a few chunks an image
CHUNK_BYTES = 2**16  # of every other column: rows are read 1.6 times as fast as from 2**18, for 1 % of size
FILTERS = {
    h5py.h5z.FILTER_SHUFFLE: "shuffle",
    h5py.h5z.FILTER_FLETCHER32: "fletcher32",
    **{codec.filter: name for name, codec in CODECS.items()},
}
CONTENT = "content"  # root attribute that names what a shard holds
TEXT = "text"  # fixed length, UTF-8


@dataclass(frozen=True, kw_only=True)
class ShardKind:
    """What a shard file says of itself in its root attributes.

    Attributes
    ----------
    kind : str
        ``"healthy"`` or ``"anomalies"``.
    task : str
        Stored name of the task; empty for healthy shards.
    shape : tuple of D ints
    channels : int
    content : str
        SHA-256 of the file before this was added to it; empty where a file is being written, or nothing is known.
    placed : bool
        Whether healthy rows have location priors: the one column that may be there or not.
    """

    kind: str
    task: str
    shape: tuple[int, ...]
    channels: int
    content: str = ""
    placed: bool = False


@dataclass(frozen=True, kw_only=True)
class Column:
    """Dtype and shape of one dataset; None is a length that the offset columns settle."""

    dtype: str
    shape: tuple[int | None, ...]


def columns(kind: ShardKind, rows: int) -> dict[str, Column]:
    """The columns of a shard with this many rows, in the order in which they are written."""
    dims = len(kind.shape)
    if kind.kind == HEALTHY:
        bits = Column(dtype="|u1", shape=(rows, packed_length(math.prod(kind.shape))))
        return {
            "image": Column(dtype="<f4", shape=(rows, kind.channels, *kind.shape)),
            "foreground": bits,
            "spacing": Column(dtype="<f8", shape=(rows, dims)),
            "affine": Column(dtype="<f8", shape=(rows, 4, 4)),
            "offset": Column(dtype="<i4", shape=(rows, dims)),
            "id": Column(dtype=TEXT, shape=(rows,)),
            "subject": Column(dtype=TEXT, shape=(rows,)),
            **({WITHIN: bits} if kind.placed else {}),
        }
    return {
        "healthy_index": Column(dtype="<i8", shape=(rows,)),
        "variant": Column(dtype="<i4", shape=(rows,)),
        "row_offsets": Column(dtype="<i8", shape=(rows + 1,)),
        "corner": Column(dtype="<i4", shape=(None, dims)),
        "size": Column(dtype="<i4", shape=(None, dims)),
        "value_offsets": Column(dtype="<i8", shape=(None,)),
        "values": Column(dtype="<f4", shape=(None,)),
        "labels": Column(dtype="<f4", shape=(None,)),
        "region": Column(dtype="|u1", shape=(None,)),
        "recipe": Column(dtype="|u1", shape=(None,)),
        "recipe_offsets": Column(dtype="<i8", shape=(rows + 1,)),
    }


def unit_rows(channels: int, shape: Sequence[int]) -> int:
    """Rows of one shard: at most 64, and no more than fit 256 MiB as dense images and labels.

    Parameters
    ----------
    channels : int
    shape : sequence of D ints
        Spatial shape of the images.

    Returns
    -------
    int
    """
    return max(1, min(MAX_UNIT_ROWS, MAX_UNIT_BYTES // (4 * (channels + 1) * math.prod(shape))))


def packed_length(bits: int) -> int:
    """Bytes that `bits` packed bits take."""
    return -(-bits // 8)


def chunks_of(name: str, shape: Sequence[int], itemsize: int) -> tuple[int, ...]:
    """Chunk shape of a column without a zero in its shape; one image never shares a chunk with another."""
    if name == "image":
        most = MAX_CHUNK_SIDE[len(shape) - 2]
        return (1, 1, *(-(-side // -(-side // most)) for side in shape[2:]))
    if name in ("foreground", WITHIN):
        return (1, min(shape[1], CHUNK_BYTES))
    row_bytes = itemsize * math.prod(shape[1:])
    return (min(shape[0], max(1, CHUNK_BYTES // row_bytes)), *shape[1:])


def check_file(file: h5py.File, path: Path, kind: ShardKind, rows: int) -> dict[str, h5py.Dataset]:
    """The columns of an open shard after its attributes, links, dtypes, shapes and filters were checked.

    Raises
    ------
    SynthanomError
        If anything is missing, unknown or of another kind than the manifest says.
    """
    refuse_other_format(path, _attribute(file, path, "format"))
    expected_attributes: dict[str, Any] = {
        "kind": kind.kind, "task": kind.task, "shape": list(kind.shape), "channels": kind.channels
    }  # fmt: skip
    for name, wanted in expected_attributes.items():
        found = _attribute(file, path, name)
        if found != wanted:
            raise SynthanomError(f"{path}: attribute {name} must be {wanted!r}, got {found!r}; {DAMAGED}")
    if kind.content:
        _check_content(file, path, kind.content)
    names = set(file.keys())
    expected = columns(replace(kind, placed=WITHIN in names), rows)
    if names != expected.keys():
        raise SynthanomError(f"{path}: must hold the columns {sorted(expected)}, got {sorted(names)}; {DAMAGED}")
    for name in expected:
        link = file.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise SynthanomError(
                f"{path}: column {name} must lie in the file itself, got a {type(link).__name__}; links are refused, "
                "use the data set as build-dataset wrote it"
            )
    datasets = {name: file[name] for name in expected}
    for name, column in expected.items():
        _check_column(path, name, datasets[name], column)
    return datasets


def _check_content(file: h5py.File, path: Path, wanted: str) -> None:
    """Raise where another shard lies in the place of this one, whose checksums fit and whose rows do not."""
    found = _attribute(file, path, CONTENT)
    if found != wanted:
        raise SynthanomError(
            f"{path}: must hold the rows that the manifest lists ({CONTENT} {wanted[:12]}), got those of another shard "
            f"({str(found)[:12]}); {DAMAGED}"
        )


def _attribute(file: h5py.File, path: Path, name: str) -> Any:
    """A root attribute as a plain value."""
    value = file.attrs.get(name)
    if isinstance(value, np.bytes_ | bytes):
        return value.decode("ascii", "replace")
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "iu":
        return value.tolist()
    raise SynthanomError(
        f"{path}: attribute {name} must be an integer or a fixed-length text, got {value!r}; {DAMAGED}"
    )


def _check_column(path: Path, name: str, found: object, column: Column) -> None:
    if not isinstance(found, h5py.Dataset):
        raise SynthanomError(f"{path}: {name} must be a dataset, got a {type(found).__name__}; {DAMAGED}")
    if found.is_virtual or found.external is not None:
        raise SynthanomError(f"{path}: column {name} must lie in the file itself, got data elsewhere; {DAMAGED}")
    fits = len(found.shape) == len(column.shape) and all(
        wanted in (None, got) for got, wanted in zip(found.shape, column.shape, strict=True)
    )
    if not fits or not _same_dtype(found.dtype, column.dtype):
        raise SynthanomError(
            f"{path}: column {name} must be {column.dtype} of shape {column.shape} (None: any), "
            f"got {found.dtype} of shape {found.shape}; {DAMAGED}"
        )
    _check_filters(path, name, found)


def _same_dtype(found: np.dtype[Any], wanted: str) -> bool:
    if wanted != TEXT:
        return found == np.dtype(wanted)
    text = h5py.check_string_dtype(found)
    return text is not None and text.length is not None and text.encoding == "utf-8"


def _check_filters(path: Path, name: str, dataset: h5py.Dataset) -> None:
    """Raise on filters that need a plugin, and on columns without a checksum: reading relies on it."""
    properties = dataset.id.get_create_plist()
    filters = [int(properties.get_filter(i)[0]) for i in range(properties.get_nfilters())]
    unknown = sorted(set(filters) - FILTERS.keys())
    if unknown:
        raise SynthanomError(
            f"{path}: column {name} must use the filters {sorted(FILTERS.values())} only, got the HDF5 filters "
            f"{unknown}; convert the file with h5repack, or upgrade synthanom"
        )
    try:
        codec_of(filters)
    except SynthanomError as error:
        raise SynthanomError(f"{path}: column {name} {error}") from error
    if h5py.h5z.FILTER_FLETCHER32 not in filters and dataset.size:
        raise SynthanomError(f"{path}: column {name} must carry checksums (fletcher32), got none; {DAMAGED}")
