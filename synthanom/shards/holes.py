"""Zeros in the place of a chunk, as a file has where it was never written: an interrupted copy of the right size."""

from typing import Any

import h5py

COMPRESSION = 1 << 1  # its bit in a chunk's mask of skipped filters: between shuffle and fletcher32
# bytes with their checksum: lzf shortens zeros from 9 on, so only fewer can be stored as they are
SHORTEST = 8 + 4


def column_of(dataset: h5py.Dataset) -> "h5py.Dataset | LzfColumn":
    """The dataset as it is to be read."""
    return LzfColumn(dataset) if dataset.compression == "lzf" else dataset


class LzfColumn:
    """A column compressed with lzf; whatever is read of it, its stored bytes are looked at.

    The Fletcher-32 of zeros is 0, so that a chunk of zeros passes. The other codecs refuse it, as it does not begin as
    theirs do; lzf gives half as many zeros for it and leaves the rest of the chunk to chance.
    """

    def __init__(self, dataset: h5py.Dataset) -> None:
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, rows: Any) -> Any:
        """Read a row, a slice of rows, or all of them for ``()``."""
        values = self._dataset[rows]
        self._refuse_zeros(rows)
        return values

    def asstr(self) -> Any:
        """As `h5py.Dataset.asstr`."""
        self._refuse_zeros(())
        return self._dataset.asstr()

    def _refuse_zeros(self, rows: Any) -> None:
        length, chunks = len(self._dataset), self._dataset.chunks
        start, stop = 0, length
        if isinstance(rows, slice):
            start, stop, _ = rows.indices(length)
        elif rows != ():
            start, stop = rows, rows + 1
        if start >= stop or chunks is None:
            return
        for place in self._dataset.iter_chunks((slice(start, stop), *(slice(0, n) for n in self._dataset.shape[1:]))):
            corner = tuple(part.start // side * side for part, side in zip(place, chunks, strict=True))
            skipped, stored = self._dataset.id.read_direct_chunk(corner)
            raw = skipped & COMPRESSION and len(stored) <= SHORTEST
            if stored[-4:] == bytes(4) and not raw and not any(stored):
                raise OSError(f"only zeros are stored of {self._dataset.name.strip('/')}")
