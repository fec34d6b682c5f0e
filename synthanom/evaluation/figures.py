"""The figures of an evaluation: curves, densities, the loss history, and maps over their scans."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from synthanom.evaluation.collect import STORED
from synthanom.evaluation.history import history_plot, read_history
from synthanom.evaluation.rows import MODEL, RANDOM, Curve, CutRow, Evaluation
from synthanom.pictures.plots import Line, Mark, Plot, plots_picture

FEWEST_BARS, MOST_BARS = 8, 40
LEAST = 0.01  # per cent, on the axis of pixels, most of which are alike
PREFERRED = (STORED, "top quarter", "")  # of the ways of aggregating, the first there is
CHANCE_COLOUR = 7
UNIT = ((0.0, 1.0), (0.0, 1.02))
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A picture by the name of its file."""

    name: str
    content: bytes


@dataclass(frozen=True, kw_only=True, eq=False)
class Plots:
    """Plots of one kind, one for each of the `levels`, by the name of their figure; what they show, in words."""

    name: str
    words: str
    levels: tuple[str, ...]
    plots: tuple[Plot, ...]


def curve_figures(found: Evaluation) -> Iterator[Figure]:
    """ROC, precision against recall, figures against the cut, and densities by class, a plot for each level."""
    about = f"{found.images} images of {found.subjects} subjects"
    for made in curve_plots(found):
        yield Figure(name=made.name, content=plots_picture(made.plots, f"{made.words}; {about}"))


def curve_plots(found: Evaluation) -> Iterator[Plots]:
    """What `curve_figures` draws; nothing where only one class is there."""
    levels = {level: list(curves) for level, curves in by_level(found)}
    if not levels:
        return
    kinds: tuple[tuple[str, Callable[[Evaluation, Sequence[Curve]], Plot], str], ...] = (
        ("roc", _roc, "how many are found at which price"),
        ("precision-recall", _precision_recall, "how many of those called are right"),
        ("cuts", _against_cut, "the model's figures against the cut"),
        ("densities", _density, "the model's scores by class, medians dashed"),
    )
    for name, make, words in kinds:
        plots = tuple(make(found, curves) for curves in levels.values())
        yield Plots(name=name, words=words, levels=tuple(levels), plots=plots)


def by_level(found: Evaluation) -> Iterator[tuple[str, tuple[Curve, ...]]]:
    """For each level the curves of all maps, the model's first; left out where only one class is there."""
    for level in ("sample", "slice", "pixel"):
        chosen = []
        for maps in dict.fromkeys(curve.maps for curve in found.curves):
            ways = {c.score: c for c in found.curves if c.level == level and c.maps == maps}
            chosen += [ways[score] for score in PREFERRED if score in ways][:1]
        if chosen and chosen[0].positives.sum() and chosen[0].negatives.sum():
            yield level, tuple(chosen)


def history_figure(run: Path) -> Figure:
    """Losses of training and validation against the step.

    Raises
    ------
    SynthanomError
        No history in the run folder.
    """
    plot = history_plot(read_history(run), run.resolve().name)
    return Figure(name="history", content=plots_picture([plot], "loss history"))


def _roc(found: Evaluation, curves: Sequence[Curve]) -> Plot:
    lines = [Line(name=RANDOM, x=np.array([0.0, 1]), y=np.array([0.0, 1]), colour=CHANCE_COLOUR, look="dotted")]
    for number, curve in enumerate(curves):
        rates = [np.concatenate([[0.0], np.cumsum(c) / c.sum()]) for c in (curve.negatives, curve.positives)]
        lines.append(Line(name=curve.maps, x=rates[0], y=rates[1], colour=number, look=_look(number)))
    marks = [_point(c, 1 - c.figures["specificity"].value, c.figures["recall"].value) for c in _cuts(found, curves[0])]
    return Plot(
        title=_title(curves[0]), x="false-positive rate", y="recall", lines=tuple(lines), marks=tuple(marks),
        limits=((0.0, 1.0), (0.0, 1.02)),
    )  # fmt: skip


def _precision_recall(found: Evaluation, curves: Sequence[Curve]) -> Plot:
    share = curves[0].positives.sum() / (curves[0].positives.sum() + curves[0].negatives.sum())
    lines = [Line(name=RANDOM, x=np.array([0.0, 1]), y=np.full(2, share), colour=CHANCE_COLOUR, look="dotted")]
    for number, curve in enumerate(curves):
        precision, recall, _ = _figures(curve, found.choices.beta)
        lines.append(Line(name=curve.maps, x=recall, y=precision, colour=number, look=_look(number)))
    marks = [_point(c, c.figures["recall"].value, c.figures["precision"].value) for c in _cuts(found, curves[0])]
    return Plot(
        title=_title(curves[0]), x="recall", y="precision", lines=tuple(lines), marks=tuple(marks), limits=UNIT,
    )  # fmt: skip


def _against_cut(found: Evaluation, curves: Sequence[Curve]) -> Plot:
    names = ("precision", "recall", f"F{found.choices.beta:g}")
    values = _figures(curves[0], found.choices.beta)
    lines = [
        Line(name=name, x=curves[0].lowest, y=y, colour=number)
        for number, (name, y) in enumerate(zip(names, values, strict=True))
    ]
    low, high = _range(curves[0])
    cuts = [c for c in _cuts(found, curves[0]) if c.cut is not None]
    marks = [Mark(words=f"{c.chosen} {c.cut:.3g}", x=c.cut, look="dashed") for c in cuts]
    low, high = min([low, *(c.cut for c in cuts)]), max([high, *(c.cut for c in cuts)])
    return Plot(
        title=_title(curves[0]), x="cut", y="figure at the cut", lines=tuple(lines), marks=tuple(marks),
        limits=((low, high), UNIT[1]),
    )  # fmt: skip


def _density(found: Evaluation, curves: Sequence[Curve]) -> Plot:
    curve = curves[0]
    count = float(curve.positives.sum() + curve.negatives.sum())
    bars = int(np.clip(2 * count ** (1 / 3), FEWEST_BARS, MOST_BARS))
    edges = np.linspace(*_range(curve), bars + 1)
    middles = (edges[1:] + edges[:-1]) / 2
    lines, marks = [], []
    for number, (name, counts) in enumerate((("healthy", curve.negatives), ("anomalous", curve.positives))):
        share = np.histogram(np.clip(curve.lowest, edges[0], edges[-1]), edges, weights=counts)[0] / counts.sum()
        lines.append(Line(name=name, x=middles, y=100 * share, colour=number, filled=True))
        median = _median(curve.lowest, counts)
        marks.append(Mark(words=f"median {median:.3g}", x=median, colour=number, look="dashed"))
    pixels = curve.level == "pixel"
    top = (10 if pixels else 1.25) * max(float(line.y.max()) for line in lines)
    return Plot(
        title=_title(curve), x="score", y="share of the class, %", lines=tuple(lines), marks=tuple(marks),
        limits=((float(edges[0]), float(edges[-1])), (LEAST if pixels else 0.0, top)),
        logarithmic=pixels,
    )  # fmt: skip


def _figures(curve: Curve, beta: float) -> tuple[Floats, Floats, Floats]:
    """Precision, recall and F of calling each bin and all above."""
    true, false = np.cumsum(curve.positives), np.cumsum(curve.negatives)
    total = true[-1]
    called = np.maximum(true + false, 1)
    score = (1 + beta**2) * true / ((1 + beta**2) * true + beta**2 * (total - true) + false)
    return true / called, true / total, score


def _range(curve: Curve) -> tuple[float, float]:
    """From near the lowest to near the highest score: of many, a few strays do not stretch the axis."""
    every = curve.positives + curve.negatives
    low = _quantile(curve.lowest, every, 0.001)
    high = max(_quantile(curve.lowest, every, 0.999), _quantile(curve.lowest, curve.positives, 0.99))
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _median(lowest: Floats, counts: Floats) -> float:
    return _quantile(lowest, counts, 0.5)


def _quantile(lowest: Floats, counts: Floats, share: float) -> float:
    """Of scores counted per bin, bins from the highest down."""
    below = np.cumsum(counts[::-1]) / counts.sum()
    return float(lowest[::-1][min(int(np.searchsorted(below, share)), lowest.size - 1)])


def _cuts(found: Evaluation, curve: Curve) -> list[CutRow]:
    place = (curve.level, curve.score, MODEL)
    return [row for row in found.cuts if (row.level, row.score, row.maps) == place]


def _point(row: CutRow, x: float, y: float) -> Mark:
    return Mark(words=f"{row.chosen}", x=x, y=y)


def _look(number: int) -> str:
    return "solid" if number < 8 else "dashed"


def _title(curve: Curve) -> str:
    return f"{curve.level}s" + (f": {curve.score}" if curve.score else "")
