"""How often healthy pictures are called, and how good F-beta is, at cuts over the whole range of scores."""

from typing import Any

import numpy as np
import numpy.typing as npt

from synthanom.metrics.cuts import confusions_of_counts
from synthanom.metrics.pixels import Counts
from synthanom.training.config import CalibrationConfig
from synthanom.training.scored import Scored

POINTS = 60  # cuts spread evenly over the scores' values, and as many over their ranks


def threshold_curves(scored: Scored, settings: CalibrationConfig) -> dict[str, Any]:
    """Curves to choose a cut by, of ``"sample"`` and ``"pixel"``.

    Parameters
    ----------
    scored : Scored
    settings : CalibrationConfig
        Of which `beta` is used.

    Returns
    -------
    dict
        By level ``cut``, ascending, and of calling scores of at least that much ``false_positive_rate`` on healthy
        pictures and ``f_beta`` on all: lists of one length. A level without healthy or without anomalous pictures is
        left out.
    """
    values, place = np.unique(scored.score, return_inverse=True)
    counts = np.zeros((values.size, 2), np.int64)
    np.add.at(counts, (place, scored.anomalous.astype(np.int64)), 1)
    levels: dict[str, tuple[npt.NDArray[np.floating[Any]], Counts, npt.NDArray[np.int64]]] = {
        "sample": (values, counts, counts[:, 0]),
        "pixel": (scored.voxels.lowest, scored.voxel_counts(), scored.voxel_counts(None).sum(axis=1)),
    }
    return {
        level: _curve(lowest, both, healthy, settings.beta)
        for level, (lowest, both, healthy) in levels.items()
        if healthy.any() and both[:, 1].any()
    }


def _curve(
    lowest: npt.NDArray[np.floating[Any]], counts: Counts, healthy: npt.NDArray[np.int64], beta: float
) -> dict[str, list[float]]:
    even = np.searchsorted(lowest, np.linspace(lowest[0], lowest[-1], POINTS))
    ranks = np.linspace(0, lowest.size - 1, POINTS).round().astype(np.int64)
    places = np.unique(np.concatenate([even, ranks]))
    above = np.cumsum(healthy[::-1])[::-1] / healthy.sum()
    return {
        "cut": lowest[places].astype(np.float64).tolist(),
        "false_positive_rate": above[places].tolist(),
        "f_beta": confusions_of_counts(counts).f_beta(beta)[places].tolist(),
    }
