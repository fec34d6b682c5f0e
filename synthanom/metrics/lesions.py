"""Lesions found and missed: connected parts of the truth and of what is called."""

from dataclasses import dataclass

import numpy as np

from synthanom.arrays import MaskArray
from synthanom.errors import SynthanomError
from synthanom.kernels.components import covered

OVERLAP = 0.1


@dataclass(frozen=True, kw_only=True)
class LesionCounts:
    """Lesions of the truth, how many of them are found; parts that are called, how many of them are right.

    Attributes
    ----------
    lesions, found : int
        Components of the truth, and how many of them are found.
    called, right : int
        Components that are called, and how many of them are right.
    """

    lesions: int
    found: int
    called: int
    right: int


def lesion_counts(called: MaskArray, truth: MaskArray, *, overlap: float = OVERLAP) -> LesionCounts:
    """Compare the face-connected components of two masks.

    A lesion is found where at least `overlap` of its voxels are called, by whatever parts; a called part is right where
    at least `overlap` of its voxels lie in lesions.

    Parameters
    ----------
    called, truth : ndarray of shape (*S), bool
    overlap : float
        In (0, 1]; any common voxel is enough where it is tiny.

    Returns
    -------
    LesionCounts

    Raises
    ------
    SynthanomError
        Differing shapes, or an overlap outside (0, 1].
    """
    if called.shape != truth.shape or not 0 < overlap <= 1:
        raise SynthanomError(
            f"lesions need masks of one shape and an overlap in (0, 1], got {called.shape}, {truth.shape} and {overlap}"
        )
    lesions, found = _covered(truth, called, overlap)
    parts, right = _covered(called, truth, overlap)
    return LesionCounts(lesions=lesions, found=found, called=parts, right=right)


def _covered(parts: MaskArray, by: MaskArray, overlap: float) -> tuple[int, int]:
    """Components of one mask, and how many the other covers enough of."""
    if not parts.any():
        return 0, 0
    sizes, common = covered(parts, by)
    return len(sizes), int(np.count_nonzero(common >= np.maximum(overlap * sizes, 1)))
