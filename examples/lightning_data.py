"""Anomalies made while a LightningModule trains: python examples/lightning_data.py."""

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer

from synthanom import Sample, tasks
from synthanom.integrations.lightning import LiveDataModule


class Detector(LightningModule):
    """Any module of yours; batches are (images (B, C, *S), labels (B, *S))."""

    def __init__(self) -> None:
        super().__init__()
        self.network = torch.nn.Conv2d(1, 1, 3, padding=1)

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], index: int) -> torch.Tensor:
        """Loss of one batch."""
        images, labels = batch
        return torch.nn.functional.binary_cross_entropy_with_logits(self.network(images)[:, 0], labels)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Any optimiser."""
        return torch.optim.Adam(self.parameters(), lr=0.01)


rng = np.random.default_rng(0)
samples = [Sample.from_array(rng.standard_normal((1, 32, 32)), id=f"case-{i}") for i in range(8)]
# RunDataModule("data", train_tasks=1, run=0) takes a built data set instead
module = LiveDataModule(samples, tasks.Sink(), seed=0, batch_size=4, on_device=torch.cuda.is_available())
trainer = Trainer(
    max_epochs=2, logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False
)
trainer.fit(Detector(), datamodule=module)
print("steps:", trainer.global_step)
