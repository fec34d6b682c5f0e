"""Pixel average precision as a mean over batches of samples and shufflings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from synthanom.errors import SynthanomError
from synthanom.metrics.intervals import Chosen
from synthanom.metrics.pixels import Pixels
from synthanom.metrics.ranking import average_precision
from synthanom.metrics.tallies import precision_of_counts

BATCH, SHUFFLINGS = 20, 10
LARGE = 16  # times as many pixels as bins


@dataclass(frozen=True, kw_only=True)
class BatchedPrecision:
    """Average precision per shuffling, with their mean and standard deviation (population).

    Attributes
    ----------
    repeats : tuple of float
        One per shuffling.
    mean, deviation : float
    """

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

    def precision_of(chosen: Chosen) -> float:
        flat_scores = np.concatenate([scores[i].ravel() for i in chosen])
        flat_labels = np.concatenate([labels[i].ravel() for i in chosen])
        return average_precision(flat_scores, flat_labels)

    return _shuffled(len(scores), precision_of, batch)


def batched_precision_of_pixels(pixels: Pixels, *, batch: int = BATCH) -> BatchedPrecision:
    """As `batched_average_precision`, of pixels in bins: the same where each bin holds one score, else close to it.

    Parameters
    ----------
    pixels : Pixels
    batch : int
        Samples in a batch.

    Returns
    -------
    BatchedPrecision

    Raises
    ------
    SynthanomError
        If `batch` is under 1.
    """
    from synthanom.metrics.exact_sort import areas_of_sorted

    def sorted_precision(chosen: Chosen) -> float:
        bins = np.concatenate([pixels.bins[i] for i in chosen]).astype(np.uint32, copy=False)
        truth = np.concatenate([pixels.mask(int(i)).ravel() for i in chosen])
        if truth.all() or not truth.any():
            return 1.0 if truth.any() else float("nan")
        return areas_of_sorted(np.sort(bins[~truth]), np.sort(bins[truth]))[0]

    # of images with far more pixels than there are bins, counted once: at most 6 % more memory than the pixels take
    large = {
        i: pixels.counts_of([i]).astype(np.uint32)
        for i, bins in enumerate(pixels.bins)
        if not pixels.exact and bins.size > LARGE * pixels.lowest.size
    }

    def counted_precision(chosen: Chosen) -> float:
        counts = pixels.counts_of([int(i) for i in chosen if int(i) not in large])
        for i in chosen:
            if int(i) in large:
                counts += large[int(i)]
        negatives, positives = counts[::-1].T.astype(np.float64)
        return float(precision_of_counts(positives, negatives, pixels.tied[::-1]))

    # bins that are scores may be millions, more than a batch has pixels
    return _shuffled(len(pixels.bins), sorted_precision if pixels.exact else counted_precision, batch)


def _shuffled(count: int, precision_of: Callable[[Chosen], float], batch: int) -> BatchedPrecision:
    repeats = []
    for seed in range(SHUFFLINGS):
        order = np.random.default_rng(seed).permutation(count)
        values = [precision_of(order[start : start + batch]) for start in range(0, count, batch)]
        defined = [v for v in values if not np.isnan(v)]
        repeats.append(float(np.mean(defined)) if defined else float("nan"))
    return BatchedPrecision(repeats=tuple(repeats), mean=float(np.mean(repeats)), deviation=float(np.std(repeats)))
