"""Thresholds and validation figures of a trained model, from the pictures it was validated on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synthanom.metrics import average_precision, roc_auc
from synthanom.progress import Track, untold
from synthanom.shards import DataSet
from synthanom.training.batches import StoredPictures
from synthanom.training.checkpoint import Model
from synthanom.training.predict import raw_score_map
from synthanom.training.rows import Pick

MOST_VOXELS = 20_000_000  # sorted at once: about half a GB
CLEARLY = 0.5  # a voxel counts as anomalous where its label is at least this


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Thresholds ("pixel", "sample"; left out where undefined) and figures on synthetic validation pictures."""

    thresholds: dict[str, float]
    figures: dict[str, float]


def calibrate(model: Model, data: DataSet, picks: Sequence[Pick], *, track: Track = untold) -> Calibration:
    """Choose thresholds on the validation pictures, or on evenly spaced ones of them where they are many.

    The pixel threshold has the largest Dice overlap with labels of at least 0.5; the sample threshold has the largest
    sum of sensitivity and specificity. Both hold for synthetic anomalies, and are a starting point for real ones.
    `track` shows how many pictures were scored.

    Raises
    ------
    SynthanomError
        If a picture is damaged.
    """
    chosen = spaced(picks, max(8, MOST_VOXELS // int(np.prod(data.shape))))
    source, aggregation = StoredPictures(data=data), model.card.sample_score()
    maps, labels, samples = [], [], []
    for pick in track("choosing thresholds", chosen, len(chosen)):
        image, label = source.picture(pick)
        found = np.clip(raw_score_map(model, image), 0.0, 1.0)
        maps.append(found.ravel())
        labels.append(label.ravel() >= CLEARLY)
        samples.append(aggregation(found, data.healthy(pick.healthy).foreground))
    pixels, truth = np.concatenate(maps), np.concatenate(labels)
    scores, anomalous = np.array(samples), np.array([pick.task is not None for pick in chosen])
    thresholds = {"pixel": best_dice_threshold(pixels, truth), "sample": best_youden_threshold(scores, anomalous)}
    figures = {
        "pixel_average_precision": average_precision(pixels, truth),
        "pixel_roc_auc": roc_auc(pixels, truth),
        "sample_average_precision": average_precision(scores, anomalous),
        "sample_roc_auc": roc_auc(scores, anomalous),
        "pictures": float(len(chosen)),
    }
    return Calibration(thresholds=_defined(thresholds), figures=_defined(figures))


def best_dice_threshold(scores: npt.NDArray[np.floating], truth: npt.NDArray[np.bool_]) -> float:
    """The score from which on calling a voxel anomalous overlaps best with the truth; nan without a positive."""
    if not truth.any():
        return float("nan")
    values, found, called = _descending(scores, truth)
    dice = 2 * found / (called + np.count_nonzero(truth))
    return float(values[int(np.argmax(dice))])


def best_youden_threshold(scores: npt.NDArray[np.floating], truth: npt.NDArray[np.bool_]) -> float:
    """The score from which on sensitivity plus specificity is largest; nan unless both labels occur."""
    if truth.all() or not truth.any():
        return float("nan")
    values, found, called = _descending(scores, truth)
    gain = found / np.count_nonzero(truth) - (called - found) / np.count_nonzero(~truth)
    return float(values[int(np.argmax(gain))])


def spaced(picks: Sequence[Pick], most: int) -> tuple[Pick, ...]:
    """At most `most` of the picks, evenly spaced, first and last among them."""
    if len(picks) <= most:
        return tuple(picks)
    return tuple(picks[int(i)] for i in np.linspace(0, len(picks) - 1, most).round())


def _descending(
    scores: npt.NDArray[np.floating], truth: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Distinct scores from the highest down; true positives and positives when calling from each on."""
    order = np.argsort(scores, kind="stable")[::-1]
    values = scores[order]
    last = np.append(np.flatnonzero(values[1:] != values[:-1]), values.size - 1)
    return values[last], np.cumsum(truth[order], dtype=np.int64)[last], last + 1


def _defined(values: dict[str, float]) -> dict[str, float]:
    return {k: v for k, v in values.items() if not np.isnan(v)}
