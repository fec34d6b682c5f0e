"""Score, thresholds and figures of a trained model, from the pictures that it was validated on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from synthanom.metrics import Aggregation, average_precision, roc_auc
from synthanom.progress import Track, untold
from synthanom.shards import DataSet
from synthanom.training.batches import StoredPictures
from synthanom.training.checkpoint import Model
from synthanom.training.config import AggregationConfig, CalibrationConfig
from synthanom.training.held_out import held_out_checks
from synthanom.training.predict import raw_score_map
from synthanom.training.rows import Pick
from synthanom.training.scored import CLEARLY, Scored
from synthanom.training.thresholds import every_threshold

MOST_VOXELS = 20_000_000  # sorted at once: about half a GB
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
    """

    aggregation: Aggregation
    thresholds: dict[str, float]
    figures: dict[str, Any]
    tried: tuple[dict[str, Any], ...] = ()
    held_out: dict[str, Any] | None = None


def calibrate(
    model: Model,
    data: DataSet,
    picks: Sequence[Pick],
    *,
    aggregation: AggregationConfig | None = None,
    settings: CalibrationConfig | None = None,
    track: Track = untold,
) -> Calibration:
    """Choose score and thresholds on the validation pictures, or on evenly spaced ones of them where they are many.

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
    chosen = spaced(picks, max(8, MOST_VOXELS // int(np.prod(data.shape))))
    candidates = CANDIDATES if aggregation is None else (aggregation.build(),)
    scored = _scored(model, data, chosen, candidates, track)
    values = [_mean_precision(scored, number) for number in range(len(candidates))]
    best = int(np.argmax([-1.0 if np.isnan(value) else value for value in values]))
    found = scored.with_score(best)
    settings = settings or CalibrationConfig()
    tried = [{**a.to_dict(), "average_precision": v} for a, v in zip(candidates, values, strict=True)]
    return Calibration(
        aggregation=candidates[best],
        thresholds=every_threshold(found, settings),
        figures=_figures(found),
        tried=tuple(entry for entry in tried if not np.isnan(entry["average_precision"])),
        held_out=held_out_checks(found, settings),
    )


def spaced(picks: Sequence[Pick], most: int) -> tuple[Pick, ...]:
    """At most `most` of the picks, evenly spaced, first and last among them."""
    if len(picks) <= most:
        return tuple(picks)
    return tuple(picks[int(i)] for i in np.linspace(0, len(picks) - 1, most).round())


def _scored(
    model: Model, data: DataSet, picks: Sequence[Pick], candidates: Sequence[Aggregation], track: Track
) -> Scored:
    """Maps, labels and every candidate's score of each picture."""
    source = StoredPictures(data=data)
    maps, labels, samples = [], [], []
    for pick in track("choosing thresholds", picks, len(picks)):
        image, label = source.picture(pick)
        found = np.clip(raw_score_map(model, image), 0.0, 1.0)
        foreground = data.healthy(pick.healthy).foreground
        maps.append(found.ravel())
        labels.append(label.ravel() >= CLEARLY)
        samples.append([aggregation(found, foreground) for aggregation in candidates])
    return Scored(
        maps=np.stack(maps),
        labels=np.stack(labels),
        samples=np.array(samples),
        tasks=tuple(pick.task for pick in picks),
        subjects=tuple(data.healthy_subjects[pick.healthy] for pick in picks),
    )


def _mean_precision(scored: Scored, number: int) -> float:
    """Mean over tasks of the sample average precision by one candidate; nan without healthy or anomalous pictures."""
    values = [
        average_precision(scored.samples[rows, number], scored.anomalous[rows]) for rows in scored.by_task().values()
    ]
    return float(np.mean(values)) if values else float("nan")


def _figures(scored: Scored) -> dict[str, Any]:
    """Ranking figures over all pictures, and per task against the healthy ones."""
    everything = _ranking(scored, np.arange(len(scored.tasks)))
    tasks = {task: _ranking(scored, rows) for task, rows in scored.by_task().items()}
    return {**everything, "tasks": tasks}


def _ranking(scored: Scored, rows: np.ndarray[Any, Any]) -> Mapping[str, float]:
    pixels, truth = scored.maps[rows].ravel(), scored.labels[rows].ravel()
    samples, anomalous = scored.score[rows], scored.anomalous[rows]
    values = {
        "pixel_average_precision": average_precision(pixels, truth),
        "pixel_roc_auc": roc_auc(pixels, truth),
        "sample_average_precision": average_precision(samples, anomalous),
        "sample_roc_auc": roc_auc(samples, anomalous),
        "pictures": float(len(rows)),
    }
    return {k: v for k, v in values.items() if not np.isnan(v)}
