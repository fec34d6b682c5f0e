"""Ranking metrics over a set that comes in pieces."""

from typing import Any

import numpy as np
import numpy.typing as npt

from synthanom.metrics.ranking import average_precision, checked, roc_auc


class RankingAccumulator:
    """Collects scores and labels piece by piece; exact, and holds five bytes per voxel.

    `update` takes arrays of any one shape (scores are kept as float32); `average_precision` and `roc_auc` answer
    for everything so far and are nan before the first update.
    """

    def __init__(self) -> None:
        self._scores: list[npt.NDArray[np.float32]] = []
        self._labels: list[npt.NDArray[np.bool_]] = []

    def update(self, scores: npt.NDArray[Any], labels: npt.NDArray[Any]) -> None:
        """Add a map and its mask.

        Raises
        ------
        SynthanomError
            Differing shapes, or values that `average_precision` refuses.
        """
        if scores.shape == labels.shape:
            scores, labels = scores.ravel(), labels.ravel()
        values, truth = checked(scores, labels)
        self._scores.append(np.array(values, dtype=np.float32))
        self._labels.append(np.array(truth))

    @property
    def count(self) -> int:
        """Voxels so far."""
        return sum(piece.size for piece in self._labels)

    def average_precision(self) -> float:
        """As `synthanom.metrics.average_precision` over everything so far."""
        if not self._scores:
            return float("nan")
        return average_precision(np.concatenate(self._scores), np.concatenate(self._labels))

    def roc_auc(self) -> float:
        """As `synthanom.metrics.roc_auc` over everything so far."""
        if not self._scores:
            return float("nan")
        return roc_auc(np.concatenate(self._scores), np.concatenate(self._labels))
