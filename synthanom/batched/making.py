"""A batch from its tensors to its pictures: chunk after chunk, each drawn while the one before is worked on."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from synthanom.batched.applying import Applier
from synthanom.batched.checks import ValueCheck, check_shapes
from synthanom.batched.inputs import BatchInputs
from synthanom.batched.items import Drawn
from synthanom.batched.limits import Limits
from synthanom.batched.pool import DonorPool
from synthanom.batched.recipes import LazyRecipes
from synthanom.batched.sketching import Sketcher
from synthanom.batched.stream_states import GeneratorStates, PhiloxStates, states_of
from synthanom.batched.tables import Integers, TaskTable, is_batched, task_table
from synthanom.donors import Donors
from synthanom.errors import NoPlace, NothingVisible, SynthanomError, UnsuitableRegion
from synthanom.kernels.soft_label.gpu import ERROR
from synthanom.kernels.windows.gpu import as_volumes, upload
from synthanom.labels import AbstractLabeller, FlippedGaussian
from synthanom.recipe import Recipe
from synthanom.synthesis import ATTEMPTS, Batch, synthesise
from synthanom.tasks.abstract import AbstractTask

CHUNK_VOXEL_BYTES = 24  # per voxel, beside 8 per channel: label, region, counts, foreground, room to work in


@dataclass(frozen=True, kw_only=True, eq=False)
class Made:
    """A batch, and the samples in which no anomaly could be made.

    Those have their images unchanged and labels of 0; their recipes mean nothing.
    """

    batch: Batch
    failed: dict[int, SynthanomError]


@dataclass(frozen=True, kw_only=True, eq=False)
class Outputs:
    """Where the samples of a batch are collected: images (B, C, Z, Y, X), labels and regions (B, Z, Y, X)."""

    images: Tensor
    labels: Tensor
    regions: Tensor

    @classmethod
    def like(cls, volumes: Tensor) -> "Outputs":
        """Room for a batch, its labels empty."""
        shape = (volumes.shape[0], *volumes.shape[2:])
        return cls(
            images=volumes.clone(),
            labels=torch.zeros(shape, device=volumes.device),
            regions=torch.zeros(shape, dtype=torch.bool, device=volumes.device),
        )

    def put(self, index: Tensor, images: Tensor, labels: Tensor, regions: Tensor) -> None:
        """Write some samples."""
        self.images[index] = images
        self.labels[index] = labels
        self.regions[index] = regions


@dataclass(frozen=True, kw_only=True, eq=False)
class BatchMaker:
    """Draws and applies the anomalies of one batch.

    Attributes
    ----------
    inputs : BatchInputs
    labeller : FlippedGaussian
    pool : DonorPool
    streams : the random streams of the batch
    table : TaskTable
    limits : Limits
    """

    inputs: BatchInputs
    labeller: FlippedGaussian
    pool: DonorPool
    streams: PhiloxStates | GeneratorStates
    table: TaskTable
    limits: Limits
    attempts: Integers = field(init=False)

    def __post_init__(self) -> None:
        check_shapes(self.inputs.images, self.inputs.foregrounds)
        object.__setattr__(self, "attempts", np.ones(self.inputs.images.shape[0], dtype=np.int64))

    def __call__(self, *, keep_failed: bool = False) -> Made:
        """Make the batch.

        Parameters
        ----------
        keep_failed : bool
            Return samples in which no anomaly could be made as they were, instead of raising what they raised.

        Raises
        ------
        SynthanomError
            As `synthesise`.
        """
        images = self.inputs.images.detach().to(torch.float32)
        dims = images.ndim - 2
        volumes, outputs = as_volumes(images, dims), Outputs.like(as_volumes(images, dims))
        alone = self._make_chunks(volumes, self._foreground(volumes), outputs)
        recipes = LazyRecipes(inputs=self.inputs, streams=self.streams, attempts=self.attempts, known={})
        failed: dict[int, SynthanomError] = {}
        for index in alone:
            try:
                recipes.known[index] = self._make_alone(index, outputs)
            except (NoPlace, NothingVisible, UnsuitableRegion) as reason:
                if not keep_failed:
                    raise
                failed[index] = reason
        self.streams.write_back()
        whole = (slice(None), slice(None), 0) if dims == 2 else (slice(None),)
        flat = (slice(None), 0) if dims == 2 else (slice(None),)
        batch = Batch(
            images=outputs.images[whole], labels=outputs.labels[flat], regions=outputs.regions[flat], recipes=recipes
        )
        return Made(batch=batch, failed=failed)

    def _foreground(self, volumes: Tensor) -> Tensor:
        masks = self.inputs.foregrounds
        if masks is None:
            return torch.ones((volumes.shape[0], *volumes.shape[2:]), dtype=torch.bool, device=volumes.device)
        return as_volumes(masks.to(volumes.device), self.inputs.images.ndim - 2)

    def _make_chunks(self, volumes: Tensor, foreground: Tensor, outputs: Outputs) -> list[int]:
        """Make samples by chunks until something is visible in each; returns those that are left to `synthesise`.

        A sample in which nothing can be seen is drawn on from its stream in a later chunk.
        """
        voxels, channels = volumes[0, 0].numel(), volumes.shape[1]
        size = max(1, self.limits.chunk_bytes // (voxels * (8 * channels + CHUNK_VOXEL_BYTES)))
        sketch = Sketcher.of(self.inputs, self.streams, self.table, self.pool)
        apply = Applier(
            table=self.table,
            pool=self.pool,
            labeller=self.labeller,
            foreground_only=self.inputs.options.foreground_only,
            verify=ValueCheck(volumes, foreground, self.inputs.ids),
            window_voxels=self.limits.window_voxels,
        )
        waiting, alone = list(range(volumes.shape[0])), []
        with ThreadPoolExecutor(1) as thread:  # one at a time: it owns the streams while it draws
            drawing: Future[Drawn] | None = None
            while waiting or drawing is not None:  # each sample waits ATTEMPTS times at most
                if drawing is None:
                    drawing = thread.submit(sketch, np.array(waiting[:size], dtype=np.int64))
                    waiting = waiting[size:]
                drawn, drawing = drawing.result(), None
                if waiting:
                    drawing = thread.submit(sketch, np.array(waiting[:size], dtype=np.int64))
                    waiting = waiting[size:]
                invisible, unplaced = self._make_chunk(apply, drawn, volumes, foreground, outputs)
                self.attempts[invisible] += 1
                spent = self.attempts[invisible] > ATTEMPTS
                waiting += invisible[~spent].tolist()
                alone += [*unplaced.tolist(), *invisible[spent].tolist()]
        return sorted(alone)

    def _make_chunk(
        self, apply: Applier, drawn: Drawn, volumes: Tensor, foreground: Tensor, outputs: Outputs
    ) -> tuple[Integers, Integers]:
        """Make one chunk: which of its samples show nothing, and which need `synthesise`."""
        if drawn.whole.shape[0] == 0:
            return drawn.samples[:0], drawn.samples
        index = upload(drawn.samples, volumes.device)
        every = drawn.samples.size == volumes.shape[0]
        applied = apply(volumes if every else volumes[index], foreground if every else foreground[index], drawn)
        outputs.put(index, applied.images, applied.labels, applied.regions)
        seen = (applied.peaks >= self.labeller.visible) & (applied.peaks > 0)
        # so near to the threshold the two ways might judge differently
        sure = applied.placed & (np.abs(applied.peaks - self.labeller.visible) > ERROR)
        return drawn.samples[sure & ~seen], drawn.samples[~sure]

    def _make_alone(self, index: int, outputs: Outputs) -> Recipe:
        """Make one sample by `synthesise`, from its stream's beginning; its recipe."""
        inputs = self.inputs
        rng = self.streams.generator(index)
        outputs.images[index] = as_volumes(inputs.images[index].to(torch.float32), inputs.images.ndim - 2)
        outputs.labels[index], outputs.regions[index] = 0.0, False
        try:
            result = synthesise(
                inputs.sample(index),
                inputs.tasks[index],
                self.labeller,
                rng=rng,
                donors=inputs.donors[index],
                **inputs.options.to_dict(),
            )
        finally:
            self.streams.finish(index, rng)
        self.attempts[index] = result.recipe.attempts
        shape = outputs.labels.shape[1:]
        outputs.images[index] = upload(result.image, outputs.images.device).view(-1, *shape)
        outputs.labels[index] = upload(result.label, outputs.images.device).view(shape)
        outputs.regions[index] = upload(result.region, outputs.images.device).view(shape)
        return result.recipe


def can_make(tasks: Sequence[AbstractTask], labeller: AbstractLabeller) -> bool:
    """Whether these tasks and this labeller have batched forms."""
    return type(labeller) is FlippedGaussian and all(is_batched(task) for task in set(tasks))


def make_batch(
    inputs: BatchInputs,
    labeller: AbstractLabeller,
    donors: Donors | DonorPool | None = None,
    *,
    keep_failed: bool = False,
    limits: Limits | None = None,
) -> Made:
    """Make a batch on the device of its images.

    Parameters
    ----------
    inputs : BatchInputs
    labeller : FlippedGaussian
    donors : DonorPool, optional
        Where donors of `inputs` are kept on the device; anything else is ignored, and a pool made for this batch.
    keep_failed : bool
        Return samples in which no anomaly could be made as they were, instead of raising what they raised.
    limits : Limits, optional
        `Limits.of` the device by default.

    Raises
    ------
    SynthanomError
        As `synthesise`, or if the tasks or the labeller have no batched form.
    """
    if not isinstance(labeller, FlippedGaussian) or not can_make(inputs.tasks, labeller):
        raise SynthanomError(
            f"a batch is made on a device by the paper's five tasks and FlippedGaussian only, got "
            f"{sorted({type(t).__name__ for t in inputs.tasks})} and {type(labeller).__name__}; use way='samples'"
        )
    if inputs.placed:
        raise SynthanomError("samples with a location prior are not made on a device, got such; use way='samples'")
    pool = donors if isinstance(donors, DonorPool) else DonorPool(None, inputs.images.device)
    sets = [pool.set_for(task, own) for task, own in zip(inputs.tasks, inputs.donors, strict=True)]
    maker = BatchMaker(
        inputs=inputs,
        labeller=labeller,
        pool=pool,
        streams=states_of(inputs.generators),
        table=task_table(inputs.tasks, sets),
        limits=limits or Limits.of(inputs.images.device),
    )
    return maker(keep_failed=keep_failed)
