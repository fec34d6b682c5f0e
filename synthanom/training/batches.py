"""Pictures with labels as batches of tensors, read from shards or made on the fly."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from synthanom.arrays import ImageArray
from synthanom.shards import DataSet
from synthanom.training.anisotropy import thick_slices
from synthanom.training.rows import Pick


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
        found = self.data.anomaly(pick.task, pick.row)
        return found.image, found.label


class PictureDataset(Dataset[TrainingBatch]):
    """The pictures of one epoch, in order; it holds no state that reading changes."""

    def __init__(self, source: PictureSource, picks: Sequence[Pick]) -> None:
        self.source = source
        self.picks = tuple(picks)

    def __len__(self) -> int:
        return len(self.picks)

    def __getitem__(self, index: int) -> TrainingBatch:
        pick = self.picks[index]
        image, label = self.source.picture(pick)
        if pick.thick is not None:
            axis = int(pick.thick[0] * label.ndim)
            image, label = (thick_slices(array, axis - label.ndim, pick.thick[1]) for array in (image, label))
        if pick.flip:
            image, label = image[..., ::-1], label[..., ::-1]
        return TrainingBatch(torch.from_numpy(_own(image)), torch.from_numpy(_own(label)))


def _own(array: ImageArray) -> ImageArray:
    """The array, or a copy where torch would refuse it: samples are read-only, mirrored arrays run backwards."""
    return array if array.flags.writeable and array.flags.c_contiguous else array.copy()


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


def make_loader(
    source: PictureSource,
    picks: Sequence[Pick],
    *,
    batch_size: int,
    workers: int,
    pin: bool = False,
    rank: int = 0,
    ranks: int = 1,
) -> DataLoader[TrainingBatch]:
    """Batches of the picks in their order, the same for any number of `workers`; one process's part of each."""
    parts = portions(picks, batch_size, rank=rank, ranks=ranks)
    places = np.cumsum([0, *(len(part) for part in parts)])
    return DataLoader(
        PictureDataset(source, [pick for part in parts for pick in part]),
        batch_sampler=[list(range(int(low), int(high))) for low, high in pairwise(places)],
        num_workers=workers,
        pin_memory=pin,
    )
