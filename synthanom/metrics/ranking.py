"""Average precision and area under the ROC curve, exact, ties included."""

from typing import Any

import numpy as np
import numpy.typing as npt

from synthanom.errors import SynthanomError

Counts = npt.NDArray[np.int64]


def average_precision(scores: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Mean precision over the recall gained at each distinct score, from the highest down.

    Parameters
    ----------
    scores : array_like of shape (n,)
        Higher means more anomalous; finite.
    labels : array_like of shape (n,)
        bool, or numbers that are 0 or 1.

    Returns
    -------
    float
        In [0, 1]; nan where there is no positive label. A constant score gives the prevalence.

    Raises
    ------
    SynthanomError
        Empty or differing lengths, more than one axis, a score that is not finite, a label that is neither 0 nor 1.

    Notes
    -----
    The sum over thresholds t of (R_t - R_(t-1)) P_t with recall R and precision P: no interpolation, equal scores
    are one threshold, as scikit-learn computes it.
    """
    true_positives, false_positives = _counts(scores, labels)
    positives = true_positives[-1]
    if positives == 0:
        return float("nan")
    gained = np.diff(true_positives, prepend=0)
    precision = true_positives / (true_positives + false_positives)
    return float(np.sum(gained * precision) / positives)


def roc_auc(scores: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Probability that a positive scores above a negative, equal scores counting one half.

    Parameters
    ----------
    scores, labels : array_like of shape (n,)
        As `average_precision`.

    Returns
    -------
    float
        In [0, 1]; nan unless both labels occur.

    Raises
    ------
    SynthanomError
        As `average_precision`.
    """
    true_positives, false_positives = _counts(scores, labels)
    positives, negatives = int(true_positives[-1]), int(false_positives[-1])
    if positives == 0 or negatives == 0:
        return float("nan")
    before = np.concatenate([[0], true_positives[:-1]])
    negatives_here = np.diff(false_positives, prepend=0)
    twice_area = np.sum(negatives_here * (before + true_positives).astype(np.float64))
    return float(twice_area / 2 / positives / negatives)


def _counts(scores: npt.ArrayLike, labels: npt.ArrayLike) -> tuple[Counts, Counts]:
    """True and false positives at each distinct score, from the highest down."""
    values, truth = checked(scores, labels)
    order = np.argsort(values, kind="stable")[::-1]
    values, truth = values[order], truth[order]
    last_of_ties = np.append(np.flatnonzero(values[1:] != values[:-1]), values.size - 1)
    true_positives = np.cumsum(truth, dtype=np.int64)[last_of_ties]
    return true_positives, last_of_ties + 1 - true_positives


def checked(scores: npt.ArrayLike, labels: npt.ArrayLike) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """Scores and labels as flat arrays of one length, the labels bool.

    Raises
    ------
    SynthanomError
        As `average_precision`.
    """
    values, truth = np.asarray(scores), np.asarray(labels)
    if values.ndim != 1 or values.shape != truth.shape or values.size == 0:
        raise SynthanomError(
            f"scores and labels must be flat, of one length and not empty, got shapes {values.shape} and "
            f"{truth.shape}; flatten both with .ravel()"
        )
    if not np.isfinite(values).all():
        bad = int(np.count_nonzero(~np.isfinite(values)))
        raise SynthanomError(f"scores must be finite, got {bad} NaN or infinite values; leave those voxels out")
    if truth.dtype != np.bool_:
        if not np.isin(truth, (0, 1)).all():
            raise SynthanomError("labels must be 0 or 1, got other values; threshold soft labels first")
        truth = truth.astype(bool)
    return values, truth
