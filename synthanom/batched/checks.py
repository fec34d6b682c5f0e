"""What a batch's tensors must be, as `Sample.from_array` has it for one image."""

import warnings
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from synthanom.batched.host_copy import HostCopy
from synthanom.errors import NormalisationWarning, SynthanomError
from synthanom.sample import MAX_SIDE, MIN_SIDE, USUAL_DEVIATION, unusual_scale


def check_shapes(images: Tensor, foregrounds: Tensor | None) -> None:
    """Raise unless images (B, C, [Z,] Y, X) and foregrounds (B, [Z,] Y, X) have usable shapes and dtypes.

    Raises
    ------
    SynthanomError
    """
    if images.ndim not in (4, 5) or not images.is_floating_point():
        raise SynthanomError(
            "images must be a floating-point tensor of shape (B, C, Y, X) or (B, C, Z, Y, X), got "
            f"{images.dtype} of shape {tuple(images.shape)}; add axes with unsqueeze, convert with .float()"
        )
    sides = tuple(images.shape[2:])
    if min(images.shape[:2]) < 1 or min(sides) < MIN_SIDE or max(sides) > MAX_SIDE:
        raise SynthanomError(
            f"a batch needs an image and a channel, and sides from {MIN_SIDE} to {MAX_SIDE} voxels, got shape "
            f"{tuple(images.shape)}; resample, pad or cut the images"
        )
    if foregrounds is None:
        return
    if foregrounds.dtype != torch.bool or foregrounds.shape != (images.shape[0], *sides):
        raise SynthanomError(
            f"foregrounds must be bool of shape {(images.shape[0], *sides)}, got {foregrounds.dtype} of shape "
            f"{tuple(foregrounds.shape)}; threshold them, resample them onto the images' grid"
        )


class ValueCheck:
    """Whether a batch's values are usable: worked out on the device, looked at when the host next waits anyway.

    Parameters
    ----------
    images : float32 (B, C, Z, Y, X)
    foreground : bool (B, Z, Y, X)
    ids : B names
    """

    def __init__(self, images: Tensor, foreground: Tensor, ids: Sequence[str]) -> None:
        self._ids = ids
        self._done = False
        count = foreground.flatten(1).sum(dim=1)
        inside = foreground.unsqueeze(1)
        total = (count * images.shape[1]).clamp(min=1)
        mean = torch.where(inside, images, 0.0).sum(dim=(1, 2, 3, 4), dtype=torch.float64) / total
        away = torch.where(inside, images - mean.float().view(-1, 1, 1, 1, 1), 0.0)
        deviation = (away.square_().sum(dim=(1, 2, 3, 4), dtype=torch.float64) / total).sqrt()
        finite = torch.isfinite(images.flatten(1)).all(dim=1)
        self._found = HostCopy(torch.stack([count.double(), deviation, finite.double()], dim=1))

    def __call__(self) -> None:
        """Look, the first time.

        Raises
        ------
        SynthanomError
            For NaN, infinity or an empty foreground, naming the first such sample.

        Warns
        -----
        NormalisationWarning
            If a standard deviation in the foreground is unusual.
        """
        if self._done:
            return
        self._done = True
        count, deviation, finite = self._found.wait().T
        for index in np.flatnonzero(finite == 0)[:1].tolist():
            raise SynthanomError(
                f"{self._ids[index]}: image must be finite, got NaN or infinite values; use torch.nan_to_num"
            )
        for index in np.flatnonzero(count == 0)[:1].tolist():
            raise SynthanomError(
                f"{self._ids[index]}: foreground must hold at least one voxel, got none; None means the whole image"
            )
        low, high = USUAL_DEVIATION
        for index in np.flatnonzero((deviation < low) | (deviation > high)).tolist():
            unusual = unusual_scale(self._ids[index], float(deviation[index]))
            warnings.warn(str(unusual), NormalisationWarning, stacklevel=2)
