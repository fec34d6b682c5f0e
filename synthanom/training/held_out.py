"""How thresholds do on subjects that they were not chosen on."""

import hashlib
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from synthanom.metrics import bootstrap_interval
from synthanom.training.config import CalibrationConfig
from synthanom.training.scored import Scored
from synthanom.training.thresholds import every_threshold

DRAWS = 1000
SEED = 0  # of the bootstrap
Counts = npt.NDArray[np.int64]
LEVELS = ("sample", "pixel")


def held_out_checks(scored: Scored, settings: CalibrationConfig) -> dict[str, Any] | None:
    """Choose thresholds on one half of the subjects, call the pictures of the other half, and the other way round.

    The thresholds that a model keeps are chosen on all validation subjects, so that there is nobody left to check them
    on; this checks the procedure, a little pessimistically, as each half has half the subjects.

    Returns
    -------
    dict or None
        ``subjects``, and for each rule (``"sample_f_beta"`` and so on) ``false_positive_rate``, ``sensitivity``,
        ``precision`` and ``f_beta``, each with ``value``, ``low`` and ``high``: 95 % intervals by bootstrap over
        subjects; for pixels the false-positive rate is that of healthy pictures' voxels. None with fewer than two
        subjects.
    """
    names = sorted(set(scored.subjects), key=lambda name: hashlib.sha256(name.encode()).digest())
    if len(names) < 2:
        return None
    halves = (set(names[::2]), set(names[1::2]))
    counts: dict[str, Counts] = {}
    for chosen, other in (halves, halves[::-1]):
        rows = scored.rows(other)
        for rule, threshold in every_threshold(scored.taken(scored.rows(chosen)), settings).items():
            if rule not in LEVELS:
                table = counts.setdefault(rule, np.full((len(scored.tasks), 5), -1, dtype=np.int64))
                table[rows] = _counts(scored.taken(rows), rule, threshold)
    checks = {
        rule: _figures(table, scored.subjects, settings.beta) for rule, table in counts.items() if (table >= 0).all()
    }
    return {"subjects": len(names), **checks}


def _counts(scored: Scored, rule: str, threshold: float) -> Counts:
    """Per picture: true positives, false positives, false negatives, false positives on healthy ones, of how many."""
    if rule.startswith("sample"):
        called, truth = (scored.score >= threshold)[:, None], scored.anomalous[:, None]
    else:
        called, truth = scored.maps >= threshold, scored.labels
    healthy = ~scored.anomalous
    wrong = np.count_nonzero(called & ~truth, axis=1)
    columns = [
        np.count_nonzero(called & truth, axis=1),
        wrong,
        np.count_nonzero(~called & truth, axis=1),
        wrong * healthy,
        truth.shape[1] * healthy,
    ]
    return np.stack(columns, axis=1).astype(np.int64)


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
