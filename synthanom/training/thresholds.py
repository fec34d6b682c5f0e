"""Where to cut scores: at a false-positive rate on healthy pictures, or by F-beta on synthetic anomalies."""

from typing import Any

import numpy as np
import numpy.typing as npt

from synthanom.metrics.cuts import best_cut
from synthanom.training.config import CalibrationConfig
from synthanom.training.scored import Scored

Scores = npt.NDArray[np.floating[Any]]


def every_threshold(scored: Scored, settings: CalibrationConfig) -> dict[str, float]:
    """All thresholds by level and rule, and under the level's own name the one that is used; undefined ones left out.

    A picture or voxel is called anomalous where its score is at least the threshold.
    """
    anomalous = scored.anomalous
    rules = {
        "sample_false_positive_rate": false_positive_threshold(scored.score[~anomalous], settings.false_positive_rate),
        "sample_f_beta": best_f_beta_threshold(scored.score, anomalous, settings.beta),
        "pixel_false_positive_rate": false_positive_cut(
            scored.voxels.highest,
            scored.voxel_counts(None).sum(axis=1),
            settings.pixel_false_positive_rate,
        ),
        "pixel_f_beta": best_cut(scored.voxels.lowest, scored.voxel_counts(), settings.beta),
    }
    found = {name: value for name, value in rules.items() if not np.isnan(value)}
    for level, rule in (("sample", settings.sample), ("pixel", settings.pixel)):
        if f"{level}_{rule}" in found:
            found[level] = found[f"{level}_{rule}"]
    return found


def false_positive_threshold(healthy: Scores, rate: float) -> float:
    """The smallest threshold from which on at most a share `rate` of the healthy scores is called; nan without any.

    It lies just above a healthy score: with n scores, floor(rate n) of them are called, fewer where scores are equal.
    """
    if healthy.size == 0:
        return float("nan")
    allowed = int(np.floor(rate * healthy.size + 1e-9))
    # the largest score that must not be called
    highest = np.partition(healthy, healthy.size - 1 - allowed)[healthy.size - 1 - allowed]
    return float(np.nextafter(highest, np.array(np.inf, highest.dtype)))


def false_positive_cut(highest: Scores, counts: npt.NDArray[np.int64], rate: float) -> float:
    """As `false_positive_threshold`, of healthy scores in bins: the highest score and the count of each (B,).

    It lies just above a bin; where that holds several scores, fewer may be called than the rate allows.
    """
    total = int(counts.sum())
    if total == 0:
        return float("nan")
    allowed = int(np.floor(rate * total + 1e-9))
    # the bin of the largest score that must not be called
    last = highest[int(np.searchsorted(np.cumsum(counts), total - allowed))]
    return float(np.nextafter(last, np.array(np.inf, last.dtype)))


def best_f_beta_threshold(scores: Scores, truth: npt.NDArray[np.bool_], beta: float) -> float:
    """The score from which on F-beta, (1 + beta^2) P R / (beta^2 P + R), is largest; nan without a positive."""
    if not truth.any():
        return float("nan")
    values, found, called = descending(scores, truth)
    positives = np.count_nonzero(truth)
    # F = (1 + b^2) TP / (TP + FP + b^2 (TP + FN)), which needs no division by the counts of a cut
    score = (1 + beta**2) * found / (called + beta**2 * positives)
    return float(values[int(np.argmax(score))])


def descending(
    scores: Scores, truth: npt.NDArray[np.bool_]
) -> tuple[Scores, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Distinct scores from the highest down; true positives and positives when calling from each on."""
    order = np.argsort(scores, kind="stable")[::-1]
    values = scores[order]
    last = np.append(np.flatnonzero(values[1:] != values[:-1]), values.size - 1)
    return values[last], np.cumsum(truth[order], dtype=np.int64)[last], last + 1
