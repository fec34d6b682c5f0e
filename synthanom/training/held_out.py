"""How thresholds do on subjects that they were not chosen on."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from synthanom.arrays import ImageArray, MaskArray
from synthanom.metrics import bootstrap_interval
from synthanom.training.config import CalibrationConfig
from synthanom.training.scored import Scored
from synthanom.training.thresholds import every_threshold

DRAWS = 1000
SEED = 0  # of the bootstrap
Counts = npt.NDArray[np.int64]
LEVELS = ("sample", "pixel")
Maps = Iterable[tuple[ImageArray, MaskArray]]


def held_out_checks(scored: Scored, settings: CalibrationConfig, again: Callable[[], Maps]) -> dict[str, Any] | None:
    """Choose thresholds on one half of the subjects, call the pictures of the other half, and the other way round.

    The thresholds that a model keeps are chosen on all validation subjects, so that there is nobody left to check them
    on; this checks the procedure, a little pessimistically, as each half has half the subjects.

    Parameters
    ----------
    scored : Scored
    settings : CalibrationConfig
    again : callable
        Gives map and labels of each picture once more, in order: what is called is counted picture by picture, at
        thresholds that are known only when all pictures were scored, and no map is kept.

    Returns
    -------
    dict or None
        ``subjects``, and for each rule (``"sample_f_beta"`` and so on) ``false_positive_rate``, ``sensitivity``,
        ``precision`` and ``f_beta``, each with ``value``, ``low`` and ``high``: 95 % intervals by bootstrap over
        subjects; for pixels the false-positive rate is that of healthy pictures' voxels. None with fewer than two
        subjects.
    """
    subjects = len(set(scored.subjects))
    if subjects < 2:
        return None
    chosen = [every_threshold(scored.half(number), settings) for number in (0, 1)]
    rules = [rule for rule in chosen[0] if rule not in LEVELS and rule in chosen[1]]
    cuts = {rule: [chosen[1 - half][rule] for half in scored.halves] for rule in rules}  # of the other half's pictures
    tables = {rule: np.zeros((len(scored.tasks), 5), np.int64) for rule in rules}
    anomalous = scored.anomalous
    for row, (found, labels) in enumerate(again()):
        for rule in rules:
            level = scored.score[row : row + 1] if rule.startswith("sample") else found
            truth = anomalous[row : row + 1] if rule.startswith("sample") else labels
            tables[rule][row] = _counts(level >= cuts[rule][row], truth, healthy=not anomalous[row])
    return {"subjects": subjects, **{rule: _figures(tables[rule], scored.subjects, settings.beta) for rule in rules}}


def _counts(called: MaskArray, truth: MaskArray, *, healthy: bool) -> list[int]:
    """True positives, false positives, false negatives; if it is healthy, false positives again and of how many."""
    hit, marked = int(np.count_nonzero(called & truth)), int(np.count_nonzero(truth))
    wrong = int(np.count_nonzero(called)) - hit
    return [hit, wrong, marked - hit, wrong if healthy else 0, truth.size if healthy else 0]


def _figures(table: Counts, subjects: tuple[str, ...], beta: float) -> dict[str, Any]:
    """Each figure with its interval; those that are undefined are left out."""

    def ratio(above: float, below: float) -> float:
        return above / below if below else float("nan")

    def figure(name: str, rows: Counts) -> float:
        hit, wrong, missed, healthy_wrong, healthy = (float(v) for v in table[rows].sum(axis=0))
        if name == "false_positive_rate":
            return ratio(healthy_wrong, healthy)
        if name == "sensitivity":
            return ratio(hit, hit + missed)
        if name == "precision":
            return ratio(hit, hit + wrong)
        return ratio((1 + beta**2) * hit, (1 + beta**2) * hit + wrong + beta**2 * missed)

    found = {}
    for name in ("false_positive_rate", "sensitivity", "precision", "f_beta"):
        interval = bootstrap_interval(partial(figure, name), subjects, rng=np.random.default_rng(SEED), draws=DRAWS)
        if not np.isnan([interval.value, interval.low, interval.high]).any():
            found[name] = {"value": interval.value, "low": interval.low, "high": interval.high}
    return found
