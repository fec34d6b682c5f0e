"""Figures of one set of maps at stored cuts and at the best one, with their values on every resample of subjects."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synthanom.evaluation.collect import STORED, Collected, Numbers
from synthanom.evaluation.counting import CutCounts, counts_at
from synthanom.evaluation.ranking import NAN, resamples
from synthanom.evaluation.rows import CHANCE, MODEL, ORACLE, RANDOM, Choices, CutRow
from synthanom.metrics import Confusion, Interval, Pixels, best_cut, interval_of_draws
from synthanom.metrics.intervals import plain

PARTS = ("tp", "fp", "fn", "tn")
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class AtCut:
    """A line, and its figures on every resample (draws,) by name."""

    row: CutRow
    draws: Mapping[str, Floats]


@dataclass(frozen=True, kw_only=True)
class Place:
    """Which line it is."""

    level: str
    score: str
    maps: str
    chosen: str
    cut: float


def cut_numbers(
    level: str, score: str, maps: str, numbers: Numbers, cuts: Mapping[str, float], choices: Choices
) -> Iterator[AtCut]:
    """Figures of one number per image or slice, at the stored cuts and the best one."""
    scores, truth = np.asarray(numbers.scores[score]), np.asarray(numbers.truth, dtype=bool)
    names, owner = np.unique(np.asarray(numbers.subjects), return_inverse=True)
    lowest, place = np.unique(scores, return_inverse=True)
    counts = np.zeros((lowest.size, 2), np.int64)
    np.add.at(counts, (place, truth.astype(np.int64)), 1)
    for chosen, cut in {**cuts, ORACLE: best_cut(lowest, counts, choices.beta)}.items():
        if np.isnan(cut):
            continue
        called = scores >= cut
        kinds = (called & truth, called & ~truth, ~called & truth, ~called & ~truth)
        table = np.stack([np.bincount(owner[kind], minlength=len(names)) for kind in kinds], axis=1).astype(np.float64)
        yield from _lines(Place(level=level, score=score, maps=maps, chosen=chosen, cut=float(cut)), table, choices)


def cut_pixels(found: Collected, pixels: Pixels, cuts: Mapping[str, float], choices: Choices) -> Iterator[AtCut]:
    """Figures of pixels and of lesions, at the stored cuts and at the best one for pixels."""
    best = best_cut(pixels.lowest, pixels.counts, choices.beta)
    for chosen, cut in {**cuts, ORACLE: best}.items():
        if np.isnan(cut):
            continue
        known = found.at_cuts[chosen] if chosen in cuts else counts_at(pixels, cut, choices.overlap)
        table = _by_subject(known, pixels.subjects)
        place = Place(level="pixel", score="", maps=found.name, chosen=chosen, cut=float(cut))
        yield from _lines(place, table[:, :4], choices)
        yield _lesion_line(place, table[:, 4:], choices)


def stored_cuts_of(level: str, score: str, cuts: Mapping[str, Mapping[str, float]]) -> Mapping[str, float]:
    """The cuts that hold for this way of aggregating: samples as the model does it, and slices likewise."""
    if level == "sample" and score != STORED:
        return {}
    return cuts.get(level, {})


def _lines(place: Place, table: Floats, choices: Choices) -> Iterator[AtCut]:
    """Counts per subject (S, 4) as figures, and beside the model what chance gives that calls as many."""
    share = choices.prevalence.get(place.level)
    weights = resamples(len(table), choices.seed)
    values = _figures(_confusion(table.sum(axis=0)), choices.beta, share)
    draws = _figures(_confusion(weights @ table), choices.beta, share)
    yield _line(place, values, draws, dict(zip(PARTS, table.sum(axis=0).tolist(), strict=True)))
    if place.maps == MODEL:
        yield _chance(place, table.sum(axis=0), choices, share)


def _line(place: Place, values: Mapping[str, Floats], draws: Mapping[str, Floats], counts: dict[str, float]) -> AtCut:
    figures = {name: interval_of_draws(float(values[name]), draws[name]) for name in values}
    return AtCut(row=CutRow(**vars(place), figures=figures, counts=counts), draws=draws)


def _chance(place: Place, total: Floats, choices: Choices, share: float | None) -> AtCut:
    tp, fp, fn, tn = total
    called = (tp + fp) / total.sum()
    by_chance = np.array([(tp + fn) * called, (fp + tn) * called, (tp + fn) * (1 - called), (fp + tn) * (1 - called)])
    values = _figures(_confusion(by_chance), choices.beta, share)
    known = {name: plain(float(v)) for name, v in values.items()}
    figures = {name: Interval(value=v, low=v, high=v, draws=0) for name, v in known.items()}
    chosen = CHANCE if place.chosen == ORACLE else f"{CHANCE} at {place.chosen}"
    row = CutRow(
        level=place.level, score=place.score, maps=RANDOM, chosen=chosen, cut=NAN, figures=figures,
        counts=dict(zip(PARTS, by_chance.tolist(), strict=True)),
    )  # fmt: skip
    return AtCut(row=row, draws={})


def _lesion_line(place: Place, table: Floats, choices: Choices) -> AtCut:
    """Counts per subject (S, 4): lesions, found, called parts, right ones."""
    weights = resamples(len(table), choices.seed)
    values = _lesion_figures(table.sum(axis=0), choices.beta)
    draws = _lesion_figures(weights @ table, choices.beta)
    counts = dict(zip(CutCounts._fields[4:], table.sum(axis=0).tolist(), strict=True))
    return _line(Place(**{**vars(place), "level": "lesion"}), values, draws, counts)


def _lesion_figures(table: Floats, beta: float) -> dict[str, Floats]:
    lesions, found, called, right = (table[..., k] for k in range(4))
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = np.where(lesions > 0, found / lesions, NAN)
        precision = np.where(called > 0, right / called, NAN)
        # nothing called where there is something to find: recall is 0 and so is F
        both = np.where(called > 0, precision, 0.0)
        weighed = beta**2 * both + recall
        score = np.where(weighed > 0, (1 + beta**2) * both * recall / weighed, np.where(lesions > 0, 0.0, NAN))
    return {"f_beta": np.asarray(score), "precision": np.asarray(precision), "recall": np.asarray(recall)}


def _figures(found: Confusion, beta: float, share: float | None) -> dict[str, Floats]:
    figures = {
        "dice": found.f_beta(1.0),
        "f_beta": found.f_beta(beta),
        "accuracy": found.accuracy(),
        "precision": found.precision(),
        "recall": found.recall(),
        "specificity": found.specificity(),
        "negative_predictive_value": found.negative_predictive_value(),
    }
    if share is not None:
        there = found.at_prevalence(share)
        figures["precision_at_prevalence"] = there.precision()
        figures["negative_predictive_value_at_prevalence"] = there.negative_predictive_value()
    return figures


def _confusion(table: Floats) -> Confusion:
    return Confusion(**{name: table[..., k] for k, name in enumerate(PARTS)})


def _by_subject(counts: Iterable[CutCounts], subjects: Sequence[str]) -> Floats:
    names, owner = np.unique(np.asarray(subjects), return_inverse=True)
    table = np.zeros((len(names), len(CutCounts._fields)))
    np.add.at(table, owner, np.array(list(counts), dtype=np.float64))
    return table
