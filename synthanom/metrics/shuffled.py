"""Pixel average precision as a mean over batches of samples and shufflings."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from synthanom.errors import SynthanomError
from synthanom.metrics.ranking import average_precision

BATCH, SHUFFLINGS = 20, 10


@dataclass(frozen=True, kw_only=True)
class BatchedPrecision:
    """Average precision per shuffling, with their mean and standard deviation (population)."""

    repeats: tuple[float, ...]
    mean: float
    deviation: float


def batched_average_precision(
    scores: Sequence[npt.NDArray[Any]], labels: Sequence[npt.NDArray[Any]], *, batch: int = BATCH
) -> BatchedPrecision:
    """Average precision over the pixels of `batch` samples at a time, averaged over batches and ten shufflings.

    Parameters
    ----------
    scores, labels : sequences of arrays
        One map and one mask of the same shape per sample.
    batch : int
        Samples in a batch; the rest that is left over forms a smaller one.

    Returns
    -------
    BatchedPrecision
        nan where no sample has a positive label. Batches without one are left out of their shuffling's mean.

    Raises
    ------
    SynthanomError
        Differing or zero numbers of samples, `batch` under 1, or values that `average_precision` refuses.

    Notes
    -----
    Shuffling s, from 0 to 9, is ``numpy.random.default_rng(s).permutation(n)``.
    """
    if len(scores) != len(labels) or not scores or batch < 1:
        raise SynthanomError(
            f"needs as many maps as masks, at least one, and a batch of at least 1 sample, got {len(scores)} maps, "
            f"{len(labels)} masks and batch {batch}"
        )
    repeats = tuple(_one_shuffling(scores, labels, batch, seed) for seed in range(SHUFFLINGS))
    return BatchedPrecision(repeats=repeats, mean=float(np.mean(repeats)), deviation=float(np.std(repeats)))


def _one_shuffling(
    scores: Sequence[npt.NDArray[Any]], labels: Sequence[npt.NDArray[Any]], batch: int, seed: int
) -> float:
    order = np.random.default_rng(seed).permutation(len(scores))
    values = []
    for start in range(0, len(order), batch):
        chosen = order[start : start + batch]
        flat_scores = np.concatenate([scores[i].ravel() for i in chosen])
        flat_labels = np.concatenate([labels[i].ravel() for i in chosen])
        values.append(average_precision(flat_scores, flat_labels))
    defined = [v for v in values if not np.isnan(v)]
    return float(np.mean(defined)) if defined else float("nan")
