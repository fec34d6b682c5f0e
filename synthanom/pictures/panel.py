"""Arrays to PNG panels: before, after, difference, label and a profile through the anomaly. No display is needed."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from synthanom.arrays import ImageArray
from synthanom.errors import SynthanomError
from synthanom.pictures.png import palette_png
from synthanom.pictures.shown import Example, Shown, change_range, cropped, grey_range, profile, shown, turned

LARGEST = 300_000  # bytes; a README shows them
RESOLUTION, SMALLEST_RESOLUTION = 110.0, 45.0  # dots per inch; lowered until the picture is small enough
TRIES = 4
GAP = 0.02  # between the planes of a volume, as a share of their extent
# inches: width of a picture, of the profile, of what is left of the first, and between; heights of strips
WIDTH, PROFILE, LEFT, BETWEEN = 2.35, 2.5, 0.55, 0.06
TOP, STRIP, TICKS, BOTTOM = 0.4, 0.24, 0.36, 0.1
LINE_COLOUR, STAR_COLOUR, AFTER_COLOUR = "#e8b400", "#ff3030", "#1a9641"
CHANGE_MAP, LABEL_MAP = "RdBu_r", "magma"
COLUMNS = ("before", "after", "difference", "label", "along the dashed line")


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
    rows = [shown(cropped(turned(example))) for example in examples]
    resolution, content = RESOLUTION, b""
    for _ in range(TRIES):
        content = _drawn(rows, heading, resolution)
        if len(content) <= LARGEST or resolution <= SMALLEST_RESOLUTION:
            break
        resolution = max(SMALLEST_RESOLUTION, 0.95 * resolution * (LARGEST / len(content)) ** 0.6)
    return content


def _drawn(rows: Sequence[Shown], heading: str, resolution: float) -> bytes:
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


def _draw_row(axes: Any, row: Shown, extent: tuple[float, float], *, first: bool) -> None:
    example, c = row.example, row.channel
    before, after = example.before[c], example.after[c]
    difference = after - before
    (low, high), largest = grey_range(before), change_range(difference)
    grey = {"cmap": "gray", "vmin": low, "vmax": high}
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
    axis: Any, values: npt.NDArray[Any], row: Shown, look: dict[str, Any], *, lines: bool, starred: bool
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


def _places(row: Shown) -> list[tuple[float, float]]:
    """Left and top of each plane: one, or axial below coronal and sagittal on the right of the latter."""
    shape = row.example.label.shape
    if len(row.planes) == 1:
        return [(0.0, 0.0)]
    coronal, _, _ = row.planes
    width, height = coronal.extent(shape)
    gap = GAP * width
    return [(0.0, 0.0), (width + gap, 0.0), (0.0, height + gap)]


def _extent(row: Shown) -> tuple[float, float]:
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


def _draw_profile(axis: Any, row: Shown, pictures: tuple[ImageArray, ImageArray], *, first: bool) -> None:
    """Values along the line: before in grey, after in green; the deformation centre starred."""
    seen = profile(row, pictures)
    axis.plot(seen.where, seen.before, color="0.55", linewidth=1.6, label="before")
    axis.plot(seen.where, seen.after, color=AFTER_COLOUR, linewidth=1.2, label="after")
    if seen.at_centre is not None:
        axis.plot(0.0, seen.at_centre, "*", color=STAR_COLOUR, markersize=9, label="centre")
    if seen.limits is not None:
        axis.set_xlim(*seen.limits[0])
        axis.set_ylim(*seen.limits[1])
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
