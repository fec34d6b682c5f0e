"""What fpi and pii share: a square patch, the same place in another subject, a factor."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from synthanom.arrays import ImageArray, MaskArray
from synthanom.errors import SynthanomError
from synthanom.regions import PROPOSALS, REDRAWS, AbstractShape, Geometry, Region, no_place, uniform_index
from synthanom.sample import Sample
from synthanom.tasks.abstract import AbstractParams, AbstractTask, DonorKind, limits_of
from synthanom.tasks.scaled_shape import AbstractScaledShape


@dataclass(frozen=True, kw_only=True)
class SquareShape(AbstractScaledShape):
    """Upright squares and cubes, cut off one voxel from the image's border. Further settings: `AbstractScaledShape`.

    Attributes
    ----------
    smallest, largest : float
        Bounds of half the side, as shares of the image's shortest side; the larger is not reached.
    core : float
        Share of every side of the image, in its middle, in which the centre lies.

    Notes
    -----
    Half the side is a uniform integer h, the side 2 h + 1 voxels (in mm: h of the smallest voxel sides, rounded to
    voxels), the centre uniform in the core. Beyond the papers, at least half of the patch lies in the foreground: 32
    centres are drawn for a side, and the first such is taken.
    """

    smallest: float = 0.05
    largest: float = 0.2
    core: float = 0.8

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (0 < self.smallest <= self.largest <= 0.5 and 0 < self.core <= 1):
            raise SynthanomError(
                "a square needs 0 < smallest <= largest <= 0.5 and core in (0, 1], got "
                f"{self.smallest}, {self.largest}, {self.core}"
            )

    def draw_scaled(self, rng: np.random.Generator, allowed: MaskArray, spacing: Sequence[float] | None) -> Region:
        """Draw a side, then a place for it."""
        voxels = np.ones(allowed.ndim) if spacing is None else np.asarray(spacing) / min(spacing)
        shortest = float((np.array(allowed.shape) * voxels).min())
        least, most = (max(1, round(bound * shortest)) for bound in (self.smallest, self.largest))
        for _ in range(REDRAWS):
            half = least + uniform_index(rng.random(), max(most - least, 1))
            halves = [round(h) for h in (half / voxels).tolist()]
            for proposal in rng.random((PROPOSALS, allowed.ndim)).tolist():
                box = self._box(proposal, halves, allowed.shape)
                inside = allowed[tuple(slice(a, b) for a, b in box)]
                if 2 * np.count_nonzero(inside) >= inside.size:
                    corner, size = [a for a, _ in box], [b - a for a, b in box]
                    return Region.from_geometry(Geometry.of_box(corner, size), allowed.shape)
        raise no_place(allowed)

    def _box(self, proposal: Sequence[float], halves: Sequence[int], shape: Sequence[int]) -> list[tuple[int, int]]:
        """First voxel, and end, of the patch along each axis."""
        box = []
        for u, half, side in zip(proposal, halves, shape, strict=True):
            count = max(1, round(self.core * side))
            centre = (side - count) // 2 + uniform_index(u, count)
            box.append((min(max(centre - half, 1), side - 2), max(min(centre + half + 1, side - 1), 2)))
        return box


@dataclass(frozen=True, kw_only=True)
class InterpolationParams(AbstractParams):
    """One interpolated patch.

    Attributes
    ----------
    factor : float
        Share of the other subject.
    limits : (2, C) numbers, image intensity units
        What the result is clipped to.
    """

    factor: float
    limits: tuple[tuple[float, ...], tuple[float, ...]]

    @property
    def strength(self) -> float:
        """The factor."""
        return self.factor


@dataclass(frozen=True, kw_only=True)
class AbstractSamePlace(AbstractTask):
    """Interpolates between the sample and the same place of another subject; the tasks differ in what they interpolate.

    Attributes
    ----------
    factor : (low, high)
        Bounds of the share of the other subject, uniform in between.
    """

    kind: ClassVar[str] = "blend"
    donor: ClassVar[DonorKind] = "other_subject"
    params: ClassVar[type[AbstractParams]] = InterpolationParams

    shape: AbstractShape = field(default_factory=SquareShape)
    factor: tuple[float, float] = (0.05, 0.95)

    def __post_init__(self) -> None:
        if not (len(self.factor) == 2 and 0 < self.factor[0] <= self.factor[1] <= 1):
            raise SynthanomError(f"factor must be (low, high) with 0 < low <= high <= 1, got {self.factor}")

    def sample_params(
        self, rng: np.random.Generator, sample: Sample, region: Region, donor: Sample | None = None
    ) -> InterpolationParams:
        """Draw the factor.

        Raises
        ------
        SynthanomError
            If there is no donor, or it has another shape or other channels than the sample: no place is the same then.
        """
        del region
        donor = _given(donor, self.name)
        if donor.image.shape != sample.image.shape:
            raise SynthanomError(
                f"{self.name} takes the same place of another subject: donor {donor.id} must have the image shape "
                f"{sample.image.shape} of {sample.id}, got {donor.image.shape}; bring both onto one grid, as "
                "build-dataset does"
            )
        low, high = self.factor
        return InterpolationParams(factor=low + rng.random() * (high - low), limits=limits_of(sample))

    @staticmethod
    def touched(before: ImageArray, after: ImageArray, region: Region, params: Any) -> MaskArray:
        """The region: bool (*box)."""
        del before, after, params
        return region.mask


def box_of_both(image: ImageArray, region: Region, donor: Sample | None, name: str) -> tuple[ImageArray, ImageArray]:
    """The region's box of an image and of the donor: float32 (C, *box) each.

    Raises
    ------
    SynthanomError
        If there is no donor, or none of the image's shape.
    """
    donor = _given(donor, name)
    if donor.image.shape != image.shape:
        raise SynthanomError(f"{name} needs a donor of the image's shape {image.shape}, got {donor.image.shape}")
    place = (slice(None), *region.slices)
    return image[place], donor.image[place]


def _given(donor: Sample | None, name: str) -> Sample:
    if donor is None:
        raise SynthanomError(f"{name} needs a donor, got None; pass donors=, a sequence of Samples")
    return donor
