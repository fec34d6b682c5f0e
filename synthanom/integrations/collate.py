"""Whole batches of anomalies on their device: Samples from loader workers, pictures where they are trained on.

A forked worker cannot use CUDA once its parent has, and any other one would hold a context of its own. So workers only
read and stack Samples (`collate_samples`), and `BatchSynthesis` is called with the batch after it was moved: in the
training loop, or in `on_after_batch_transfer` of Lightning.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, get_args, overload

import numpy as np
import torch
from torch import Tensor

from synthanom.arrays import MaskArray, as_numpy
from synthanom.batched.inputs import BatchInputs
from synthanom.batched.making import can_make, make_batch
from synthanom.batched.pool import DonorPool
from synthanom.datasets import SharedEpoch
from synthanom.errors import SynthanomError
from synthanom.mixture import Mixture, as_mixture
from synthanom.recipe import Recipe
from synthanom.sample import Sample
from synthanom.streams import KeyedStreams
from synthanom.synthesis import Result, Way
from synthanom.tasks.abstract import AbstractTask


class SampleBatch(NamedTuple):
    """Samples as tensors: images (B, C, *S) float32, foregrounds (B, *S) bool, and what is known of each.

    What moves tuples of tensors between devices (Lightning, pinned memory) moves this, too.
    """

    images: Tensor
    foregrounds: Tensor
    ids: tuple[str, ...]
    subjects: tuple[str, ...]
    spacings: tuple[tuple[float, ...] | None, ...]
    withins: tuple[MaskArray | None, ...] = ()  # location priors, on the host; none at all is an empty tuple

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> "SampleBatch":
        """The batch on another device."""
        return self._replace(
            images=self.images.to(device, non_blocking=non_blocking),
            foregrounds=self.foregrounds.to(device, non_blocking=non_blocking),
        )

    def sample(self, index: int) -> Sample:
        """Sample `index` on the host."""
        return Sample.from_array(
            as_numpy(self.images[index]),
            as_numpy(self.foregrounds[index]),
            self.spacings[index],
            id=self.ids[index],
            subject=self.subjects[index],
            channels=int(self.images.shape[1]),
            within=self.withins[index] if self.withins else None,
        )


class MadeBatch(NamedTuple):
    """Images (B, C, *S) and labels (B, *S) float32, regions (B, *S) bool, on one device; recipes, None for healthy."""

    images: Tensor
    labels: Tensor
    regions: Tensor
    recipes: Sequence[Recipe | None]


def collate_samples(samples: Sequence[Sample]) -> SampleBatch:
    """Stack Samples of one shape: the `collate_fn` of a DataLoader over them.

    Parameters
    ----------
    samples : sequence of Samples

    Returns
    -------
    SampleBatch

    Raises
    ------
    SynthanomError
        If their shapes differ.
    """
    shapes = {sample.image.shape: sample.id for sample in samples}
    if len(shapes) > 1:
        raise SynthanomError(f"samples of one batch must have one shape, got {shapes}; crop, pad or resample them")
    priors = tuple(sample.within for sample in samples)
    return SampleBatch(
        images=torch.from_numpy(np.stack([sample.image for sample in samples])),
        foregrounds=torch.from_numpy(np.stack([sample.foreground for sample in samples])),
        ids=tuple(sample.id for sample in samples),
        subjects=tuple(sample.subject for sample in samples),
        spacings=tuple(sample.spacing for sample in samples),
        withins=priors if any(prior is not None for prior in priors) else (),
    )


class BatchSynthesis:
    """Makes the pictures of a `SampleBatch`, on its device; each is what `Mixture.make` makes of its sample.

    A picture depends on the seed, the sample's id, the epoch and the sample alone: not on the batch that it is in, the
    device or the number of workers. Recipes are the same on all devices; pictures agree as those of `synthesise_batch`.

    Parameters
    ----------
    mixture : Mixture or AbstractTask
        Donors stay on the device from batch to batch.
    seed : int
    way : {"auto", "samples", "batched"}
        As for `synthesise_batch`.

    Raises
    ------
    SynthanomError
        For another `way`.
    """

    def __init__(self, mixture: Mixture | AbstractTask, *, seed: int, way: Way = "auto") -> None:
        if way not in get_args(Way):
            raise SynthanomError(f"way must be one of {', '.join(get_args(Way))}, got {way!r}")
        self.mixture = as_mixture(mixture)
        self.seed = seed
        self.way = way
        self.epoch = SharedEpoch()
        self._pool: DonorPool | None = None

    def set_epoch(self, epoch: int) -> None:
        """Make other pictures from now on."""
        self.epoch.set(epoch)

    def __call__(self, batch: SampleBatch, draw: int | str | None = None) -> MadeBatch:
        """Make the pictures of a batch.

        Parameters
        ----------
        batch : SampleBatch
            Not to be written to before the recipes are read.
        draw : int or str, optional
            Names the draw, as for `stream`; that of the epoch by default.

        Raises
        ------
        SynthanomError
            As `Mixture.make`.
        """
        named = self.epoch.draw if draw is None else draw
        orders = [self.mixture.order(name, seed=self.seed, draw=named) for name in batch.ids]
        first = {k: order[0] for k, order in enumerate(orders) if order}
        canvas = _Canvas.of(batch)
        # samples with a location prior have no batched form
        free = {k: task for k, task in first.items() if not batch.withins or batch.withins[k] is None}
        alone = [k for k in first if k not in free]
        alone += self._together(batch, free, named, canvas) if self._by_batches(batch.images.device) else list(free)
        for k in alone:
            result = self.mixture.make(batch.sample(k), seed=self.seed, draw=named)
            if result is not None:
                canvas.put(k, result)
        return MadeBatch(canvas.images, canvas.labels, canvas.regions, canvas.recipes)

    def _by_batches(self, device: torch.device) -> bool:
        wanted = self.way == "batched" or (self.way == "auto" and device.type != "cpu")
        made_so = can_make(self.mixture.tasks, self.mixture.labeller) and not self.mixture.options.inside_only
        return wanted and made_so

    def _together(
        self, batch: SampleBatch, tasks: Mapping[int, AbstractTask], draw: int | str, canvas: "_Canvas"
    ) -> list[int]:
        """Make samples with the tasks that were drawn for them; returns those that their tasks do not suit."""
        if not tasks:
            return []
        chosen, device = list(tasks), batch.images.device
        if self._pool is None or self._pool.device != device:
            self._pool = DonorPool(self.mixture.donors, device)
        index = torch.tensor(chosen, device=device)
        inputs = BatchInputs(
            images=batch.images[index],
            foregrounds=batch.foregrounds[index],
            ids=[batch.ids[k] for k in chosen],
            subjects=[batch.subjects[k] for k in chosen],
            spacings=[batch.spacings[k] for k in chosen],
            tasks=[tasks[k] for k in chosen],
            donors=[self.mixture.donors] * len(chosen),
            options=self.mixture.options,
            generators=KeyedStreams.named((self.seed, batch.ids[k], tasks[k].name, draw) for k in chosen),
        )
        made = make_batch(inputs, self.mixture.labeller, self._pool, keep_failed=True)
        canvas.images[index], canvas.labels[index] = made.batch.images, made.batch.labels
        canvas.regions[index] = made.batch.regions
        for place, k in enumerate(chosen):
            if place not in made.failed:
                canvas.recipes.known[k] = (made.batch.recipes, place)
        return [chosen[place] for place in sorted(made.failed)]


class _Recipes(Sequence[Recipe | None]):
    """Where the recipe of each sample is found: batches write theirs down when they are first read."""

    def __init__(self, count: int) -> None:
        self.known: list[tuple[Sequence[Recipe], int] | None] = [None] * count

    def __len__(self) -> int:
        return len(self.known)

    @overload
    def __getitem__(self, index: int) -> Recipe | None: ...
    @overload
    def __getitem__(self, index: slice) -> list[Recipe | None]: ...
    def __getitem__(self, index: int | slice) -> Recipe | list[Recipe | None] | None:
        if isinstance(index, slice):
            return [self[k] for k in range(*index.indices(len(self)))]
        found = self.known[index]
        return None if found is None else found[0][found[1]]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Canvas:
    """The pictures of a batch, healthy until they are made."""

    images: Tensor
    labels: Tensor
    regions: Tensor
    recipes: _Recipes

    @classmethod
    def of(cls, batch: SampleBatch) -> "_Canvas":
        return cls(
            images=batch.images.to(torch.float32, copy=True),
            labels=torch.zeros(batch.foregrounds.shape, device=batch.images.device),
            regions=torch.zeros_like(batch.foregrounds),
            recipes=_Recipes(len(batch.ids)),
        )

    def put(self, k: int, result: Result) -> None:
        """Write what was made of sample k on the host."""
        self.images[k].copy_(torch.from_numpy(result.image))
        self.labels[k].copy_(torch.from_numpy(result.label))
        self.regions[k].copy_(torch.from_numpy(result.region))
        self.recipes.known[k] = ((result.recipe,), 0)
