"""Where the ROC and precision-recall curves of whole images lie on 95 % of the resamples of subjects."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from synthanom.evaluation.ranking import resamples
from synthanom.evaluation.rows import SampleScore
from synthanom.metrics import tally_of_numbers
from synthanom.metrics.intervals import LEVEL
from synthanom.pictures.plots import Band

POINTS = 101
CELLS = 2**22  # resamples times thresholds that are held at a time
Floats = npt.NDArray[np.float64]


def curve_bands(samples: Sequence[SampleScore], way: str, seed: int) -> dict[str, Band]:
    """Bands around the curves ``roc`` and ``precision-recall``, on the resamples that the evaluation drew.

    At a false-positive rate the recall that is reached, at a recall the precision of the highest cut that reaches it.
    Resamples without one of the classes are left out.

    Parameters
    ----------
    samples : sequence of SampleScore
        Of both classes.
    way : str
        Which of their scores.
    seed : int
        Of the evaluation.
    """
    scores = np.array([sample.scores[way] for sample in samples])
    truth = np.array([sample.anomalous for sample in samples])
    tally = tally_of_numbers(scores, truth, [sample.subject for sample in samples])
    weights = resamples(len(tally.subjects), seed)
    grid = np.linspace(0, 1, POINTS)
    wanted = np.maximum(grid, 1e-9) - 1e-12  # at 0 the highest cut that finds anything; the rest is rounding
    found: dict[str, list[Floats]] = {"roc": [], "precision-recall": []}
    step = max(1, CELLS // tally.tied.size)
    for start in range(0, len(weights), step):
        part = weights[start : start + step]
        positives, negatives = (np.cumsum(part @ counts, axis=1) for counts in (tally.positives, tally.negatives))
        for true, false in zip(positives, negatives, strict=True):
            if true[-1] and false[-1]:
                recall = true / true[-1]
                found["roc"].append(np.interp(grid, np.append(0, false / false[-1]), np.append(0, recall)))
                place = np.minimum(np.searchsorted(recall, wanted), recall.size - 1)
                found["precision-recall"].append((true / np.maximum(true + false, 1))[place])
    ends = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    bands = {}
    for name, lines in found.items():
        if lines:
            low, high = np.quantile(np.array(lines), ends, axis=0)
            bands[name] = Band(x=grid, low=low, high=high)
    return bands
