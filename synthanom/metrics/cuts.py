"""What calling everything from a cut on gets right and wrong, for one table of counts or many at once."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from synthanom.errors import SynthanomError
from synthanom.metrics.tallies import negative_weight

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Confusion:
    """True and false positives and negatives, arrays of any one shape or numbers; every figure has that shape.

    A figure is nan where it would divide by 0.

    Attributes
    ----------
    tp, fp, fn, tn : ndarray of any one shape, or number
        Counts of true positives, false positives, false negatives, true negatives.
    """

    tp: Any
    fp: Any
    fn: Any
    tn: Any

    def precision(self) -> Floats:
        """Share of what is called that is anomalous: the positive predictive value."""
        return _ratio(self.tp, self.tp + self.fp)

    def recall(self) -> Floats:
        """Share of what is anomalous that is called: sensitivity."""
        return _ratio(self.tp, self.tp + self.fn)

    def specificity(self) -> Floats:
        """Share of what is healthy that is not called."""
        return _ratio(self.tn, self.tn + self.fp)

    def negative_predictive_value(self) -> Floats:
        """Share of what is not called that is healthy."""
        return _ratio(self.tn, self.tn + self.fn)

    def accuracy(self) -> Floats:
        """Share that is right."""
        return _ratio(self.tp + self.tn, self.tp + self.tn + self.fp + self.fn)

    def f_beta(self, beta: float) -> Floats:
        """Weighted harmonic mean of precision and recall, as `synthanom.metrics.f_beta`; Dice for beta 1."""
        hit = (1 + beta**2) * self.tp
        return _ratio(hit, hit + beta**2 * self.fn + self.fp)

    def at_prevalence(self, prevalence: float) -> "Confusion":
        """The same test where a share `prevalence` in (0, 1) is anomalous: recall and specificity stay.

        Raises
        ------
        SynthanomError
            A prevalence outside (0, 1).
        """
        if not 0 < prevalence < 1:
            raise SynthanomError(f"a prevalence must be greater than 0 and less than 1, got {prevalence}; 0.02 is 2 %")
        positives, negatives = np.asarray(self.tp + self.fn, float), np.asarray(self.fp + self.tn, float)
        weight = negative_weight(positives, negatives, prevalence)
        return Confusion(tp=self.tp, fn=self.fn, fp=self.fp * weight, tn=self.tn * weight)


def confusion(scores: npt.NDArray[Any], truth: npt.NDArray[np.bool_], cut: float) -> Confusion:
    """Counts of calling every score of at least `cut`; arrays of one shape.

    Parameters
    ----------
    scores : ndarray of any shape
    truth : ndarray of the same shape, bool
    cut : float
        In units of the scores.

    Returns
    -------
    Confusion
        Of single numbers.
    """
    called = scores >= cut
    tp, marked = int(np.count_nonzero(called & truth)), int(np.count_nonzero(truth))
    fp = int(np.count_nonzero(called)) - tp
    return Confusion(tp=tp, fp=fp, fn=marked - tp, tn=int(truth.size) - marked - fp)


def confusions_of_counts(counts: npt.NDArray[np.integer]) -> Confusion:
    """Counts of calling each bin and all above.

    Parameters
    ----------
    counts : ndarray of shape (..., B, 2), integers
        Negatives and positives per bin, lowest bin first.

    Returns
    -------
    Confusion
        Of arrays (..., B).
    """
    above = np.cumsum(counts[..., ::-1, :], axis=-2)[..., ::-1, :]
    total = counts.sum(axis=-2, keepdims=True)
    fp, tp = above[..., 0], above[..., 1]
    return Confusion(tp=tp, fp=fp, fn=total[..., 1] - tp, tn=total[..., 0] - fp)


def best_cut(lowest: npt.NDArray[np.floating], counts: npt.NDArray[np.integer], beta: float) -> float:
    """The score from which on calling has the best F-beta; the highest such score where several are best.

    Parameters
    ----------
    lowest : ndarray of shape (B,)
        Lowest score of each bin, ascending.
    counts : ndarray of shape (B, 2), integers
        Negatives and positives per bin.
    beta : float
        Recall counts so many times as much as precision.

    Returns
    -------
    float
        One of `lowest`; nan without positives.
    """
    if not counts[:, 1].any():
        return float("nan")
    figures = confusions_of_counts(counts).f_beta(beta)
    return float(lowest[len(figures) - 1 - int(np.argmax(figures[::-1]))])


def _ratio(part: Any, whole: Any) -> Floats:
    part, whole = np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(whole > 0, part / whole, np.nan))
