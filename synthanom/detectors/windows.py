"""Sliding windows: where they lie, how much each counts, and the map that they make together."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synthanom.arrays import FloatArray, ImageArray
from synthanom.errors import SynthanomError
from synthanom.networks.positions import Place

SIGMA = 1 / 8  # of a window's side, as nnU-Net's (Isensee et al., doi:10.1038/s41592-020-01008-z)
MARGIN = 1 / 8  # of a window's side: so near to a cut through the image nothing counts
Windowed = Callable[[ImageArray, Place], npt.NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Stretch:
    """One axis of a window.

    Attributes
    ----------
    start : int
        First voxel.
    weight : ndarray of shape (n,), float64
        What each of its voxels counts; over all stretches of an axis the weights of a voxel sum to 1.
    """

    start: int
    weight: FloatArray

    @property
    def voxels(self) -> slice:
        """Its voxels along the axis."""
        return slice(self.start, self.start + len(self.weight))


def stretches(side: int, window: int, multiple: int = 1) -> tuple[Stretch, ...]:
    """Cut one axis into windows that overlap by half or more, each weighted by a Gaussian around its middle.

    Windows begin at multiples of what the network strides by, so that its grids are those of the whole image; the last
    one is cut short at the image's end. An eighth of a window at each cut does not count: a network that looks no
    farther gives the map of the whole image.

    Parameters
    ----------
    side, window : int
        In voxels; a window that covers the side is the only one.
    multiple : int
        Voxels that starts are multiples of.

    Raises
    ------
    SynthanomError
        A window that does not cover the side and is under two multiples or not a multiple.
    """
    if window >= side:
        return (Stretch(start=0, weight=np.ones(side)),)
    if window % multiple or window < 2 * multiple:
        raise SynthanomError(
            f"a window of this network must be a multiple of {multiple} voxels, at least {2 * multiple}, or cover the "
            f"image's {side}; got {window}"
        )
    last = -(-(side - window) // multiple)  # in multiples, as the step
    count = -(-last // max(1, window // 2 // multiple)) + 1
    starts = [i * last // (count - 1) * multiple for i in range(count)]
    bells = [_bell(start, side, window) for start in starts]
    total = np.zeros(side)
    for start, bell in zip(starts, bells, strict=True):
        total[start : start + len(bell)] += bell
    return tuple(
        Stretch(start=start, weight=bell / total[start : start + len(bell)])
        for start, bell in zip(starts, bells, strict=True)
    )


def windowed_map(image: ImageArray, window: Sequence[int], score: Windowed, multiple: int = 1) -> ImageArray:
    """The map (*S) of an image, made window by window.

    In memory are the image, one map in float32 and what `score` needs for one window.

    Parameters
    ----------
    image : ndarray of shape (C, *S), float32
    window : sequence of D ints
        Voxels per axis; see `stretches`.
    score : callable
        Takes a window (C, *W) and its place, gives its map (*W).
    multiple : int
        As `stretches`.

    Raises
    ------
    SynthanomError
        As `stretches`.
    """
    whole = tuple(int(side) for side in image.shape[1:])
    axes = [stretches(side, size, multiple) for side, size in zip(whole, window, strict=True)]
    if all(len(axis) == 1 for axis in axes):
        return score(image, Place(whole=whole, corner=(0,) * len(whole)))
    found = np.zeros(whole, dtype=np.float32)
    for parts in itertools.product(*axes):
        inside = tuple(part.voxels for part in parts)
        values = score(image[(slice(None), *inside)], Place(whole=whole, corner=tuple(p.start for p in parts)))
        for axis, part in enumerate(parts):
            shape = (-1, *[1] * (len(parts) - 1 - axis))
            values = values * part.weight.astype(np.float32).reshape(shape)
        found[inside] += values
    return found


def count_windows(shape: Sequence[int], window: Sequence[int], multiple: int = 1) -> int:
    """How many windows an image is cut into."""
    counts = [len(stretches(side, size, multiple)) for side, size in zip(shape, window, strict=True)]
    return int(np.prod(counts))


def _bell(start: int, side: int, window: int) -> FloatArray:
    """Gaussian around the middle of a window, 0 within the margin of a cut; where the image ends is no cut."""
    length = min(window, side - start)
    at = np.arange(length)
    bell = np.exp(-0.5 * ((at - (window - 1) / 2) / (SIGMA * window)) ** 2)
    margin = int(MARGIN * window)
    if start > 0:
        bell[:margin] = 0.0
    if start + length < side:
        bell[length - margin :] = 0.0
    return np.asarray(bell)
