"""From maps and truth to a table of figures with intervals, beside what chance and trivial maps reach."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from synthanom.errors import SynthanomError
from synthanom.evaluation.collect import Collected, Numbers, collect, collect_deviation
from synthanom.evaluation.truth import Missing, find_maps, find_truth
from synthanom.metrics import (
    Interval,
    RankingAccumulator,
    average_precision,
    batched_average_precision,
    bootstrap_interval,
    roc_auc,
)
from synthanom.progress import Track, untold

FORMAT, KIND = 1, "synthanom-evaluation"
RANDOM = "random or constant"
DRAWS = 1000
BINS = 1024  # of pixel scores, for intervals only; the figures themselves come from all scores
BATCH = 20  # samples; with more, pixel average precision is also given as the mean over batches
SPREAD = 1_000_000  # scores that bins are laid out by


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table.

    Attributes
    ----------
    level : {"sample", "slice", "pixel"}
    score : str
        How a map became a number; empty for pixels.
    maps : str
    average_precision, roc_auc : Interval
        nan where undefined: without positives, or with one label only.
    positives, count : int
    """

    level: str
    score: str
    maps: str
    average_precision: Interval
    roc_auc: Interval
    positives: int
    count: int


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The table, and what the reader should know."""

    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    images: int
    subjects: int
    seed: int

    def to_dict(self) -> dict[str, Any]:
        """The evaluation as JSON; nan becomes null."""
        return {
            "kind": KIND,
            "format": FORMAT,
            "seed": self.seed,
            "images": self.images,
            "subjects": self.subjects,
            "notes": list(self.notes),
            "rows": [_plain(asdict(row)) for row in self.rows],
        }


def evaluate(
    maps: Path,
    truth: Path | None = None,
    labels: Path | None = None,
    *,
    missing: Missing = "refuse",
    baselines: Mapping[str, Path] | None = None,
    images: Path | None = None,
    seed: int = 0,
    track: Track = untold,
) -> Evaluation:
    """Compare maps with masks or labels: average precision and AUROC per sample, slice (of volumes) and pixel.

    Parameters
    ----------
    maps : folder of maps
    truth : folder of masks
    labels : CSV file with the columns id and label (0 or 1), and subject if wanted
    missing : what a map without mask and label is taken for
    baselines : names and folders of other maps of the same images
    images : folder of the scans, for the trivial map |z|
    seed : int
        Of the bootstrap over subjects.
    track : Track
        Shows how many maps were read, and how many figures have their intervals.

    Raises
    ------
    SynthanomError
        As `find_maps`, `find_truth`, `read_pair`.
    """
    ours = find_maps("model", maps)
    known = find_truth(ours, truth, labels, missing)
    taken = {"model", RANDOM} & set(baselines or {})
    if taken:
        raise SynthanomError(f"a baseline must have a name of its own, got {sorted(taken)[0]!r}; rename it")
    others = [find_maps(name, folder) for name, folder in (baselines or {}).items()]
    rows: list[Row] = []
    # one set of maps after the other, so that one set's pixels are in memory at a time
    for number, each in enumerate([ours, *others]):
        found = collect(each, known.items, track=track)
        rows += _rows(found, seed, track)
        rows += _chance(found) if number == 0 else []
    if images is not None:
        rows += _rows(collect_deviation(images, ours, known.items, track=track), seed, track)
    return Evaluation(
        rows=tuple(_in_order(rows)),
        notes=known.notes,
        images=len(known.items),
        subjects=len({item.subject for item in known.items}),
        seed=seed,
    )


def _rows(found: Collected, seed: int, track: Track) -> list[Row]:
    levels = (("sample", found.samples), ("slice", found.slices))
    wanted: list[tuple[str, str, Numbers | None]] = [
        (level, score, numbers) for level, numbers in levels for score in numbers.scores
    ]
    wanted += [("pixel", "", None)] if found.pixels else []
    rows = [
        _pixel_row(found, seed) if numbers is None else _number_row(level, score, found.name, numbers, seed)
        for level, score, numbers in track(f"intervals: {found.name}", wanted, len(wanted))
    ]
    if len(found.pixels) > BATCH:
        batched = batched_average_precision(found.pixels, found.masks, batch=BATCH)
        none = Interval(value=float("nan"), low=float("nan"), high=float("nan"), draws=0)
        spread = Interval(
            value=batched.mean, low=batched.mean - batched.deviation, high=batched.mean + batched.deviation,
            draws=len(batched.repeats),
        )  # fmt: skip
        score = f"batches of {BATCH} (mean and deviation of shufflings)"
        rows.append(replace(rows[-1], score=score, average_precision=spread, roc_auc=none))
    return rows


def _number_row(level: str, score: str, maps: str, numbers: Numbers, seed: int) -> Row:
    scores, truth = np.asarray(numbers.scores[score]), np.asarray(numbers.truth, dtype=bool)

    def precision(chosen: npt.NDArray[np.int64]) -> float:
        return average_precision(scores[chosen], truth[chosen])

    def area(chosen: npt.NDArray[np.int64]) -> float:
        return roc_auc(scores[chosen], truth[chosen])

    return Row(
        level=level,
        score=score,
        maps=maps,
        average_precision=bootstrap_interval(precision, numbers.subjects, rng=np.random.default_rng(seed), draws=DRAWS),
        roc_auc=bootstrap_interval(area, numbers.subjects, rng=np.random.default_rng(seed), draws=DRAWS),
        positives=int(truth.sum()),
        count=truth.size,
    )


def _pixel_row(found: Collected, seed: int) -> Row:
    """Figures over all pixels, exact up to 2^24; intervals from each image's counts per bin of scores."""
    ranking = RankingAccumulator()
    for scores, mask in zip(found.pixels, found.masks, strict=True):
        ranking.update(scores, mask)
    positives, negatives = _binned(found, _edges(found.pixels))

    def resampled(chosen: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        return positives[chosen].sum(axis=0)[::-1], negatives[chosen].sum(axis=0)[::-1]

    def precision(chosen: npt.NDArray[np.int64]) -> float:
        return _binned_precision(*resampled(chosen))

    def area(chosen: npt.NDArray[np.int64]) -> float:
        return _binned_area(*resampled(chosen))

    intervals = [
        bootstrap_interval(metric, found.pixel_subjects, rng=np.random.default_rng(seed), draws=DRAWS)
        for metric in (precision, area)
    ]
    return Row(
        level="pixel",
        score="",
        maps=found.name,
        average_precision=replace(intervals[0], value=ranking.average_precision()),
        roc_auc=replace(intervals[1], value=ranking.roc_auc()),
        positives=_marked(found.masks),
        count=ranking.count,
    )


def _marked(masks: Sequence[npt.NDArray[np.bool_]]) -> int:
    return sum(int(np.count_nonzero(mask)) for mask in masks)


def _edges(pixels: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float64]:
    """Inner edges of bins, finer towards the highest scores, where precision is decided."""
    step = max(1, sum(scores.size for scores in pixels) // SPREAD)
    # every step-th pixel of all, without a copy of all
    starts = np.cumsum([0, *(scores.size for scores in pixels[:-1])])
    spread = np.concatenate([scores[-start % step :: step] for start, scores in zip(starts, pixels, strict=True)])
    spread = spread.astype(np.float64)
    shares = 1 - np.geomspace(1e-5, 1, BINS)
    return np.unique(np.quantile(spread, np.sort(np.clip(shares, 0, 1))))


def _binned(
    found: Collected, edges: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Positives and negatives per image and bin, from the lowest bin up: (n, bins)."""
    counts = []
    for scores, mask in zip(found.pixels, found.masks, strict=True):
        place = np.searchsorted(edges, scores, side="right")
        counts.append([np.bincount(place[mask == wanted], minlength=edges.size + 1) for wanted in (True, False)])
    table = np.asarray(counts, dtype=np.float64)
    return table[:, 0], table[:, 1]


def _binned_precision(positives: npt.NDArray[np.float64], negatives: npt.NDArray[np.float64]) -> float:
    """Average precision from counts per bin, from the highest bin down."""
    true, false = positives.cumsum(), negatives.cumsum()
    if true[-1] == 0:
        return float("nan")
    return float((positives * true / np.maximum(true + false, 1)).sum() / true[-1])


def _binned_area(positives: npt.NDArray[np.float64], negatives: npt.NDArray[np.float64]) -> float:
    true = positives.cumsum()
    if true[-1] == 0 or negatives.sum() == 0:
        return float("nan")
    return float((negatives * (true - positives / 2)).sum() / true[-1] / negatives.sum())


def _chance(found: Collected) -> list[Row]:
    """What a random order and a constant map both reach: the prevalence, and one half."""
    levels = [
        (level, sum(numbers.truth), len(numbers.truth))
        for level, numbers in (("sample", found.samples), ("slice", found.slices))
    ]
    levels.append(("pixel", _marked(found.masks), sum(mask.size for mask in found.masks)))
    rows = []
    for level, positives, count in levels:
        if count:
            rows.append(
                Row(
                    level=level, score="", maps=RANDOM, positives=positives, count=count,
                    average_precision=_known(positives / count if positives else float("nan")),
                    roc_auc=_known(0.5 if 0 < positives < count else float("nan")),
                )
            )  # fmt: skip
    return rows


def _known(value: float) -> Interval:
    return Interval(value=value, low=value, high=value, draws=0)


def _in_order(rows: Sequence[Row]) -> list[Row]:
    """By level, chance last, everything else as it came."""
    levels = ("sample", "slice", "pixel")
    return sorted(rows, key=lambda row: (levels.index(row.level), row.maps == RANDOM))


def _plain(value: Any) -> Any:
    """nan as None, all the way down."""
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items()}
    return None if isinstance(value, float) and np.isnan(value) else value
