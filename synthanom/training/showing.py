"""How far a training run is, batch by batch."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from synthanom.pace import Pace
from synthanom.progress import Progress


class Batches(Callback):
    """Counts the training batches; made by `shown`."""

    def __init__(self, progress: Progress, stack: ExitStack) -> None:
        self._progress = progress
        self._stack = stack
        self._pace: Pace | None = None

    @classmethod
    @contextmanager
    def shown(cls, progress: Progress) -> Iterator["Batches"]:
        """A callback whose stage ends with the block."""
        with ExitStack() as stack:
            yield cls(progress, stack)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin the stage: all batches of the epochs that are left."""
        epochs = int(trainer.max_epochs or 0) - int(trainer.current_epoch)
        stage = self._progress.stage("training", epochs * int(trainer.num_training_batches), unit="batches")
        self._pace = self._stack.enter_context(stage)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count a batch."""
        if self._pace is not None:
            self._pace.passed()
