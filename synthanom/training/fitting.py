"""The part that Lightning runs: steps, optimiser, and what is kept at the end of an epoch."""

import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.utils.data import DataLoader

from synthanom.detectors.abstract import AbstractDetector
from synthanom.errors import SynthanomError
from synthanom.training.batches import PictureSource, TrainingBatch, make_loader
from synthanom.training.checkpoint import ModelCard, save_model
from synthanom.training.config import TrainingConfig
from synthanom.training.folder import RESUME, sync
from synthanom.training.folds import Run
from synthanom.training.keyed import keyed_number
from synthanom.training.live import LivePictures
from synthanom.training.rows import RowIndex, training_picks, validation_picks
from synthanom.training.schedule import rate_factor

if TYPE_CHECKING:
    from synthanom.training.live_batches import LiveMaker


def makes_batches_on(device: torch.device) -> bool:
    """Whether live training makes its pictures there, by whole batches; on a CPU worker processes are faster."""
    return device.type == "cuda"


class Fitting(LightningModule):
    """Steps, loaders and optimiser of one run."""

    def __init__(
        self,
        detector: AbstractDetector,
        source: PictureSource,
        *,
        index: RowIndex,
        run: Run,
        config: TrainingConfig,
        workers: int = 0,
    ) -> None:
        super().__init__()
        self.module = detector.module  # registers the parameters
        self.detector = detector
        self.source = source
        self.index = index
        self.run = run
        self.config = config
        self.workers = workers
        self._maker: LiveMaker | None = None  # of all epochs

    def train_dataloader(self) -> Iterable[TrainingBatch]:
        """The batches of the current epoch: the trainer asks anew in each."""
        picks = training_picks(
            self.index,
            self.run,
            epoch=self.current_epoch,
            seed=self.config.seed,
            flip=self.config.flip,
            live=self.config.live,
        )
        if isinstance(self.source, LivePictures) and makes_batches_on(self.device):
            from synthanom.training.live_batches import LiveBatches, LiveMaker

            if self._maker is None:
                self._maker = LiveMaker(self.source, self.device)
            return LiveBatches(maker=self._maker, picks=picks, batch_size=self.config.batch_size)
        return make_loader(self.source, picks, batch_size=self.config.batch_size, workers=self.workers)

    def val_dataloader(self) -> DataLoader[TrainingBatch]:
        """The validation pictures, the same every time."""
        picks = validation_picks(self.index, self.run)
        return make_loader(self.source, picks, batch_size=self.config.batch_size, workers=self.workers)

    def training_step(self, batch: TrainingBatch, number: int) -> Tensor:
        """Loss of one batch."""
        # what the network itself draws (dropout) must be drawn again after an interruption; seeding at the start of an
        # epoch would not do: Lightning leaves that hook out in the first epoch after a restart
        torch.manual_seed(keyed_number(self.config.seed, "step", self.global_step))
        return self._losses(batch, "train")

    def validation_step(self, batch: TrainingBatch, number: int) -> None:
        """Loss of one batch, for the mean over all pictures."""
        self._losses(batch, "validation")

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW with the learning rate of `rate_factor` at each step."""
        settings = self.config.optimiser
        optimiser = torch.optim.AdamW(
            self.module.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rate_factor(step, settings))
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _losses(self, batch: TrainingBatch, side: str) -> Tensor:
        losses = self.detector.loss(batch)
        values = {f"{side}_loss": losses.total, **{f"{side}_{k}": v for k, v in losses.watched.items()}}
        self.log_dict(values, on_step=False, on_epoch=True, batch_size=len(batch.images), sync_dist=True)
        return losses.total


class Keeper(Callback):
    """Keeps the model of the best validation and, at each epoch's end, the state to go on from; ends the run.

    Parameters
    ----------
    folder : Path
        Of the run.
    module : torch.nn.Module
        What is trained and kept.
    card : ModelCard
        Of the model; epoch and loss are filled in.
    patience : int
        Steps without a better validation loss after which the run ends.
    report : callable, optional
        Told one line per epoch.
    """

    def __init__(
        self,
        folder: Path,
        module: nn.Module,
        card: ModelCard,
        *,
        patience: int,
        report: Callable[[str], None] | None = None,
    ) -> None:
        self.folder = folder
        self.module = module
        self.card = card
        self.patience = patience
        self.report = report
        self.best_loss = math.inf
        self.best_epoch = -1
        self.best_step = 0
        self._began = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        """What the resume file keeps of this object."""
        return {"best_loss": self.best_loss, "best_epoch": self.best_epoch, "best_step": self.best_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.best_loss = float(state_dict["best_loss"])
        self.best_epoch = int(state_dict["best_epoch"])
        self.best_step = int(state_dict["best_step"])

    def exhausted(self, trainer: Trainer) -> bool:
        """Whether the patience has run out."""
        return self.best_epoch >= 0 and int(trainer.global_step) - self.best_step >= self.patience

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End at once if the run was interrupted after its patience had run out."""
        if self.exhausted(trainer):
            trainer.should_stop = True

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the epoch's clock."""
        self._began = time.monotonic()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the model if it is the best so far.

        Raises
        ------
        SynthanomError
            If the validation loss is not finite, or the model cannot be written.
        """
        loss = float(trainer.callback_metrics["validation_loss"])
        if not math.isfinite(loss):
            raise SynthanomError(
                f"the validation loss must stay finite, got {loss} in epoch {trainer.current_epoch}; lower "
                "optimiser.learning_rate, or check the data set"
            )
        if loss < self.best_loss:
            self.best_loss, self.best_epoch, self.best_step = loss, trainer.current_epoch, int(trainer.global_step)
            if trainer.is_global_zero:
                training = {**self.card.training, "epoch": self.best_epoch, "step": self.best_step, "loss": loss}
                card = self.card.model_copy(update={"training": training})
                save_model(self.folder / "best", self.module, card)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the state to go on from; end the run when the patience has run out."""
        final = self.folder / RESUME
        temporary = final.with_name(f".{final.name}.tmp")
        trainer.save_checkpoint(temporary, weights_only=False)
        if trainer.is_global_zero:
            sync(temporary)
            temporary.replace(final)
        if self.report is not None and trainer.is_global_zero:
            self.report(self._line(trainer))
        if self.exhausted(trainer):
            trainer.should_stop = True

    def _line(self, trainer: Trainer) -> str:
        figures = trainer.callback_metrics
        shown = [
            f"{k.replace('_loss', '')} {float(figures[k]):.5f}"
            for k in ("train_loss", "validation_loss")
            if k in figures
        ]
        best = f"best {self.best_loss:.5f} in epoch {self.best_epoch}" if self.best_epoch >= 0 else "not validated yet"
        return f"epoch {trainer.current_epoch}: {', '.join(shown)} ({best}), {time.monotonic() - self._began:.1f} s"
