"""Where to cut a picture so that an anomaly is seen: upright planes through it, and a line for its profile."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from synthanom.arrays import FloatArray, ImageArray
from synthanom.volumes.orientation import canonical_axes

Point = tuple[float, ...]
STRONG = 0.5  # of a component's largest label: the focus is moved to such a voxel
UPRIGHT = {0: False, 1: True, 2: True}  # world axis R, A, S -> whether it should grow upwards


@dataclass(frozen=True, kw_only=True)
class View:
    """How to bring the spatial axes of an array into the order and direction they are shown in."""

    flipped: tuple[int, ...]
    order: tuple[int, ...]

    def turn(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """An array (*S) or (C, *S) seen this way; no copy."""
        lead = array.ndim - len(self.order)
        turned = np.flip(array, tuple(axis + lead for axis in self.flipped))
        return turned.transpose(*range(lead), *(axis + lead for axis in self.order))

    def point(self, point: Sequence[float], shape: Sequence[int]) -> Point:
        """Image coordinates of a point of an array of this `shape`, seen this way."""
        moved = [shape[a] - 1 - p if a in self.flipped else float(p) for a, p in enumerate(point)]
        return tuple(moved[axis] for axis in self.order)

    def order_spacing(self, spacing: Sequence[float]) -> tuple[float, ...]:
        """Spacing along the axes as seen."""
        return tuple(float(spacing[axis]) for axis in self.order)


def canonical_view(affine: FloatArray | None, dims: int) -> View:
    """How an image is shown: volumes as (Z, Y, X), X to the right, Y to the front, Z up; pictures upright."""
    same = tuple(range(dims))
    if affine is None:
        return View(flipped=(), order=same)
    if dims == 3:
        flipped, order = canonical_axes(affine)
        return View(flipped=flipped, order=order)
    return View(flipped=tuple(axis for axis in same if _runs_against_view(affine, axis)), order=same)


def _runs_against_view(affine: FloatArray, axis: int) -> bool:
    """Whether rows (axis 0) or columns (axis 1) of a 2D picture must be reversed to be seen as is usual."""
    column = affine[:3, 1 - axis]
    world = int(np.argmax(np.abs(column)))
    grows = bool(column[world] > 0)
    if axis == 0:
        return grows and UPRIGHT[world]
    return grows and world in (0, 1)


@dataclass(frozen=True, kw_only=True)
class Plane:
    """A cut through a turned array: rows downwards and columns to the right run along two axes, maybe reversed."""

    axis: int | None  # that is cut, None for pictures
    index: int
    down: int
    right: int
    down_reversed: bool
    right_reversed: bool
    spacing: tuple[float, ...]

    @property
    def right_is_left(self) -> bool:
        """Whether the subject's right is on the left."""
        return self.axis is not None and self.right == 2 and self.right_reversed

    def cut(self, array: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The plane of an array (*S)."""
        flat = array if self.axis is None else np.take(array, self.index, axis=self.axis)
        return flat[:: -1 if self.down_reversed else 1, :: -1 if self.right_reversed else 1]

    def extent(self, shape: Sequence[int]) -> tuple[float, float]:
        """Width and height, mm."""
        return shape[self.right] * self.spacing[self.right], shape[self.down] * self.spacing[self.down]

    def project(self, point: Sequence[float], shape: Sequence[int]) -> tuple[float, float]:
        """Where a point falls: mm from the left and from the top."""
        x, y = point[self.right] + 0.5, point[self.down] + 0.5
        x = shape[self.right] - x if self.right_reversed else x
        y = shape[self.down] - y if self.down_reversed else y
        return x * self.spacing[self.right], y * self.spacing[self.down]

    def distance(self, point: Sequence[float]) -> float:
        """How far a point is from the plane, voxels."""
        return 0.0 if self.axis is None else abs(point[self.axis] - self.index)


def planes(middle: Sequence[float], spacing: tuple[float, ...]) -> tuple[Plane, ...]:
    """The picture itself, or the coronal, sagittal and axial plane through a voxel of a volume (Z, Y, X)."""
    if len(middle) == 2:
        return (Plane(axis=None, index=0, down=0, right=1, down_reversed=False, right_reversed=False, spacing=spacing),)
    z, y, x = (int(v) for v in middle)
    return (
        Plane(axis=1, index=y, down=0, right=2, down_reversed=True, right_reversed=True, spacing=spacing),
        Plane(axis=2, index=x, down=0, right=1, down_reversed=True, right_reversed=True, spacing=spacing),
        Plane(axis=0, index=z, down=1, right=2, down_reversed=True, right_reversed=True, spacing=spacing),
    )


def focus(label: ImageArray) -> tuple[int, ...]:
    """The voxel through which to cut: near the centre of mass of the part of the label with the largest sum.

    The centre itself may lie in a hollow or outside of a bent part, so the nearest clearly labelled voxel is taken.
    """
    from scipy import ndimage

    components, count = ndimage.label(label > 0)
    if count == 0:
        return tuple(side // 2 for side in label.shape)
    sums = ndimage.sum_labels(label, components, np.arange(1, count + 1))
    part = np.where(components == 1 + int(np.argmax(sums)), label, 0)
    voxels = np.argwhere(part >= STRONG * part.max())
    weights = part[tuple(np.argwhere(part > 0).T)]
    centre = (np.argwhere(part > 0) * weights[:, None]).sum(axis=0) / weights.sum()
    nearest = voxels[int(np.argmin(((voxels - centre) ** 2).sum(axis=1)))]
    return tuple(int(v) for v in nearest)


@dataclass(frozen=True, kw_only=True, eq=False)
class Line:
    """A straight line through a turned array.

    Attributes
    ----------
    voxels : ndarray of shape (n, D), float64
        Image coordinates along it, all inside the image.
    where : ndarray of shape (n,)
        Their distances from its origin, mm.
    starred : bool
        Whether the origin is a deformation centre.
    """

    voxels: FloatArray
    where: FloatArray
    starred: bool

    def sample(self, array: ImageArray) -> FloatArray:
        """Values of an array (*S) along the line, interpolated linearly."""
        from scipy import ndimage

        return np.asarray(ndimage.map_coordinates(array.astype(np.float64), self.voxels.T, order=1, mode="nearest"))

    @property
    def ends(self) -> tuple[Point, Point]:
        """Its first and last point, image coordinates."""
        return tuple(self.voxels[0].tolist()), tuple(self.voxels[-1].tolist())


def profile_line(
    shape: Sequence[int], spacing: Sequence[float], middle: Sequence[float], star: Sequence[float] | None
) -> Line:
    """The line for the profile, from side to side of the image in steps of about half a voxel.

    It runs from a deformation centre through `middle`, as intensities are pushed along such lines; without a centre,
    or where both are one voxel, along the last axis through `middle`.
    """
    steps = np.asarray(spacing, dtype=np.float64)
    origin = np.asarray(middle if star is None else star, dtype=np.float64)
    direction = (np.asarray(middle, dtype=np.float64) - origin) * steps
    length = float(np.linalg.norm(direction))
    if length < steps.min():
        direction, length = np.eye(len(shape))[-1], 1.0
    along = direction / length / steps  # voxels per mm
    last = np.asarray(shape, dtype=np.float64) - 1
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = np.stack([(0 - origin) / along, (last - origin) / along])
    ends = np.where(along == 0, np.array([[-np.inf], [np.inf]]), np.sort(ends, axis=0))
    start, stop = float(ends[0].max()), float(ends[1].min())
    count = max(2, round((stop - start) / (0.5 * float(steps.min()))) + 1)
    where = np.linspace(start, stop, count)
    voxels = np.clip(origin + where[:, None] * along, 0, last)
    return Line(voxels=voxels, where=where, starred=star is not None)
