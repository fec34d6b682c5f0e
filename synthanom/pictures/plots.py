"""Lines to PNG: several plots side by side, as light as the charts they share colours with."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from synthanom.errors import SynthanomError
from synthanom.pictures.charts import COLOURS, RESOLUTION, colour_palette
from synthanom.pictures.png import palette_png

SIZE = (4.6, 3.9)  # inches of one plot
TOP, LEGEND_ROW, EACH_ROW = 0.45, 0.24, 3  # inches above the plots and for a row of the legend; names in a row
FEW = 3  # points of a line that are also marked
SHAPES = {"dot": "o", "star": "*"}
LOOKS = {"solid": "-", "dashed": (0, (4, 3)), "dotted": (0, (1, 2))}


@dataclass(frozen=True, kw_only=True, eq=False)
class Band:
    """An area around a line: its lowest and highest y at each x (n,)."""

    x: npt.NDArray[np.floating]
    low: npt.NDArray[np.floating]
    high: npt.NDArray[np.floating]


@dataclass(frozen=True, kw_only=True, eq=False)
class Line:
    """One line: x and y (n,), its name in the legend, which colour, how it is drawn, and the area around it."""

    name: str
    x: npt.NDArray[np.floating]
    y: npt.NDArray[np.floating]
    colour: int
    look: str = "solid"
    filled: bool = False
    band: Band | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Mark:
    """Something chosen: a point of some shape, or a vertical line where `y` is None, with words beside it."""

    words: str
    x: float
    y: float | None = None
    colour: int = 7
    look: str = "dotted"
    shape: Literal["dot", "star"] = "dot"


@dataclass(frozen=True, kw_only=True, eq=False)
class Plot:
    """Lines in one frame.

    Attributes
    ----------
    title, x, y : str
        Title and names of the axes.
    lines : tuple of Line
    marks : tuple of Mark
    limits : tuple or None
        Of both axes where they are known: ((low, high), (low, high)).
    logarithmic : bool
        The axis upwards.
    """

    title: str
    x: str
    y: str
    lines: tuple[Line, ...]
    marks: tuple[Mark, ...] = ()
    limits: tuple[tuple[float, float], tuple[float, float]] | None = None
    logarithmic: bool = False


def plots_picture(plots: Sequence[Plot], heading: str) -> bytes:
    """Draw the plots in a row as a PNG, with one legend at the foot for all.

    Raises
    ------
    SynthanomError
        If there is no plot.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if not plots:
        raise SynthanomError("a picture needs at least one plot, got none; evaluate maps whose truth is known")
    names = list(dict.fromkeys(line.name for plot in plots for line in plot.lines))
    in_row = max(1, EACH_ROW * len(plots) // 2 + 1)
    foot = 0.1 + LEGEND_ROW * -(-len(names) // in_row)
    width, height = len(plots) * SIZE[0], SIZE[1] + TOP + foot
    figure = Figure(figsize=(width, height), dpi=RESOLUTION, layout="constrained")
    figure.get_layout_engine().set(rect=(0.0, foot / height, 1.0, 1 - (TOP + foot) / height))  # type: ignore[union-attr, call-arg]
    canvas: Any = FigureCanvasAgg(figure)  # draws without a display
    figure.text(0.5, 1 - 0.5 * TOP / height, heading, ha="center", va="center", fontsize=12)
    handles: dict[str, Any] = {}
    for place, plot in enumerate(plots):
        handles = _draw(figure.add_subplot(1, len(plots), place + 1), plot) | handles
    places: dict[str, Any] = {"loc": "center", "bbox_to_anchor": (0.5, 0.5 * foot / height), "ncols": in_row}
    figure.legend([handles[name] for name in names], names, fontsize=9, frameon=False, **places)
    canvas.draw()
    return palette_png(np.asarray(canvas.buffer_rgba())[..., :3], colour_palette())


def _draw(axis: Any, plot: Plot) -> dict[str, Any]:
    """Draw one plot; what stands in the legend for each name."""
    axis.set_title(plot.title, fontsize=10, loc="left")
    axis.set_xlabel(plot.x, fontsize=9)
    axis.set_ylabel(plot.y, fontsize=9)
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    handles = {}
    for line in plot.lines:
        colour = COLOURS[line.colour % len(COLOURS)]
        few = line.look == "solid" and line.x.size <= FEW  # one point alone is no line
        look: dict[str, Any] = {
            "color": colour,
            "linewidth": 1.6,
            "linestyle": LOOKS[line.look],
            "marker": "." if few else None,
        }
        (handles[line.name],) = axis.plot(line.x, line.y, **look)
        if line.band is not None:
            axis.fill_between(line.band.x, line.band.low, line.band.high, color=colour, alpha=0.15, linewidth=0)
        if line.filled:
            axis.fill_between(line.x, 0, line.y, color=colour, alpha=0.15, linewidth=0)
    if plot.logarithmic:
        axis.set_yscale("log")
        axis.tick_params(which="both", labelsize=8)
    if plot.limits is not None:
        axis.set_xlim(*plot.limits[0])
        axis.set_ylim(*plot.limits[1])
    for number, mark in enumerate(plot.marks):
        _mark(axis, mark, number)
    return handles


def _mark(axis: Any, mark: Mark, number: int) -> None:
    colour = COLOURS[mark.colour % len(COLOURS)]
    if mark.y is not None:
        axis.plot([mark.x], [mark.y], SHAPES[mark.shape], color=colour, markersize=5)
        right = mark.x > 0.8 * axis.get_xlim()[1]
        look = {"fontsize": 8, "color": colour, "ha": "right" if right else "left"}
        shift = (-7 if right else 7, -3 if right else 3)
        axis.annotate(mark.words, (mark.x, mark.y), shift, textcoords="offset points", **look)
        return
    axis.axvline(mark.x, color=colour, linewidth=1.2, linestyle=LOOKS[mark.look])
    across = axis.get_xaxis_transform()
    right = mark.x > sum(axis.get_xlim()) / 2
    shift = (-3 if right else 3, -9 - 11 * (number % 4))
    look = {"fontsize": 8, "color": colour, "ha": "right" if right else "left"}
    axis.annotate(mark.words, (mark.x, 1.0), shift, xycoords=across, textcoords="offset points", **look)
