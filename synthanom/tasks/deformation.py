"""What sink and source share: drawing a centre and a strength, warping the box."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from synthanom.arrays import ImageArray, MaskArray
from synthanom.errors import SynthanomError, UnsuitableRegion
from synthanom.kernels import radial_warp
from synthanom.kernels.radial_warp import Direction
from synthanom.kernels.region_mask import byte_volume
from synthanom.regions import LATER, Region, Unit, check_unit, deformation_strength, mean_boundary_distance, spacing_of
from synthanom.sample import Sample
from synthanom.tasks.abstract import AbstractParams, AbstractTask, DonorKind

SMALLEST_DISTANCE = 1.0  # voxels from the centre to the boundary on average; below it the strength is undefined
FREE_EXPONENT = (0.5, 2.0)  # without calibration, the strength is 2 to the power of a uniform number in between


@dataclass(frozen=True, kw_only=True)
class DeformationParams(AbstractParams):
    """One deformation.

    Attributes
    ----------
    centre : tuple of D ints
        Image voxel that stays where it is.
    factor : float
        Strength f > 1.
    order : {3, 1}
        Cubic B-spline or linear interpolation.
    """

    centre: tuple[int, ...]  # image voxel that stays where it is
    factor: float  # strength f > 1
    order: int  # 3: cubic B-spline, 1: linear


@dataclass(frozen=True, kw_only=True)
class AbstractDeformation(AbstractTask):
    """Moves the picture along rays through a point; the tasks differ in the direction.

    Attributes
    ----------
    push : (low, high) or None
        Bounds, in voxels or mm (`unit`), of how far intensities are pushed at most ((0.5, 10) suits 256-pixel
        radiographs); None draws strengths that ignore the region's size.
    order : {3, 1}
        Cubic B-spline or linear interpolation.
    unit : {"voxels", "mm"}
        Of `push`: it is taken relative to the mean distance to the region's boundary, which is then in mm, too.
    """

    kind: ClassVar[str] = "deform"
    donor: ClassVar[DonorKind] = "none"
    direction: ClassVar[Direction]
    params: ClassVar[type[AbstractParams]] = DeformationParams

    push: tuple[float, float] | None = (0.5, 5.0)
    order: int = 3
    unit: Unit = field(default="voxels", metadata=LATER)

    def __post_init__(self) -> None:
        check_unit(self.unit)
        if self.push is not None and not (len(self.push) == 2 and 0 < self.push[0] <= self.push[1]):
            raise SynthanomError(f"push must be None or (low, high) voxels with 0 < low <= high, got {self.push}")
        if self.order not in (1, 3):
            raise SynthanomError(f"order must be 3 (cubic) or 1 (linear), got {self.order}")
        if not self.shape.has_geometry:
            raise SynthanomError(
                f"{self.name} follows rays to the region's surface and needs a shape with a geometry, got "
                f'{self.shape}; use ShapeSettings(form="simple"), or another task'
            )

    def sample_params(
        self, rng: np.random.Generator, sample: Sample, region: Region, donor: Sample | None = None
    ) -> DeformationParams:
        """Draw the centre and the strength."""
        del donor
        spacing = spacing_of(sample) if self.unit == "mm" else None
        return draw_deformation(rng, region, self.push, self.order, spacing)

    @property
    def physical(self) -> bool:
        """Whether the voxel size must be known: shape or push are in mm."""
        return self.shape.physical or self.unit == "mm"

    @staticmethod
    def touched(before: ImageArray, after: ImageArray, region: Region, params: Any) -> MaskArray:
        """The region: bool (*box)."""
        del before, after, params
        return region.mask


def draw_deformation(
    rng: np.random.Generator,
    region: Region,
    push: tuple[float, float] | None,
    order: int,
    spacing: Sequence[float] | None = None,
) -> DeformationParams:
    """Draw a centre uniformly from the region's voxels and a strength for it.

    Parameters
    ----------
    push : (low, high) bounds of the largest push in voxels, or None for strengths that ignore the region's size
    spacing : D floats, optional
        Voxel size in mm, if the bounds are in mm.

    Raises
    ------
    UnsuitableRegion
        If the boundary is less than 1 voxel away on average.
    """
    from synthanom.drawing import pull_centre

    local = np.zeros(3, dtype=np.int64)
    distance = float(pull_centre(byte_volume(region.mask), region.mask.ndim == 2, rng.random(), local))
    centre = local[3 - region.mask.ndim :].tolist()
    u = rng.random()
    if push is None:
        low, high = FREE_EXPONENT
        factor = float(2 ** (low + u * (high - low)))
    else:
        if not distance >= SMALLEST_DISTANCE:
            raise UnsuitableRegion(f"a deformation needs its boundary at least 1 voxel away, got {distance:.3g}")
        if spacing is not None:
            distance = mean_boundary_distance(region.mask, centre, spacing)
        factor = deformation_strength(distance, push_distance(distance, push, u))
    return DeformationParams(
        centre=tuple(c + v for c, v in zip(region.corner, centre, strict=True)), factor=factor, order=order
    )


def push_distance(distance: float, push: tuple[float, float], u: float) -> float:
    """The push that u in [0, 1) picks for a mean boundary distance, within both bounds, in one unit."""
    from synthanom.drawing import push_distance as compiled

    return float(compiled(float(distance), float(push[0]), float(push[1]), float(u)))


def deform(image: ImageArray, region: Region, params: DeformationParams, direction: Direction) -> ImageArray:
    """The region's box after the deformation: float32 (C, *box).

    Raises
    ------
    SynthanomError
        For a region given as a mask: the way to its surface is known only for a geometry.
    """
    if region.geometry is None:
        raise SynthanomError("sink and source need a region with a geometry, got a mask; use Region.from_geometry")
    pull = (params.centre, params.factor)
    box = (region.corner, region.mask)
    return radial_warp.warp_box(image, region.geometry, pull, box, direction, params.order)
