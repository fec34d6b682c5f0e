"""Regions that no geometry describes: wavy outlines and convex hulls, and where they may be placed."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from synthanom.arrays import FloatArray, MaskArray, box_slices, inverse_matrix
from synthanom.geometry import Geometry
from synthanom.kernels import components, periodic_gaussian, region_mask

MARGIN = 1  # voxels around a mask that stay empty
SMOOTHING = 0.1  # standard deviation of the smoothing, as a share of the box's mean side
CENTRE, SURFACE = -3.0, 1.0  # threshold of the noise, in standard deviations, rising with the squared distance
CIRCLE, SPHERE = 64, 600  # points on an ellipsoid's surface whose hull stands for it, each with its opposite
ROWS = 512  # looked at together


def organic(rng: np.random.Generator, shape: Geometry, spacing: Sequence[float] | None = None) -> MaskArray:
    """Draw a region with a wavy outline within the ellipsoid of a shape's sizes: bool (*box), with an empty margin.

    With a voxel size, in mm, its waves are as long along all axes in mm; without, in voxels.

    Notes
    -----
    The largest face-connected part of what lies within rho <= 1 and has noise > 4 rho^2 - 3, where rho is the distance
    from the centre relative to the ellipsoid's surface, and the noise is white noise, smoothed by a Gaussian of 0.1 of
    the box's side (periodically; the geometric mean of its sides) and then standardised. The centre always counts.
    """
    reach = _reach(shape, "ellipsoid")
    sides = tuple((2 * reach + 1).tolist())
    rho2 = np.zeros(sides)
    away = np.ogrid[tuple(slice(-r, r + 1) for r in reach.tolist())]
    for row, width in zip(inverse_matrix(shape.matrix).tolist(), shape.size, strict=True):
        rho2 += (sum(m * x for m, x in zip(row, away, strict=True)) / (width / 2)) ** 2
    voxels = np.ones(reach.size) if spacing is None else np.asarray(spacing) / min(spacing)
    sigma = SMOOTHING * float(np.prod((2.0 * reach + 1) * voxels) ** (1 / reach.size)) / voxels
    noise = periodic_gaussian.smooth(rng.standard_normal(sides), sigma.tolist())
    noise -= noise.mean()
    marked = (noise > noise.std() * (CENTRE + (SURFACE - CENTRE) * rho2)) & (rho2 <= 1)
    marked[tuple(reach)] = True
    return _tight(_largest_part(marked))


def hull(cuboid: Geometry, ellipsoid: Geometry) -> MaskArray:
    """The convex hull of a cuboid and an ellipsoid of these sizes around one centre: bool (*box), with an empty margin.

    Notes
    -----
    The ellipsoid counts as the hull of points on its surface, 64 in 2D and 600 in 3D, and of its own voxels.
    """
    from scipy.spatial import ConvexHull

    reach = np.maximum(_reach(cuboid, "cuboid"), _reach(ellipsoid, "ellipsoid"))
    mask = np.zeros(2 * reach + 1, dtype=np.bool_)
    for shape, kind in ((cuboid, "cuboid"), (ellipsoid, "ellipsoid")):
        box = ([0] * reach.size, mask.shape)
        mask |= region_mask.mask(kind, shape.size, shape.matrix, reach.tolist(), box)
    corners = np.stack(np.meshgrid(*[[-0.5, 0.5]] * reach.size), axis=-1).reshape(-1, reach.size)
    points = np.concatenate(
        [corners * cuboid.size @ cuboid.matrix.T, _on_sphere(reach.size) / 2 * ellipsoid.size @ ellipsoid.matrix.T]
    )
    _fill(mask, ConvexHull(points).equations, reach)
    return _tight(mask)


def place(rng: np.random.Generator, mask: MaskArray, allowed: MaskArray, proposals: int) -> tuple[int, ...] | None:
    """Draw where a mask's box begins, uniformly over where it fits and half of the mask lies on `allowed`; or None.

    Places are drawn before they are judged; where none of the proposals is good, all places are counted, and one of the
    good ones is drawn: both ways are uniform over the same set.
    """
    from synthanom.drawing import uniform_index

    room = [n - s + 1 for n, s in zip(allowed.shape, mask.shape, strict=True)]
    count = int(np.count_nonzero(mask))
    if min(room) < 1 or 2 * np.count_nonzero(allowed) < count:
        return None
    for proposal in rng.random((proposals, mask.ndim)).tolist():
        corner = tuple(int(uniform_index(u, n)) for u, n in zip(proposal, room, strict=True))
        if 2 * np.count_nonzero(allowed[box_slices(corner, mask.shape)] & mask) >= count:
            return corner
    good = np.argwhere(2 * overlaps(allowed, mask) >= count)
    return tuple(good[uniform_index(rng.random(), len(good))].tolist()) if len(good) else None


def overlaps(allowed: MaskArray, mask: MaskArray) -> npt.NDArray[np.int64]:
    """How many voxels of a mask are allowed at each place where its box fits: int64 (*room)."""
    from scipy.signal import correlate

    # exact: sums of ones far below 2^53, rounded
    counts = correlate(allowed.astype(np.float64), mask.astype(np.float64), mode="valid", method="fft")
    return np.asarray(np.rint(counts), dtype=np.int64)


def _reach(shape: Geometry, kind: str) -> npt.NDArray[np.int64]:
    """Voxels from the centre to the last one inside along each axis, at most."""
    return np.floor(region_mask.half_extent(kind, shape.size, shape.matrix) + 1e-9).astype(np.int64)


def _largest_part(marked: MaskArray) -> MaskArray:
    """The largest face-connected part of a mask, the first of equals."""
    numbers, boxes = components.label(marked)
    sizes = np.bincount(numbers.ravel(), minlength=len(boxes) + 1)
    return np.asarray(numbers == 1 + np.argmax(sizes[1:]))


def _on_sphere(dims: int) -> FloatArray:
    """Points evenly on the unit circle or sphere (a Fibonacci lattice and its opposite): float64 (n, dims)."""
    if dims == 2:
        turn = 2 * np.pi * np.arange(CIRCLE) / CIRCLE
        return np.stack([np.cos(turn), np.sin(turn)], axis=1)
    half = SPHERE // 2
    height = 1.0 - (2 * np.arange(half) + 1) / half
    angle = np.pi * (1 + 5**0.5) * np.arange(half)
    radius = np.sqrt(1.0 - height**2)
    points = np.asarray(np.stack([radius * np.cos(angle), radius * np.sin(angle), height], axis=1), dtype=np.float64)
    return np.concatenate([points, -points])


def _fill(mask: MaskArray, planes: FloatArray, centre: npt.NDArray[np.int64]) -> None:
    """Mark the voxels that lie behind all planes, (n, D + 1): normal . (p - centre) + last <= 0; row by row."""
    normals, last = planes[:, :-1], planes[:, -2]
    up, down = last > 1e-12, last < -1e-12
    rows = np.indices(mask.shape[:-1]).reshape(mask.ndim - 1, -1).T - centre[:-1]
    lines = mask.reshape(-1, mask.shape[-1])
    along = np.arange(mask.shape[-1]) - centre[-1]
    for first in range(0, len(rows), ROWS):
        # what each plane leaves for the last coordinate: (n, rows)
        room = -planes[:, -1:] - normals[:, :-1] @ rows[first : first + ROWS].T
        high = (room[up] / last[up, None]).min(axis=0)
        low = (room[down] / last[down, None]).max(axis=0)
        open_rows = (room[~up & ~down] >= -1e-9).all(axis=0)
        inside = (along >= low[:, None] - 1e-9) & (along <= high[:, None] + 1e-9)
        lines[first : first + ROWS] |= inside & np.asarray(open_rows)[:, None]


def _tight(mask: MaskArray) -> MaskArray:
    """A mask cut to its bounding box, with an empty margin."""
    low, end = components.bounds(mask)
    inner: Any = tuple(slice(a, b) for a, b in zip(low.tolist(), end.tolist(), strict=True))
    return np.pad(mask[inner], MARGIN)
