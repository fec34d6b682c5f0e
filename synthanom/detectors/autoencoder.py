"""A plain autoencoder: what it cannot reconstruct is anomalous."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from synthanom.detectors.abstract import AbstractDetector, LabelledBatch, Losses
from synthanom.detectors.needs import NEEDS, Needs
from synthanom.networks.positioned import applied
from synthanom.networks.positions import Place

HALF = 0.2  # image units: the reconstruction error that scores one half


@dataclass(frozen=True, kw_only=True, eq=False)
class Autoencoder(AbstractDetector):
    """Learns to reconstruct healthy images by mean squared error; the error of a voxel is its score.

    The score is e / (e + 0.2^2) with e the squared error, mean over channels: it keeps the order of the errors, which
    have no upper bound, and lies in [0, 1) as maps must.

    Attributes
    ----------
    network : torch.nn.Module
        (B, C, *S) -> (B, C, *S), with a bottleneck: a network that can copy its input finds nothing.

    References
    ----------
    Baur et al., Autoencoders for unsupervised anomaly segmentation in brain MR images, Medical Image Analysis 2021,
    doi:10.1016/j.media.2020.101952.
    """

    needs: ClassVar[Needs] = NEEDS["autoencoder"]

    network: nn.Module

    @staticmethod
    def outputs(channels: int) -> int:
        """As many as the image has channels."""
        return channels

    @property
    def module(self) -> nn.Module:
        """The network."""
        return self.network

    def loss(self, batch: LabelledBatch) -> Losses:
        """Mean squared error against the image over all voxels and channels of the batch; labels are not looked at."""
        made = self.network(batch.images).float()
        scores = _score(made.detach(), batch.images)
        return Losses(total=functional.mse_loss(made, batch.images.float()), scores=scores)

    def score_map(self, images: Tensor, place: Place | None = None) -> Tensor:
        """The score of the reconstruction error, (B, *S)."""
        return _score(applied(self.network, images, place).float(), images)


def _score(made: Tensor, images: Tensor) -> Tensor:
    error = (made - images.float()).square().mean(dim=1)
    return error / (error + HALF**2)
