"""Counts per subject and bin of scores, and the ranking metrics of many resamples of subjects at once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synthanom.metrics.intervals import Weights
from synthanom.metrics.pixels import Counts, Pixels

MOST = 1024  # bins per subject; where scores have more values, only intervals depend on it
CELLS = 2**24  # subjects times bins
FEWEST = 128
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Tally:
    """Positives and negatives of every subject, per bin of scores.

    Attributes
    ----------
    subjects : tuple of S str
        Ascending.
    positives, negatives : ndarray of shape (S, B), float64
        From the highest bin down.
    tied : ndarray of shape (B,), bool
        The bin holds one score, so it is one threshold; within others positives and negatives are evenly mixed.
    """

    subjects: tuple[str, ...]
    positives: Floats
    negatives: Floats
    tied: npt.NDArray[np.bool_]

    def average_precision(self, weights: Weights, prevalence: float | None = None) -> Floats:
        """Of every resample: weights (draws, S) say how often each subject is in it; nan without positives.

        With `prevalence`, negatives count as often as it takes for positives to be that share of all.
        """
        positives, negatives = weights @ self.positives, weights @ self.negatives
        if prevalence is not None:
            negatives = negatives * negative_weight(positives.sum(axis=1), negatives.sum(axis=1), prevalence)[:, None]
        return precision_of_counts(positives, negatives, self.tied)

    def roc_auc(self, weights: Weights) -> Floats:
        """Of every resample, as `average_precision`; nan unless both labels occur."""
        return area_of_counts(weights @ self.positives, weights @ self.negatives)


def negative_weight(positives: Floats, negatives: Floats, prevalence: float) -> Floats:
    """How often each negative must count for positives to be a share `prevalence` of all; nan where one is missing."""
    with np.errstate(invalid="ignore", divide="ignore"):
        weight = (1 - prevalence) / prevalence * positives / negatives
    return np.asarray(np.where((positives > 0) & (negatives > 0), weight, np.nan))


def tally_of_numbers(scores: npt.NDArray[np.floating], truth: npt.NDArray[np.bool_], subjects: Sequence[str]) -> Tally:
    """The tally of one number per image or slice.

    Parameters
    ----------
    scores : ndarray of shape (n,)
    truth : ndarray of shape (n,), bool
    subjects : sequence of n str

    Returns
    -------
    Tally
    """
    values, place = np.unique(scores, return_inverse=True)
    names, owner = np.unique(np.asarray(subjects), return_inverse=True)
    every = np.zeros((values.size, 2), np.int64)
    np.add.at(every, (place, truth.astype(np.int64)), 1)
    group = groups(every, most_bins(len(names)))
    counts = np.zeros((len(names), int(group[-1]) + 1, 2), np.int64)
    np.add.at(counts, (owner, group[place], truth.astype(np.int64)), 1)
    return _tally(tuple(str(name) for name in names), counts, group, np.ones(values.size, bool))


def tally_of_pixels(pixels: Pixels) -> tuple[Tally, npt.NDArray[np.int32]]:
    """The tally of all pixels, by groups of bins where there are many.

    Parameters
    ----------
    pixels : Pixels

    Returns
    -------
    tally : Tally
    group : ndarray of shape (B,), int32
        The group that each bin of `pixels` went to.
    """
    group = groups(pixels.counts, most_bins(len(set(pixels.subjects))))
    names, table = pixels.grouped(group, int(group[-1]) + 1)
    return _tally(names, table, group, pixels.tied), group


def most_bins(subjects: int) -> int:
    """Bins that there is room for."""
    return max(FEWEST, min(MOST, CELLS // max(1, subjects)))


def groups(counts: Counts, most: int) -> npt.NDArray[np.int32]:
    """Group neighbouring bins into at most `most`: the number of each bin's group, ascending.

    Half of the groups split the positives evenly; the others split the negatives by octaves of how many lie above,
    as precision is decided by the few highest.
    """
    bins = len(counts)
    if bins <= most:
        return np.arange(bins, dtype=np.int32)
    half = most // 2 - 1
    negatives, positives = counts[:, 0].astype(np.float64), counts[:, 1].astype(np.float64)
    share = np.cumsum(positives) / max(1.0, positives.sum())
    above = np.cumsum(negatives[::-1])[::-1]
    octaves = np.log1p(above) / np.log1p(max(1.0, negatives.sum()))
    changed = (np.diff(np.floor(half * share)) != 0) | (np.diff(np.floor(half * octaves)) != 0)
    return np.concatenate([[0], np.cumsum(changed)]).astype(np.int32)


def precision_of_counts(positives: Floats, negatives: Floats, tied: npt.NDArray[np.bool_]) -> Floats:
    """Average precision from counts (..., B) per bin from the highest down; nan without positives."""
    true, false = np.cumsum(positives, axis=-1), np.cumsum(negatives, axis=-1)
    # in the middle of a bin of several scores, where the first of p positives counts itself: the mean of 1 to p
    hits = np.where(tied, true, true - (positives - 1) / 2)
    called = hits + np.where(tied, false, false - negatives / 2)
    total = true[..., -1]
    with np.errstate(invalid="ignore", divide="ignore"):
        gained = np.where(positives > 0, positives * hits / called, 0.0).sum(axis=-1)
        found = np.where(np.isnan(false[..., -1]), np.nan, gained / total)
    return np.asarray(np.where(total > 0, found, np.nan))


def area_of_counts(positives: Floats, negatives: Floats) -> Floats:
    """Area under the ROC curve from counts (..., B) per bin from the highest down; nan unless both labels occur."""
    true = np.cumsum(positives, axis=-1)
    pairs = true[..., -1] * negatives.sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        area = (negatives * (true - positives / 2)).sum(axis=-1) / pairs
    return np.asarray(np.where(pairs > 0, area, np.nan))


def _tally(names: tuple[str, ...], counts: Counts, group: npt.NDArray[np.int32], tied: npt.NDArray[np.bool_]) -> Tally:
    size = np.bincount(group)
    alone = np.zeros(size.size, bool)
    alone[group[tied]] = True
    table = counts[:, ::-1].astype(np.float64)
    return Tally(
        subjects=names,
        positives=np.ascontiguousarray(table[..., 1]),
        negatives=np.ascontiguousarray(table[..., 0]),
        tied=((size == 1) & alone)[::-1],
    )
