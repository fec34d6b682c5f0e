"""The many-tasks detector: a network that predicts the label of synthetic anomalies."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from synthanom.detectors.abstract import AbstractDetector, LabelledBatch, Losses
from synthanom.detectors.needs import NEEDS, Needs
from synthanom.networks.positioned import applied
from synthanom.networks.positions import Place

CLIP = 1e-6  # keeps the logarithms of the watched cross-entropy finite


@dataclass(frozen=True, kw_only=True, eq=False)
class MultiTask(AbstractDetector):
    """Regresses the label by mean squared error; the binary cross-entropy of the clipped output is watched.

    Attributes
    ----------
    network : torch.nn.Module
        (B, C, *S) -> (B, 1, *S), no activation at its end.

    References
    ----------
    Baugh et al., Many tasks make light work, MICCAI 2023, doi:10.1007/978-3-031-43907-0_16.
    """

    needs: ClassVar[Needs] = NEEDS["multitask"]

    network: nn.Module

    @staticmethod
    def outputs(channels: int) -> int:
        """One: the label."""
        return 1

    @property
    def module(self) -> nn.Module:
        """The network."""
        return self.network

    def loss(self, batch: LabelledBatch) -> Losses:
        """Mean squared error against the label over all voxels of the batch."""
        scores = self.score_map(batch.images)
        labels = batch.labels.float()
        clipped = scores.detach().float().clamp(CLIP, 1 - CLIP)
        # torch's own binary_cross_entropy raises on NaN and under mixed precision: watching must not end a run
        entropy = -(labels * clipped.log() + (1 - labels) * (-clipped).log1p()).mean()
        return Losses(
            total=functional.mse_loss(scores.float(), labels), watched={"bce": entropy}, scores=scores.detach()
        )

    def score_map(self, images: Tensor, place: Place | None = None) -> Tensor:
        """The network's output, (B, *S); not clipped."""
        return applied(self.network, images, place).squeeze(1)
