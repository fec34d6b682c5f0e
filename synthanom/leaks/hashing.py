"""A perceptual hash: images that look alike have nearly the same bits, and finding them is counting bits."""

import itertools
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from synthanom.arrays import FloatArray, ImageArray, MaskArray, box_slices

Hashes = npt.NDArray[np.uint64]
# share of the bits that may differ. Of 1.24 million pairs of different chest X-rays the closest differ by 0.14, of 60
# brains made from one template by 0.20; copies that were compressed, noised, brightened or moved by 1 % differ by less
NEAR = 0.13
GRID = {2: 32, 3: 16}  # cells a side that the picture is averaged to
FREQUENCIES = {2: 16, 3: 8}  # lowest cosines a side whose signs are kept
FLAT = 1e-6  # of the largest value: a coefficient below is rounding and counts as zero
BLOCK_BYTES = 2**25  # of the distances compared at once


def perceptual_hash(image: ImageArray, foreground: MaskArray) -> Hashes:
    """Hash the part of an image in the bounding box of its foreground, as it is and mirrored along every set of axes.

    A channel's bits are the signs of the lowest coefficients, but the first, of the discrete cosine transform of its
    averages over a coarse grid.

    Parameters
    ----------
    image : ndarray of shape (C, *S), float32
    foreground : ndarray of shape (*S), bool
        Not empty.

    Returns
    -------
    ndarray of shape (2^D, C, W), uint64
        Packed bits; the first is the image as it is. W is 4 in 2D and 8 in 3D.

    References
    ----------
    Zauner, Implementation and benchmarking of perceptual image hash functions, 2010.
    """
    values = image[(slice(None), *_bounding_box(foreground))].astype(np.float64)
    floor = FLAT * np.abs(values).max(axis=tuple(range(1, values.ndim)), keepdims=True)
    values -= values.mean(axis=tuple(range(1, values.ndim)), keepdims=True)
    dims = values.ndim - 1
    for axis in range(dims, 0, -1):  # the last first: it lies together in memory, and little is left for the others
        matrix = _cosines(values.shape[axis], GRID[dims], FREQUENCIES[dims])
        values = np.moveaxis(np.moveaxis(values, axis, -1) @ matrix.T, -1, axis)
    parity = np.indices(values.shape[1:]) % 2
    hashes = []
    for mirrored in itertools.product((0, 1), repeat=dims):
        odd = np.tensordot(np.array(mirrored), parity, axes=1) % 2
        bits = np.where(odd, -values, values) > floor
        bits[(slice(None), *(0,) * dims)] = False  # the first coefficient is the mean
        hashes.append(np.packbits(bits.reshape(len(bits), -1), axis=1).view(np.uint64))
    return np.stack(hashes)


def nearest(
    hashes: Hashes, others: Hashes, groups: npt.NDArray[np.int64] | None = None
) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """Find for every image the one among others that differs least, mirrored or not.

    Parameters
    ----------
    hashes : ndarray of shape (n, 2^D, C, W), uint64
    others : ndarray of shape (m, 2^D, C, W), uint64
        Of at least one image.
    groups : ndarray of shape (n,), optional
        Where `others` are the same images: those of the same group are not compared.

    Returns
    -------
    index : ndarray of shape (n,), int64
        Into `others`.
    distance : ndarray of shape (n,), float64
        Share of the bits that differ, in the channel where most do; infinite where nothing was compared.
    """
    index, distance = np.zeros(len(hashes), np.int64), np.full(len(hashes), np.inf)
    upright = np.ascontiguousarray(np.moveaxis(others[:, 0], 0, -1))  # (C, W, m)
    bits = 64 * hashes.shape[-1] - 1
    rows = max(1, BLOCK_BYTES // (8 * len(others)))
    for start in range(0, len(hashes), rows):
        block = slice(start, start + rows)
        differing = _differing(hashes[block], upright)
        if groups is not None:
            differing[groups[block, None] == groups[None]] = bits + 1
        index[block] = differing.argmin(axis=1)
        least = differing.min(axis=1)
        distance[block] = np.where(least > bits, np.inf, least / bits)
    return index, distance


def _differing(hashes: Hashes, upright: Hashes) -> npt.NDArray[np.uint16]:
    """Bits that differ (n, m), in the worst channel, under the best of the mirrorings."""
    best = None
    for mirrored in range(hashes.shape[1]):
        worst = np.zeros((len(hashes), upright.shape[-1]), np.uint16)
        for channel, words in enumerate(upright):
            count = np.zeros_like(worst)
            for word, row in enumerate(words):
                count += np.bitwise_count(hashes[:, mirrored, channel, word, None] ^ row)
            np.maximum(worst, count, out=worst)
        best = worst if best is None else np.minimum(best, worst)
    assert best is not None
    return best


def _bounding_box(foreground: MaskArray) -> tuple[slice, ...]:
    dims = foreground.ndim
    lines = [np.flatnonzero(foreground.any(axis=tuple(b for b in range(dims) if b != a))) for a in range(dims)]
    return box_slices([int(line[0]) for line in lines], [int(line[-1] - line[0]) + 1 for line in lines])


@lru_cache(maxsize=64)
def _cosines(side: int, cells: int, kept: int) -> FloatArray:
    """Matrix (kept, side) that averages a line over equal cells, then takes its lowest cosines."""
    edges = np.arange(cells + 1) * (side / cells)
    covered = np.clip(edges[:, None] - np.arange(side), 0, 1)  # of each voxel, left of each edge
    averages = np.diff(covered, axis=0) * (cells / side)
    frequency, cell = np.arange(kept)[:, None], np.arange(cells)
    matrix = np.cos(np.pi * frequency * (cell + 0.5) / cells) @ averages * (2 / cells)
    matrix.flags.writeable = False
    return np.asarray(matrix)
