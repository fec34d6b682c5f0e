"""What calling everything from a cut on gets right and wrong, at every cut that makes a difference."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from synthanom.evaluation.rows import MODEL, ORACLE, Curve, CutRow, Evaluation
from synthanom.evaluation.truth import STORED_CUT

MOST_CUTS = 2000  # of one slider; more are thinned out evenly


@dataclass(frozen=True, kw_only=True)
class Calling:
    """Cuts, ascending, and how many anomalous and healthy ones score at least that much.

    Attributes
    ----------
    level, score : str
        As of `synthanom.evaluation.Row`.
    cuts : tuple of float or None
        The last is None: nothing is called.
    tp, fp : tuple of int
        Of each cut.
    positives, negatives : int
    chosen : mapping of str to int
        Place of each cut that was chosen before, by its name.
    """

    level: str
    score: str
    cuts: tuple[float | None, ...]
    tp: tuple[int, ...]
    fp: tuple[int, ...]
    positives: int
    negatives: int
    chosen: Mapping[str, int]

    @property
    def start(self) -> int:
        """Where a slider begins: at the cut in use, else another stored one, else the best on this truth."""
        names = [STORED_CUT, *(name for name in self.chosen if name != ORACLE), ORACLE]
        return next((self.chosen[name] for name in names if name in self.chosen), len(self.cuts) // 2)

    def to_dict(self) -> dict[str, Any]:
        """As the page's script reads it."""
        return {
            "level": self.level,
            "score": self.score,
            "cuts": list(self.cuts),
            "tp": list(self.tp),
            "fp": list(self.fp),
            "positives": self.positives,
            "negatives": self.negatives,
            "chosen": dict(self.chosen),
            "start": self.start,
        }


def calling(found: Evaluation, curve: Curve) -> Calling:
    """The cuts of one curve: its distinct scores or bins, and with their exact counts those that were chosen before.

    Parameters
    ----------
    found : Evaluation
    curve : Curve
        Of the model.
    """
    rows = [row for row in found.cuts if _is_of(row, curve) and np.isfinite(row.cut)]
    tp, fp = np.cumsum(curve.positives), np.cumsum(curve.negatives)
    counted = {float(cut): (int(t), int(f)) for cut, t, f in zip(curve.lowest, tp, fp, strict=True)}
    counted |= {row.cut: (int(row.counts["tp"]), int(row.counts["fp"])) for row in rows}
    cuts = _thinned(sorted(counted), [row.cut for row in rows])
    return Calling(
        level=curve.level,
        score=curve.score,
        cuts=(*cuts, None),
        tp=(*(counted[cut][0] for cut in cuts), 0),
        fp=(*(counted[cut][1] for cut in cuts), 0),
        positives=int(curve.positives.sum()),
        negatives=int(curve.negatives.sum()),
        chosen={row.chosen: cuts.index(row.cut) for row in rows},
    )


def callings(found: Evaluation) -> tuple[Calling, ...]:
    """Of every level and way of scoring where both classes are there, those of the model, whole images first."""
    curves = [curve for curve in found.curves if curve.maps == MODEL]
    return tuple(calling(found, curve) for curve in curves if curve.positives.any() and curve.negatives.any())


def _is_of(row: CutRow, curve: Curve) -> bool:
    return (row.level, row.score, row.maps) == (curve.level, curve.score, curve.maps)


def _thinned(cuts: Sequence[float], kept: Sequence[float]) -> list[float]:
    if len(cuts) <= MOST_CUTS:
        return list(cuts)
    places = np.linspace(0, len(cuts) - 1, MOST_CUTS).astype(int)
    return sorted({*(cuts[int(place)] for place in places), *kept})
