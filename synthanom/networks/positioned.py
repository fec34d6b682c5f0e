"""A network that sees the position channels beside the image."""

import torch
from torch import Tensor, nn

from synthanom.networks.positions import channel_count, position_channels


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
        """(B, C, *S) -> (B, outputs, *S)."""
        channels = self.channels
        if channels.shape[1:] != images.shape[2:]:
            channels = torch.from_numpy(position_channels(images.shape[2:])).to(channels)
        out: Tensor = self.network(torch.cat([images, channels.expand(len(images), *channels.shape)], dim=1))
        return out


def input_channels(channels: int, dims: int, *, positions: bool) -> int:
    """Channels that the network sees."""
    return channels + (channel_count(dims) if positions else 0)
