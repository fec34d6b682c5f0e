"""What changed in a picture, as 1 to 4 disjoint boxes of final values."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synthanom.arrays import ImageArray, MaskArray, box_slices
from synthanom.errors import SynthanomError
from synthanom.kernels import components

MAX_BOXES = 4
MAX_PARTS = 256  # more connected parts are found on a coarser grid: pairs are compared, and their number is squared

IntArray = npt.NDArray[np.int64]
Bounds = Sequence[tuple[Sequence[int], Sequence[int]]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Box:
    """Final values inside one box.

    Attributes
    ----------
    corner : tuple of D ints
        First voxel, in axis order.
    values : ndarray of shape (C, *size), float32
    labels : ndarray of shape (*size), float32
    region : ndarray of shape (*size), bool
    """

    corner: tuple[int, ...]
    values: ImageArray
    labels: ImageArray
    region: MaskArray

    @property
    def size(self) -> tuple[int, ...]:
        """Sides in voxels, in axis order."""
        return tuple(self.labels.shape)


@dataclass(frozen=True, kw_only=True, eq=False)
class AnomalyRow:
    """One anomalous picture as it is stored.

    Attributes
    ----------
    healthy_index : int
        The healthy row it was made from, counted over all healthy shards in name order.
    variant : int
    boxes : tuple of 1 to 4 Box
        Disjoint, ordered by corner.
    recipe : bytes
        Canonical JSON.
    """

    healthy_index: int
    variant: int
    boxes: tuple[Box, ...]
    recipe: bytes

    @classmethod
    def from_arrays(
        cls,
        healthy_index: int,
        variant: int,
        *,
        before: ImageArray,
        after: ImageArray,
        label: ImageArray,
        region: MaskArray,
        recipe: bytes,
        bounds: Bounds | None = None,
    ) -> "AnomalyRow":
        """Cut out what changed between two pictures.

        Parameters
        ----------
        healthy_index, variant : int
        before, after : ndarray of shape (C, *S), float32
        label : ndarray of shape (*S), float32
        region : ndarray of shape (*S), bool
        recipe : bytes
            Canonical JSON.
        bounds : sequence of (corner, size), optional
            Boxes outside of which nothing changed, nothing is labelled and the region is empty: only their common
            bounding box is searched. The row is the same as without them.

        Raises
        ------
        SynthanomError
            If shapes or dtypes differ from these, or nothing changed at all.
        """
        _check_arrays(before, after, label, region)
        corner, window = _window(label.shape, bounds)
        inside = (slice(None), *window)
        # compared as bits: -0.0 replaces 0.0 too, so that the pasted picture has the very bytes of `after`
        changed = (before[inside].view(np.uint32) != after[inside].view(np.uint32)).any(axis=0)
        found = covering_boxes(changed | (label[window] > 0) | region[window])
        if not found:
            raise SynthanomError(
                f"anomaly of healthy row {healthy_index}, variant {variant}: at least one voxel must change, "
                "got none; leave such rows out"
            )
        boxes = tuple(_cut(after, label, region, (low + corner, size)) for low, size in found)
        return cls(healthy_index=healthy_index, variant=variant, boxes=boxes, recipe=recipe)


def paste(picture: ImageArray, boxes: Sequence[Box]) -> tuple[ImageArray, ImageArray, MaskArray]:
    """Put the boxes onto a healthy image, in place.

    Returns
    -------
    picture : ndarray of shape (C, *S), float32
        The array that was given.
    label : ndarray of shape (*S), float32
    region : ndarray of shape (*S), bool
    """
    label = np.zeros(picture.shape[1:], dtype=np.float32)
    region = np.zeros(picture.shape[1:], dtype=bool)
    for box in boxes:
        place = box_slices(box.corner, box.size)
        picture[(slice(None), *place)] = box.values
        label[place] = box.labels
        region[place] = box.region
    return picture, label, region


def covering_boxes(mask: MaskArray) -> list[tuple[IntArray, IntArray]]:
    """At most 4 disjoint boxes (corner, size), ordered by corner, that hold every set voxel of `mask`.

    They are the bounding boxes of the connected parts (face neighbours), merged while they overlap; of more than 4 the
    two whose union adds the fewest voxels are merged. With more than 256 parts, those of a coarser grid count.
    """
    low, high = _disjoint(*_part_boxes(mask))
    while len(low) > MAX_BOXES:  # each round leaves fewer
        low, high = _disjoint(*_merge(low, high, np.array(_cheapest_pair(low, high))))
    order = np.lexsort(low.T[::-1])
    return [(low[i], high[i] - low[i]) for i in order]


def overlapping(corner: IntArray, size: IntArray) -> bool:
    """Whether any two of the boxes (n, D) share a voxel."""
    pairs = itertools.combinations(range(len(corner)), 2)
    return any(bool(_meets(corner, corner + size, i)[j]) for i, j in pairs)


def _check_arrays(before: ImageArray, after: ImageArray, label: ImageArray, region: MaskArray) -> None:
    shape = before.shape
    for name, array, wanted, dtype in (
        ("before", before, shape, np.float32),
        ("after", after, shape, np.float32),
        ("label", label, shape[1:], np.float32),
        ("region", region, shape[1:], np.bool_),
    ):
        if array.shape != wanted or array.dtype != dtype or array.ndim < 2:
            raise SynthanomError(
                f"{name} must have shape {wanted} and dtype {np.dtype(dtype)}, got {array.shape} and {array.dtype}; "
                "pass the arrays that synthesise returned"
            )


def _window(shape: tuple[int, ...], bounds: Bounds | None) -> tuple[IntArray, tuple[slice, ...]]:
    """Corner and slices of the box to search, cut to the image."""
    low, high = np.zeros(len(shape), dtype=np.int64), np.array(shape, dtype=np.int64)
    if bounds is not None and len(bounds) > 0:
        corners = np.array([corner for corner, _ in bounds], dtype=np.int64)
        sizes = np.array([size for _, size in bounds], dtype=np.int64)
        low, high = np.maximum(low, corners.min(axis=0)), np.minimum(high, (corners + sizes).max(axis=0))
    return low, box_slices(low.tolist(), np.maximum(high - low, 0).tolist())


def _cut(after: ImageArray, label: ImageArray, region: MaskArray, place: tuple[IntArray, IntArray]) -> Box:
    corner, size = place
    inside = box_slices(corner.tolist(), size.tolist())
    return Box(
        corner=tuple(int(c) for c in corner),
        values=np.ascontiguousarray(after[(slice(None), *inside)]),
        labels=np.ascontiguousarray(label[inside]),
        region=np.ascontiguousarray(region[inside]),
    )


def _part_boxes(mask: MaskArray) -> tuple[IntArray, IntArray]:
    """Corners and ends (n, D) of the bounding boxes of the connected parts, n at most 256."""
    factor = 1
    coarse = mask
    found = components.boxes(coarse)
    while len(found) > MAX_PARTS:  # ends when the grid has no more than 256 cells, if not before
        factor *= 2
        coarse = _halved(coarse)
        found = components.boxes(coarse)
    low, high = found[:, 0] * factor, found[:, 1] * factor
    high = np.minimum(high, mask.shape)
    return (low, high) if factor == 1 else _tightened(mask, low, high)


def _halved(mask: MaskArray) -> MaskArray:
    """Each cell of 2^D voxels set if any of them is."""
    padded = np.pad(mask, [(0, side % 2) for side in mask.shape])
    blocks = padded.reshape([n for side in padded.shape for n in (side // 2, 2)])
    return np.asarray(blocks.any(axis=tuple(range(1, 2 * mask.ndim, 2))))


def _tightened(mask: MaskArray, low: IntArray, high: IntArray) -> tuple[IntArray, IntArray]:
    """The boxes without their empty margins."""
    low, high = low.copy(), high.copy()
    for i in range(len(low)):
        set_voxels = np.argwhere(mask[box_slices(low[i].tolist(), (high[i] - low[i]).tolist())])
        high[i] = low[i] + set_voxels.max(axis=0) + 1
        low[i] = low[i] + set_voxels.min(axis=0)
    return low, high


def _meets(low: IntArray, high: IntArray, i: int) -> MaskArray:
    """Which boxes share a voxel with box `i` (itself included)."""
    return ~np.asarray(((low >= high[i]) | (high <= low[i])).any(axis=1))


def _merge(low: IntArray, high: IntArray, chosen: IntArray) -> tuple[IntArray, IntArray]:
    """Replace the chosen boxes by their bounding box, put last."""
    union_low, union_high = low[chosen].min(axis=0), high[chosen].max(axis=0)
    return np.vstack([np.delete(low, chosen, 0), union_low]), np.vstack([np.delete(high, chosen, 0), union_high])


def _disjoint(low: IntArray, high: IntArray) -> tuple[IntArray, IntArray]:
    """Merge boxes until no two of them overlap."""
    i = 0
    while i < len(low):  # each step passes a box or leaves fewer
        met = np.flatnonzero(_meets(low, high, i))
        if len(met) == 1:
            i += 1
        else:
            low, high = _merge(low, high, met)
            i = 0
    return low, high


def _cheapest_pair(low: IntArray, high: IntArray) -> tuple[int, int]:
    """The two boxes whose union has the fewest voxels more than they have together; the first of equals."""
    volume = (high - low).prod(axis=1)
    sides = np.maximum(high[:, None], high[None]) - np.minimum(low[:, None], low[None])
    added = sides.prod(axis=2) - volume[:, None] - volume[None]
    added[np.tril_indices(len(low))] = np.iinfo(np.int64).max
    i, j = np.unravel_index(int(added.argmin()), added.shape)
    return int(i), int(j)
