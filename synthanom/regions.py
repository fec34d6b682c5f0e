"""Where an anomaly is: drawing its shape, placing it on the foreground, and the region that results."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from synthanom.arrays import FloatArray, MaskArray, box_slices, check_mask
from synthanom.errors import NoPlace, SynthanomError, UnsuitableRegion
from synthanom.kernels import region_mask

PROPOSALS = 32  # places drawn at once, before any is judged
REDRAWS = 50  # shapes drawn before giving up
MARGIN = 1  # voxels around the region's bounding box that stay untouched


@dataclass(frozen=True, kw_only=True)
class ShapeSettings:
    """How the shape of an anomaly is drawn (sizes as fractions of the image's side along each axis).

    References
    ----------
    Baugh et al., "Many tasks make light work", MICCAI 2023, doi:10.1007/978-3-031-43907-0_16.
    """

    smallest: float = 0.06  # lower bound of the full width
    largest: float = 0.8  # upper bound of the full width, and of the rotated shape's extent
    offset: float = 0.03  # width = offset + Gamma(shape, scale)
    gamma_shape: float = 2.0
    gamma_scale: float = 0.1
    shear: float = 0.2  # standard deviation of the one off-diagonal entry per row

    def __post_init__(self) -> None:
        if not 0 < self.smallest <= self.largest <= 0.8:
            raise SynthanomError(
                f"sizes must satisfy 0 < smallest <= largest <= 0.8, got {self.smallest} and {self.largest}"
            )
        if min(self.gamma_shape, self.gamma_scale) <= 0 or min(self.offset, self.shear) < 0:
            raise SynthanomError("gamma_shape and gamma_scale must be positive, offset and shear not negative")


@dataclass(frozen=True)
class Geometry:
    """An ellipsoid or cuboid in image coordinates; the region follows from these four values alone.

    Attributes
    ----------
    kind : {"ellipsoid", "cuboid"}
    size : tuple of D full widths along the shape's own axes, voxels
    matrix : ndarray of shape (D, D), float64
        Own axes to image axes (rotation, shear, scale).
    position : tuple of D image coordinates of the centre, voxels
    """

    kind: str
    size: tuple[int, ...]
    matrix: FloatArray
    position: tuple[float, ...]

    def __post_init__(self) -> None:
        region_mask.check_kind(self.kind)
        matrix = np.array(self.matrix, dtype=np.float64)
        dims = len(self.size)
        if matrix.shape != (dims, dims) or len(self.position) != dims or dims not in (2, 3):
            raise SynthanomError(
                "a geometry needs 2 or 3 sizes, as many coordinates and a square matrix of that side, got "
                f"{len(self.size)}, {len(self.position)} and {matrix.shape}"
            )
        if min(self.size) < 1 or not np.isfinite(matrix).all():
            raise SynthanomError(f"sizes must be at least 1 voxel and the matrix finite, got {self.size}")
        matrix.flags.writeable = False
        object.__setattr__(self, "size", tuple(int(s) for s in self.size))
        object.__setattr__(self, "matrix", matrix)
        object.__setattr__(self, "position", tuple(float(p) for p in self.position))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Geometry) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash((self.kind, self.size, self.matrix.tobytes(), self.position))

    def mask(self, shape: Sequence[int]) -> MaskArray:
        """The voxels of an image of spatial `shape` that lie inside: bool (*S)."""
        return self.mask_in_box([0] * len(self.size), shape)

    def mask_in_box(self, corner: Sequence[int], size: Sequence[int]) -> MaskArray:
        """The voxels of a box that lie inside: bool (*size)."""
        return region_mask.mask(self.kind, self.size, self.matrix, self.position, (corner, size))

    def at(self, position: Sequence[float]) -> "Geometry":
        """The same shape centred elsewhere (image coordinates, voxels)."""
        return Geometry(self.kind, self.size, self.matrix, tuple(position))

    def to_dict(self) -> dict[str, Any]:
        """The geometry as JSON."""
        return {
            "kind": self.kind,
            "size": list(self.size),
            "matrix": self.matrix.tolist(),
            "position": list(self.position),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Geometry":
        """The geometry that `to_dict` gave."""
        return cls(data["kind"], tuple(data["size"]), np.array(data["matrix"]), tuple(data["position"]))


@dataclass(frozen=True, eq=False)
class Region:
    """The voxels of an anomaly, over a box with an empty margin of one voxel wherever the image allows it.

    Attributes
    ----------
    geometry : Geometry or None
        None for a region given as a mask.
    corner : tuple of D integers
        The box's first voxel in the image.
    mask : ndarray of shape (*box), bool
    """

    geometry: Geometry | None
    corner: tuple[int, ...]
    mask: MaskArray

    @classmethod
    def from_geometry(cls, geometry: Geometry, shape: Sequence[int]) -> "Region":
        """The region of a shape in an image of spatial `shape`; what leaves the image is cut off.

        Raises
        ------
        UnsuitableRegion
            If no voxel lies inside.
        """
        reach = region_mask.half_extent(geometry.kind, geometry.size, geometry.matrix) + MARGIN + 1
        low = [max(0, int(np.floor(p - r))) for p, r in zip(geometry.position, reach, strict=True)]
        high = [min(n, int(np.ceil(p + r)) + 1) for p, r, n in zip(geometry.position, reach, shape, strict=True)]
        if any(b <= a for a, b in zip(low, high, strict=True)):
            raise UnsuitableRegion(f"the shape at {geometry.position} must reach into the image {tuple(shape)}")
        mask = geometry.mask_in_box(low, [b - a for a, b in zip(low, high, strict=True)])
        return _tight(geometry, low, mask)

    @classmethod
    def from_mask(cls, mask: npt.NDArray[np.bool_]) -> "Region":
        """The region marked by a mask over the whole image, bool (*S).

        Raises
        ------
        UnsuitableRegion
            If the mask is empty.
        """
        check_mask(mask, mask.shape, name="region mask")
        return _tight(None, [0] * mask.ndim, mask)

    @property
    def size(self) -> tuple[int, ...]:
        """Side lengths of the box, voxels."""
        return tuple(self.mask.shape)

    @property
    def slices(self) -> tuple[slice, ...]:
        """The box as slices of the image's spatial axes."""
        return box_slices(self.corner, self.mask.shape)

    @cached_property
    def count(self) -> int:
        """Number of voxels inside."""
        return int(np.count_nonzero(self.mask))

    def to_dict(self) -> dict[str, Any]:
        """The region as JSON: the geometry, or the mask as run lengths (outside first, C order)."""
        if self.geometry is not None:
            return self.geometry.to_dict()
        flat = self.mask.ravel()
        edges = np.flatnonzero(np.diff(np.concatenate([[False], flat]).astype(np.int8))).tolist()
        runs = np.diff([0, *edges, flat.size]).tolist()
        return {"kind": "mask", "corner": list(self.corner), "size": list(self.size), "rle": runs}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], shape: Sequence[int]) -> "Region":
        """The region that `to_dict` gave, in an image of spatial `shape`."""
        if data["kind"] != "mask":
            return cls.from_geometry(Geometry.from_dict(data), shape)
        size, runs = tuple(data["size"]), np.asarray(data["rle"], dtype=np.int64)
        inside = any(c < 0 or c + n > s for c, n, s in zip(data["corner"], size, shape, strict=True))
        if inside or runs.sum() != np.prod(size) or runs.min(initial=0) < 0:
            raise SynthanomError(f"a mask region's runs must fill its box inside the image, got box {size} in {shape}")
        flat = np.repeat(np.arange(runs.size) % 2 == 1, runs)
        return cls(None, tuple(int(c) for c in data["corner"]), flat.reshape(size))


def _tight(geometry: Geometry | None, corner: Sequence[int], mask: MaskArray) -> Region:
    """The region over its bounding box plus the margin, as far as `mask` reaches."""
    low, high = [], []
    for axis in range(mask.ndim):
        filled = np.flatnonzero(mask.any(axis=tuple(a for a in range(mask.ndim) if a != axis)))
        if filled.size == 0:
            raise UnsuitableRegion("a region must hold at least one voxel, got none")
        low.append(max(0, int(filled[0]) - MARGIN))
        high.append(min(mask.shape[axis], int(filled[-1]) + 1 + MARGIN))
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    start = tuple(int(c) + a for c, a in zip(corner, low, strict=True))
    return Region(geometry, start, np.ascontiguousarray(mask[box]))


def uniform_index(u: float, n: int) -> int:
    """The integer in [0, n) that a uniform number u in [0, 1) picks."""
    return min(int(u * n), n - 1)


def draw_geometry(rng: np.random.Generator, shape: Sequence[int], settings: ShapeSettings) -> Geometry:
    """Draw kind, size, rotation and shear of an anomaly for images of spatial `shape`; its position is the origin.

    Returns
    -------
    Geometry
        Its extent, counted in whole voxels from corner to corner, never exceeds `settings.largest` of a side.
    """
    sides = np.asarray(shape, dtype=np.float64)
    dims = len(shape)
    kind = region_mask.KINDS[uniform_index(rng.random(), 2)]
    low, high = np.maximum(np.rint(settings.smallest * sides), 1), np.maximum(np.rint(settings.largest * sides), 1)
    width = settings.offset + settings.gamma_scale * np.array(
        [rng.standard_gamma(settings.gamma_shape) for _ in range(dims)]
    )
    size = tuple(int(v) for v in np.clip(width * sides, low, high))
    matrix = np.eye(dims)
    for row in range(dims):
        others = [column for column in range(dims) if column != row]
        column = others[uniform_index(rng.random(), len(others))]
        matrix[row, column] = settings.shear * rng.standard_normal()
    for a, b in combinations(range(dims), 2):
        matrix = rotation(dims, (a, b), np.pi * (rng.random() - 0.5)) @ matrix
    reach = np.abs(matrix * ((np.array(size) - 1) / 2)[None, :]).sum(axis=1)
    excess = float(((2 * np.ceil(reach) + 1) / high).max())
    return Geometry(kind, size, matrix / excess if excess > 1 else matrix, (0.0,) * dims)


def rotation(dims: int, plane: tuple[int, int], angle: float) -> FloatArray:
    """(D, D) rotation by `angle` radians in the plane of two axes."""
    a, b = plane
    matrix = np.eye(dims)
    matrix[a, a] = matrix[b, b] = np.cos(angle)
    matrix[a, b], matrix[b, a] = -np.sin(angle), np.sin(angle)
    return matrix


def draw(
    rng: np.random.Generator,
    foreground: MaskArray,
    settings: ShapeSettings,
    within: MaskArray | None = None,
) -> Region:
    """Draw a shape and place it uniformly where its box fits and at least half of it lies in the foreground.

    Parameters
    ----------
    rng : numpy Generator
    foreground : ndarray of shape (*S), bool
    within : ndarray of shape (*S), bool, optional
        Location prior: half of the region must lie in the foreground and in this mask.

    Raises
    ------
    NoPlace
        If none of 50 shapes has such a place.
    """
    allowed = foreground if within is None else foreground & within
    for _ in range(REDRAWS):
        shape = draw_geometry(rng, foreground.shape, settings)
        region = place(rng, shape, allowed)
        if region is not None:
            return region
    raise NoPlace(
        f"no place for an anomaly: none of {REDRAWS} shapes has a position where its box fits the image "
        f"{foreground.shape} and half of it lies in the foreground of {int(allowed.sum())} voxels; "
        "check the foreground mask, or allow smaller shapes (ShapeSettings.smallest)"
    )


def place(rng: np.random.Generator, shape: Geometry, allowed: MaskArray) -> Region | None:
    """Place a shape, drawn at the origin, uniformly over the positions that are allowed; None if there is none.

    Proposals are drawn before they are judged, and judged by integer counts. Where none is good, all positions are
    counted exactly and one of the good ones is drawn: both ways are uniform over the same set.
    """
    origin = _at_origin(shape)
    if origin is None:
        return None
    low = [-c for c in origin.corner]  # the position at which the box's first voxel is the image's
    room = [n - s + 1 for n, s in zip(allowed.shape, origin.size, strict=True)]
    if min(room) <= 0:
        return None
    draws = rng.random((PROPOSALS, allowed.ndim))
    for row in draws:
        start = [uniform_index(u, n) for u, n in zip(row, room, strict=True)]
        overlap = np.count_nonzero(allowed[box_slices(start, origin.size)] & origin.mask)
        if 2 * overlap >= origin.count:
            return _moved(shape, origin, start, low)
    good = np.flatnonzero(2 * overlap_counts(allowed, origin.mask) >= origin.count)
    if good.size == 0:
        return None
    chosen = np.unravel_index(good[uniform_index(rng.random(), good.size)], room)
    return _moved(shape, origin, [int(v) for v in chosen], low)


def _at_origin(shape: Geometry) -> Region | None:
    """The region of a shape centred at the origin, its box reaching to negative coordinates; None if it is empty."""
    reach = region_mask.half_extent(shape.kind, shape.size, shape.matrix)
    extent = [int(np.ceil(r)) + MARGIN + 1 for r in reach]
    corner = [-e for e in extent]
    mask = shape.mask_in_box(corner, [2 * e + 1 for e in extent])
    return _tight(shape, corner, mask) if mask.any() else None


def _moved(shape: Geometry, origin: Region, start: Sequence[int], low: Sequence[int]) -> Region:
    position = tuple(float(s + first) for s, first in zip(start, low, strict=True))
    return Region(shape.at(position), tuple(int(s) for s in start), origin.mask)


def overlap_counts(allowed: MaskArray, mask: MaskArray) -> npt.NDArray[np.int64]:
    """How many voxels of `mask` lie in `allowed`, for every place of its box in the image: int64 (*room).

    A correlation by FFT in float64, rounded: counts up to 1e7 come out exact (rounding error measured under 1e-6).
    """
    from scipy import fft

    shape = [fft.next_fast_len(n, real=True) for n in allowed.shape]
    product = fft.rfftn(allowed.astype(np.float64), shape) * np.conj(fft.rfftn(mask.astype(np.float64), shape))
    counts = np.rint(fft.irfftn(product, shape)).astype(np.int64)
    room = tuple(slice(0, n - s + 1) for n, s in zip(allowed.shape, mask.shape, strict=True))
    return np.ascontiguousarray(counts[room])


def mean_boundary_distance(region: MaskArray, centre: Sequence[float]) -> float:
    """Mean distance in voxels from `centre` (coordinates of this array) to the region's inner boundary voxels.

    The inner boundary is the region minus its erosion by the cross-shaped element; beyond the array is outside.
    """
    padded = np.pad(region, 1)
    eroded = region.copy()
    for axis in range(region.ndim):
        for step in (0, 2):
            window = tuple(slice(step, step + n) if a == axis else slice(1, 1 + n) for a, n in enumerate(region.shape))
            eroded &= padded[window]
    boundary = np.argwhere(region & ~eroded)
    if boundary.size == 0:
        raise UnsuitableRegion("a region must hold at least one voxel, got none")
    return float(np.sqrt(((boundary - np.asarray(centre, dtype=np.float64)) ** 2).sum(axis=1)).mean())


def bend_factor(region: MaskArray, centre: Sequence[float], push: float) -> float:
    """Strength of a deformation that pushes intensities by about `push` voxels at most.

    Parameters
    ----------
    region : ndarray of shape (*box), bool
    centre : D coordinates in that array, voxels
    push : float, voxels, > 0 and under 0.71 times the mean distance to the boundary

    Returns
    -------
    float
        f = ln(a / e) / ln(b / e) with e the mean distance to the inner boundary, a = e/2 - push/sqrt(2) and
        b = e/2 + push/sqrt(2).

    Raises
    ------
    SynthanomError
        If the push is not in that range.
    """
    return deformation_strength(mean_boundary_distance(region, centre), push)


def deformation_strength(e: float, push: float) -> float:
    """`bend_factor` for a region whose inner boundary lies `e` voxels from the centre on average.

    Raises
    ------
    SynthanomError
        If the push is not in the range that `e` allows.
    """
    a, b = e / 2 - push / np.sqrt(2), e / 2 + push / np.sqrt(2)
    if not (push > 0 and a > 0):
        raise SynthanomError(f"push must lie between 0 and {e / np.sqrt(2):.4g} voxels for this region, got {push}")
    return float(np.log(a / e) / np.log(b / e))
