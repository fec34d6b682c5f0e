"""Pictures as a scanner with thick slices would have them: one axis reduced and enlarged again."""

from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from synthanom.arrays import ImageArray

Array = TypeVar("Array", ImageArray, Tensor)


def thick_slices(array: Array, axis: int, factor: float) -> Array:
    """Average an axis into slices `factor` times as thick and interpolate linearly back to its size.

    It is linear, so that image and label are treated alike: what a thick slice smears over its neighbours is smeared in
    the label too, which stays within [0, 1].

    Parameters
    ----------
    array : ndarray or Tensor, float32
        Any shape.
    axis : int
        Of the array.
    factor : float
        At least 1.
    """
    matrix = thickening(array.shape[axis], factor)
    if isinstance(array, Tensor):
        made: Tensor = torch.tensordot(torch.from_numpy(matrix).to(array), array, dims=([1], [axis]))
        return made.movedim(0, axis).contiguous()
    moved = np.moveaxis(np.tensordot(matrix, array, axes=(1, axis)), 0, axis)
    return np.ascontiguousarray(moved, dtype=np.float32)


def thickening(side: int, factor: float) -> npt.NDArray[np.float32]:
    """The matrix (side, side) that does it to a line of voxels; its rows sum to 1.

    Slices are averages over equal parts of the line, as many as fit, at least two; between their middles values are
    interpolated linearly, beyond the outermost ones they stay.
    """
    slices = max(2, min(side, round(side / factor)))
    edges = np.linspace(0.0, side, slices + 1)
    low, high = edges[:-1, None], edges[1:, None]
    voxel = np.arange(side)[None, :]
    overlap = np.clip(np.minimum(high, voxel + 1) - np.maximum(low, voxel), 0.0, None)
    reduce = overlap / overlap.sum(axis=1, keepdims=True)
    place = np.clip((np.arange(side) + 0.5) * slices / side - 0.5, 0.0, slices - 1.0)
    below = np.minimum(np.floor(place).astype(np.int64), slices - 2)
    enlarge = np.zeros((side, slices))
    rows = np.arange(side)
    enlarge[rows, below] = 1.0 - (place - below)
    enlarge[rows, below + 1] = place - below
    return np.asarray(enlarge @ reduce, dtype=np.float32)
