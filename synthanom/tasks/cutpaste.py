"""Cut and paste within one picture."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from synthanom.arrays import ImageArray, MaskArray
from synthanom.errors import SynthanomError, UnsuitableRegion
from synthanom.kernels import components
from synthanom.regions import PROPOSALS, AbstractShape, Geometry, Region, uniform_index
from synthanom.sample import Sample
from synthanom.tasks.abstract import AbstractParams, AbstractTask, DonorKind
from synthanom.tasks.scaled_shape import AbstractScaledShape
from synthanom.tasks.upright import draw_fitting, odd_side


@dataclass(frozen=True, kw_only=True)
class PatchShape(AbstractScaledShape):
    """Upright boxes of some share of the image. Further settings: `AbstractScaledShape`.

    Attributes
    ----------
    smallest, largest : float
        Bounds of the share of the image's area or volume, uniform in between.
    aspect : (low, high)
        Bounds of the ratio of sides, around 1: by a fair coin uniform below 1 or above. In 3D every further side has
        its own ratio to the first. Of sides in voxels, or in mm.
    """

    smallest: float = 0.02
    largest: float = 0.15
    aspect: tuple[float, float] = (0.3, 3.3)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (0 < self.smallest <= self.largest <= 0.5 and len(self.aspect) == 2):
            raise SynthanomError(
                "a patch needs 0 < smallest <= largest <= 0.5 and two aspects, got "
                f"{self.smallest}, {self.largest} and {self.aspect}"
            )
        if not 0 < self.aspect[0] <= 1 <= self.aspect[1] < np.inf:
            raise SynthanomError(f"aspect must be (low, high) with 0 < low <= 1 <= high, got {self.aspect}")

    def draw_scaled(self, rng: np.random.Generator, allowed: MaskArray, spacing: Sequence[float] | None) -> Region:
        """Draw the sides, then a place for them."""
        voxels = (1.0,) * allowed.ndim if spacing is None else spacing
        return draw_fitting(rng, allowed, lambda: self._box(rng, allowed.shape, voxels))

    def _box(self, rng: np.random.Generator, shape: tuple[int, ...], voxels: Sequence[float]) -> Geometry:
        volume = (self.smallest + rng.random() * (self.largest - self.smallest)) * np.prod(shape) * np.prod(voxels)
        ratios = [1.0]
        for _ in range(len(shape) - 1):
            low, high = (self.aspect[0], 1.0) if rng.random() < 0.5 else (1.0, self.aspect[1])
            ratios.append(low + rng.random() * (high - low))
        first = float((volume / np.prod(ratios)) ** (1 / len(shape)))
        sides = [odd_side(first * ratio / voxel, n) for ratio, voxel, n in zip(ratios, voxels, shape, strict=True)]
        return Geometry.of_box([0] * len(sides), sides)


@dataclass(frozen=True, kw_only=True)
class CutPasteParams(AbstractParams):
    """One pasted patch.

    Attributes
    ----------
    shift : D integers
        Voxels from where the patch lands to where it was cut.
    """

    shift: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class CutPaste(AbstractTask):
    """Pastes a part of the picture somewhere else in it; its edge shows. Settings: `AbstractTask`.

    Notes
    -----
    The place it is cut from is uniform where it fits; of 32 places the first whose middle lies in the foreground is
    taken, as anatomy is what is wanted.

    References
    ----------
    Li et al., "CutPaste: self-supervised learning for anomaly detection and localization", CVPR 2021,
    doi:10.1109/CVPR46437.2021.00954.
    """

    name: ClassVar[str] = "cutpaste"
    kind: ClassVar[str] = "blend"  # a step where a patch begins, as in fpi, whose factor may be near 1
    donor: ClassVar[DonorKind] = "none"
    params: ClassVar[type[AbstractParams]] = CutPasteParams

    shape: AbstractShape = field(default_factory=PatchShape)

    def sample_params(
        self, rng: np.random.Generator, sample: Sample, region: Region, donor: Sample | None = None
    ) -> CutPasteParams:
        """Draw where the patch is cut.

        Raises
        ------
        UnsuitableRegion
            If there is no other place that it fits.
        """
        del donor
        low, end = _bounds(region)
        shifts = []
        for proposal in rng.random((PROPOSALS, low.size)):
            room = np.array(sample.shape) - (end - low) + 1
            start = np.array([uniform_index(u, n) for u, n in zip(proposal.tolist(), room.tolist(), strict=True)])
            if (start == low).all():
                continue
            shifts.append(tuple((start - low).tolist()))
            if sample.foreground[tuple((start + (end - low) // 2).tolist())]:
                return CutPasteParams(shift=shifts[-1])
        if not shifts:
            raise UnsuitableRegion(f"cutpaste needs another place for a patch of {tuple(end - low)} voxels")
        return CutPasteParams(shift=shifts[0])

    @staticmethod
    def change(image: ImageArray, region: Region, params: Any, donor: Sample | None = None) -> ImageArray:
        """The region's box with the patch pasted: float32 (C, *box).

        Raises
        ------
        SynthanomError
            If the patch would be cut outside the image.
        """
        del donor
        low, end = _bounds(region)
        cut = low + params.shift
        if (cut < 0).any() or (cut + (end - low) > image.shape[1:]).any():
            raise SynthanomError(
                f"cutpaste must cut its patch in the image {image.shape[1:]}, got shift {params.shift}"
            )
        out = image[(slice(None), *region.slices)].copy()
        inner = tuple(slice(a, b) for a, b in zip(low - region.corner, end - region.corner, strict=True))
        source = image[(slice(None), *(slice(a, a + n) for a, n in zip(cut, end - low, strict=True)))]
        part = out[(slice(None), *inner)]
        part[...] = np.where(region.mask[inner], source, part)
        return out

    @staticmethod
    def touched(before: ImageArray, after: ImageArray, region: Region, params: Any) -> MaskArray:
        """The region: bool (*box)."""
        del before, after, params
        return region.mask


def _bounds(region: Region) -> Any:
    """First voxel and end of the region in the image, without its margin: int64 (2, D)."""
    return components.bounds(region.mask) + np.array(region.corner)
