"""Pictures with labels as batches of tensors, read from shards or made on the fly."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from synthanom.arrays import ImageArray
from synthanom.shards import DataSet
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
        if pick.flip:
            image, label = image[..., ::-1], label[..., ::-1]
        return TrainingBatch(torch.from_numpy(_own(image)), torch.from_numpy(_own(label)))


def _own(array: ImageArray) -> ImageArray:
    """The array, or a copy where torch would refuse it: samples are read-only, mirrored arrays run backwards."""
    return array if array.flags.writeable and array.flags.c_contiguous else array.copy()


def make_loader(
    source: PictureSource, picks: Sequence[Pick], *, batch_size: int, workers: int, pin: bool = False
) -> DataLoader[TrainingBatch]:
    """Batches of the picks in their order, the last one smaller if need be; the same for any number of `workers`."""
    return DataLoader(
        PictureDataset(source, picks), batch_size=batch_size, shuffle=False, num_workers=workers, pin_memory=pin
    )
