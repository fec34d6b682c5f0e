"""One anomaly made ready to be shown: turned upright, cropped, with planes, a line through it, and its profile."""

from dataclasses import dataclass, replace

import numpy as np

from synthanom.arrays import FloatArray, ImageArray, MaskArray
from synthanom.errors import SynthanomError
from synthanom.pictures.views import Line, Plane, canonical_view, focus, planes, profile_line

WINDOW = (0.5, 99.5)  # percentiles of the untouched image that become black and white
STRONGEST = 99.0  # percentile of the change that gets the full colour; single voxels may be beyond
FAINT = 0.02  # of the largest change along a profile: less does not widen what is shown of it
MARGIN = 2  # voxels shown around foreground and anomaly


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


@dataclass(frozen=True, kw_only=True, eq=False)
class Shown:
    """An upright example with what to show of it."""

    example: Example
    channel: int
    spacing: tuple[float, ...]
    planes: tuple[Plane, ...]
    line: Line


def turned(example: Example) -> Example:
    """The example upright: volumes as (Z, Y, X), X to the right, Y to the front, Z up; its affine is as before."""
    view = canonical_view(example.affine, example.label.ndim)
    return replace(
        example,
        before=view.turn(example.before),
        after=view.turn(example.after),
        label=view.turn(example.label),
        spacing=None if example.spacing is None else view.order_spacing(example.spacing),
        centres=tuple(view.point(centre, example.label.shape) for centre in example.centres),
        foreground=None if example.foreground is None else view.turn(example.foreground),
    )


def inner_box(example: Example) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """First voxel, and the one after the last, of what lies around foreground and anomaly."""
    if example.foreground is None:
        return (0,) * example.label.ndim, tuple(example.label.shape)
    inside = np.argwhere(example.foreground | (example.label > 0))
    points = np.concatenate([inside, np.rint(np.reshape(example.centres, (-1, example.label.ndim))).astype(np.int64)])
    low = np.maximum(points.min(axis=0) - MARGIN, 0)
    high = np.minimum(points.max(axis=0) + 1 + MARGIN, example.label.shape)
    return tuple(low.tolist()), tuple(high.tolist())


def cropped(example: Example) -> Example:
    """The example without what lies outside of foreground and anomaly."""
    low, high = inner_box(example)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    return replace(
        example,
        before=example.before[(slice(None), *box)],
        after=example.after[(slice(None), *box)],
        label=example.label[box],
        centres=tuple(tuple(float(v) for v in np.subtract(centre, low)) for centre in example.centres),
        foreground=None,
    )


def shown(example: Example) -> Shown:
    """Which channel, planes and line show an upright example best."""
    spacing = example.spacing or (1.0,) * example.label.ndim
    change = np.abs(example.after.astype(np.float64) - example.before)
    channel = int(np.argmax(change.sum(axis=tuple(range(1, change.ndim)))))
    middle = focus(example.label)
    star = min(example.centres, key=lambda c: float(np.abs(np.subtract(c, middle)).sum()), default=None)
    line = profile_line(example.label.shape, spacing, middle, star)
    return Shown(example=example, channel=channel, spacing=spacing, planes=planes(middle, spacing), line=line)


@dataclass(frozen=True, kw_only=True, eq=False)
class Profile:
    """Values along the line through an anomaly.

    Attributes
    ----------
    where : ndarray of shape (n,)
        Distances from the line's origin, in units of the spacing.
    before, after : ndarray of shape (n,)
    at_centre : float or None
        The value after at the deformation centre, which is the origin; None without one.
    limits : tuple or None
        What to show of it, ((low, high), (low, high)): where it changed, and around; None where it did not.
    """

    where: FloatArray
    before: FloatArray
    after: FloatArray
    at_centre: float | None
    limits: tuple[tuple[float, float], tuple[float, float]] | None


def profile(row: Shown, pictures: tuple[ImageArray, ImageArray]) -> Profile:
    """The profile of one channel (*S) before and after."""
    where, (before, after) = row.line.where, (row.line.sample(picture) for picture in pictures)
    change = np.abs(after - before)
    changed = np.flatnonzero(change > FAINT * change.max())
    limits = None
    if changed.size:
        first_change, last_change = where[changed[0]], where[changed[-1]]
        margin = max(0.5 * (last_change - first_change), 12 * abs(where[1] - where[0]))
        seen = (where >= first_change - margin) & (where <= last_change + margin)
        values = np.concatenate([before[seen], after[seen]])
        room = 0.06 * float(np.ptp(values))
        across = float(where[seen][0]), float(where[seen][-1])
        limits = across, (float(values.min()) - room, float(values.max()) + room)
    at_centre = float(np.interp(0.0, where, after)) if row.line.starred else None
    return Profile(where=where, before=before, after=after, at_centre=at_centre, limits=limits)


def grey_range(before: ImageArray) -> tuple[float, float]:
    """The values of the untouched channel that become black and white."""
    low, high = (float(v) for v in np.percentile(before, WINDOW))
    return low, high if high > low else low + 1


def change_range(difference: ImageArray) -> float:
    """The size of a change that gets the full colour."""
    changed = np.abs(difference[difference != 0])
    return float(np.percentile(changed, STRONGEST)) if changed.size else 1.0
