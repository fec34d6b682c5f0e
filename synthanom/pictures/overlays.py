"""Images with score maps over them and the truth's contour, to PNG."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from synthanom.arrays import ImageArray, MaskArray
from synthanom.errors import SynthanomError
from synthanom.pictures.png import MARK

SIDE, STRIP, TOP, FOOT = 1.9, 0.36, 0.45, 0.5  # inches: of a picture, of its title, above and below all
RESOLUTION = 110.0  # dots per inch
CONTOUR, MAP_COLOURS = "#ff2020", "inferno"
WINDOW = (0.5, 99.5)  # percentiles of the image that become black and white
OPAQUE = 0.75  # of the highest scores


@dataclass(frozen=True, kw_only=True, eq=False)
class Overlay:
    """One picture, upright.

    Attributes
    ----------
    title : str
    image : ndarray of shape (Y, X), or None
        None shows the map alone.
    scores : ndarray of shape (Y, X)
    truth : ndarray of shape (Y, X), bool, or None
        Its outline is drawn.
    aspect : float
        Height of a pixel over its width.
    """

    title: str
    image: ImageArray | None
    scores: ImageArray
    truth: MaskArray | None
    aspect: float = 1.0


def overlays_picture(overlays: Sequence[Overlay], heading: str, *, columns: int = 4) -> bytes:
    """Draw pictures in pairs, the image above the same with its map, as a PNG; all maps share one scale.

    Raises
    ------
    SynthanomError
        If there is no picture.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if not overlays:
        raise SynthanomError("a picture needs at least one map, got none")
    columns = min(columns, len(overlays))
    rows = -(-len(overlays) // columns)
    width, height = columns * SIDE + 0.2, rows * (2 * SIDE + STRIP) + TOP + FOOT
    figure = Figure(figsize=(max(width, 5.0), height), dpi=RESOLUTION)
    canvas: Any = FigureCanvasAgg(figure)  # draws without a display
    figure.text(0.5, 1 - 0.5 * TOP / height, heading, ha="center", va="center", fontsize=11)
    low, high = _scale(overlays)
    left = (figure.get_figwidth() - columns * SIDE) / 2
    for number, overlay in enumerate(overlays):
        row, column = divmod(number, columns)
        top = height - TOP - row * (2 * SIDE + STRIP) - STRIP
        axes = [
            figure.add_axes(
                ((left + column * SIDE + 0.02) / figure.get_figwidth(), (top - (k + 1) * SIDE + 0.02) / height,
                 (SIDE - 0.04) / figure.get_figwidth(), (SIDE - 0.04) / height)
            )
            for k in range(2)
        ]  # fmt: skip
        _draw(axes, overlay, (low, high))
    _colour_bar(figure, (low, high), height)
    buffer = io.BytesIO()
    canvas.print_png(buffer, metadata={"Software": MARK})
    return buffer.getvalue()


def _scale(overlays: Sequence[Overlay]) -> tuple[float, float]:
    values = np.concatenate([overlay.scores.ravel() for overlay in overlays])
    low, high = float(min(0.0, values.min())), float(np.percentile(values, 99.9))
    return low, high if high > low else low + 1


def _draw(axes: Sequence[Any], overlay: Overlay, scale: tuple[float, float]) -> None:
    shown: npt.NDArray[Any] = overlay.scores if overlay.image is None else overlay.image
    low, high = (float(v) for v in np.percentile(shown, WINDOW))
    grey = {"cmap": "gray", "vmin": low, "vmax": high if high > low else low + 1, "aspect": overlay.aspect}
    strength = np.clip((overlay.scores - scale[0]) / (scale[1] - scale[0]), 0, 1)
    for number, axis in enumerate(axes):
        axis.set_axis_off()
        axis.imshow(shown, **grey)
        if number == 1:
            axis.imshow(overlay.scores, cmap=MAP_COLOURS, vmin=scale[0], vmax=scale[1], aspect=overlay.aspect,
                        alpha=OPAQUE * np.sqrt(strength) if overlay.image is not None else 1.0)  # fmt: skip
        if overlay.truth is not None and overlay.truth.any():
            # with a margin, so that what touches the border is closed there
            framed = np.pad(overlay.truth.astype(np.float32), 1)
            ys, xs = np.arange(-1, framed.shape[0] - 1), np.arange(-1, framed.shape[1] - 1)
            axis.contour(xs, ys, framed, [0.5], colors=CONTOUR, linewidths=0.9)
            axis.set_xlim(-0.5, shown.shape[1] - 0.5)
            axis.set_ylim(shown.shape[0] - 0.5, -0.5)
    axes[0].set_title(overlay.title, fontsize=7.5, pad=3)


def _colour_bar(figure: Any, scale: tuple[float, float], height: float) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    axis = figure.add_axes((0.3, 0.55 * FOOT / height, 0.4, 0.12 / height))
    bar = figure.colorbar(ScalarMappable(Normalize(*scale), MAP_COLOURS), cax=axis, orientation="horizontal")
    bar.ax.tick_params(labelsize=7, length=2)
    figure.text(0.29, 0.75 * FOOT / height, "score", ha="right", va="center", fontsize=8)
    figure.text(0.71, 0.75 * FOOT / height, "truth outlined in red", ha="left", va="center", fontsize=8)
