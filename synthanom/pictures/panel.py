"""Arrays to PNG panels: before, after, difference, label and a profile through the anomaly. No display is needed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from synthanom.arrays import FloatArray, ImageArray, MaskArray
from synthanom.errors import SynthanomError
from synthanom.pictures.png import palette_png
from synthanom.pictures.views import Line, Plane, canonical_view, focus, planes, profile_line

LARGEST = 300_000  # bytes; a README shows them
RESOLUTION, SMALLEST_RESOLUTION = 110.0, 45.0  # dots per inch; lowered until the picture is small enough
TRIES = 4
WINDOW = (0.5, 99.5)  # percentiles of the untouched image that become black and white
STRONGEST = 99.0  # percentile of the change that gets the full colour; single voxels may be beyond
GAP = 0.02  # between the planes of a volume, as a share of their extent
FAINT = 0.02  # of the largest change along a profile: less does not widen what is shown of it
MARGIN = 2  # voxels shown around foreground and anomaly
# inches: width of a picture, of the profile, of what is left of the first, and between; heights of strips
WIDTH, PROFILE, LEFT, BETWEEN = 2.35, 2.5, 0.55, 0.06
TOP, STRIP, TICKS, BOTTOM = 0.4, 0.24, 0.36, 0.1
LINE_COLOUR, STAR_COLOUR, AFTER_COLOUR = "#e8b400", "#ff3030", "#1a9641"
CHANGE_MAP, LABEL_MAP = "RdBu_r", "magma"
COLUMNS = ("before", "after", "difference", "label", "along the dashed line")


@dataclass(frozen=True, kw_only=True, eq=False)
class Example:
    """One row of a panel.

    Attributes
    ----------
    title : str
    before, after : ndarray of shape (C, *S), float32
    label : ndarray of shape (*S), float32 in [0, 1]
    spacing : tuple of D floats or None
        In mm, in axis order; voxels are taken for cubes where it is None.
    affine : ndarray of shape (4, 4) or None
        Which axes point right, front and up; None shows volumes as if they were RAS+ and pictures as stored.
    centres : tuple of D-tuples
        Deformation centres, image coordinates in voxels; each is starred.
    foreground : ndarray of shape (*S), bool, or None
        What lies outside the bounding box of it and of the anomaly is not shown; None shows everything.
    """

    title: str
    before: ImageArray
    after: ImageArray
    label: ImageArray
    spacing: tuple[float, ...] | None = None
    affine: FloatArray | None = None
    centres: tuple[tuple[float, ...], ...] = ()
    foreground: MaskArray | None = None

    def __post_init__(self) -> None:
        if self.before.shape != self.after.shape or self.before.shape[1:] != self.label.shape:
            raise SynthanomError(
                f"{self.title}: before, after and label must lie on one grid, got {self.before.shape}, "
                f"{self.after.shape} and {self.label.shape}"
            )


def panel(examples: Sequence[Example], heading: str) -> bytes:
    """Draw the examples, one row each, as a PNG of under 300 kB where its resolution can be lowered that far.

    Volumes are shown as three orthogonal planes through the anomaly, upright, the subject's right on the left.

    Parameters
    ----------
    examples : sequence of Examples
    heading : str

    Returns
    -------
    bytes
        Of the PNG.

    Raises
    ------
    SynthanomError
        If there is no example.
    """
    if not examples:
        raise SynthanomError("a picture needs at least one example, got none; choose at least one task")
    shown = [_shown(_cropped(example)) for example in examples]
    resolution, content = RESOLUTION, b""
    for _ in range(TRIES):
        content = _drawn(shown, heading, resolution)
        if len(content) <= LARGEST or resolution <= SMALLEST_RESOLUTION:
            break
        resolution = max(SMALLEST_RESOLUTION, 0.95 * resolution * (LARGEST / len(content)) ** 0.6)
    return content


@dataclass(frozen=True, kw_only=True, eq=False)
class _Shown:
    """An example turned upright, with what to show of it."""

    example: Example
    channel: int
    spacing: tuple[float, ...]
    planes: tuple[Plane, ...]
    line: Line


def _cropped(example: Example) -> Example:
    """The example without what lies outside of foreground and anomaly."""
    if example.foreground is None:
        return example
    inside = np.argwhere(example.foreground | (example.label > 0))
    points = np.concatenate([inside, np.rint(np.reshape(example.centres, (-1, example.label.ndim))).astype(np.int64)])
    low = np.maximum(points.min(axis=0) - MARGIN, 0)
    high = np.minimum(points.max(axis=0) + 1 + MARGIN, example.label.shape)
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return replace(
        example,
        before=example.before[(slice(None), *box)],
        after=example.after[(slice(None), *box)],
        label=example.label[box],
        centres=tuple(tuple(float(v) for v in centre - low) for centre in np.asarray(example.centres)),
        foreground=None,
    )


def _shown(example: Example) -> _Shown:
    view = canonical_view(example.affine, example.label.ndim)
    turned = replace(
        example,
        before=view.turn(example.before),
        after=view.turn(example.after),
        label=view.turn(example.label),
        centres=tuple(view.point(centre, example.label.shape) for centre in example.centres),
    )
    spacing = view.order_spacing(example.spacing or (1.0,) * example.label.ndim)
    change = np.abs(turned.after.astype(np.float64) - turned.before)
    channel = int(np.argmax(change.sum(axis=tuple(range(1, change.ndim)))))
    middle = focus(turned.label)
    star = min(turned.centres, key=lambda c: float(np.abs(np.subtract(c, middle)).sum()), default=None)
    line = profile_line(turned.label.shape, spacing, middle, star)
    return _Shown(example=turned, channel=channel, spacing=spacing, planes=planes(middle, spacing), line=line)


def _drawn(rows: Sequence[_Shown], heading: str, resolution: float) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    extents = [_extent(row) for row in rows]
    heights = [WIDTH * min(max(tall / wide, 0.5), 1.6) for wide, tall in extents]
    width = LEFT + 4 * (WIDTH + BETWEEN) + 0.5 + PROFILE + 0.15
    total = TOP + sum(height + STRIP for height in heights) + BOTTOM
    figure = Figure(figsize=(width, total), dpi=resolution)
    canvas: Any = FigureCanvasAgg(figure)  # draws without a display
    figure.text(0.5, 1 - 0.5 * TOP / total, heading, ha="center", va="center", fontsize=11)
    bottom = total - TOP
    for row, extent, height in zip(rows, extents, heights, strict=True):
        bottom -= height + STRIP
        lefts = [LEFT + number * (WIDTH + BETWEEN) for number in range(4)]
        boxes = [(left, bottom, WIDTH, height) for left in lefts]
        boxes.append((width - PROFILE - 0.15, bottom + TICKS, PROFILE, height - TICKS))
        axes = [figure.add_axes((x / width, y / total, w / width, h / total)) for x, y, w, h in boxes]
        _draw_row(axes, row, extent, first=row is rows[0])
    canvas.draw()
    return palette_png(np.asarray(canvas.buffer_rgba())[..., :3], _palette())


def _draw_row(axes: Any, row: _Shown, extent: tuple[float, float], *, first: bool) -> None:
    example, c = row.example, row.channel
    before, after = example.before[c], example.after[c]
    low, high = (float(v) for v in np.percentile(before, WINDOW))
    difference = after - before
    changed = np.abs(difference[difference != 0])
    largest = float(np.percentile(changed, STRONGEST)) if changed.size else 1.0
    grey = {"cmap": "gray", "vmin": low, "vmax": high if high > low else low + 1}
    looks: tuple[tuple[Any, dict[str, Any], str], ...] = (
        (before, grey, "black"),
        (after, grey, "black"),
        (difference, {"cmap": CHANGE_MAP, "vmin": -largest, "vmax": largest}, "white"),
        (example.label, {"cmap": LABEL_MAP, "vmin": 0, "vmax": 1}, "black"),
    )
    for number, (axis, (values, look, behind)) in enumerate(zip(axes, looks, strict=False)):
        _draw_planes(axis, values, row, look, lines=number < 2, starred=number == 1)
        _frame(axis, extent, behind)
        if first and number != 2:
            axis.set_title(COLUMNS[number], fontsize=9, pad=3)
    axes[2].set_title(f"{COLUMNS[2]}, ±{largest:.2g}" if first else f"±{largest:.2g}", fontsize=9, pad=3)
    several = f", channel {c + 1} of {len(example.before)}" if len(example.before) > 1 else ""
    axes[0].set_ylabel(f"{example.title}{several}", fontsize=9)
    _draw_profile(axes[4], row, (before, after), first=first)


def _draw_planes(
    axis: Any, values: npt.NDArray[Any], row: _Shown, look: dict[str, Any], *, lines: bool, starred: bool
) -> None:
    """All planes of one array in one axis, in mm; drawn lines and stars are projected onto each."""
    for plane, (left, top) in zip(row.planes, _places(row), strict=True):
        flat = plane.cut(values)
        width, height = plane.extent(values.shape)
        axis.imshow(flat, extent=(left, left + width, top + height, top), **look)
        ends = [plane.project(point, values.shape) for point in row.line.ends]
        if lines:
            xs, ys = [left + x for x, _ in ends], [top + y for _, y in ends]
            axis.plot(xs, ys, color=LINE_COLOUR, linewidth=0.7, linestyle=(0, (4, 4)))
        if starred:
            for centre in row.example.centres:
                x, y = plane.project(centre, values.shape)
                inside = plane.distance(centre) <= 1.0
                axis.plot(left + x, top + y, "*", markersize=8, color=STAR_COLOUR if inside else "none",
                          markeredgecolor=STAR_COLOUR, markeredgewidth=0.7)  # fmt: skip
        if lines and plane.right_is_left and row.example.affine is not None:
            axis.text(left + 0.02 * width, top + 0.02 * height, "R", color=LINE_COLOUR, fontsize=7, va="top")


def _places(row: _Shown) -> list[tuple[float, float]]:
    """Left and top of each plane: one, or axial below coronal and sagittal on the right of the latter."""
    shape = row.example.label.shape
    if len(row.planes) == 1:
        return [(0.0, 0.0)]
    coronal, _, _ = row.planes
    width, height = coronal.extent(shape)
    gap = GAP * width
    return [(0.0, 0.0), (width + gap, 0.0), (0.0, height + gap)]


def _extent(row: _Shown) -> tuple[float, float]:
    """Width and height of the planes of a row together, mm."""
    ends = [
        (left + plane.extent(row.example.label.shape)[0], top + plane.extent(row.example.label.shape)[1])
        for plane, (left, top) in zip(row.planes, _places(row), strict=True)
    ]
    return max(e[0] for e in ends), max(e[1] for e in ends)


def _frame(axis: Any, extent: tuple[float, float], behind: str) -> None:
    axis.set_xlim(0, extent[0])
    axis.set_ylim(extent[1], 0)
    axis.set_aspect("equal")
    axis.set_facecolor(behind)
    axis.set_xticks([])
    axis.set_yticks([])
    for side in axis.spines.values():
        side.set_visible(False)


def _draw_profile(axis: Any, row: _Shown, pictures: tuple[ImageArray, ImageArray], *, first: bool) -> None:
    """Values along the line: before in grey, after in green; the deformation centre starred."""
    where, (before, after) = row.line.where, (row.line.sample(picture) for picture in pictures)
    axis.plot(where, before, color="0.55", linewidth=1.6, label="before")
    axis.plot(where, after, color=AFTER_COLOUR, linewidth=1.2, label="after")
    if row.line.starred:
        at_centre = float(np.interp(0.0, where, after))
        axis.plot(0.0, at_centre, "*", color=STAR_COLOUR, markersize=9, label="centre")
    change = np.abs(after - before)
    changed = np.flatnonzero(change > FAINT * change.max())
    if changed.size:
        first_change, last_change = where[changed[0]], where[changed[-1]]
        margin = max(0.5 * (last_change - first_change), 12 * abs(where[1] - where[0]))
        seen = (where >= first_change - margin) & (where <= last_change + margin)
        axis.set_xlim(where[seen][0], where[seen][-1])
        shown = np.concatenate([before[seen], after[seen]])
        room = 0.06 * float(np.ptp(shown))
        axis.set_ylim(shown.min() - room, shown.max() + room)
    axis.tick_params(labelsize=7)
    axis.set_xlabel("mm" if row.example.spacing is not None else "voxels", fontsize=7, labelpad=1)
    axis.spines[["top", "right"]].set_visible(False)
    if first:
        axis.set_title(COLUMNS[4], fontsize=9, pad=3)
    if first or row.line.starred:
        axis.legend(fontsize=7, frameon=False, loc="best")


def _palette() -> npt.NDArray[np.uint8]:
    """Greys, both colour maps, and what lies between black or white and the colours of lines, as RGB (n, 3).

    A palette fitted to the picture instead turned blues to greens, as few pixels are blue.
    """
    from matplotlib import colormaps
    from matplotlib.colors import to_rgb

    colours = [(v, v, v) for v in np.linspace(0, 1, 96)]
    for name, count in ((CHANGE_MAP, 68), (LABEL_MAP, 68)):
        colours += [colormaps[name](v)[:3] for v in np.linspace(0, 1, count)]
    for line in (LINE_COLOUR, STAR_COLOUR, AFTER_COLOUR):
        for share in (0.25, 0.5, 0.75, 1.0):
            mixed = share * np.array(to_rgb(line))
            colours += [tuple(mixed), tuple(mixed + (1 - share))][: 2 if share < 1 else 1]
    return np.asarray(np.rint(255 * np.array(colours)), dtype=np.uint8)
