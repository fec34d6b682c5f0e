"""The part that Lightning runs: steps, loaders and optimiser of one run."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from synthanom.detectors.abstract import AbstractDetector, Losses
from synthanom.metrics import RankingAccumulator
from synthanom.training.batches import PictureSource, ReadBatches, Reader, TrainingBatch, portions, share
from synthanom.training.config import TrainingConfig
from synthanom.training.culprits import Culprits, Spoiled
from synthanom.training.execution import channels_last
from synthanom.training.folds import Run
from synthanom.training.keyed import keyed_number
from synthanom.training.live import LivePictures
from synthanom.training.processes import merged_ranking
from synthanom.training.rows import Pick, RowIndex, training_picks, validation_picks
from synthanom.training.schedule import rate_factor
from synthanom.training.scored import CLEARLY

if TYPE_CHECKING:
    from synthanom.training.live_batches import LiveMaker

PRECISION = "validation_average_precision"  # of all voxels of the validation pictures


def makes_batches_on(device: torch.device) -> bool:
    """Whether live training makes its pictures there, by whole batches; on a CPU worker processes are faster."""
    return device.type == "cuda"


class Fitting(LightningModule):
    """Steps, loaders and optimiser of one run; what pictures it takes is asked of the detector.

    With several processes each works on its part of every batch. Its loss counts by the number of its pictures, so that
    the mean of the processes' gradients is the gradient of the whole batch.
    """

    def __init__(
        self,
        detector: AbstractDetector,
        source: PictureSource,
        *,
        index: RowIndex,
        run: Run,
        config: TrainingConfig,
        workers: int = 0,
        culprits: Culprits | None = None,
    ) -> None:
        super().__init__()
        self.module = detector.module  # registers the parameters
        self.detector = detector
        self.source = source
        self.index = index
        self.run = run
        self.config = config
        self.reader = Reader(source, workers)
        self.culprits = culprits
        # training steps only: their shapes are few, and each is compiled for itself, so that a continuation does the
        # same arithmetic. The stored module stays as it is: weights have the same names
        self._training_loss = torch.compile(detector.loss, dynamic=False) if config.compile else detector.loss
        self._shown: tuple[Pick, ...] = ()  # of this epoch
        self._validated = validation_picks(index, run)
        self._ranking: RankingAccumulator | None = None  # of this validation
        self._maker: LiveMaker | None = None  # of all epochs

    def train_dataloader(self) -> Iterable[TrainingBatch]:
        """The batches of the current epoch: the trainer asks anew in each."""
        config = self.config
        self._shown = training_picks(
            self.index,
            self.run,
            epoch=self.current_epoch,
            seed=config.seed,
            flip=config.flip,
            live=config.live,
            shown=self.detector.needs.training,
            thick=(config.anisotropy, config.anisotropy_factor),
        )
        rank, ranks = self._processes()
        if isinstance(self.source, LivePictures) and makes_batches_on(self.device):
            from synthanom.training.live_batches import LiveBatches, LiveMaker

            if self._maker is None:
                self._maker = LiveMaker(self.source, self.device)
            return LiveBatches(
                maker=self._maker, picks=self._shown, batch_size=config.batch_size, rank=rank, ranks=ranks
            )
        return self._loader(self._shown)

    def val_dataloader(self) -> ReadBatches:
        """The validation pictures, the same every time."""
        return self._loader(self._validated)

    def training_step(self, batch: TrainingBatch, number: int) -> Tensor:
        """Loss of one batch, or of this process's part of it.

        Raises
        ------
        SynthanomError
            If it is not finite.
        """
        rank, ranks = self._processes()
        names = ("step", self.global_step, rank) if rank else ("step", self.global_step)
        # what the network itself draws (dropout) must be drawn again after an interruption; seeding at the start of an
        # epoch would not do: Lightning leaves that hook out in the first epoch after a restart
        torch.manual_seed(keyed_number(self.config.seed, *names))
        losses = self._training_loss(self._laid_out(batch))
        self._refuse_spoiled(losses, batch, "training", number)
        own, together = self._counts(self._shown, number)
        self._log_losses(losses, "train", own)
        return losses.total if ranks == 1 else losses.total * (own * ranks / together)

    def on_validation_epoch_start(self) -> None:
        """Begin a ranking, where it is to decide."""
        self._ranking = RankingAccumulator() if self.config.select_by == "average_precision" else None

    def validation_step(self, batch: TrainingBatch, number: int) -> None:
        """Loss of those pictures of a batch that the detector's loss is for, for the mean over all of them.

        Raises
        ------
        SynthanomError
            If it is not finite.
        """
        own, _ = self._counts(self._validated, number)
        batch = counted = self._laid_out(batch)
        if self.detector.needs.loss == "healthy":
            healthy = batch.labels.flatten(1).amax(dim=1) == 0
            counted = TrainingBatch(batch.images[healthy], batch.labels[healthy])
        size = min(own, len(counted.images))
        losses = self.detector.loss(counted if size else batch)  # where none counts, for the names of the figures
        if size:
            self._refuse_spoiled(losses, counted, "validation", number)
        self._log_losses(losses, "validation", size)
        if self._ranking is not None and own:
            whole = size == len(batch.images)
            scores = losses.scores if whole else self.detector.score_map(batch.images)
            self._ranking.update(scores.float().cpu().numpy(), (batch.labels >= CLEARLY).cpu().numpy())

    def on_validation_epoch_end(self) -> None:
        """Log the average precision over all voxels, where it decides."""
        if self._ranking is not None:
            value = merged_ranking(self._ranking).average_precision()
            self.log(PRECISION, value, sync_dist=True)  # the same in all processes
            self._ranking = None

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW with the learning rate of `rate_factor` at each step."""
        settings = self.config.optimiser
        optimiser = torch.optim.AdamW(
            self.module.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rate_factor(step, settings))
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _processes(self) -> tuple[int, int]:
        """Which of how many processes this is."""
        return int(self.global_rank), int(self.trainer.world_size)

    def _loader(self, picks: tuple[Pick, ...]) -> ReadBatches:
        rank, ranks = self._processes()
        return self.reader.batches(portions(picks, self.config.batch_size, rank=rank, ranks=ranks))

    def _laid_out(self, batch: TrainingBatch) -> TrainingBatch:
        return batch._replace(images=channels_last(batch.images)) if self.config.channels_last else batch

    def _counts(self, picks: tuple[Pick, ...], number: int) -> tuple[int, int]:
        """Pictures of a batch that this process has, and that all have."""
        size = self.config.batch_size
        together = min(size, len(picks) - number * size)
        low, high = share(together, *self._processes())
        return high - low, together

    def _log_losses(self, losses: Losses, side: str, count: int) -> None:
        values = {f"{side}_loss": losses.total, **{f"{side}_{k}": v for k, v in losses.watched.items()}}
        self.log_dict(values, on_step=False, on_epoch=True, batch_size=count, sync_dist=True)

    def _refuse_spoiled(self, losses: Losses, batch: TrainingBatch, side: str, number: int) -> None:
        if bool(torch.isfinite(losses.total)):
            return
        rank, ranks = self._processes()
        picks = self._shown if side == "training" else self._validated
        size = self.config.batch_size
        parts = portions(picks, size, rank=rank, ranks=ranks)
        spoiled = Spoiled(
            side=side,
            step=int(self.global_step),
            epoch=int(self.current_epoch),
            loss=float(losses.total.detach()),
            picks=parts[number],
            rank=rank,
            earlier=parts[number - 1] if number and side == "training" else (),
        )
        raise (self.culprits or Culprits()).found(spoiled, self.detector)
