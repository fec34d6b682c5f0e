"""Scores of the test images by models and by maps that know nothing, for examples/chest_xray.py."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from synthanom.evaluation.trivial import TRIVIAL
from synthanom.metrics import Aggregation, average_precision, roc_auc, subject_weights, tally_of_numbers
from synthanom.predicting.inputs import find_scans, prepare
from synthanom.preprocess import Pipeline
from synthanom.training.checkpoint import Model, build_detector, load_model
from synthanom.training.predict import common_card
from synthanom.truth_set import open_truth_set

Scores = npt.NDArray[np.float64]
Figures = npt.NDArray[np.float32]
DRAWS = 1000  # resamples of the patients
QUARTER = Aggregation(statistic="top", value=0.25)  # the paper's choice
TOGETHER = 64  # images scored at once


@dataclass(frozen=True, kw_only=True, eq=False)
class TestImages:
    """The test images as the models take them.

    Attributes
    ----------
    images : ndarray of shape (n, C, *S), float32
    foregrounds : ndarray of shape (n, *S), bool
    anomalous : ndarray of shape (n,), bool
    patients : tuple of n str
    """

    images: npt.NDArray[np.float32]
    foregrounds: npt.NDArray[np.bool_]
    anomalous: npt.NDArray[np.bool_]
    patients: tuple[str, ...]

    def without(self, patients: Iterable[str]) -> npt.NDArray[np.bool_]:
        """Which images are of other patients."""
        left_out = set(patients)
        return np.array([patient not in left_out for patient in self.patients])


def read_test_images(test: Path, run: Path) -> TestImages:
    """Prepare the listed images as a run's model says."""
    card = common_card([run])
    pipeline, cases = Pipeline.from_dict(card.preprocessing), open_truth_set(test).cases
    ready = [prepare(scan, pipeline, card).prepared for scan in find_scans(test, card).scans]
    return TestImages(
        images=np.stack([one.image for one in ready]),
        foregrounds=np.stack([one.foreground for one in ready]),
        anomalous=np.array([bool(case.anomalous) for case in cases]),
        patients=tuple(case.subject for case in cases),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Scored:
    """Scores (n,) of the test images, by the aggregation chosen in validation and by the mean of the top quarter."""

    chosen: Scores
    quarter: Scores


def maps_of(model: Model, images: npt.NDArray[np.float32]) -> Figures:
    """Score maps (n, *S), not clipped."""
    with torch.inference_mode():
        parts = [
            model.detector.score_map(torch.from_numpy(images[start : start + TOGETHER])).float().numpy()
            for start in range(0, len(images), TOGETHER)
        ]
    return np.concatenate(parts)


def scored(maps: Figures, aggregation: Aggregation, test: TestImages) -> Scored:
    """One number per image from maps that are clipped first, as `synthanom predict` does."""
    return aggregated(np.clip(maps, 0.0, 1.0), aggregation, test)


def aggregated(maps: Figures, aggregation: Aggregation, test: TestImages) -> Scored:
    """One number per image from maps as they are."""

    def by(one: Aggregation) -> Scores:
        return np.array([one(found, inside) for found, inside in zip(maps, test.foregrounds, strict=True)])

    return Scored(chosen=by(aggregation), quarter=by(QUARTER))


def score_run(run: Path, test: TestImages) -> Scored:
    """Scores by one run's model."""
    together, _ = score_runs([run], test)
    return together


def score_runs(runs: Sequence[Path], test: TestImages) -> tuple[Scored, list[Scored]]:
    """Scores by the mean map of several runs, and by each of them."""
    total, singles = np.zeros(test.foregrounds.shape, np.float32), []
    for run in runs:
        model = load_model(run)
        maps = maps_of(model, test.images)
        singles.append(scored(maps, model.card.sample_score(), test))
        total += maps
    return scored(total / np.float32(len(runs)), common_card(runs).sample_score(), test), singles


def score_untrained(run: Path, seed: int, test: TestImages) -> Scored:
    """Scores by the network of a run before it has learnt anything."""
    model = load_model(run)
    card = model.card
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        fresh = build_detector(
            card.network,
            channels=card.channels,
            shape=card.shape,
            positions=card.positions,
            allow_import=False,
            detector=card.detector,
        )
    for name, weights in fresh.module.named_parameters():
        if name.endswith("head.weight"):  # starts at zero, and so would every score
            torch.nn.init.normal_(weights, generator=torch.Generator().manual_seed(seed))
    # not clipped: most of its values lie beyond [0, 1], so that all images would have one score
    return aggregated(maps_of(replace(model, detector=fresh), test.images), card.sample_score(), test)


def score_trivially(test: TestImages) -> Iterator[tuple[str, Scored]]:
    """Scores by maps that know nothing of disease; the mean over the image stands for the chosen aggregation."""
    for name, rule in TRIVIAL.items():
        maps = np.stack([rule(image, inside) for image, inside in zip(test.images, test.foregrounds, strict=True)])
        flat = maps.reshape(len(maps), -1)
        quarter = np.array([QUARTER(found) for found in maps])
        yield name, Scored(chosen=flat.mean(axis=1, dtype=np.float64), quarter=quarter)


METRICS: Mapping[str, Callable[[Scores, npt.NDArray[np.bool_]], float]] = {"auroc": roc_auc, "ap": average_precision}


@dataclass(frozen=True, kw_only=True, eq=False)
class Found:
    """A figure of several models of one kind.

    Attributes
    ----------
    values : ndarray of shape (models,)
    draws : ndarray of shape (draws,)
        The mean over the models on every resample of the patients.
    """

    values: Scores
    draws: Scores


def figure(metric: str, many: Sequence[Scores], test: TestImages, kept: npt.NDArray[np.bool_] | None = None) -> Found:
    """A figure of every model, and what resampling the patients does to their mean."""
    kept = np.ones(len(test.anomalous), bool) if kept is None else kept
    truth, patients = test.anomalous[kept], [name for name, stays in zip(test.patients, kept, strict=True) if stays]
    weights = subject_weights(len(set(patients)), rng=np.random.default_rng(0), draws=DRAWS)
    draws = []
    for scores in many:
        tally = tally_of_numbers(scores[kept], truth, patients)
        draws.append(tally.roc_auc(weights) if metric == "auroc" else tally.average_precision(weights))
    return Found(
        values=np.array([METRICS[metric](scores[kept], truth) for scores in many]), draws=np.mean(draws, axis=0)
    )
