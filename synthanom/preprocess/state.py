"""What passes from step to step, and what comes out at the end."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from synthanom.arrays import FloatArray, ImageArray, MaskArray
from synthanom.sample import Sample

Trace = tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class State:
    """An image between two steps.

    Attributes
    ----------
    image : ndarray of shape (C, *S), float32
    foreground : ndarray of shape (*S), bool
    affine : ndarray of shape (4, 4), float64, or None
    spacing : tuple of D floats or None
        In mm, in axis order.
    given : bool
        Whether the caller brought the foreground.
    name : str
        For messages.
    within : ndarray of shape (*S), bool, or None
        Location prior: follows the grid, and changes nothing.
    """

    image: ImageArray
    foreground: MaskArray
    affine: FloatArray | None
    spacing: tuple[float, ...] | None
    given: bool
    name: str
    within: MaskArray | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Spatial shape S."""
        return tuple(int(s) for s in self.foreground.shape)


@dataclass(frozen=True, kw_only=True, eq=False)
class Prepared:
    """A preprocessed image and what was done to it; the arrays are read-only.

    Attributes
    ----------
    image : ndarray of shape (C, *S), float32, C-contiguous
    foreground : ndarray of shape (*S), bool
    affine : ndarray of shape (4, 4), float64, or None
        As nibabel's, for the grid of `image`.
    spacing : tuple of D floats or None
        In mm, in axis order.
    trace : tuple of dicts
        JSON-able: what each step did, enough to put a map back on the raw grid.
    within : ndarray of shape (*S), bool, or None
        The location prior on the grid of `image`.
    """

    image: ImageArray
    foreground: MaskArray
    affine: FloatArray | None
    spacing: tuple[float, ...] | None
    trace: Trace
    within: MaskArray | None = None

    @property
    def offset(self) -> tuple[int, ...]:
        """Where voxel 0 of the prepared grid lies in the grid before cropping and padding, in voxels.

        Negative where the image was padded; zeros where it was neither cropped nor padded.
        """
        corners = [entry["corner"] for entry in self.trace if "corner" in entry]
        dims = len(self.foreground.shape)
        return tuple(int(sum(corner[axis] for corner in corners)) for axis in range(dims))

    def sample(self, name: str, subject: str | None = None) -> Sample:
        """The prepared image as what tasks take, with this id; the subject is the id unless it is given.

        Raises
        ------
        SynthanomError
            As `Sample.from_array`.
        """
        return Sample.from_array(
            self.image,
            self.foreground,
            self.spacing,
            self.affine,
            id=name,
            subject=subject,
            channels=len(self.image),
            within=self.within,
        )


def index_matrix(scale: Sequence[float], shift: Sequence[float]) -> FloatArray:
    """(4, 4) matrix from new to old voxel coordinates, in nibabel's axis order.

    Parameters
    ----------
    scale, shift : sequences of D floats in axis order
        old = scale * new + shift, per axis.
    """
    matrix = np.eye(4)
    for axis, (factor, offset) in enumerate(zip(reversed(scale), reversed(shift), strict=True)):
        matrix[axis, axis] = factor
        matrix[axis, 3] = offset
    return matrix


def product(shape: Sequence[int]) -> int:
    """Number of voxels."""
    return math.prod(int(s) for s in shape)
