"""Ranking figures of one set of maps, with their values on every resample of subjects."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synthanom.evaluation.collect import Collected, Numbers
from synthanom.evaluation.rows import MODEL, RANDOM, Choices, Curve, Row
from synthanom.metrics import (
    Interval,
    Pixels,
    Tally,
    aupro_of_pixels,
    average_precision,
    batched_precision_of_pixels,
    interval_of_draws,
    region_tally,
    roc_auc,
    subject_weights,
    tally_of_numbers,
    tally_of_pixels,
)
from synthanom.metrics.intervals import Weights

DRAWS = 1000
BATCH = 20  # samples; with more, pixel average precision is also given as the mean over batches
NAN = float(np.nan)
NONE = Interval(value=NAN, low=NAN, high=NAN, draws=0)
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Ranked:
    """A line, what it is drawn from, and its figures on every resample (draws,) by name."""

    row: Row
    curve: Curve
    draws: Mapping[str, Floats]


def resamples(subjects: int, seed: int) -> Weights:
    """The same for every set of maps of the same subjects, so that differences are paired."""
    return subject_weights(subjects, rng=np.random.default_rng(seed), draws=DRAWS)


def rank_numbers(level: str, score: str, maps: str, numbers: Numbers, choices: Choices) -> Ranked:
    """Average precision and AUROC of one number per image or slice."""
    scores, truth = np.asarray(numbers.scores[score]), np.asarray(numbers.truth, dtype=bool)
    tally = tally_of_numbers(scores, truth, numbers.subjects)
    values = {"average_precision": average_precision(scores, truth), "roc_auc": roc_auc(scores, truth)}
    row = Row(
        level=level, score=score, maps=maps, positives=int(truth.sum()), count=truth.size,
        average_precision=NONE, roc_auc=NONE,
    )  # fmt: skip
    lowest, place = np.unique(scores, return_inverse=True)
    counts = np.zeros((lowest.size, 2))
    np.add.at(counts, (place, truth.astype(np.int64)), 1)
    return _ranked(row, tally, values, {}, choices, _curve(row, lowest, counts))


def rank_pixels(found: Collected, pixels: Pixels, choices: Choices) -> Ranked:
    """Average precision and AUROC over all pixels, exact up to 2^24, and AUPRO."""
    counts = pixels.counts
    tally, group = tally_of_pixels(pixels)
    values = {
        "average_precision": found.ranking.average_precision(),
        "roc_auc": found.ranking.roc_auc(),
    }
    weights = resamples(len(tally.subjects), choices.seed)
    # the figure from every bin, its interval from groups of bins
    values["aupro"] = aupro_of_pixels(pixels, choices.limit)
    extra = {"aupro": region_tally(pixels, group, tally.negatives).aupro(weights, choices.limit)}
    row = Row(
        level="pixel", score="", maps=found.name, positives=int(counts[:, 1].sum()), count=int(counts.sum()),
        average_precision=NONE, roc_auc=NONE,
    )  # fmt: skip
    first = np.flatnonzero(np.diff(group, prepend=-1))
    together = np.add.reduceat(counts, first, axis=0).astype(np.float64)
    return _ranked(row, tally, values, extra, choices, _curve(row, pixels.lowest[first], together))


def _ranked(
    row: Row, tally: Tally, values: dict[str, float], extra: Mapping[str, Floats], choices: Choices, curve: Curve
) -> Ranked:
    weights = resamples(len(tally.subjects), choices.seed)
    draws = {
        "average_precision": tally.average_precision(weights),
        "roc_auc": tally.roc_auc(weights),
        **extra,
    }
    share = choices.prevalence.get(row.level)
    if share is not None:
        draws["at_prevalence"] = tally.average_precision(weights, share)
        values["at_prevalence"] = float(tally.average_precision(np.ones((1, len(tally.subjects))), share)[0])
    found = {name: interval_of_draws(values[name], draws[name]) for name in draws}
    made = Row(**{**vars(row), **found})
    return Ranked(row=made, curve=curve, draws=draws)


def batched_row(pixels: Pixels, row: Row) -> Iterator[Row]:
    """Pixel average precision as the mean over batches of samples, where there are more than one batch."""
    if len(pixels.bins) <= BATCH:
        return
    batched = batched_precision_of_pixels(pixels, batch=BATCH)
    spread = Interval(
        value=batched.mean,
        low=batched.mean - batched.deviation,
        high=batched.mean + batched.deviation,
        draws=len(batched.repeats),
    )
    yield Row(
        level=row.level, score=f"batches of {BATCH} (mean and deviation of shufflings)", maps=row.maps,
        average_precision=spread, roc_auc=NONE, positives=row.positives, count=row.count,
    )  # fmt: skip


def chance_row(row: Row, choices: Choices) -> Row:
    """What a random order and a constant map both reach: the prevalence, one half, and half of AUPRO's limit."""
    share = choices.prevalence.get(row.level)
    known = 0 < row.positives < row.count
    return Row(
        level=row.level,
        score="",
        maps=RANDOM,
        positives=row.positives,
        count=row.count,
        average_precision=_known(row.positives / row.count if row.positives else NAN),
        roc_auc=_known(0.5 if known else NAN),
        aupro=_known(choices.limit / 2 if known else NAN) if row.aupro is not None else None,
        at_prevalence=_known(share) if share is not None else None,
    )


def is_first(row: Row) -> bool:
    """Whether chance is shown with this line: once a level."""
    return row.maps == MODEL and row.score in ("", "mean")


def _known(value: float) -> Interval:
    return Interval(value=value, low=value, high=value, draws=0)


def _curve(row: Row, lowest: npt.NDArray[np.floating], counts: Floats) -> Curve:
    return Curve(
        level=row.level,
        score=row.score,
        maps=row.maps,
        lowest=lowest[::-1].astype(np.float64),
        positives=counts[::-1, 1],
        negatives=counts[::-1, 0],
    )
