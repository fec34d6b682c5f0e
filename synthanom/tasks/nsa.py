"""Natural synthetic anomalies: resized patches of other subjects, blended in where both show the object."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from synthanom.arrays import FloatArray, ImageArray, MaskArray
from synthanom.errors import SynthanomError, UnsuitableRegion
from synthanom.kernels import components, object_overlap
from synthanom.regions import PROPOSALS, AbstractShape, Geometry, Region
from synthanom.sample import Sample
from synthanom.tasks.abstract import AbstractParams, AbstractTask, DonorKind, limits_of
from synthanom.tasks.donor_patch import AbstractBlend, BlendParams, check_donor
from synthanom.tasks.scaled_shape import AbstractScaledShape, sides_of
from synthanom.tasks.upright import draw_fitting, odd_side

SPREAD = 0.5  # standard deviation of the factor by which a patch is resized


@dataclass(frozen=True, kw_only=True)
class ResizedShape(AbstractScaledShape):
    """Upright boxes that were resized: the geometry's `size` is the patch's in the donor, its matrix the resizing.

    Further settings: `AbstractScaledShape`.

    Attributes
    ----------
    smallest, largest : float
        Bounds of half the width in the donor, and of the whole width where it lands, as shares of the image's sides.
    offset, gamma_shape, gamma_scale : float
        Half the width in the donor is offset + Gamma(gamma_shape, gamma_scale), independently per axis.
    resize : (low, high)
        Bounds of the factor, Normal(1, 0.5), by which the patch is resized, the same along all axes.

    Notes
    -----
    Defaults are those for radiographs. That the bounds are of half the width first and of the whole width afterwards is
    the published program's rule.
    """

    smallest: float = 0.03
    largest: float = 0.4
    offset: float = 0.05
    gamma_shape: float = 2.0
    gamma_scale: float = 0.03
    resize: tuple[float, float] = (0.7, 1.3)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.smallest <= self.largest <= 0.45:
            raise SynthanomError(
                f"sizes must satisfy 0 < smallest <= largest <= 0.45, got {self.smallest} and {self.largest}"
            )
        if min(self.gamma_shape, self.gamma_scale) <= 0 or self.offset < 0:
            raise SynthanomError("gamma_shape and gamma_scale must be positive, offset not negative")
        if not (len(self.resize) == 2 and 0 < self.resize[0] <= self.resize[1] < np.inf):
            raise SynthanomError(f"resize must be (low, high) with 0 < low <= high, got {self.resize}")

    def draw_scaled(self, rng: np.random.Generator, allowed: MaskArray, spacing: Sequence[float] | None) -> Region:
        """Draw the sides and the factor, then a place."""
        sides = sides_of(allowed.shape, spacing)
        return draw_fitting(rng, allowed, lambda: self._box(rng, allowed.shape, sides))

    def _box(self, rng: np.random.Generator, shape: tuple[int, ...], sides: Sequence[float]) -> Geometry:
        source = []
        for n in sides:
            half = (self.offset + self.gamma_scale * rng.standard_gamma(self.gamma_shape)) * n
            source.append(2 * max(1, int(min(max(half, self.smallest * n), self.largest * n))) + 1)
        factor = min(max(1 + SPREAD * rng.standard_normal(), self.resize[0]), self.resize[1])
        factor = min(factor, *(self.largest * n / s for n, s in zip(sides, source, strict=True)))
        factor = max(factor, *(self.smallest * n / s for n, s in zip(sides, source, strict=True)))
        landed = [odd_side(factor * s, n) for s, n in zip(source, shape, strict=True)]
        matrix = np.diag([b / a for a, b in zip(source, landed, strict=True)])
        return Geometry("cuboid", tuple(source), matrix, (0.0,) * len(shape))


@dataclass(frozen=True, kw_only=True)
class Nsa(AbstractTask):
    """Blends in a resized patch of another subject, from another place, where both show the object.

    Attributes
    ----------
    mixed : bool
        Keep, per axis and channel, the target's gradient where it is at least as large as the donor's; False takes the
        donor's, as the authors do for objects other than textures and radiographs.
    patches : int
        At most so many, 1 to 4 and no more than the options' `max_anomalies`; the first is always made, each further
        one with the options' probability `repeat`, independently.
    least_object : float
        More than this share of the patch must be the donor's foreground.
    least_overlap : float
        More than this share of the patch's object must land on the sample's foreground.
    shifted : bool
        False takes the patch at the place where it lands, from a donor of the sample's shape.
    join_threshold : float
        Voxels of the box changed by more (mean over channels, image intensity units) join the region.

    Notes
    -----
    32 places in the donor are drawn for each region, and the first that meets both rules is taken; without one, another
    region and another donor are drawn. The Poisson equation is solved in the whole patch: where neither picture shows
    the object both are flat, and nothing changes. Shapes other than `ResizedShape` are not resized.

    References
    ----------
    Schlueter et al., "Natural synthetic anomalies for self-supervised anomaly detection and localization", ECCV 2022,
    doi:10.1007/978-3-031-19821-2_27.
    Perez, Gangnet, Blake, "Poisson image editing", ACM Trans. Graph. 22(3), 2003, doi:10.1145/882262.882269.
    """

    name: ClassVar[str] = "nsa"
    kind: ClassVar[str] = "blend"
    donor: ClassVar[DonorKind] = "other_subject"
    params: ClassVar[type[AbstractParams]] = BlendParams

    shape: AbstractShape = field(default_factory=ResizedShape)
    mixed: bool = True
    patches: int = 3
    least_object: float = 0.7
    least_overlap: float = 0.7
    shifted: bool = True
    join_threshold: float = 0.001

    def __post_init__(self) -> None:
        if not 1 <= self.patches <= 4:
            raise SynthanomError(f"patches must be 1 to 4, got {self.patches}")
        if not (0 <= self.least_object < 1 and 0 <= self.least_overlap < 1):
            raise SynthanomError(
                f"least_object and least_overlap must lie in [0, 1), got {self.least_object} and {self.least_overlap}"
            )

    def draw_count(self, rng: np.random.Generator, most: int, repeat: float) -> int:
        """1 and as many as come up of up to `patches` - 1 coins."""
        further = rng.random(min(self.patches, most) - 1) < repeat
        return 1 + int(np.count_nonzero(further))

    def sample_params(
        self, rng: np.random.Generator, sample: Sample, region: Region, donor: Sample | None = None
    ) -> BlendParams:
        """Draw where in the donor the patch is taken.

        Raises
        ------
        SynthanomError
            If there is no donor, or it has other axes or channels than the sample.
        UnsuitableRegion
            If none of 32 places meets the rules, or the patch is larger than the donor.
        """
        if donor is None:
            raise SynthanomError(f"{self.name} needs a donor, got None; pass donors=, a sequence of Samples")
        check_donor(sample, donor)
        low, end = components.bounds(region.mask)
        landed = end - low
        resized = isinstance(self.shape, ResizedShape) and region.geometry is not None
        source = np.array(region.geometry.size) if resized and region.geometry is not None else landed
        scale = source / landed
        offsets = self._starts(rng, region, source, donor, sample) + (source - 1) / 2
        offsets = offsets - scale * (low + (landed - 1) / 2)
        for offset in offsets:
            if self._fits(sample.foreground, region, donor.foreground, (scale, offset)):
                return BlendParams(
                    matrix=tuple(tuple(row) for row in np.diag(scale).tolist()),
                    offset=tuple(offset.tolist()),
                    donor_limits=limits_of(donor),
                    limits=limits_of(sample),
                    mixed=self.mixed,
                    join_threshold=self.join_threshold,
                )
        raise UnsuitableRegion(f"nsa found no part of {donor.id} that shows the object where it lands in {sample.id}")

    def _starts(
        self, rng: np.random.Generator, region: Region, source: npt.NDArray[np.int64], donor: Sample, sample: Sample
    ) -> npt.NDArray[np.int64]:
        """Proposals for the donor voxel at which the patch begins: int64 (n, D)."""
        if not self.shifted:
            if donor.shape != sample.shape:
                raise SynthanomError(
                    f"nsa takes the same place of the donor (shifted=False): donor {donor.id} must have the shape "
                    f"{sample.shape} of {sample.id}, got {donor.shape}"
                )
            low, end = components.bounds(region.mask) + np.array(region.corner)
            there: npt.NDArray[np.int64] = low + ((end - low) - source) // 2
            return there[None]
        room = np.array(donor.shape) - source + 1
        if room.min() < 1:
            raise UnsuitableRegion(f"nsa needs a donor larger than its patch of {tuple(source.tolist())} voxels")
        proposals = rng.random((PROPOSALS, source.size))
        starts: npt.NDArray[np.int64] = np.minimum((proposals * room).astype(np.int64), room - 1)
        return starts

    def _fits(
        self, foreground: MaskArray, region: Region, donor: MaskArray, how: tuple[FloatArray, FloatArray]
    ) -> bool:
        """Whether enough of the patch is object, and enough of that lands on the object."""
        count, common = object_overlap.counts(donor, region.mask, foreground[region.slices], *how)
        return count > self.least_object * region.count and common > self.least_overlap * count

    @staticmethod
    def change(image: ImageArray, region: Region, params: Any, donor: Sample | None = None) -> ImageArray:
        """The region's box with the patch blended in, clipped to the sample's range: float32 (C, *box)."""
        return AbstractBlend.change(image, region, params, donor)

    @staticmethod
    def touched(before: ImageArray, after: ImageArray, region: Region, params: Any) -> MaskArray:
        """The region and every voxel of its box that blending changed by more than the threshold: bool (*box)."""
        return AbstractBlend.touched(before, after, region, params)
