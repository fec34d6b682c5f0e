"""The many-tasks detector: a network that predicts the label of synthetic anomalies."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from synthanom.detectors.abstract import AbstractDetector, LabelledBatch, Losses
from synthanom.networks.positions import channel_count, position_channels

CLIP = 1e-6  # keeps the logarithms of the watched cross-entropy finite


class PositionedNetwork(nn.Module):
    """Gives a network the position channels after the image's own.

    The channels of `shape`, the training images' shape, are kept with the parameters' device but not saved; images of
    another shape get theirs computed.
    """

    channels: Tensor

    def __init__(self, network: nn.Module, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("channels", torch.from_numpy(position_channels(shape)), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, *S) -> (B, 1, *S)."""
        channels = self.channels
        if channels.shape[1:] != images.shape[2:]:
            channels = torch.from_numpy(position_channels(images.shape[2:])).to(channels)
        out: Tensor = self.network(torch.cat([images, channels.expand(len(images), *channels.shape)], dim=1))
        return out


def input_channels(channels: int, dims: int, *, positions: bool) -> int:
    """Channels that the network sees."""
    return channels + (channel_count(dims) if positions else 0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Segmentation(AbstractDetector):
    """Regresses the label by mean squared error; the binary cross-entropy of the clipped output is watched.

    Attributes
    ----------
    network : torch.nn.Module
        (B, C, *S) -> (B, 1, *S), no activation at its end.

    References
    ----------
    Baugh et al., Many tasks make light work, MICCAI 2023, doi:10.1007/978-3-031-43907-0_16.
    """

    network: nn.Module

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
        return Losses(total=functional.mse_loss(scores.float(), labels), watched={"bce": entropy})

    def score_map(self, images: Tensor) -> Tensor:
        """The network's output, (B, *S); not clipped."""
        out: Tensor = self.network(images)
        return out.squeeze(1)
