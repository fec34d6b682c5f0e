"""The U-Net of the many-tasks method, in 2D and 3D."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from synthanom.errors import SynthanomError

MOST_FEATURES = {2: 512, 3: 320}  # features per level stop growing here, by number of spatial axes
LEAKY_SLOPE = 0.01  # of He initialisation


def feature_counts(dims: int, base: int, resolutions: int) -> tuple[int, ...]:
    """Features at each resolution, finest first: doubled each time up to 512 (2D) or 320 (3D)."""
    return tuple(min(base * 2**level, MOST_FEATURES[dims]) for level in range(resolutions))


class UNet(nn.Module):
    """Maps an image to one unbounded value per voxel.

    Blocks of convolution 3^D, instance norm and GELU; each further resolution begins with stride 2; the way up
    interpolates linearly and takes the features of the same resolution beside its own.

    Any size goes in: sides that 2^(resolutions - 1) does not divide are padded at their far end by repeating the last
    voxel, and the result is cut back. The coarsest resolution must hold at least two voxels.

    Parameters
    ----------
    dims : int
        Spatial axes, 2 or 3.
    in_channels, out_channels : int
        `in_channels` counts the position channels, where there are any.
    base : int
        Features at the finest resolution.
    resolutions : int
        Number of them, at least 2.

    References
    ----------
    Ronneberger et al., U-Net, MICCAI 2015, doi:10.1007/978-3-319-24574-4_28.
    Isensee et al., nnU-Net, Nature Methods 2021, doi:10.1038/s41592-020-01008-z.
    """

    def __init__(
        self, *, dims: int, in_channels: int, out_channels: int = 1, base: int = 32, resolutions: int = 5
    ) -> None:
        super().__init__()
        if dims not in MOST_FEATURES or resolutions < 2 or min(base, in_channels, out_channels) < 1:
            raise SynthanomError(
                "a U-Net needs 2 or 3 dims, at least 2 resolutions and positive base and channels, got "
                f"dims {dims}, resolutions {resolutions}, base {base}, channels {in_channels} -> {out_channels}"
            )
        width = feature_counts(dims, base, resolutions)
        bottom = resolutions - 1
        self.factor = 2**bottom
        self.mode = "trilinear" if dims == 3 else "bilinear"
        self.encoder = nn.ModuleList(
            nn.Sequential(
                block(dims, width[level - 1] if level else in_channels, width[level], stride=2 if level else 1),
                block(dims, width[level], width[level]),
            )
            for level in range(bottom)
        )
        self.bottleneck = nn.Sequential(
            block(dims, width[bottom - 1], width[bottom], stride=2), block(dims, width[bottom], width[bottom - 1])
        )
        self.decoder = nn.ModuleList(
            nn.Sequential(
                block(dims, 2 * width[level], width[level]), block(dims, width[level], width[max(level - 1, 0)])
            )
            for level in range(bottom)
        )
        self.head = convolution(dims)(width[0], out_channels, kernel_size=1, bias=False)
        self.apply(initialise)
        # A random head starts 25 times above the variance of a sparse label; shrinking it starves the features: four
        # pictures were not learnt in 400 steps (0.95 of the variance left), from a zero head they were (0.10).
        nn.init.zeros_(self.head.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, *S) -> (B, out_channels, *S).

        Raises
        ------
        SynthanomError
            If the coarsest resolution would be a single voxel.
        """
        shape = x.shape[2:]
        x = padded(x, self.factor)
        skips = []
        for level in self.encoder:
            x = level(x)
            skips.append(x)
        x = self.bottleneck(x)
        for level, skip in zip(reversed(self.decoder), reversed(skips), strict=True):
            x = functional.interpolate(x, scale_factor=2, mode=self.mode, align_corners=False)
            x = level(torch.cat([x, skip], dim=1))
        out: Tensor = self.head(x)
        inside: tuple[Any, ...] = (..., *(slice(0, side) for side in shape))
        return out[inside]


def padded(x: Tensor, factor: int) -> Tensor:
    """The batch with sides that `factor` divides, padded at their far end by repeating the last voxel.

    Raises
    ------
    SynthanomError
        If nothing but a single voxel would be left of it after dividing by `factor`.
    """
    shape = tuple(x.shape[2:])
    missing = [-side % factor for side in shape]
    if all(side + more == factor for side, more in zip(shape, missing, strict=True)):
        raise SynthanomError(
            f"this network halves an image {factor.bit_length() - 1} times and needs a side above "
            f"{factor} voxels, got {shape}; use fewer resolutions"
        )
    if not any(missing):
        return x
    return functional.pad(x, [v for more in reversed(missing) for v in (0, more)], mode="replicate")


def block(dims: int, inputs: int, outputs: int, *, stride: int = 1) -> nn.Sequential:
    """Convolution 3^D, instance norm, GELU."""
    norm = nn.InstanceNorm3d if dims == 3 else nn.InstanceNorm2d
    return nn.Sequential(
        convolution(dims)(inputs, outputs, kernel_size=3, stride=stride, padding=1),
        norm(outputs, eps=1e-5, affine=True),
        nn.GELU(),
    )


def convolution(dims: int) -> type[nn.Conv2d] | type[nn.Conv3d]:
    """The class for so many spatial axes."""
    return nn.Conv3d if dims == 3 else nn.Conv2d


def initialise(module: nn.Module) -> None:
    """He initialisation of a convolution, biases 0; other modules stay."""
    if isinstance(module, nn.Conv2d | nn.Conv3d):
        nn.init.kaiming_normal_(module.weight, a=LEAKY_SLOPE)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
