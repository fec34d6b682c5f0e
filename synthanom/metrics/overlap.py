"""How well a thresholded map covers a mask."""

import numpy as np
import numpy.typing as npt

from synthanom.errors import SynthanomError


def dice(prediction: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """Twice the common voxels over the sum of both masks: `f_beta` with beta 1.

    Parameters
    ----------
    prediction, truth : array_like, bool
        Masks of one shape.

    Returns
    -------
    float
        In [0, 1]; nan where both masks are empty.

    Raises
    ------
    SynthanomError
        As `f_beta`.
    """
    return f_beta(prediction, truth, beta=1.0)


def f_beta(prediction: npt.ArrayLike, truth: npt.ArrayLike, *, beta: float = 1.0) -> float:
    """Weighted harmonic mean of precision and recall; recall counts `beta` times as much.

    Parameters
    ----------
    prediction, truth : array_like, bool
        Masks of one shape.
    beta : float
        Greater than 0.

    Returns
    -------
    float
        In [0, 1]; nan where both masks are empty, as nothing was there to be found or missed.

    Raises
    ------
    SynthanomError
        Masks that are not bool, differing shapes, `beta` not positive.

    Notes
    -----
    (1 + beta^2) TP / ((1 + beta^2) TP + beta^2 FN + FP).
    """
    found, wanted = np.asarray(prediction), np.asarray(truth)
    if found.dtype != np.bool_ or wanted.dtype != np.bool_:
        raise SynthanomError(
            f"masks must be bool, got {found.dtype} and {wanted.dtype}; threshold them first, for example map > 0.5"
        )
    if found.shape != wanted.shape:
        raise SynthanomError(
            f"masks must have one shape, got {found.shape} and {wanted.shape}; bring both onto one grid"
        )
    if not beta > 0:
        raise SynthanomError(f"beta must be greater than 0, got {beta}; 1 weighs precision and recall equally")
    common = int(np.count_nonzero(found & wanted))
    missed = int(np.count_nonzero(wanted)) - common
    false = int(np.count_nonzero(found)) - common
    total = (1 + beta**2) * common + beta**2 * missed + false
    return (1 + beta**2) * common / total if total else float("nan")
