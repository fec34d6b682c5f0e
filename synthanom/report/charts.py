"""The charts of `synthanom.pictures` as inline SVG, whose colours are those of the page, light or dark."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from synthanom.pictures.charts import COLOURS, Chart
from synthanom.pictures.plots import FEW, Plot
from synthanom.report.axes import Axis, span
from synthanom.report.rendering import filled

WIDTH, HEIGHT = 352.0, 196.0  # of the frame in units of the drawing
LEFT, RIGHT, TOP, BOTTOM = 58.0, 14.0, 10.0, 48.0  # around it
BAR = 0.7  # share of its place that a column takes
SIDE = 0.6  # of the frame: marks beyond have their words on the left
Floats = npt.NDArray[np.float64]


def chart_svg(chart: Chart) -> Markup:
    """A step histogram or stacked columns, with a legend below where there are several series."""
    if chart.columns is not None:
        return _columns(chart, chart.columns)
    edges = [np.asarray(series.edges, dtype=np.float64) for series in chart.series if series.edges is not None]
    low, high = span(edges, room=0.0)
    across = Axis(low=low, high=high, length=WIDTH, logarithmic=chart.logarithmic)
    up = _up([np.asarray(series.counts, dtype=np.float64) for series in chart.series])
    shapes = []
    for number, series in enumerate(chart.series):
        if series.edges is None:
            continue
        places, heights = across.places(series.edges), up.places(series.counts)
        steps = [(place, height) for (a, b), height in zip(pairwise(places), heights, strict=True) for place in (a, b)]
        outline = [(places[0], up.length), *steps, (places[-1], up.length)]
        shapes.append({"look": f"curve {_colour(number)}", "d": _path(outline)})
    return _drawing(chart.title, (chart.x, across), (chart.y, up), shapes, names=_names(chart))


def plot_svg(plot: Plot) -> Markup:
    """Lines in one frame, with marked points or values, and a legend below where there are several names."""
    xs, ys = ([np.asarray(getattr(line, axis), dtype=np.float64) for line in plot.lines] for axis in "xy")
    if plot.limits is not None:
        (left, right), (low, high) = plot.limits
    else:
        (left, right), (low, high) = span(xs, room=0.0), span([y[y > 0] for y in ys] if plot.logarithmic else ys)
    if plot.logarithmic:
        low = max(low, 1e-12)
    across = Axis(low=left, high=right, length=WIDTH)
    up = Axis(low=low, high=high, length=HEIGHT, logarithmic=plot.logarithmic, upwards=True)
    shapes, dots = [], []
    for line, x, y in zip(plot.lines, xs, ys, strict=True):
        points = list(zip(across.places(x), up.places(y), strict=True))
        if line.filled:
            foot = up.length
            closed = [(points[0][0], foot), *points, (points[-1][0], foot)] if points else []
            shapes.append({"look": f"area {_colour(line.colour)}", "d": _path(closed)})
        if line.band is not None:
            edges = [(line.band.x, line.band.low), (line.band.x[::-1], line.band.high[::-1])]
            around = [p for a, b in edges for p in zip(across.places(a), up.places(b), strict=True)]
            shapes.append({"look": f"area {_colour(line.colour)}", "d": _path(around)})
        shapes.append({"look": f"curve {line.look} {_colour(line.colour)}", "d": _path(points)})
        if x.size <= FEW:  # one point alone is no line
            dots += [{"x": a, "y": b, "look": _colour(line.colour)} for a, b in points]
    names = {line.name: f"{line.look} {_colour(line.colour)}" for line in plot.lines}
    marks = [_mark(mark, across, up, number) for number, mark in enumerate(plot.marks)]
    return _drawing(plot.title, (plot.x, across), (plot.y, up), shapes, names=names, dots=dots, marks=marks)


def _columns(chart: Chart, columns: Sequence[str]) -> Markup:
    counts = [np.asarray(series.counts, dtype=np.float64) for series in chart.series]
    up = _up([np.sum(counts, axis=0)] if counts else [])
    wide = WIDTH / max(1, len(columns))
    bars, below = [], np.zeros(len(columns))
    for number, heights in enumerate(counts):
        tops, feet, look = up.places(below + heights), up.places(below), _colour(number)
        bars += [
            {"x": (k + (1 - BAR) / 2) * wide, "y": top, "width": BAR * wide, "height": foot - top, "look": look}
            for k, (top, foot) in enumerate(zip(tops.tolist(), feet.tolist(), strict=True))
            if foot > top
        ]  # fmt: skip
        below = below + heights
    ticks = [((k + 0.5) * wide, name) for k, name in enumerate(columns)]
    return _drawing(chart.title, (chart.x, ticks), (chart.y, up), [], names=_names(chart), bars=bars)


def _up(counts: list[Floats]) -> Axis:
    low, high = span(counts, floor=0.0)
    return Axis(low=low, high=high, length=HEIGHT, upwards=True)


def _names(chart: Chart) -> dict[str, str]:
    return {series.name: f"solid {_colour(number)}" for number, series in enumerate(chart.series)}


def _mark(mark: Any, across: Axis, up: Axis, number: int) -> dict[str, Any]:
    x = float(across.places(mark.x))
    y = None if mark.y is None else float(up.places(mark.y))
    left = x > SIDE * WIDTH
    return {
        "x": x, "y": y, "words": mark.words, "look": f"{mark.look} {_colour(mark.colour)}", "shape": mark.shape,
        "anchor": "end" if left else "start", "shift": -6 if left else 6, "down": 12 + 14 * (number % 4),
    }  # fmt: skip


def _drawing(
    title: str,
    x: tuple[str, Axis | list[tuple[float, str]]],
    y: tuple[str, Axis],
    shapes: Sequence[dict[str, str]],
    *,
    names: dict[str, str],
    bars: Sequence[dict[str, Any]] = (),
    dots: Sequence[dict[str, Any]] = (),
    marks: Sequence[dict[str, Any]] = (),
) -> Markup:
    around = {"left": LEFT, "right": RIGHT, "top": TOP, "bottom": BOTTOM, "width": WIDTH, "height": HEIGHT}
    return filled(
        "chart.html",
        title=title, x_name=x[0], y_name=y[0], shapes=shapes, names=names, bars=bars, dots=dots, marks=marks,
        x_ticks=list(x[1].ticks()) if isinstance(x[1], Axis) else x[1], y_ticks=list(y[1].ticks()), frame=around,
    )  # fmt: skip


def _colour(number: int) -> str:
    return f"c{number % len(COLOURS)}"


def _path(points: Sequence[tuple[float, float]]) -> str:
    """Straight lines through the points, without those within a tenth of a unit of the one before."""
    written: list[str] = []
    for x, y in points:
        place = f"{x:.1f} {y:.1f}"
        if np.isfinite(x) and np.isfinite(y) and (not written or place != written[-1]):
            written.append(place)
    return "M" + "L".join(written) if written else ""
