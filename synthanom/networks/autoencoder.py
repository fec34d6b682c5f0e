"""A convolutional autoencoder of the U-Net's blocks and widths, without its skip connections."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from synthanom.errors import SynthanomError
from synthanom.networks.unet import MOST_FEATURES, block, convolution, feature_counts, initialise, padded


class ConvolutionalAutoencoder(nn.Module):
    """Maps an image to its reconstruction through a narrow bottleneck.

    The way down is the U-Net's; at the coarsest resolution a 1x1 convolution leaves `latent` features; the way up has
    the U-Net's widths and sees nothing else. Sides that 2^(resolutions - 1) does not divide are padded as there.

    Parameters
    ----------
    dims : int
        Spatial axes, 2 or 3.
    in_channels, out_channels : int
    base : int
        Features at the finest resolution.
    resolutions : int
        Number of them, at least 2.
    latent : int
        Features in the bottleneck.
    """

    def __init__(
        self,
        *,
        dims: int,
        in_channels: int,
        out_channels: int = 1,
        base: int = 32,
        resolutions: int = 5,
        latent: int = 32,
    ) -> None:
        super().__init__()
        if dims not in MOST_FEATURES or resolutions < 2 or min(base, in_channels, out_channels, latent) < 1:
            raise SynthanomError(
                "an autoencoder needs 2 or 3 dims, at least 2 resolutions and positive base, latent and channels, got "
                f"dims {dims}, resolutions {resolutions}, base {base}, latent {latent}, channels {in_channels} -> "
                f"{out_channels}"
            )
        width = feature_counts(dims, base, resolutions)
        self.factor = 2 ** (resolutions - 1)
        self.mode = "trilinear" if dims == 3 else "bilinear"
        self.encoder = nn.Sequential(
            *(
                nn.Sequential(
                    block(dims, width[level - 1] if level else in_channels, width[level], stride=2 if level else 1),
                    block(dims, width[level], width[level]),
                )
                for level in range(resolutions)
            )
        )
        self.narrow = convolution(dims)(width[-1], latent, kernel_size=1)
        self.wide = convolution(dims)(latent, width[-1], kernel_size=1)
        self.decoder = nn.ModuleList(
            nn.Sequential(block(dims, width[level + 1], width[level]), block(dims, width[level], width[level]))
            for level in reversed(range(resolutions - 1))
        )
        self.head = convolution(dims)(width[0], out_channels, kernel_size=1)
        self.apply(initialise)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, *S) -> (B, out_channels, *S).

        Raises
        ------
        SynthanomError
            If the coarsest resolution would be a single voxel.
        """
        shape = x.shape[2:]
        x = self.wide(self.narrow(self.encoder(padded(x, self.factor))))
        for level in self.decoder:
            x = functional.interpolate(x, scale_factor=2, mode=self.mode, align_corners=False)
            x = level(x)
        out: Tensor = self.head(x)
        inside = (slice(None), slice(None), *(slice(0, side) for side in shape))
        return out[inside]

    def bottleneck(self, images: Tensor) -> Tensor:
        """What is left of images in the bottleneck: (B, latent, *coarse)."""
        with torch.no_grad():
            out: Tensor = self.narrow(self.encoder(padded(images, self.factor)))
        return out
