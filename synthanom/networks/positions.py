"""Channels that tell a network where in the image it looks."""

from collections.abc import Sequence

import numpy as np

from synthanom.arrays import ImageArray
from synthanom.errors import SynthanomError

FREQUENCIES, SCALE, SEED = 32, 12.0, 42


def channel_count(dims: int) -> int:
    """Number of position channels of an image with `dims` spatial axes."""
    return dims + 2 * FREQUENCIES


def position_channels(shape: Sequence[int]) -> ImageArray:
    """Coordinates and random Fourier features of every voxel.

    Parameters
    ----------
    shape : sequence of D ints
        Spatial shape S.

    Returns
    -------
    ndarray of shape (D + 64, *S), float32
        First each coordinate from -1 to 1, both ends included; then sin(2 pi B x) and cos(2 pi B x) with x in [0, 1)
        and 32 frequencies B = 12 Normal(0, 1), the same in every call (seed 42).

    Raises
    ------
    SynthanomError
        An empty shape or a side under 1.

    References
    ----------
    Tancik et al., Fourier features let networks learn high frequency functions in low dimensional domains,
    NeurIPS 2020, doi:10.48550/arXiv.2006.10739.
    """
    sides = tuple(int(s) for s in shape)
    if not sides or min(sides) < 1:
        raise SynthanomError(f"position channels need a spatial shape of positive sides, got {tuple(shape)}")
    linear = np.meshgrid(*(np.linspace(-1.0, 1.0, s) for s in sides), indexing="ij")
    unit = np.meshgrid(*(np.linspace(0.0, 1.0, s, endpoint=False) for s in sides), indexing="ij")
    frequencies = np.random.default_rng(SEED).standard_normal((FREQUENCIES, len(sides))) * SCALE
    angles = 2.0 * np.pi * np.tensordot(frequencies, np.stack(unit), axes=1)
    return np.concatenate([np.stack(linear), np.sin(angles), np.cos(angles)]).astype(np.float32)
