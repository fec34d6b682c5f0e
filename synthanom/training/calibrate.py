"""Score, thresholds and figures of a trained model, from the pictures that it was validated on."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from synthanom.arrays import ImageArray, MaskArray
from synthanom.metrics import Aggregation, average_precision, roc_auc
from synthanom.metrics.pixels import Counts
from synthanom.metrics.score_counts import ScoreCounts
from synthanom.metrics.tallies import area_of_counts, precision_of_counts
from synthanom.progress import Track, untold
from synthanom.shards import DataSet
from synthanom.training.batches import StoredPictures
from synthanom.training.checkpoint import Model
from synthanom.training.config import AggregationConfig, CalibrationConfig
from synthanom.training.held_out import Maps, held_out_checks
from synthanom.training.predict import raw_score_map
from synthanom.training.rows import Pick
from synthanom.training.scored import CLEARLY, Group, Scored, halves_of
from synthanom.training.threshold_curves import threshold_curves
from synthanom.training.thresholds import every_threshold

# tried on the validation pictures, the paper's three first: the first of equally good ones is taken
CANDIDATES = tuple(
    replace(aggregation, over=over)
    for over in ("image", "foreground")
    for aggregation in (
        Aggregation(statistic="top", value=0.25),
        Aggregation(statistic="mean", value=None),
        Aggregation(statistic="percentile", value=75.0),
        Aggregation(statistic="top", value=0.05),
        Aggregation(statistic="top", value=0.01),
        Aggregation(statistic="max", value=None),
    )
)


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What the validation pictures say of a model; figures that are undefined are left out.

    Attributes
    ----------
    aggregation : Aggregation
        The score of a whole image: the one given, or the best of those tried.
    thresholds : dict
        ``"pixel"`` and ``"sample"``, which are used, and each by the rules ``_false_positive_rate`` and ``_f_beta``.
    figures : dict
        On synthetic validation pictures, beside them one mapping per validation task.
    tried : tuple
        Each aggregation that was tried, with its average precision.
    held_out : dict
        How thresholds that were chosen on some subjects do on others, with intervals; see `held_out_checks`.
    curves : dict
        What other thresholds would give; see `threshold_curves`.
    """

    aggregation: Aggregation
    thresholds: dict[str, float]
    figures: dict[str, Any]
    tried: tuple[dict[str, Any], ...] = ()
    held_out: dict[str, Any] | None = None
    curves: dict[str, Any] = field(default_factory=dict)


def calibrate(
    model: Model,
    data: DataSet,
    picks: Sequence[Pick],
    *,
    aggregation: AggregationConfig | None = None,
    settings: CalibrationConfig | None = None,
    track: Track = untold,
) -> Calibration:
    """Choose score and thresholds on the validation pictures.

    Every picture is scored twice: for the thresholds, and to count what those of the other half of the subjects call.
    One map is in memory at a time, however many there are.

    Parameters
    ----------
    model : Model
    data : DataSet
    picks : sequence of Pick
    aggregation : AggregationConfig, optional
        The score of an image; without one, that of `CANDIDATES` with the largest mean over tasks of the average
        precision with which it tells a task's pictures from healthy ones.
    settings : CalibrationConfig, optional
    track : Track
        Shows how many pictures were scored.

    Raises
    ------
    SynthanomError
        If a picture is damaged.
    """
    candidates = CANDIDATES if aggregation is None else (aggregation.build(),)
    scored = _scored(model, data, picks, candidates, track)
    values = [_mean_precision(scored, number) for number in range(len(candidates))]
    best = int(np.argmax([-1.0 if np.isnan(value) else value for value in values]))
    found = scored.with_score(best)
    settings = settings or CalibrationConfig()

    def again() -> Maps:
        return (_map(model, data, pick) for pick in track("checking thresholds", picks, len(picks)))

    tried = [{**a.to_dict(), "average_precision": v} for a, v in zip(candidates, values, strict=True)]
    return Calibration(
        aggregation=candidates[best],
        thresholds=every_threshold(found, settings),
        figures=_figures(found),
        tried=tuple(entry for entry in tried if not np.isnan(entry["average_precision"])),
        held_out=held_out_checks(found, settings, again),
        curves=threshold_curves(found, settings),
    )


def in_turn(picks: Sequence[Pick]) -> list[int]:
    """Numbers of the picks, tasks and healthy pictures in turn: the first ones are like the others."""
    seen: Counter[str | None] = Counter()
    ranks = []
    for pick in picks:
        ranks.append(seen[pick.task])
        seen[pick.task] += 1
    return sorted(range(len(picks)), key=lambda number: (ranks[number], number))


def _scored(
    model: Model, data: DataSet, picks: Sequence[Pick], candidates: Sequence[Aggregation], track: Track
) -> Scored:
    """Every candidate's score of each picture, and counts of the voxels of all."""
    subjects = tuple(data.healthy_subjects[pick.healthy] for pick in picks)
    halves = halves_of(subjects)
    voxels: ScoreCounts[Group] = ScoreCounts()
    samples = np.zeros((len(picks), len(candidates)))
    for number in track("choosing thresholds", in_turn(picks), len(picks)):
        pick = picks[number]
        found, labels = _map(model, data, pick)
        foreground = data.healthy(pick.healthy).foreground
        samples[number] = [aggregation(found, foreground) for aggregation in candidates]
        voxels.add(found, labels, (pick.task, halves[number]))
    tasks = tuple(pick.task for pick in picks)
    return Scored(voxels=voxels.finish(), samples=samples, tasks=tasks, subjects=subjects, halves=halves)


def _map(model: Model, data: DataSet, pick: Pick) -> tuple[ImageArray, MaskArray]:
    """The score map of a picture, in [0, 1], and where it is anomalous."""
    image, label = StoredPictures(data=data).picture(pick)
    return np.clip(raw_score_map(model, image), 0.0, 1.0), label >= CLEARLY


def _mean_precision(scored: Scored, number: int) -> float:
    """Mean over tasks of the sample average precision by one candidate; nan without healthy or anomalous pictures."""
    values = [
        average_precision(scored.samples[rows, number], scored.anomalous[rows]) for rows in scored.by_task().values()
    ]
    return float(np.mean(values)) if values else float("nan")


def _figures(scored: Scored) -> dict[str, Any]:
    """Ranking figures over all pictures, and per task against the healthy ones."""
    everything = _ranking(scored, np.arange(len(scored.tasks)), scored.voxel_counts())
    tasks = {task: _ranking(scored, rows, scored.voxel_counts(None, task)) for task, rows in scored.by_task().items()}
    return {**everything, "tasks": tasks}


def _ranking(scored: Scored, rows: npt.NDArray[np.int64], voxels: Counts) -> Mapping[str, float]:
    negatives, positives = voxels[::-1].T.astype(np.float64)
    tied = (scored.voxels.lowest == scored.voxels.highest)[::-1]
    samples, anomalous = scored.score[rows], scored.anomalous[rows]
    values = {
        "pixel_average_precision": float(precision_of_counts(positives, negatives, tied)),
        "pixel_roc_auc": float(area_of_counts(positives, negatives)),
        "sample_average_precision": average_precision(samples, anomalous),
        "sample_roc_auc": roc_auc(samples, anomalous),
        "pictures": float(len(rows)),
    }
    return {k: v for k, v in values.items() if not np.isnan(v)}
