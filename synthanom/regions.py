"""Where an anomaly is: drawing its shape and placing it on the foreground."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from synthanom.arrays import FloatArray, MaskArray

# found here under their fixed names
from synthanom.bending import bend_factor as bend_factor
from synthanom.bending import deformation_strength as deformation_strength
from synthanom.bending import mean_boundary_distance as mean_boundary_distance
from synthanom.errors import NoPlace, SynthanomError
from synthanom.geometry import Geometry as Geometry
from synthanom.kernels import region_mask
from synthanom.nearest import meant
from synthanom.region import Region as Region
from synthanom.sample import Sample

PROPOSALS = 32  # places drawn at once, before any is judged
REDRAWS = 50  # shapes drawn before giving up
FORMS = ("simple", "organic", "hull")  # of regions
Unit = Literal["voxels", "mm"]
LATER: Mapping[str, bool] = {"later": True}  # of a settings field that is stored only where it is not the default


@dataclass(frozen=True, kw_only=True)
class AbstractShape(ABC):
    """How the region of an anomaly is drawn: fields are the settings."""

    @abstractmethod
    def draw(self, rng: np.random.Generator, foreground: MaskArray, within: MaskArray | None = None) -> "Region":
        """Draw a region, with the margin that `Region` has, at least half of it in the foreground and in `within`.

        Parameters
        ----------
        rng : numpy Generator
        foreground : ndarray of shape (*S), bool
        within : ndarray of shape (*S), bool, optional
            Location prior.

        Raises
        ------
        NoPlace
            If a bounded number of draws found none.
        """

    @property
    def has_geometry(self) -> bool:
        """Whether its regions have a geometry; without one no ray leads to their surface."""
        return True

    def draw_in(self, rng: np.random.Generator, sample: Sample, within: MaskArray | None = None) -> "Region":
        """Draw a region in a sample: `draw` on its foreground, unless the shape depends on more of the sample.

        Parameters
        ----------
        rng : numpy Generator
        sample : Sample
        within : ndarray of shape (*S), bool, optional
            Location prior.

        Raises
        ------
        NoPlace
            If a bounded number of draws found none.
        """
        return self.draw(rng, sample.foreground, within)

    @property
    def physical(self) -> bool:
        """Whether the voxel size must be known to draw it."""
        return False


@dataclass(frozen=True, kw_only=True)
class ShapeSettings(AbstractShape):
    """Ellipsoids and cuboids, turned and sheared.

    Attributes
    ----------
    smallest, largest : float
        Bounds of the full width; `largest` bounds the rotated shape's extent, too. At most 0.8. As the widths, shares
        of the side along each axis (`unit="voxels"`), or of the shortest side in mm (`unit="mm"`).
    offset, gamma_shape, gamma_scale : float
        Width = offset + Gamma(gamma_shape, gamma_scale).
    shear : float
        Standard deviation of the one off-diagonal entry per row.
    form : {"simple", "organic", "hull"}
        "simple" as published; "organic" has the wavy outline of thresholded noise within the drawn shape, as an
        ellipsoid; "hull" is the convex hull of a cuboid and an ellipsoid around one centre, which are drawn one after
        the other. Regions that are not simple are stored as masks; tasks that follow rays to the surface refuse them.
    unit : {"voxels", "mm"}
        Where shapes are drawn. "voxels", as in the paper: in voxels, so that where voxels are thicker along an axis
        anomalies are, too. "mm": in a cube of the shortest side in mm, in steps of the smallest voxel side, and from
        there by the voxel size into the image: a ball is a ball in the body, and turns are turns there.

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
    form: str = field(default="simple", metadata=LATER)
    unit: Unit = field(default="voxels", metadata=LATER)

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise SynthanomError(f"form must be one of {', '.join(FORMS)}, got {self.form!r}")
        check_unit(self.unit)
        if not 0 < self.smallest <= self.largest <= 0.8:
            raise SynthanomError(
                f"sizes must satisfy 0 < smallest <= largest <= 0.8, got {self.smallest} and {self.largest}"
            )
        if min(self.gamma_shape, self.gamma_scale) <= 0 or min(self.offset, self.shear) < 0:
            raise SynthanomError("gamma_shape and gamma_scale must be positive, offset and shear not negative")

    @property
    def has_geometry(self) -> bool:
        """Whether they are simple."""
        return self.form == "simple"

    def draw(self, rng: np.random.Generator, foreground: MaskArray, within: MaskArray | None = None) -> "Region":
        """As the function `draw`; in mm only `draw_in`, which knows the voxel size."""
        if self.physical:
            raise SynthanomError("shapes in mm need the voxel size, got a foreground alone; use draw_in with a Sample")
        return draw(rng, foreground, self, within)

    def draw_in(self, rng: np.random.Generator, sample: Sample, within: MaskArray | None = None) -> "Region":
        """As the function `draw`, or `draw_physical`."""
        if not self.physical:
            return draw(rng, sample.foreground, self, within)
        return draw_physical(rng, sample.foreground, self, spacing_of(sample), within)

    @property
    def physical(self) -> bool:
        """Whether the voxel size must be known to draw it."""
        return self.unit == "mm"

    @cached_property
    def numbers(self) -> FloatArray:
        """The numbers in the order of their fields, as `drawing.draw_shape` takes them: float64 (6,)."""
        return np.array(
            [self.smallest, self.largest, self.offset, self.gamma_shape, self.gamma_scale, self.shear], dtype=np.float64
        )


def uniform_index(u: float, n: int) -> int:
    """The integer in [0, n) that a uniform number u in [0, 1) picks."""
    return min(int(u * n), n - 1)


def draw_geometry(rng: np.random.Generator, shape: Sequence[int], settings: ShapeSettings) -> Geometry:
    """Draw kind, size, rotation and shear of an anomaly for images of spatial `shape`; its position is the origin.

    Parameters
    ----------
    rng : numpy Generator
    shape : sequence of D ints
    settings : ShapeSettings

    Returns
    -------
    Geometry
        Its extent, counted in whole voxels from corner to corner, never exceeds `settings.largest` of a side.
    """
    from synthanom.drawing import draw_shape

    dims = len(shape)
    sides = np.array((1,) * (3 - dims) + tuple(shape), dtype=np.int64)
    size, matrix = np.empty(3, dtype=np.int64), np.empty((3, 3))
    ellipsoid = draw_shape(rng, sides, dims, settings.numbers, size, matrix)
    return _drawn_geometry(ellipsoid, size, matrix, (0.0,) * dims)


def _drawn_geometry(
    ellipsoid: bool, size: npt.NDArray[np.int64], matrix: FloatArray, position: tuple[float, ...]
) -> Geometry:
    """The geometry of three sizes and a 3 x 3 matrix that were drawn for an image of as many axes as `position`."""
    flat = 3 - len(position)
    own = matrix[flat:, flat:].copy()
    own.flags.writeable = False
    geometry = object.__new__(Geometry)  # without the checks, which took longer than the drawing
    values = {"kind": region_mask.KINDS[0 if ellipsoid else 1], "size": tuple(size[flat:].tolist())}
    geometry.__dict__.update(values, matrix=own, position=position)
    return geometry


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
    settings : ShapeSettings
    within : ndarray of shape (*S), bool, optional
        Location prior: half of the region must lie in the foreground and in this mask.

    Returns
    -------
    Region

    Raises
    ------
    NoPlace
        If none of 50 shapes has such a place.
    """
    from synthanom.drawing import draw_region

    allowed = foreground if within is None else foreground & within
    if not settings.has_geometry:
        return _draw_free(rng, allowed, settings, None)
    proposals = np.empty((PROPOSALS, allowed.ndim))
    drawn = draw_region(rng, region_mask.byte_volume(allowed), proposals, REDRAWS, settings.numbers)
    ellipsoid, size, matrix, corner, start, *spans, count = drawn
    if count == 0:
        raise no_place(allowed)
    position = tuple((start - corner)[3 - allowed.ndim :].astype(np.float64).tolist())
    return _placed(_drawn_geometry(ellipsoid, size, matrix, position), start, spans)


def draw_physical(
    rng: np.random.Generator,
    foreground: MaskArray,
    settings: ShapeSettings,
    spacing: Sequence[float],
    within: MaskArray | None = None,
) -> Region:
    """As `draw`, with the shape drawn in mm.

    Parameters
    ----------
    rng : numpy Generator
    foreground : ndarray of shape (*S), bool
    settings : ShapeSettings
        Its sizes are shares of the shortest side in mm.
    spacing : sequence of D floats
        Voxel size in mm, in axis order.
    within : ndarray of shape (*S), bool, optional
        Location prior.

    Returns
    -------
    Region

    Raises
    ------
    NoPlace
        If none of 50 shapes has a place.

    Notes
    -----
    With the spacing t, the shape is drawn for a cube of round(min(S_i t_i) / min(t)) voxels of side min(t); of its
    matrix M the image has diag(min(t) / t) M. Where all t_i and all S_i are equal, it is the region that `draw` draws.
    """
    allowed = foreground if within is None else foreground & within
    if not settings.has_geometry:
        return _draw_free(rng, allowed, settings, spacing)
    for _ in range(REDRAWS):
        region = place(rng, draw_physical_geometry(rng, allowed.shape, settings, spacing), allowed)
        if region is not None:
            return region
    raise no_place(allowed)


def draw_physical_geometry(
    rng: np.random.Generator, shape: Sequence[int], settings: ShapeSettings, spacing: Sequence[float]
) -> Geometry:
    """As `draw_geometry`, in mm.

    Parameters
    ----------
    rng : numpy Generator
    shape : sequence of D ints
    settings : ShapeSettings
    spacing : sequence of D floats
        Voxel size in mm, in axis order.

    Returns
    -------
    Geometry
        Its own axes in units of the smallest voxel side.
    """
    step = min(spacing)
    side = max(1, round(min(n * s for n, s in zip(shape, spacing, strict=True)) / step))
    drawn = draw_geometry(rng, (side,) * len(shape), settings)
    return Geometry(drawn.kind, drawn.size, np.diag([step / s for s in spacing]) @ drawn.matrix, drawn.position)


def spacing_of(sample: Sample) -> tuple[float, ...]:
    """The voxel size of a sample in mm, in axis order.

    Raises
    ------
    SynthanomError
        If it is unknown.
    """
    if sample.spacing is None:
        raise SynthanomError(
            f"{sample.id}: unit 'mm' needs the voxel size, got none; pass spacing= or affine= to Sample.from_array, or "
            "use unit 'voxels'"
        )
    return sample.spacing


def check_unit(unit: str) -> None:
    """Refuse another unit than voxels or mm.

    Raises
    ------
    SynthanomError
    """
    if unit not in get_args(Unit):
        raise SynthanomError(
            f"unit must be one of {', '.join(get_args(Unit))}, got {unit!r}{meant(unit, get_args(Unit))}"
        )


def no_place(allowed: MaskArray) -> NoPlace:
    """What to raise where `REDRAWS` shapes were drawn and none has a place, `allowed` being what they may lie on."""
    return NoPlace(
        f"no place for an anomaly: none of {REDRAWS} shapes has a position where its box fits the image "
        f"{allowed.shape} and half of it lies in the foreground of {int(allowed.sum())} voxels; "
        "check the foreground mask, or allow smaller shapes (ShapeSettings.smallest)"
    )


def _draw_free(
    rng: np.random.Generator, allowed: MaskArray, settings: ShapeSettings, spacing: Sequence[float] | None
) -> Region:
    """Draw a region of another form than simple, in mm where the spacing is given; as `draw`."""
    from synthanom import free_forms

    def one() -> Geometry:
        if spacing is None:
            return draw_geometry(rng, allowed.shape, settings)
        return draw_physical_geometry(rng, allowed.shape, settings, spacing)

    for _ in range(REDRAWS):
        first = one()
        mask = free_forms.organic(rng, first, spacing) if settings.form == "organic" else free_forms.hull(first, one())
        corner = free_forms.place(rng, mask, allowed, PROPOSALS)
        if corner is not None:
            return Region(None, corner, mask)
    raise no_place(allowed)


def place(rng: np.random.Generator, shape: Geometry, allowed: MaskArray) -> Region | None:
    """Place a shape, drawn at the origin, uniformly over the positions that are allowed.

    Proposals are drawn before they are judged, and judged by integer counts. Where none is good, all positions are
    counted exactly and one of the good ones is drawn: both ways are uniform over the same set.

    Parameters
    ----------
    rng : numpy Generator
    shape : Geometry
    allowed : ndarray of shape (*S), bool
        At least half of the region must lie here.

    Returns
    -------
    Region or None
        None if no position is allowed.
    """
    from synthanom.drawing import place_shape

    corner, start = np.empty(3, dtype=np.int64), np.empty(3, dtype=np.int64)
    size = np.array((1,) * (3 - allowed.ndim) + shape.size, dtype=np.int64)
    given = (shape.kind == "ellipsoid", size, region_mask.embed(shape.matrix))
    proposals = np.empty((PROPOSALS, allowed.ndim))
    *spans, count = place_shape(rng, region_mask.byte_volume(allowed), proposals, given, corner, start)
    if count == 0:
        return None
    return _placed(shape.at((start - corner)[3 - allowed.ndim :].tolist()), start, spans)


def _placed(geometry: Geometry, start: npt.NDArray[np.int64], spans: Sequence[Any]) -> Region:
    """The region whose box starts at `start` (3,), from (spans, width)."""
    from synthanom.kernels.region_mask.cpu import mask_of

    flat = 3 - len(geometry.size)
    mask = mask_of(*spans)
    return Region(geometry, tuple(start[flat:].tolist()), mask.reshape(mask.shape[flat:]))
