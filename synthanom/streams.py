"""Random streams by name: the same numbers whatever the order, the number of workers or the machine."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import numpy.typing as npt

from synthanom.arrays import canonical_json


def stream(seed: int, sample_id: str, task: str, draw: int | str) -> np.random.Generator:
    """The random stream of one anomaly.

    Parameters
    ----------
    seed : int
    sample_id : str
    task : str
        Stored name of the task.
    draw : int or str
        The variant's number in a data set, ``"epoch-N"`` in live training.

    Returns
    -------
    numpy Generator
        Philox, its key the first 128 bits of SHA-256 over the canonical JSON ``["synthanom", 1, seed, sample_id, task,
        draw]``, read as two little-endian 64-bit words.
    """
    return np.random.Generator(np.random.Philox(key=_key(seed, sample_id, task, draw)))


@dataclass(frozen=True, eq=False)
class KeyedStreams(Sequence[np.random.Generator]):
    """The streams of a batch by their keys: what `synthesise_batch` draws from fastest.

    A generator is made when asked for and begins anew each time.

    Attributes
    ----------
    keys : ndarray of shape (B, 2), uint64
    """

    keys: npt.NDArray[np.uint64]

    @classmethod
    def named(cls, names: Iterable[tuple[int, str, str, int | str]]) -> "KeyedStreams":
        """The streams that `stream` gives for these (seed, sample_id, task, draw)."""
        keys = [_key(*name) for name in names]
        return cls(np.array(keys, dtype=np.uint64).reshape(-1, 2))

    def __len__(self) -> int:
        return int(self.keys.shape[0])

    @overload
    def __getitem__(self, index: int) -> np.random.Generator: ...
    @overload
    def __getitem__(self, index: slice) -> "KeyedStreams": ...
    def __getitem__(self, index: int | slice) -> "np.random.Generator | KeyedStreams":
        if isinstance(index, slice):
            return KeyedStreams(self.keys[index])
        return np.random.Generator(np.random.Philox(key=self.keys[index]))


def _key(seed: int, sample_id: str, task: str, draw: int | str) -> npt.NDArray[np.uint64]:
    digest = hashlib.sha256(canonical_json(["synthanom", 1, seed, sample_id, task, draw])).digest()
    return np.frombuffer(digest[:16], dtype="<u8").astype(np.uint64)
