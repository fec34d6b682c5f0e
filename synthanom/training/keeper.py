"""What is kept at the end of an epoch: the best model, and the state to go on from."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn

from synthanom.errors import SynthanomError
from synthanom.training.checkpoint import ModelCard, save_model
from synthanom.training.config import SelectBy
from synthanom.training.fitting import PRECISION
from synthanom.training.folder import RESUME, sync


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
        Steps without a better validation after which the run ends.
    select_by : str
        Which validation figure is to be better: the smaller ``"loss"`` or the larger ``"average_precision"``.
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
        select_by: SelectBy = "loss",
        report: Callable[[str], None] | None = None,
    ) -> None:
        self.folder = folder
        self.module = module
        self.card = card
        self.patience = patience
        self.select_by = select_by
        self.report = report
        self.best_loss = math.inf
        self.best_precision = -math.inf  # only where it decides
        self.best_epoch = -1
        self.best_step = 0
        self._began = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        """What the resume file keeps of this object."""
        best = {"best_loss": self.best_loss, "best_epoch": self.best_epoch, "best_step": self.best_step}
        return {**best, "best_precision": self.best_precision}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.best_loss = float(state_dict["best_loss"])
        self.best_precision = float(state_dict.get("best_precision", -math.inf))
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
            If the figure that decides is not finite, or the model cannot be written.
        """
        loss, precision = self._figures(trainer)
        better = loss < self.best_loss if self.select_by == "loss" else precision > self.best_precision
        if not better:
            return
        self.best_loss, self.best_precision = loss, precision
        self.best_epoch, self.best_step = trainer.current_epoch, int(trainer.global_step)
        if trainer.is_global_zero:
            training = {**self.card.training, "epoch": self.best_epoch, "step": self.best_step, "loss": loss}
            if self.select_by == "average_precision":
                training["average_precision"] = precision
            save_model(self.folder / "best", self.module, self.card.model_copy(update={"training": training}))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the state to go on from; end the run when the patience has run out.

        Raises
        ------
        SynthanomError
            If it cannot be written; the one of the epoch before stays.
        """
        final = self.folder / RESUME
        temporary = final.with_name(f".{final.name}.tmp")
        try:
            trainer.save_checkpoint(temporary, weights_only=False)
            if trainer.is_global_zero:
                sync(temporary)
                temporary.replace(final)
        except (OSError, RuntimeError) as error:  # torch's writer says RuntimeError for a full disk
            if trainer.world_size > 1 and not isinstance(error, OSError):
                raise  # more likely another process that ended
            if trainer.is_global_zero:
                temporary.unlink(missing_ok=True)
            kept = "the state of the epoch before is kept" if final.exists() else "there is no earlier state yet"
            raise SynthanomError(
                f"{final}: cannot be written: {' '.join(str(error).split())[:200]}; {kept}: make room and run the same "
                "command again"
            ) from error
        if self.report is not None and trainer.is_global_zero:
            self.report(self._line(trainer))
        if self.exhausted(trainer):
            trainer.should_stop = True

    def _figures(self, trainer: Trainer) -> tuple[float, float]:
        """Validation loss, and average precision where it decides (else -infinity)."""
        loss = float(trainer.callback_metrics["validation_loss"])
        if not math.isfinite(loss):
            raise SynthanomError(
                f"the validation loss must stay finite, got {loss} in epoch {trainer.current_epoch}; lower "
                "optimiser.learning_rate, or check the data set"
            )
        if self.select_by == "loss":
            return loss, -math.inf
        precision = float(trainer.callback_metrics[PRECISION])
        if not math.isfinite(precision):
            raise SynthanomError(
                "select_by average_precision needs validation pictures with labels of at least 0.5, got none; use "
                "select_by loss"
            )
        return loss, precision

    def _line(self, trainer: Trainer) -> str:
        figures = trainer.callback_metrics
        shown = [
            f"{k.replace('_loss', '').replace('validation_average_precision', 'AP')} {float(figures[k]):.5f}"
            for k in ("train_loss", "validation_loss", PRECISION)
            if k in figures
        ]
        best = f"best {self.best_loss:.5f} in epoch {self.best_epoch}" if self.best_epoch >= 0 else "not validated yet"
        return f"epoch {trainer.current_epoch}: {', '.join(shown)} ({best}), {time.monotonic() - self._began:.1f} s"
