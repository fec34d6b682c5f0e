"""What the two blending tasks share: drawing a patch of a donor, blending it in, finding what it touched."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from synthanom.arrays import FloatArray, ImageArray, MaskArray, pad_triple
from synthanom.errors import SynthanomError, UnsuitableRegion
from synthanom.kernels import affine_patch, poisson
from synthanom.kernels.region_mask import byte_volume, embed
from synthanom.regions import PROPOSALS, Region
from synthanom.sample import Sample
from synthanom.tasks.abstract import AbstractParams, AbstractTask, limits_of


@dataclass(frozen=True, kw_only=True)
class BlendParams(AbstractParams):
    """One blended-in patch.

    Attributes
    ----------
    matrix : (D, D) numbers
        From box voxels to donor voxels.
    offset : D numbers
        Donor coordinates of the box's first voxel.
    donor_limits, limits : (2, C) numbers, image intensity units
        What the patch and the result are clipped to.
    mixed : bool
    join_threshold : float
        As of the task.
    """

    matrix: tuple[tuple[float, ...], ...]  # (D, D): box voxels to donor voxels
    offset: tuple[float, ...]  # (D,): donor coordinates of the box's first voxel
    donor_limits: tuple[tuple[float, ...], tuple[float, ...]]  # the patch is clipped to it, per channel
    limits: tuple[tuple[float, ...], tuple[float, ...]]  # the result is clipped to it, per channel
    mixed: bool  # keep the target's gradient where it is at least as large
    join_threshold: float  # voxels of the box changed by more (mean over channels) join the region


@dataclass(frozen=True, kw_only=True)
class PatchSettings:
    """How a patch is drawn from a donor.

    Attributes
    ----------
    largest_angle : float
        Radians, in every plane of axes.
    scale : float
        Mean of the exponential by which the scale exceeds 1.
    largest_part : float
        Of the donor's side that the patch may need.
    """

    largest_angle: float = np.pi / 4  # radians, in every plane of axes
    scale: float = 0.1  # mean of the exponential by which the scale exceeds 1
    largest_part: float = 0.8  # of the donor's side that the patch may need

    def __post_init__(self) -> None:
        if not (0 <= self.largest_angle <= np.pi and self.scale >= 0 and 0 < self.largest_part <= 1):
            raise SynthanomError(
                "a patch needs largest_angle in [0, pi], scale >= 0 and largest_part in (0, 1], got "
                f"{self.largest_angle}, {self.scale}, {self.largest_part}"
            )


@dataclass(frozen=True, kw_only=True)
class AbstractBlend(AbstractTask):
    """Poisson blending of a donor's patch; the tasks differ in whose patch it is.

    Attributes
    ----------
    mixed : bool
        Keep, per axis and channel, the target's gradient where it is at least as large as the donor's.
    join_threshold : float
        Voxels of the box changed by more (mean over channels, image intensity units) join the region.
    patch : PatchSettings
        Rotation and scale of the patch.
    """

    kind: ClassVar[str] = "blend"
    params: ClassVar[type[AbstractParams]] = BlendParams

    mixed: bool = True
    join_threshold: float = 0.001
    patch: PatchSettings = field(default_factory=PatchSettings)

    def sample_params(
        self, rng: np.random.Generator, sample: Sample, region: Region, donor: Sample | None = None
    ) -> BlendParams:
        """Draw where in the donor the patch is taken and how it is turned and scaled.

        Raises
        ------
        SynthanomError
            If there is no donor, or it has other axes or channels than the sample.
        UnsuitableRegion
            If the region's box has no inner voxel.
        """
        if donor is None:
            raise SynthanomError(f"{self.name} needs a donor, got None; pass donors=, a sequence of Samples")
        check_donor(sample, donor)
        if min(region.size) < 3:
            raise UnsuitableRegion(f"blending needs a box with inner voxels, got size {region.size}")
        matrix = _draw_matrix(rng, region.size, donor.shape, self.patch)
        offset = _draw_offset(rng, region.size, donor, matrix)
        return BlendParams(
            matrix=tuple(tuple(row) for row in matrix.tolist()),
            offset=tuple(offset.tolist()),
            donor_limits=limits_of(donor),
            limits=limits_of(sample),
            mixed=self.mixed,
            join_threshold=self.join_threshold,
        )

    @staticmethod
    def change(image: ImageArray, region: Region, params: Any, donor: Sample | None = None) -> ImageArray:
        """The region's box with the patch blended in, clipped to the sample's range: float32 (C, *box).

        Raises
        ------
        SynthanomError
            If there is no donor.
        """
        if donor is None:
            raise SynthanomError("blending needs the donor that the parameters were drawn with, got None")
        patch = affine_patch.sample(
            donor.image, params.matrix, params.offset, region.size, params.donor_limits, region.mask
        )
        target = image[(slice(None), *region.slices)]
        return poisson.blend_box(target, patch, region.mask, mixed=params.mixed, limits=params.limits)

    @staticmethod
    def touched(before: ImageArray, after: ImageArray, region: Region, params: Any) -> MaskArray:
        """The region and every voxel of its box that blending changed by more than the threshold: bool (*box)."""
        return poisson.changed(before, after, region.mask, params.join_threshold)


def check_donor(sample: Sample, donor: Sample) -> None:
    """Raise unless the donor has the sample's channels and number of axes.

    Raises
    ------
    SynthanomError
    """
    if donor.image.ndim != sample.image.ndim or donor.image.shape[0] != sample.image.shape[0]:
        raise SynthanomError(
            f"donor {donor.id} must have {sample.image.shape[0]} channels and {sample.image.ndim - 1} spatial axes "
            f"as {sample.id} has, got image shape {donor.image.shape}"
        )


def _draw_matrix(
    rng: np.random.Generator, size: tuple[int, ...], donor: tuple[int, ...], settings: PatchSettings
) -> FloatArray:
    """Rotation in every plane times a scale, capped so that the donor is large enough."""
    from synthanom.drawing import patch_matrix

    dims = len(size)
    angles = settings.largest_angle * (2 * rng.random(dims * (dims - 1) // 2) - 1)
    enlarge = rng.random() < 0.5
    scale = 1 + settings.scale * rng.standard_exponential()
    matrix = np.empty((3, 3))
    sides = pad_triple(size, 1.0), pad_triple(donor, 1.0)
    patch_matrix(angles, float(scale if enlarge else 1 / scale), *sides, settings.largest_part, matrix)
    return matrix[3 - dims :, 3 - dims :]


def _draw_offset(rng: np.random.Generator, size: tuple[int, ...], donor: Sample, matrix: FloatArray) -> FloatArray:
    """Donor coordinates of the box's first voxel, the middle of the needed part in the donor's foreground.

    All proposals are drawn before any is judged; where none lies in the foreground the first is taken.
    """
    from synthanom.drawing import patch_offset

    dims = len(size)
    offset = np.empty(3)
    proposals = rng.random((PROPOSALS, dims))
    patch_offset(proposals, pad_triple(size, 1.0), byte_volume(donor.foreground), embed(matrix), offset)
    return offset[3 - dims :]


def draw_patch(
    rng: np.random.Generator, sample: Sample, size: tuple[int, ...], donor: Sample, settings: PatchSettings
) -> tuple[FloatArray, FloatArray]:
    """Draw a patch of a donor for a box of this size: the matrix (D, D) and the offset (D,) of `affine_patch.sample`.

    Raises
    ------
    SynthanomError
        If the donor has other axes or channels than the sample.
    """
    check_donor(sample, donor)
    matrix = _draw_matrix(rng, size, donor.shape, settings)
    return matrix, _draw_offset(rng, size, donor, matrix)
