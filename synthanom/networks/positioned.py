"""A network that sees the position channels beside the image."""

import torch
from torch import Tensor, nn

from synthanom.networks.positions import Place, channel_count, position_channels


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

    def forward(self, images: Tensor, place: Place | None = None) -> Tensor:
        """(B, C, *S) -> (B, outputs, *S); with a place, the images are windows that were cut out there."""
        out: Tensor = self.network(self._positioned(images, place))
        return out

    def _positioned(self, images: Tensor, place: Place | None) -> Tensor:
        # by itself, so that the channels are gone before the network makes its own
        channels = self.channels
        if place is not None or channels.shape[1:] != images.shape[2:]:
            channels = torch.from_numpy(position_channels(images.shape[2:], place)).to(channels)
        return torch.cat([images, channels.expand(len(images), *channels.shape)], dim=1)


def input_channels(channels: int, dims: int, *, positions: bool) -> int:
    """Channels that the network sees."""
    return channels + (channel_count(dims) if positions else 0)


def applied(network: nn.Module, images: Tensor, place: Place | None) -> Tensor:
    """What a network makes of images, or of windows cut out at a place where it knows places."""
    out: Tensor = network(images, place) if isinstance(network, PositionedNetwork) else network(images)
    return out
