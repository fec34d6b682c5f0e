"""Panels side by side whose slices a slider moves together: each panel is one PNG with its slices below one another."""

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from synthanom.arrays import ImageArray
from synthanom.pictures.png import indexed_png
from synthanom.pictures.views import Plane, Point

LEVELS = 96  # colours of a panel: more cost bytes and are not told apart
THICK = 1.5  # times the next spacing: slices are then cut across the thick axis
NAMES = {0: "axial", 1: "coronal", 2: "sagittal"}  # of the axis (Z, Y, X) that is cut
# longest side in pixels and most slices, of pictures and of volumes: the first within the bytes allowed is taken
PICTURES = ((512, 1), (384, 1), (256, 1), (160, 1), (96, 1))
VOLUMES = ((176, 24), (144, 24), (112, 20), (80, 16), (56, 12))


@dataclass(frozen=True, kw_only=True, eq=False)
class Layer:
    """What one panel shows.

    Attributes
    ----------
    name, words : str
        Below the panel.
    alt : str
        For those who do not see it.
    values : ndarray of shape (*S), float32
        Upright, as `synthanom.pictures.shown.turned` gives it.
    limits : (float, float)
        The values of the first and the last colour.
    colours : str
        A colour map of matplotlib.
    marked : bool
        Whether the line and the stars are drawn over it.
    """

    name: str
    alt: str
    values: ImageArray
    limits: tuple[float, float]
    colours: str
    words: str = ""
    marked: bool = False


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A panel as the page holds it: `source` is a data URI, the rest as in `Layer`."""

    name: str
    words: str
    alt: str
    source: str
    marked: bool


@dataclass(frozen=True, kw_only=True)
class Star:
    """A marked point: from the left and from the top in heights of the panel, and the slice that it is next to."""

    x: float
    y: float
    slice: int


@dataclass(frozen=True, kw_only=True)
class Viewer:
    """What the macro `viewer` shows.

    Attributes
    ----------
    panels : tuple of Panel
    axis : str
        Across which the slices are cut, in words.
    numbers : tuple of int
        Of the slices in the panels, counted from 1 in the whole upright image; a picture has one.
    total : int
        Slices of the whole image.
    first : int
        Which slice is seen first, an index to `numbers`.
    ratio : float
        Width of a panel over its height, in mm.
    line : pair of points or None
        Ends in heights of the panel.
    stars : tuple of Star
    """

    panels: tuple[Panel, ...]
    axis: str
    numbers: tuple[int, ...]
    total: int
    first: int
    ratio: float
    line: tuple[tuple[float, float], tuple[float, float]] | None
    stars: tuple[Star, ...]

    @property
    def characters(self) -> int:
        """How much the panels take of the page."""
        return sum(len(panel.source) for panel in self.panels)


@dataclass(frozen=True, kw_only=True, eq=False)
class Cuts:
    """Where the layers are cut.

    Attributes
    ----------
    plane : Plane
        The cut that is seen first, of an upright image.
    wanted : range
        Slices worth showing, of the axis that is cut.
    before : int
        Slices of the whole image in front of the layers' first.
    total : int
        Slices of the whole image.
    line : pair of points or None
    stars : sequence of points
        Image coordinates.
    """

    plane: Plane
    wanted: range
    before: int = 0
    total: int = 1
    line: tuple[Point, Point] | None = None
    stars: Sequence[Point] = ()


def sliding_plane(planes: Sequence[Plane]) -> Plane:
    """The plane to move through a volume: axial, or across an axis whose voxels are much longer than the others'."""
    if len(planes) == 1:
        return planes[0]
    spacing = planes[0].spacing
    thick = int(np.argmax(spacing))
    axis = thick if spacing[thick] > THICK * sorted(spacing)[-2] else 0
    return next(plane for plane in planes if plane.axis == axis)


def viewer(layers: Sequence[Layer], cuts: Cuts, allowed: int) -> Viewer:
    """Cut the layers and encode them, as large as `allowed` bytes of the page admit.

    The smallest size is taken whatever it needs: at most 56 x 56 x 12 colours a panel, 96 x 96 of pictures.
    """
    made = None
    for side, most in PICTURES if cuts.plane.axis is None else VOLUMES:
        made = _viewer(layers, cuts, side, most)
        if made.characters <= allowed:
            break
    assert made is not None
    return made


def data_uri(png: bytes) -> str:
    """A PNG as the source of a picture."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _viewer(layers: Sequence[Layer], cuts: Cuts, side: int, most: int) -> Viewer:
    plane, shape = cuts.plane, layers[0].values.shape
    chosen = _spread(cuts.wanted, plane.index, most)
    width, height = plane.extent(shape)
    panels = tuple(
        Panel(
            name=layer.name,
            words=layer.words,
            alt=layer.alt,
            source=_strip(layer, plane, chosen, side),
            marked=layer.marked,
        )
        for layer in layers
    )

    def place(point: Point) -> tuple[float, float]:
        x, y = plane.project(point, shape)
        return x / height, y / height

    def nearest(point: Point) -> int:
        depth = 0.0 if plane.axis is None else point[plane.axis]
        return min(range(len(chosen)), key=lambda k: abs(chosen[k] - depth))

    stars = [(*place(point), nearest(point)) for point in cuts.stars]
    return Viewer(
        panels=panels,
        axis="" if plane.axis is None else NAMES[plane.axis],
        numbers=tuple(cuts.before + k + 1 for k in chosen),
        total=cuts.total,
        first=chosen.index(plane.index),
        ratio=width / height,
        line=None if cuts.line is None else (place(cuts.line[0]), place(cuts.line[1])),
        stars=tuple(Star(x=x, y=y, slice=k) for x, y, k in stars),
    )


def _spread(wanted: range, index: int, most: int) -> list[int]:
    """At most `most` slices, evenly spread over those wanted, the one seen first among them."""
    step = max(1, math.ceil((len(wanted) - 1) / max(1, most - 1)))
    return sorted({*range(index, wanted.start - 1, -step), *range(index, wanted.stop, step)})


def _strip(layer: Layer, plane: Plane, chosen: Sequence[int], side: int) -> str:
    low, high = layer.limits
    slices = [_fitted(replace(plane, index=k).cut(layer.values), side) for k in chosen]
    share = (np.concatenate(slices).astype(np.float64) - low) / (high - low)
    indices = np.rint(np.clip(np.nan_to_num(share), 0, 1) * (LEVELS - 1)).astype(np.uint8)
    return data_uri(indexed_png(indices, _palette(layer.colours)))


def _fitted(flat: npt.NDArray[np.float32], side: int) -> npt.NDArray[np.float32]:
    """The picture itself, or its mean over equal parts if a side is longer than `side`."""
    longest = max(flat.shape)
    if longest <= side:
        return flat
    from skimage.transform import resize

    shape = tuple(max(1, round(n * side / longest)) for n in flat.shape)
    smaller = resize(flat, shape, order=1, anti_aliasing=True, preserve_range=True)  # type: ignore[no-untyped-call]
    return np.asarray(smaller, dtype=np.float32)


def _palette(colours: str) -> npt.NDArray[np.uint8]:
    from matplotlib import colormaps

    return np.asarray(np.rint(255 * colormaps[colours](np.linspace(0, 1, LEVELS))[:, :3]), dtype=np.uint8)
