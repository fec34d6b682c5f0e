"""Pictures with labels as batches of tensors, read from shards or made on the fly."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from synthanom.arrays import ImageArray
from synthanom.shards import DataSet
from synthanom.training.ahead import one_ahead
from synthanom.training.anisotropy import thick_slices
from synthanom.training.rows import Pick

THREAD_NAME = "synthanom-read"


class TrainingBatch(NamedTuple):
    """Images (B, C, *S) and labels (B, *S), float32."""

    images: Tensor
    labels: Tensor


class PictureSource(Protocol):
    """Gives the picture and label of a pick; must survive pickling, for workers that are spawned."""

    def picture(self, pick: Pick) -> tuple[ImageArray, ImageArray]:
        """Image (C, *S) and label (*S), float32."""


@dataclass(frozen=True, kw_only=True)
class StoredPictures:
    """Reads pictures from a data set."""

    data: DataSet

    def picture(self, pick: Pick) -> tuple[ImageArray, ImageArray]:
        """The stored anomaly, or the healthy image with a label of zeros.

        Raises
        ------
        SynthanomError
            If the row is damaged.
        """
        if pick.task is None or pick.row is None:
            image = self.data.healthy(pick.healthy).image
            return image, np.zeros(image.shape[1:], dtype=np.float32)
        return self.data.shown(pick.task, pick.row)


def read_batch(source: PictureSource, picks: Sequence[Pick]) -> TrainingBatch:
    """The pictures of some picks as one batch.

    Raises
    ------
    SynthanomError
        As the source's `picture`.
    """
    images: list[ImageArray] = []
    labels: list[ImageArray] = []
    for pick in picks:
        image, label = source.picture(pick)
        if pick.thick is not None:
            axis = int(pick.thick[0] * label.ndim)
            image, label = (thick_slices(array, axis - label.ndim, pick.thick[1]) for array in (image, label))
        images.append(image[..., ::-1] if pick.flip else image)
        labels.append(label[..., ::-1] if pick.flip else label)
    # by numpy: torch would start threads of its own in every thread that stacks
    return TrainingBatch(torch.from_numpy(np.stack(images)), torch.from_numpy(np.stack(labels)))


def portions(picks: Sequence[Pick], batch_size: int, *, rank: int = 0, ranks: int = 1) -> tuple[tuple[Pick, ...], ...]:
    """The share of one process in each batch of all processes, in order; the last batch is smaller if need be.

    A batch is dealt out in contiguous parts that differ by at most one picture. A process for which nothing is left
    gets the batch's first picture, with which it counts for nothing (`share`): all must take part in every step.
    """
    batches = [tuple(picks[start : start + batch_size]) for start in range(0, len(picks), batch_size)]
    return tuple(batch[slice(*share(len(batch), rank, ranks))] or batch[:1] for batch in batches)


def share(count: int, rank: int, ranks: int) -> tuple[int, int]:
    """Where the part of one process begins and ends among `count` pictures."""
    return count * rank // ranks, count * (rank + 1) // ranks


class Reader:
    """Reads or makes batches ahead of the network, epoch after epoch; they do not depend on how.

    Parameters
    ----------
    source : PictureSource
    workers : int
        Processes, which start with the first batch and stay until `close`; with 0 a thread reads one batch ahead.
    """

    def __init__(self, source: PictureSource, workers: int) -> None:
        self._source = source
        self._turn = _Turn()
        self._loader: DataLoader[TrainingBatch] | None = None
        if workers:
            self._loader = DataLoader(
                _Batches(source), batch_size=None, sampler=self._turn, num_workers=workers, persistent_workers=True
            )

    def batches(self, parts: Sequence[Sequence[Pick]]) -> "ReadBatches":
        """The batches of these picks, in order; one such sequence can be gone through at a time."""
        return ReadBatches(self, tuple(parts))

    def read(self, parts: Sequence[Sequence[Pick]]) -> Iterator[TrainingBatch]:
        """Yield the batches.

        Raises
        ------
        SynthanomError
            As the source's `picture`, when it is the turn of that batch.
        """
        if self._loader is None:
            yield from one_ahead(partial(read_batch, self._source), parts, THREAD_NAME)
            return
        self._turn.parts = parts
        # no further than the last one: by then the processes may be at work on another sequence
        yield from islice(self._loader, len(parts))

    def close(self) -> None:
        """End the processes."""
        self._loader = None


@dataclass(frozen=True, eq=False)
class ReadBatches:
    """The batches of one epoch or validation; the same every time."""

    reader: Reader
    parts: tuple[Sequence[Pick], ...]

    def __len__(self) -> int:
        return len(self.parts)

    def __iter__(self) -> Iterator[TrainingBatch]:
        return self.reader.read(self.parts)


class _Turn(Sampler[Sequence[Pick]]):
    """The picks of each batch of whoever reads at the moment."""

    def __init__(self) -> None:
        self.parts: Sequence[Sequence[Pick]] = ()

    def __len__(self) -> int:
        return len(self.parts)

    def __iter__(self) -> Iterator[Sequence[Pick]]:
        return iter(self.parts)


class _Batches(Dataset[TrainingBatch]):
    """Batches by their picks: it knows no epoch, so that processes can stay."""

    def __init__(self, source: PictureSource) -> None:
        self._source = source

    def __getitem__(self, picks: Sequence[Pick]) -> TrainingBatch:
        return read_batch(self._source, picks)


def make_loader(source: PictureSource, picks: Sequence[Pick], *, batch_size: int, workers: int) -> ReadBatches:
    """Batches of the picks in their order, the same for any number of `workers`."""
    return Reader(source, workers).batches(portions(picks, batch_size))
