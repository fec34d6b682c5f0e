"""A foreign texture where gradient noise is high."""

import itertools
import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from synthanom.arrays import FloatArray, ImageArray, MaskArray
from synthanom.errors import NoPlace, SynthanomError
from synthanom.kernels import affine_patch, components, gradient_noise
from synthanom.regions import REDRAWS, AbstractShape, Region, uniform_index
from synthanom.sample import Sample
from synthanom.tasks.abstract import AbstractParams, AbstractTask, DonorKind, limits_of
from synthanom.tasks.donor_patch import PatchSettings, draw_patch


@dataclass(frozen=True, kw_only=True)
class GradientNoiseShape(AbstractShape):
    """Where gradient noise exceeds a threshold, cut to the foreground: several parts as a rule, of any form.

    Attributes
    ----------
    threshold : float
        The noise lies within [-1, 1] in 2D, 1.23 times that in 3D.
    finest : int
        Each side of the image is divided into 2^a cells, a uniform in 0 to this, anew for every axis.
    smallest_cell : float
        Voxels that a cell is wide at least, whatever `finest` says.
    largest_angle : float
        The noise is turned by a uniform angle of this size at most, in radians, in every plane of axes.

    Notes
    -----
    The published program fills what turning leaves open at the image's corners with 0; here the noise goes on. Nor does
    it look for a foreground. Masks without a voxel are drawn again. The image's outermost voxels are left free.
    """

    threshold: float = 0.5
    finest: int = 5
    smallest_cell: float = 4.0
    largest_angle: float = math.pi / 2

    def __post_init__(self) -> None:
        if not (0 <= self.threshold < 1 and 0 <= self.finest <= 10 and self.smallest_cell >= 2):
            raise SynthanomError(
                "noise needs threshold in [0, 1), finest in 0..10 and smallest_cell of at least 2 voxels, got "
                f"{self.threshold}, {self.finest}, {self.smallest_cell}"
            )
        if not 0 <= self.largest_angle <= math.pi:
            raise SynthanomError(f"largest_angle must lie in [0, pi] radians, got {self.largest_angle}")

    @property
    def has_geometry(self) -> bool:
        """No: its regions are masks."""
        return False

    def draw(self, rng: np.random.Generator, foreground: MaskArray, within: MaskArray | None = None) -> Region:
        """Draw noise until some of it exceeds the threshold in the foreground."""
        allowed = foreground if within is None else foreground & within
        inner = (slice(1, -1),) * allowed.ndim
        usable = np.zeros_like(allowed)
        usable[inner] = allowed[inner]
        low, end = components.bounds(usable)
        box = tuple(slice(a, b) for a, b in zip(low.tolist(), end.tolist(), strict=True))
        for _ in range(REDRAWS if usable.any() else 0):
            # where it may not lie the noise is 0, which is never above the threshold
            marked = self._noise(rng, allowed.shape, low, usable[box]) > self.threshold
            if marked.any():
                usable[...] = False
                usable[box] = marked
                return Region.from_mask(usable)
        raise NoPlace(
            f"no place for an anomaly: noise exceeded {self.threshold} nowhere in the foreground of "
            f"{int(allowed.sum())} voxels of the image {allowed.shape}, in {REDRAWS} draws; check the foreground mask, "
            "or lower GradientNoiseShape.threshold"
        )

    def _noise(self, rng: np.random.Generator, shape: tuple[int, ...], corner: Any, wanted: MaskArray) -> FloatArray:
        """Noise over a box of an image of spatial `shape`, where it is wanted: float64 (*box)."""
        sides, size = np.array(shape), np.array(wanted.shape)
        most = np.minimum(self.finest, np.log2(np.maximum(sides / self.smallest_cell, 1)).astype(int))
        cells = 2 ** np.array([uniform_index(rng.random(), m + 1) for m in most.tolist()])
        turn = _rotation(self.largest_angle * (2 * rng.random(sides.size * (sides.size - 1) // 2) - 1), sides.size)
        middle = (sides - 1) / 2
        matrix = (cells / sides)[:, None] * turn
        offset = cells / sides * (turn @ (corner - middle) + middle)
        far = matrix * (size - 1)
        first = np.floor(offset + np.minimum(far, 0).sum(axis=1))
        last = np.ceil(offset + np.maximum(far, 0).sum(axis=1)) + 1  # one to spare for rounding
        gradients = rng.standard_normal((*(last - first + 1).astype(int), sides.size))
        gradients /= np.linalg.norm(gradients, axis=-1, keepdims=True)
        return gradient_noise.sample(gradients, matrix, (offset - first).tolist(), wanted.shape, wanted)


@dataclass(frozen=True, kw_only=True)
class PerlinTextureParams(AbstractParams):
    """One texture laid over the picture.

    Attributes
    ----------
    matrix : (D, D) numbers
        Box voxels to donor voxels.
    offset : D numbers
        Donor coordinates of the box's first voxel.
    donor_limits : (2, C) numbers, image intensity units
        What the texture is clipped to.
    beta : float
        Weight of the original.
    limits : (2, C) numbers, image intensity units
        What the result is clipped to.
    """

    matrix: tuple[tuple[float, ...], ...]
    offset: tuple[float, ...]
    donor_limits: tuple[tuple[float, ...], tuple[float, ...]]
    beta: float
    limits: tuple[tuple[float, ...], tuple[float, ...]]

    @property
    def strength(self) -> float:
        """Weight of the texture."""
        return 1 - self.beta


@dataclass(frozen=True, kw_only=True)
class PerlinTexture(AbstractTask):
    """Lays a foreign texture over the picture, where gradient noise is high.

    Attributes
    ----------
    largest_beta : float
        Bound of the original's weight, uniform from 0.
    patch : PatchSettings
        Rotation and scale of the texture.

    Notes
    -----
    Textures are donors from another data set, in image intensity units as the sample, or procedural ones
    (`textures.TextureDonors`). The published program changes their colours by operations on 8-bit RGB, which have no
    meaning for scans; here they are turned and scaled as patches are for blending. One mask makes one anomaly, whatever
    the probability of another.

    References
    ----------
    Zavrtanik et al., "DRAEM: a discriminatively trained reconstruction embedding for surface anomaly detection", ICCV
    2021, doi:10.1109/ICCV48922.2021.00822.
    """

    name: ClassVar[str] = "perlin_texture"
    kind: ClassVar[str] = "blend"  # foreign texture, as in inter_blend
    donor: ClassVar[DonorKind] = "external"
    params: ClassVar[type[AbstractParams]] = PerlinTextureParams

    shape: AbstractShape = field(default_factory=GradientNoiseShape)
    largest_beta: float = 0.8
    patch: PatchSettings = field(default_factory=PatchSettings)

    def __post_init__(self) -> None:
        if not 0 <= self.largest_beta < 1:
            raise SynthanomError(f"largest_beta must lie in [0, 1), got {self.largest_beta}")

    def draw_count(self, rng: np.random.Generator, most: int, repeat: float) -> int | None:
        """One: the noise itself has several parts."""
        del rng, most, repeat
        return 1

    def sample_params(
        self, rng: np.random.Generator, sample: Sample, region: Region, donor: Sample | None = None
    ) -> PerlinTextureParams:
        """Draw the part of the donor that is the texture, and the original's weight.

        Raises
        ------
        SynthanomError
            If there is no donor, or it has other axes or channels than the sample.
        """
        if donor is None:
            raise SynthanomError(
                f"{self.name} needs a donor, got None; pass donors=, a sequence of Samples, such as TextureDonors"
            )
        matrix, offset = draw_patch(rng, sample, region.size, donor, self.patch)
        return PerlinTextureParams(
            matrix=tuple(tuple(row) for row in matrix.tolist()),
            offset=tuple(offset.tolist()),
            donor_limits=limits_of(donor),
            beta=rng.random() * self.largest_beta,
            limits=limits_of(sample),
        )

    @staticmethod
    def change(image: ImageArray, region: Region, params: Any, donor: Sample | None = None) -> ImageArray:
        """The region's box with the texture over it, clipped to the sample's range: float32 (C, *box).

        Raises
        ------
        SynthanomError
            If there is no donor.
        """
        if donor is None:
            raise SynthanomError("perlin_texture needs the donor that the parameters were drawn with, got None")
        texture = affine_patch.sample(
            donor.image, params.matrix, params.offset, region.size, params.donor_limits, region.mask
        )
        own = image[(slice(None), *region.slices)]
        low, high = (np.array(v, dtype=np.float32).reshape(-1, *(1,) * region.mask.ndim) for v in params.limits)
        mixture = np.float32(1 - params.beta) * texture + np.float32(params.beta) * own
        return np.where(region.mask, np.clip(mixture, low, high), own)

    @staticmethod
    def touched(before: ImageArray, after: ImageArray, region: Region, params: Any) -> MaskArray:
        """The region: bool (*box)."""
        del before, after, params
        return region.mask


def _rotation(angles: FloatArray, dims: int) -> FloatArray:
    """Rotations by `angles`, one per pair of axes in ascending order: float64 (dims, dims)."""
    turn = np.eye(dims)
    for (a, b), angle in zip(itertools.combinations(range(dims), 2), angles.tolist(), strict=True):
        plane = np.eye(dims)
        plane[a, a] = plane[b, b] = math.cos(angle)
        plane[a, b], plane[b, a] = -math.sin(angle), math.sin(angle)
        turn = plane @ turn
    return turn
