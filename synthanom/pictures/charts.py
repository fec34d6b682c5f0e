"""Counts to PNG: step histograms and stacked columns side by side, in colours that all charts share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from synthanom.errors import SynthanomError
from synthanom.pictures.png import palette_png

# Okabe and Ito's, told apart by nearly everybody
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8a7b00", "#444444")
RESOLUTION = 110.0  # dots per inch
SIZE = (5.0, 3.4)  # inches of one chart
TOP, BOTTOM = 0.5, 0.5  # inches above and below the charts
SHADES = 20  # of every colour, and 64 greys, for smooth edges


@dataclass(frozen=True, kw_only=True, eq=False)
class Series:
    """One line of a step histogram, or one layer of columns.

    Attributes
    ----------
    name : str
    counts : ndarray of shape (n,)
    edges : ndarray of shape (n + 1,), or None
        None for columns.
    """

    name: str
    counts: npt.NDArray[np.floating] | npt.NDArray[np.integer]
    edges: npt.NDArray[np.floating] | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Chart:
    """A step histogram, or stacked columns where `columns` names them.

    Attributes
    ----------
    title, x, y : str
        Title and names of the axes.
    series : tuple of Series
    columns : tuple of str or None
    logarithmic : bool
        The axis to the right.
    own_legend : bool
        The series are not those that the other charts share.
    """

    title: str
    x: str
    y: str
    series: tuple[Series, ...]
    columns: tuple[str, ...] | None = None
    logarithmic: bool = False
    own_legend: bool = False


def charts_picture(charts: Sequence[Chart], heading: str) -> bytes:
    """Draw the charts, two in a row, as a PNG; the legend that they share is at the foot.

    Parameters
    ----------
    charts : sequence of Charts
    heading : str

    Returns
    -------
    bytes
        Of the PNG.

    Raises
    ------
    SynthanomError
        If there is no chart.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if not charts:
        raise SynthanomError("a picture needs at least one chart, got none; describe a data set that holds images")
    columns, rows = min(2, len(charts)), -(-len(charts) // 2)
    width, height = columns * SIZE[0], rows * SIZE[1] + TOP + BOTTOM
    figure = Figure(figsize=(width, height), dpi=RESOLUTION, layout="constrained")
    figure.get_layout_engine().set(rect=(0.0, BOTTOM / height, 1.0, 1 - (TOP + BOTTOM) / height), hspace=0.08)  # type: ignore[union-attr, call-arg]
    canvas: Any = FigureCanvasAgg(figure)  # draws without a display
    figure.text(0.5, 1 - 0.5 * TOP / height, heading, ha="center", va="center", fontsize=12)
    for place, chart in enumerate(charts):
        _draw(figure.add_subplot(rows, columns, place + 1), chart)
    _shared_legend(figure, charts, 0.5 * BOTTOM / height)
    canvas.draw()
    return palette_png(np.asarray(canvas.buffer_rgba())[..., :3], colour_palette())


def _draw(axis: Any, chart: Chart) -> None:
    axis.set_title(chart.title, fontsize=10, loc="left")
    axis.set_xlabel(chart.x, fontsize=9)
    axis.set_ylabel(chart.y, fontsize=9)
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    below = np.zeros(0 if chart.columns is None else len(chart.columns))
    for number, series in enumerate(chart.series):
        colour = COLOURS[number % len(COLOURS)]
        if chart.columns is not None:
            axis.bar(range(len(chart.columns)), series.counts, 0.7, below, color=colour, label=series.name)
            below = below + series.counts
        elif series.edges is not None:
            axis.stairs(series.counts, series.edges, color=colour, linewidth=1.6, label=series.name)
    if chart.columns is not None:
        axis.set_xticks(range(len(chart.columns)), chart.columns)
        beside = max(0.6, 2 - len(chart.columns) / 2)  # one or two columns do not become walls
        axis.set_xlim(-beside, len(chart.columns) - 1 + beside)
    if chart.logarithmic:
        axis.set_xscale("log")
    axis.set_ylim(bottom=0)
    if chart.own_legend and len(chart.series) > 1:
        axis.legend(fontsize=8, frameon=False)


def _shared_legend(figure: Any, charts: Sequence[Chart], middle: float) -> None:
    for axis, chart in zip(figure.axes, charts, strict=True):
        if not chart.own_legend and chart.series:
            handles, names = axis.get_legend_handles_labels()
            places = {"loc": "center", "bbox_to_anchor": (0.5, middle), "ncols": min(8, len(names))}
            figure.legend(handles, names, fontsize=9, frameon=False, **places)
            return


def colour_palette() -> npt.NDArray[np.uint8]:
    """Greys, and every colour mixed with white: what smooth edges take. RGB (n, 3)."""
    from matplotlib.colors import to_rgb

    colours = [np.full(3, v) for v in np.linspace(0, 1, 64)]
    for colour in COLOURS:
        colours += [
            share * np.array(to_rgb(colour)) + (1 - share) for share in np.linspace(1, 0, SHADES, endpoint=False)
        ]
    return np.asarray(np.rint(255 * np.array(colours)), dtype=np.uint8)
