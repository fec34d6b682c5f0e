"""Loaders for Lightning that look up the epoch when it begins, and where a process stands among others."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch


class Standing(NamedTuple):
    """The epoch, which of how many processes this is, and the device that it trains on."""

    epoch: int
    rank: int
    ranks: int
    device: torch.device


def standing(trainer: Any) -> Standing:
    """What a Lightning Trainer says; without one, the first epoch of a single process on the CPU."""
    if trainer is None:
        return Standing(0, 0, 1, torch.device("cpu"))
    return Standing(
        int(trainer.current_epoch), int(trainer.global_rank), int(trainer.world_size), trainer.strategy.root_device
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class EpochBatches:
    """The batches of whatever epoch they are asked for in: what Lightning is given as a loader.

    The epoch is looked up with the first batch: when Lightning makes an iterator, and when it goes on from a
    checkpoint, it may still count the one before.

    Attributes
    ----------
    count : int
        Batches of an epoch, the same for all processes.
    batches : callable
        Gives those of the current epoch.
    """

    count: int
    batches: Callable[[], Iterable[Any]]

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Any]:
        yield from self.batches()
