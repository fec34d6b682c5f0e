"""Writing shards: the same rows make the same bytes, and a file has its final name only when it is whole."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from synthanom import __version__
from synthanom.errors import SynthanomError
from synthanom.manifest import ANOMALIES_NAME, FORMAT, HEALTHY_NAME, FileRecord, replaced_file
from synthanom.sample import Sample
from synthanom.shards.boxes import MAX_BOXES, AnomalyRow, overlapping
from synthanom.shards.codecs import DEFAULT, filter_arguments
from synthanom.shards.holes import COMPRESSION
from synthanom.shards.layout import ANOMALIES, CONTENT, HEALTHY, TEXT, WITHIN, Column, ShardKind, chunks_of, columns

MAX_TEXT = 4096  # bytes of an id or a subject
Values = npt.NDArray[Any] | Sequence[npt.NDArray[Any]]


def write_healthy(
    path: Path | str, rows: Sequence[Sample], offsets: Sequence[Sequence[int]], *, codec: str = DEFAULT
) -> FileRecord:
    """Write a healthy shard ``<folder>/healthy/00000.h5``.

    Parameters
    ----------
    path : path
    rows : sequence of Sample
        At least one; all of one shape and channel count; all with a location prior, or none.
    offsets : sequence of sequences of D ints, one per row
        Where the image begins in the stored grid, in voxels (padding is positive, cropping negative).
    codec : str
        One of `synthanom.shards.codecs.CODECS`.

    Returns
    -------
    FileRecord
        Its path is relative to the data set's folder.

    Raises
    ------
    SynthanomError
        If rows do not belong together, a text cannot be stored, or the file cannot be written.
    """
    path = Path(path)
    name = _relative_name(path, 2)
    if HEALTHY_NAME.fullmatch(name) is None:
        raise SynthanomError(f"{path}: a healthy shard must be named healthy/00000.h5 (five digits), got {name}")
    if not rows or len(rows) != len(offsets):
        raise SynthanomError(f"{path}: needs at least one row and one offset for each, got {len(rows)}, {len(offsets)}")
    priors = [np.packbits(row.within) for row in rows if row.within is not None]
    if len(priors) not in (0, len(rows)):
        raise SynthanomError(f"{path}: all rows or none must have a location prior, got {len(priors)} of {len(rows)}")
    kind = ShardKind(kind=HEALTHY, task="", shape=rows[0].shape, channels=rows[0].image.shape[0], placed=bool(priors))
    dims = len(kind.shape)
    for row, offset in zip(rows, offsets, strict=True):
        if row.image.shape != rows[0].image.shape or len(offset) != dims:
            raise SynthanomError(
                f"{path}: every image must have shape {rows[0].image.shape} and {dims} offsets, got {row.id} with "
                f"{row.image.shape} and {len(offset)}; resample, crop or pad them to one shape"
            )
    values: dict[str, Values] = {
        "image": [row.image for row in rows],
        "foreground": [np.packbits(row.foreground) for row in rows],
        "spacing": np.array([row.spacing or (np.nan,) * dims for row in rows], dtype=np.float64),
        "affine": np.array([np.full((4, 4), np.nan) if row.affine is None else row.affine for row in rows]),
        "offset": np.array(offsets, dtype=np.int32),
        "id": _text(path, [row.id for row in rows]),
        "subject": _text(path, [row.subject for row in rows]),
        WITHIN: priors,
    }
    return _write(path, name, kind, len(rows), values, codec)


def write_anomalies(
    path: Path | str, rows: Iterable[AnomalyRow], *, shape: Sequence[int], channels: int, codec: str = DEFAULT
) -> FileRecord:
    """Write a shard of one task, ``<folder>/anomalies/<task>/00000.h5``.

    Parameters
    ----------
    path : path
        Its folder names the task.
    rows : iterable of AnomalyRow
        Ordered by healthy row, then variant; none is allowed.
    shape : sequence of D ints
        Spatial shape of the images.
    channels : int
    codec : str
        One of `synthanom.shards.codecs.CODECS`.

    Returns
    -------
    FileRecord
        Its path is relative to the data set's folder.

    Raises
    ------
    SynthanomError
        If rows are out of order, boxes overlap or do not fit the image, or the file cannot be written.
    """
    path = Path(path)
    name = _relative_name(path, 3)
    match = ANOMALIES_NAME.fullmatch(name)
    if match is None:
        raise SynthanomError(f"{path}: a shard of anomalies must be named anomalies/<task>/00000.h5, got {name}")
    kind = ShardKind(kind=ANOMALIES, task=match[1], shape=tuple(int(s) for s in shape), channels=int(channels))
    kept: list[AnomalyRow] = []
    for row in rows:
        _check_row(path, row, kind, kept)
        kept.append(row)
    return _write(path, name, kind, len(kept), _anomaly_values(kept, kind), codec)


def _check_row(path: Path, row: AnomalyRow, kind: ShardKind, earlier: Sequence[AnomalyRow]) -> None:
    """Raise unless the row comes after the earlier ones and its boxes are whole, disjoint and inside the image."""
    where = f"{path}: healthy row {row.healthy_index}, variant {row.variant}"
    keys = [(r.healthy_index, r.variant) for r in earlier[-1:]]
    if min(row.healthy_index, row.variant) < 0 or (keys and keys[0] >= (row.healthy_index, row.variant)):
        raise SynthanomError(f"{where}: rows must be ordered by healthy row, then variant, got {keys} before it")
    if not 1 <= len(row.boxes) <= MAX_BOXES:
        raise SynthanomError(f"{where}: must have 1 to {MAX_BOXES} boxes, got {len(row.boxes)}")
    for box in row.boxes:
        dtypes = [str(array.dtype) for array in (box.values, box.labels, box.region)] == ["float32", "float32", "bool"]
        shapes = box.values.shape == (kind.channels, *box.size) and box.region.shape == box.size
        inside = len(box.corner) == len(box.size) == len(kind.shape) and all(
            c >= 0 and s >= 1 and c + s <= side for c, s, side in zip(box.corner, box.size, kind.shape, strict=True)
        )
        if not (dtypes and shapes and inside):
            raise SynthanomError(
                f"{where}: each box must lie in the image {kind.shape} with {kind.channels} channels, float32 values, "
                f"float32 labels and a bool region, got corner {box.corner}, {box.values.shape} {box.values.dtype}, "
                f"{box.labels.shape} {box.labels.dtype}, {box.region.shape} {box.region.dtype}"
            )
    if overlapping(np.array([b.corner for b in row.boxes]), np.array([b.size for b in row.boxes])):
        raise SynthanomError(f"{where}: its boxes must be disjoint, got overlapping ones; merge them")


def _anomaly_values(rows: Sequence[AnomalyRow], kind: ShardKind) -> dict[str, Values]:
    boxes = [box for row in rows for box in row.boxes]
    dims = len(kind.shape)
    return {
        "healthy_index": np.array([row.healthy_index for row in rows], dtype=np.int64),
        "variant": np.array([row.variant for row in rows], dtype=np.int32),
        "row_offsets": _offsets([len(row.boxes) for row in rows]),
        "corner": np.array([box.corner for box in boxes], dtype=np.int32).reshape(-1, dims),
        "size": np.array([box.size for box in boxes], dtype=np.int32).reshape(-1, dims),
        "value_offsets": _offsets([box.values.size for box in boxes]),
        "values": _joined([box.values for box in boxes], np.dtype(np.float32)),
        "labels": _joined([box.labels for box in boxes], np.dtype(np.float32)),
        "region": np.packbits(_joined([box.region for box in boxes], np.dtype(np.bool_))),
        "recipe": np.frombuffer(b"".join(row.recipe for row in rows), dtype=np.uint8),
        "recipe_offsets": _offsets([len(row.recipe) for row in rows]),
    }


def _offsets(lengths: Sequence[int]) -> npt.NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _joined(arrays: Sequence[npt.NDArray[Any]], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    return np.concatenate([np.empty(0, dtype), *(array.ravel() for array in arrays)])


def _text(path: Path, texts: Sequence[str]) -> npt.NDArray[Any]:
    """The texts as fixed-length UTF-8."""
    encoded = []
    for text in texts:
        try:
            encoded.append(text.encode("utf-8"))
        except UnicodeEncodeError as error:
            raise SynthanomError(f"{path}: ids and subjects must be Unicode, got {text!r}; rename the file") from error
        if not 1 <= len(encoded[-1]) <= MAX_TEXT or b"\0" in encoded[-1]:
            raise SynthanomError(
                f"{path}: ids and subjects must be 1 to {MAX_TEXT} bytes without NUL, got {text[:80]!r}; rename it"
            )
    length = max(len(text) for text in encoded)
    return np.array(encoded, dtype=h5py.string_dtype("utf-8", length))


def _relative_name(path: Path, parts: int) -> str:
    return "/".join(path.absolute().parts[-parts:])


def _write(path: Path, name: str, kind: ShardKind, rows: int, values: Mapping[str, Values], codec: str) -> FileRecord:
    image, content = _file_image(path, kind, columns(kind, rows), values, filter_arguments(codec))
    with replaced_file(path) as file:
        file.write(image)
    digest = hashlib.sha256(image).hexdigest()
    return FileRecord(path=name, sha256=digest, bytes=len(image), rows=rows, content=content)


def _file_image(
    path: Path,
    kind: ShardKind,
    layout: Mapping[str, Column],
    values: Mapping[str, Values],
    compression: Mapping[str, Any],
) -> tuple[bytes, str]:
    """The bytes of the HDF5 file, made in memory, and the name of its content.

    HDF5 cannot be interrupted or run out of disk this way: closing a file after a failed write raises again, and once
    more when Python ends. The 1.10 file format has checksums on all its metadata; older ones have none on the index of
    the chunks, where a flipped byte would read another chunk's values.
    """
    with h5py.File(str(path.absolute()), "w", driver="core", backing_store=False, libver=("v110", "v110")) as file:
        for name, value in (
            ("format", np.int64(FORMAT)),
            ("kind", np.bytes_(kind.kind)),
            ("task", np.bytes_(kind.task)),
            ("shape", np.array(kind.shape, dtype=np.int64)),
            ("channels", np.int64(kind.channels)),
            ("synthanom", np.bytes_(__version__)),
        ):
            file.attrs.create(name, value)
        for name, column in layout.items():
            _write_column(file, name, column, values[name], compression)
        file.flush()
        content = hashlib.sha256(file.id.get_file_image()).hexdigest()
        file.attrs.create(CONTENT, np.bytes_(content))
        file.flush()
        image: bytes = file.id.get_file_image()
    return image, content


def _write_column(file: h5py.File, name: str, column: Column, values: Values, compression: Mapping[str, Any]) -> None:
    shape = values.shape if isinstance(values, np.ndarray) else (len(values), *values[0].shape)
    dtype = values.dtype if isinstance(values, np.ndarray) and column.dtype == TEXT else np.dtype(column.dtype)
    if 0 in shape:  # nothing to chunk
        file.create_dataset(name, shape=shape, dtype=dtype, track_times=False).id.close()
        return
    dataset = file.create_dataset(
        name,
        shape=shape,
        dtype=dtype,
        chunks=chunks_of(name, shape, dtype.itemsize),
        **compression,
        shuffle=True,
        fletcher32=True,
        track_times=False,
    )
    if isinstance(values, np.ndarray):
        dataset[...] = values
    else:  # row by row: a stacked copy of the images would double the memory
        for row, value in enumerate(values):
            dataset[row] = value
    check_filters(dataset, may_skip=compression.get("compression") == "lzf")
    # not left to whoever drops this frame last: profilers, as Dask's, hold frames of other threads for a while, and an
    # identifier that is given back late may be another column's by then
    dataset.id.close()


def check_filters(dataset: h5py.Dataset, *, may_skip: bool) -> None:
    """Refuse chunks that HDF5 stored without one of their filters, as it does without a word when memory is short.

    The values would be right, but the file is larger and not the one that other machines make. lzf skips what it cannot
    shorten (`may_skip`).

    Raises
    ------
    MemoryError
    """
    for place in dataset.iter_chunks():
        info = dataset.id.get_chunk_info_by_coord(tuple(part.start for part in place))
        if info.filter_mask & ~(COMPRESSION if may_skip else 0):
            raise MemoryError(f"HDF5 could not compress {dataset.name.strip('/')}")
