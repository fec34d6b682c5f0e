"""Data modules for Lightning: a run of a data set, or anomalies made while training in Samples that are at hand."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from synthanom.arrays import ImageArray
from synthanom.datasets import checked_ids
from synthanom.detectors.needs import needs_of
from synthanom.errors import MissingExtra, SynthanomError
from synthanom.integrations.collate import BatchSynthesis, SampleBatch, collate_samples
from synthanom.integrations.epoch_batches import EpochBatches, standing
from synthanom.mixture import Mixture, as_mixture
from synthanom.sample import Sample
from synthanom.shards import DataSet
from synthanom.tasks.abstract import AbstractTask
from synthanom.training.ahead import one_ahead
from synthanom.training.batches import PictureSource, Reader, TrainingBatch, portions
from synthanom.training.config import TrainingConfig, load_config
from synthanom.training.folds import Run
from synthanom.training.keyed import keyed_number
from synthanom.training.live import LivePictures
from synthanom.training.plan import plan
from synthanom.training.rows import Pick, RowIndex, training_picks, validation_picks

try:
    from lightning.pytorch import LightningDataModule
except ImportError as error:
    raise MissingExtra('data modules for Lightning need lightning; pip install "lightning>=2.5"') from error

from synthanom.training.fit import picture_source
from synthanom.training.fitting import makes_batches_on
from synthanom.training.live_batches import LiveBatches, LiveMaker

VALIDATION = "validation"  # the draw of validation pictures, the same in every epoch
THREAD_NAME = "synthanom-stack"


class RunDataModule(LightningDataModule):
    """The batches of one run of the task x fold cross-validation, as `synthanom-train` shows them.

    Training shows each row with one training task, drawn anew in every epoch; validation and prediction show each
    validation row healthy and with each validation task. Batches are (images (B, C, *S), labels (B, *S)), float32. With
    several processes each gets its part of every batch. What an epoch shows depends on data set, run, seed and the
    epoch's number alone, so that the checkpoint of an epoch's end goes on as if nothing had happened.

    Parameters
    ----------
    folder : path
        A built data set.
    train_tasks, run : int
        Number of training tasks, and which of the runs with as many.
    config : path, optional
        YAML as for `synthanom-train`, of which batch size, seed, flip, anisotropy, pairing and live count here. The
        paper's settings by default.
    batch_size, seed : int, optional
        Instead of the configuration's; the batch size is that of all processes together.
    live : bool, optional
        Make anomalies while training instead of reading stored ones; on a CUDA device they are made there.
    workers : int
        Processes that read or make pictures; with 0 a thread works one batch ahead.
    donors : sequence of paths
        Where live training looks for the data set of external donors.

    Raises
    ------
    SynthanomError
        In `setup`: a data set that cannot be read or does not suit the protocol, or unknown settings.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        train_tasks: int = 1,
        run: int = 0,
        config: Path | str | None = None,
        batch_size: int | None = None,
        seed: int | None = None,
        live: bool | None = None,
        workers: int = 0,
        donors: Sequence[Path | str] = (),
    ) -> None:
        LightningDataModule.__init__(self)
        self.folder, self.train_tasks, self.number = Path(folder), train_tasks, run
        self.config_file = None if config is None else Path(config)
        self.overrides = {"batch_size": batch_size, "seed": seed, "live": live}
        self.workers = workers
        self.donors = tuple(Path(folder) for folder in donors)
        self._opened: _OpenRun | None = None
        self._maker: LiveMaker | None = None  # once live training on a device has begun

    def setup(self, stage: str | None = None) -> None:
        """Open the data set and plan the run."""
        if self._opened is not None:
            return
        data = DataSet.open(self.folder)
        config = load_config(self.config_file, data.shape, self.overrides)
        chosen, index = plan(data, config, train_tasks=self.train_tasks, run=self.number)
        source = picture_source(data, chosen, config, self.donors)
        self._opened = _OpenRun(
            data=data, config=config, run=chosen, index=index, source=source, readers=_Readers(source, self.workers)
        )

    def teardown(self, stage: str | None = None) -> None:
        """End the reading processes and close the data set."""
        if self._opened is not None:
            self._opened.readers.close()
            self._opened.data.close()
            self._opened = self._maker = None

    @property
    def run(self) -> Run:
        """Tasks and folds of both sides."""
        return self._open().run

    @property
    def validated(self) -> tuple[Pick, ...]:
        """Which pictures validation and prediction show, in order, before they are dealt out to processes."""
        return validation_picks(self._open().index, self._open().run)

    def train_dataloader(self) -> EpochBatches:
        """The training batches of the epoch in which they are asked for."""
        size = self._open().config.batch_size
        return EpochBatches(count=-(-len(self._shown(0)) // size), batches=self._training)

    def val_dataloader(self) -> EpochBatches:
        """The validation batches, the same every time."""
        return self._validation("validate")

    def predict_dataloader(self) -> EpochBatches:
        """The validation batches once more."""
        return self._validation("predict")

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint says of the pictures that it was trained on."""
        opened = self._open()
        digest = opened.data.manifest.to_dict()["digest"]
        return {"dataset": digest, "tasks": self.train_tasks, "run": self.number, "seed": opened.config.seed}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Refuse a checkpoint of other pictures.

        Raises
        ------
        SynthanomError
        """
        own = self.state_dict()
        if state_dict != own:
            raise SynthanomError(
                f"{self.folder}: the checkpoint must be of this data set, run and seed ({own}), got one of "
                f"{state_dict}; give the same, or train from the beginning"
            )

    def _open(self) -> "_OpenRun":
        if self._opened is None:
            raise SynthanomError("the data module must be set up first; pass it to a Trainer, or call setup()")
        return self._opened

    def _shown(self, epoch: int) -> tuple[Pick, ...]:
        opened, config = self._open(), self._open().config
        return training_picks(
            opened.index,
            opened.run,
            epoch=epoch,
            seed=config.seed,
            flip=config.flip,
            live=config.live,
            shown=needs_of(config.detector).training,
            thick=(config.anisotropy, config.anisotropy_factor),
        )

    def _training(self) -> Iterable[TrainingBatch]:
        opened, now = self._open(), standing(self.trainer)
        picks, size = self._shown(now.epoch), opened.config.batch_size
        if isinstance(opened.source, LivePictures) and makes_batches_on(now.device):
            if self._maker is None:
                self._maker = LiveMaker(opened.source, now.device)
            return LiveBatches(maker=self._maker, picks=picks, batch_size=size, rank=now.rank, ranks=now.ranks)
        return opened.readers.of("train").batches(portions(picks, size, rank=now.rank, ranks=now.ranks))

    def _validation(self, side: str) -> EpochBatches:
        opened, now = self._open(), standing(self.trainer)
        parts = portions(self.validated, opened.config.batch_size, rank=now.rank, ranks=now.ranks)
        return EpochBatches(count=len(parts), batches=partial(opened.readers.batches, side, parts))


class LiveDataModule(LightningDataModule):
    """Anomalies made while training in Samples that are at hand, without a data set.

    Each training sample is shown once an epoch, with another picture in each; validation shows the same pictures every
    time. Batches are (images (B, C, *S), labels (B, *S)), float32. With several processes each gets its part of every
    batch. Pictures depend on seed, the sample's id and the epoch alone, order and batches on seed, ids and epoch.

    Parameters
    ----------
    samples : sequence of Samples
        Of one shape, each with an id of its own.
    mixture : Mixture or AbstractTask
    validation : sequence of Samples
        None: nothing is validated.
    validation_mixture : Mixture or AbstractTask, optional
        Best of other tasks than those of training, so that validation asks for what was never seen; the training
        mixture by default.
    seed : int
    batch_size : int
        Of all processes together.
    workers : int
        Processes that make pictures; with 0 a thread works one batch ahead.
    on_device : bool
        Make whole batches on the device that trains, when Lightning has moved the healthy ones there
        (`on_after_batch_transfer`); `workers` must be 0.

    Raises
    ------
    SynthanomError
        Samples that share an id, or workers with `on_device`.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        mixture: Mixture | AbstractTask,
        *,
        validation: Sequence[Sample] = (),
        validation_mixture: Mixture | AbstractTask | None = None,
        seed: int,
        batch_size: int = 8,
        workers: int = 0,
        on_device: bool = False,
    ) -> None:
        LightningDataModule.__init__(self)
        self._ids = checked_ids(samples)
        checked_ids(validation)
        if on_device and workers:
            raise SynthanomError(f"with on_device no pictures are made in workers: workers must be 0, got {workers}")
        self.samples, self.validation = samples, validation
        self.seed, self.batch_size, self.on_device = seed, batch_size, on_device
        self.mixture = as_mixture(mixture)
        self.validation_mixture = as_mixture(validation_mixture or mixture)
        self._synthesis = BatchSynthesis(self.mixture, seed=seed)
        self._validation_synthesis = BatchSynthesis(self.validation_mixture, seed=seed)
        train = SamplePictures(samples=samples, mixture=self.mixture, seed=seed)
        fixed = SamplePictures(samples=validation, mixture=self.validation_mixture, seed=seed, draw=VALIDATION)
        self._readers = {"train": _Readers(train, workers), "validate": _Readers(fixed, workers)}

    def teardown(self, stage: str | None = None) -> None:
        """End the processes."""
        for readers in self._readers.values():
            readers.close()

    def train_dataloader(self) -> EpochBatches:
        """The training batches of the epoch in which they are asked for."""
        return EpochBatches(count=-(-len(self.samples) // self.batch_size), batches=self._training)

    def val_dataloader(self) -> EpochBatches | list[Any]:
        """The validation batches, the same every time; none without validation samples."""
        if not self.validation:
            return []
        picks = [Pick(healthy=k) for k in range(len(self.validation))]
        parts = self._parts(picks)
        return EpochBatches(count=len(parts), batches=partial(self._batches, "validate", parts))

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Make the pictures of a batch of healthy ones, where it is now."""
        if not isinstance(batch, _Waiting):
            return batch
        synthesis = self._validation_synthesis if batch.draw == VALIDATION else self._synthesis
        made = synthesis(batch.samples, batch.draw)
        return TrainingBatch(made.images, made.labels)

    def _training(self) -> Iterable[Any]:
        epoch = standing(self.trainer).epoch
        order = sorted(range(len(self._ids)), key=lambda k: keyed_number(self.seed, "order", self._ids[k], epoch))
        return self._batches("train", self._parts([Pick(healthy=k, epoch=epoch) for k in order]))

    def _parts(self, picks: Sequence[Pick]) -> tuple[tuple[Pick, ...], ...]:
        now = standing(self.trainer)
        return portions(picks, self.batch_size, rank=now.rank, ranks=now.ranks)

    def _batches(self, side: str, parts: tuple[tuple[Pick, ...], ...]) -> Iterable[Any]:
        readers = self._readers[side]
        if not self.on_device:
            return readers.batches(side, parts)
        return one_ahead(partial(_stacked, readers.source), parts, THREAD_NAME)


@dataclass(frozen=True, kw_only=True, eq=False)
class SamplePictures:
    """Makes the pictures of Samples: what a `Reader` reads from.

    Attributes
    ----------
    samples : sequence of Samples
    mixture : Mixture
    seed : int
    draw : str, optional
        The one draw of all pictures; by default the epoch of their pick names it.
    """

    samples: Sequence[Sample]
    mixture: Mixture
    seed: int
    draw: str | None = None

    def draw_of(self, pick: Pick) -> str:
        """The draw of a pick's picture."""
        return self.draw or f"epoch-{pick.epoch}"

    def picture(self, pick: Pick) -> tuple[ImageArray, ImageArray]:
        """Image (C, *S) and label (*S) of a pick.

        Raises
        ------
        SynthanomError
            As `Mixture.make`.
        """
        sample = self.samples[pick.healthy]
        result = self.mixture.make(sample, seed=self.seed, draw=self.draw_of(pick))
        if result is None:
            return sample.image, np.zeros(sample.shape, dtype=np.float32)
        return result.image, result.label


class _Waiting(NamedTuple):
    """Healthy samples on their way to the device, and the draw of their pictures."""

    samples: SampleBatch
    draw: str


def _stacked(source: SamplePictures, picks: Sequence[Pick]) -> _Waiting:
    return _Waiting(collate_samples([source.samples[pick.healthy] for pick in picks]), source.draw_of(picks[0]))


class _Readers:
    """One reader per side: validation may begin before the last training batch was asked for."""

    def __init__(self, source: Any, workers: int) -> None:
        self.source = source
        self._workers = workers
        self._readers: dict[str, Reader] = {}

    def of(self, side: str) -> Reader:
        """The reader of a side, whose processes start with its first batch."""
        if side not in self._readers:
            self._readers[side] = Reader(self.source, self._workers)
        return self._readers[side]

    def batches(self, side: str, parts: Sequence[Sequence[Pick]]) -> Iterable[TrainingBatch]:
        """The batches of these picks."""
        return self.of(side).batches(parts)

    def close(self) -> None:
        """End the processes."""
        for reader in self._readers.values():
            reader.close()
        self._readers.clear()


@dataclass(frozen=True, kw_only=True, eq=False)
class _OpenRun:
    """An open data set and the run that was planned on it."""

    data: DataSet
    config: TrainingConfig
    run: Run
    index: RowIndex
    source: PictureSource
    readers: _Readers
