"""Anomalies made while training, where the network trains: a whole batch at once, one batch ahead of the network."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import NamedTuple

import torch
from torch import Tensor

from synthanom.batched.inputs import BatchInputs
from synthanom.batched.limits import GIB, share_of_memory
from synthanom.batched.making import Made, can_make, make_batch
from synthanom.batched.pool import DonorPool
from synthanom.shards import DataSet
from synthanom.streams import KeyedStreams
from synthanom.training.ahead import one_ahead
from synthanom.training.anisotropy import thick_slices
from synthanom.training.batches import TrainingBatch, portions
from synthanom.training.live import LivePictures
from synthanom.training.rows import Pick

KEPT_BYTES = 4 * GIB  # of healthy rows on the device: 149 brains of 160 x 224 x 160, 3276 X-rays of 512 x 512
THREAD_NAME = "synthanom-live"


class HealthyRow(NamedTuple):
    """A healthy row: image (C, *S) and foreground (*S) on the device, and what else is known of it."""

    image: Tensor
    foreground: Tensor
    spacing: tuple[float, ...] | None
    id: str
    subject: str


class KeptRows:
    """The healthy rows of a data set, brought to a device when first needed and kept there as long as there is room.

    Parameters
    ----------
    data : DataSet
    device : torch.device
    kept_bytes : int, optional
        Of images and foregrounds together; rows that do not fit are read each time. 4 GiB by default, less on devices
        with less than 24 GiB.
    """

    def __init__(self, data: DataSet, device: torch.device, *, kept_bytes: int | None = None) -> None:
        self._data = data
        self._device = device
        self._room = share_of_memory(device, KEPT_BYTES, 6) if kept_bytes is None else kept_bytes
        self._rows: dict[int, HealthyRow] = {}

    def __len__(self) -> int:
        """How many rows are kept."""
        return len(self._rows)

    def __getitem__(self, index: int) -> HealthyRow:
        if index in self._rows:
            return self._rows[index]
        sample = self._data.healthy(index)
        image = torch.tensor(sample.image, device=self._device)
        foreground = torch.tensor(sample.foreground, device=self._device)
        row = HealthyRow(image, foreground, sample.spacing, sample.id, sample.subject)
        size = image.nbytes + foreground.nbytes
        # the first ones stay: an epoch shows every row once, so that the least recently used would never be met again
        if size <= self._room:
            self._room -= size
            self._rows[index] = row
        return row


class Ready(NamedTuple):
    """A batch, and the event that its device reaches when it is done; None where nothing is queued."""

    batch: TrainingBatch
    made: torch.cuda.Event | None


class LiveMaker:
    """Makes the batches of all epochs; healthy rows and donors stay on the device in between.

    Parameters
    ----------
    source : LivePictures
        Which tasks, donors and streams; it makes what has no batched form.
    device : torch.device
    kept_bytes : int, optional
        As for `KeptRows`.
    """

    def __init__(self, source: LivePictures, device: torch.device, *, kept_bytes: int | None = None) -> None:
        self.source = source
        self.device = device
        self.rows = KeptRows(source.stored.data, device, kept_bytes=kept_bytes)
        self.pool = DonorPool(None, device)
        self._tasks = {task.name: task for task in source.tasks if can_make([task], source.labeller)}
        self._lock = Lock()  # rows, pool and the source's donors are for one thread at a time
        self._stream = _side_stream(device)

    def make(self, picks: Sequence[Pick]) -> Ready:
        """Make a batch: the pictures that `LivePictures.picture` gives for these picks, mirrored where they say so.

        On a GPU the work is queued on a stream of this object, beside the stream on which a network trains.

        Raises
        ------
        SynthanomError
            As `LivePictures.picture`.
        """
        with self._lock:
            if self._stream is None:
                return Ready(self._batch(picks), None)
            with torch.cuda.stream(self._stream):
                return Ready(self._batch(picks), self._stream.record_event())

    def _batch(self, picks: Sequence[Pick]) -> TrainingBatch:
        data = self.source.stored.data
        images = torch.empty((len(picks), data.channels, *data.shape), device=self.device)
        labels = torch.empty((len(picks), *data.shape), device=self.device)
        # rows with a location prior are drawn in ways that have no batched form
        batched = {} if data.placed or self.source.options.inside_only else self._tasks
        together = [k for k, pick in enumerate(picks) if pick.task in batched and pick.row is None]
        alone = set(range(len(picks))) - set(together)
        if together:
            made = self._together([picks[k] for k in together])
            images[together], labels[together] = made.batch.images, made.batch.labels
            alone |= {together[k] for k in made.failed}
        for k in sorted(alone):
            image, label = self.source.picture(picks[k])
            images[k].copy_(torch.tensor(image))
            labels[k].copy_(torch.tensor(label))
        for k, pick in enumerate(picks):
            if pick.thick is not None:
                axis = int(pick.thick[0] * labels[k].ndim)
                images[k] = thick_slices(images[k], axis - labels[k].ndim, pick.thick[1])
                labels[k] = thick_slices(labels[k], axis, pick.thick[1])
        mirrored = [k for k, pick in enumerate(picks) if pick.flip]
        if mirrored:
            images[mirrored], labels[mirrored] = images[mirrored].flip(-1), labels[mirrored].flip(-1)
        return TrainingBatch(images, labels)

    def _together(self, picks: Sequence[Pick]) -> Made:
        """Make pictures whose tasks have a batched form, from the streams that `LivePictures.picture` begins with."""
        source = self.source
        rows = [self.rows[pick.healthy] for pick in picks]
        tasks = [self._tasks[str(pick.task)] for pick in picks]
        names = [
            (source.seed, row.id, task.name, f"epoch-{pick.epoch}")
            for row, task, pick in zip(rows, tasks, picks, strict=True)
        ]
        inputs = BatchInputs(
            images=torch.stack([row.image for row in rows]),
            foregrounds=torch.stack([row.foreground for row in rows]),
            ids=[row.id for row in rows],
            subjects=[row.subject for row in rows],
            spacings=[row.spacing for row in rows],
            tasks=tasks,
            donors=[source.donors[source.folds[pick.healthy]] for pick in picks],
            options=source.options,
            generators=KeyedStreams.named(names),
        )
        return make_batch(inputs, source.labeller, self.pool, keep_failed=True)


@dataclass(frozen=True, kw_only=True, eq=False)
class LiveBatches:
    """The batches of one epoch, the last one smaller if need be; the same every time.

    While the caller works on a batch, a thread makes the one after it, never more. The thread ends with the last batch,
    or once a loop that was left has let go of its iterator and the batch that was begun is done.

    Attributes
    ----------
    maker : LiveMaker
    picks : sequence of Picks, in their order
    batch_size : int
        Of all processes together.
    rank, ranks : int
        Which of how many processes: it makes its own part of each batch.
    """

    maker: LiveMaker
    picks: Sequence[Pick]
    batch_size: int
    rank: int = 0
    ranks: int = 1

    def __len__(self) -> int:
        return -(-len(self.picks) // self.batch_size)

    def __iter__(self) -> Iterator[TrainingBatch]:
        """Yield the batches.

        Raises
        ------
        SynthanomError
            As `LiveMaker.make`, when it is the turn of the batch that could not be made.
        """
        parts = portions(self.picks, self.batch_size, rank=self.rank, ranks=self.ranks)
        return map(handed_over, one_ahead(self.maker.make, parts, THREAD_NAME))


def _side_stream(device: torch.device) -> torch.cuda.Stream | None:
    return torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]


def handed_over(ready: Ready) -> TrainingBatch:
    """A batch for use on the caller's current stream, which waits until it is made; the host does not."""
    if ready.made is not None:
        stream = torch.cuda.current_stream(ready.batch.images.device)
        stream.wait_event(ready.made)
        # the memory came from another stream's share: it must not be given out again before this one is done with it
        for tensor in ready.batch:
            tensor.record_stream(stream)
    return ready.batch
