"""Channels that tell a network where in the image it looks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from synthanom.arrays import FloatArray, ImageArray
from synthanom.errors import SynthanomError

FREQUENCIES, SCALE, SEED = 32, 12.0, 42


def channel_count(dims: int) -> int:
    """Number of position channels of an image.

    Parameters
    ----------
    dims : int
        Spatial axes.

    Returns
    -------
    int
    """
    return dims + 2 * FREQUENCIES


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where in which image a window lies.

    Attributes
    ----------
    whole : tuple of D ints
        Shape of the image that the window was cut from.
    corner : tuple of D ints
        Voxel of the image that is the window's first.
    """

    whole: tuple[int, ...]
    corner: tuple[int, ...]


def position_channels(shape: Sequence[int], place: Place | None = None) -> ImageArray:
    """Coordinates and random Fourier features of every voxel.

    Parameters
    ----------
    shape : sequence of D ints
        Spatial shape S.
    place : Place, optional
        The channels are those of a larger image, cut out here: bit for bit, and without computing the rest.

    Returns
    -------
    ndarray of shape (D + 64, *S), float32
        First each coordinate from -1 to 1, both ends included; then sin(2 pi B x) and cos(2 pi B x) with x in [0, 1)
        and 32 frequencies B = 12 Normal(0, 1), the same in every call (seed 42).

    Raises
    ------
    SynthanomError
        An empty shape, a side under 1, or a window that leaves its image.

    References
    ----------
    Tancik et al., Fourier features let networks learn high frequency functions in low dimensional domains,
    NeurIPS 2020, doi:10.48550/arXiv.2006.10739.
    """
    sides = tuple(int(s) for s in shape)
    if not sides or min(sides) < 1:
        raise SynthanomError(f"position channels need a spatial shape of positive sides, got {tuple(shape)}")
    there = Place(whole=sides, corner=(0,) * len(sides)) if place is None else place
    inside = len(there.whole) == len(there.corner) == len(sides) and all(
        c >= 0 and c + s <= w for c, s, w in zip(there.corner, sides, there.whole, strict=True)
    )
    if not inside:
        raise SynthanomError(f"a window must lie inside its image, got one of {sides} voxels at {there}")
    coordinates = [
        (np.linspace(-1.0, 1.0, whole)[corner : corner + side], np.arange(corner, corner + side) / whole)
        for whole, corner, side in zip(there.whole, there.corner, sides, strict=True)
    ]
    dims = len(sides)
    channels = np.empty((channel_count(dims), *sides), dtype=np.float32)
    for axis, (linear, _) in enumerate(coordinates):
        channels[axis] = linear.reshape(-1, *[1] * (dims - 1 - axis))
    frequencies = phase_steps(dims)
    # one plane at a time: in float64 all phases of a volume would weigh four times what the channels do
    plane = np.zeros((FREQUENCIES, *sides[1:]))
    for axis in range(1, dims):
        phases = frequencies[:, axis, None] * coordinates[axis][1]
        plane = plane + phases.reshape(FREQUENCIES, *[1] * (axis - 1), -1, *[1] * (dims - 1 - axis))
    for i, unit in enumerate(coordinates[0][1]):
        angles = (frequencies[:, 0] * unit).reshape(-1, *[1] * (dims - 1)) + plane
        channels[dims : dims + FREQUENCIES, i] = np.sin(angles)
        channels[dims + FREQUENCIES :, i] = np.cos(angles)
    return channels


def phase_steps(dims: int) -> FloatArray:
    """The phase (32, D) that each Fourier feature gains over a whole image along each axis, 2 pi B; float64."""
    return 2.0 * np.pi * SCALE * np.random.default_rng(SEED).standard_normal((FREQUENCIES, dims))
