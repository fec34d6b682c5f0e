"""Steps that change the voxel size; both grids share their centre."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, final

import numpy as np
import numpy.typing as npt

from synthanom.arrays import ImageArray, MaskArray
from synthanom.errors import SynthanomError
from synthanom.preprocess.grids import check_shape
from synthanom.preprocess.state import State, index_matrix, product
from synthanom.preprocess.step import AbstractStep
from synthanom.volumes.volume import MAX_BYTES

SAME_SPACING = 1e-3  # relative: headers store spacings rounded
SIGMA_PER_FACTOR = 0.5  # Gaussian before shrinking by f: (f - 1) * this, in old voxels; scikit-image's choice too
MIN_SPACING, MAX_SPACING = 1e-3, 1e3  # mm


@final
@dataclass(frozen=True, kw_only=True)
class Resample(AbstractStep):
    """Resamples to a voxel size, linearly, smoothed first along axes that shrink; the mask by nearest neighbour.

    Attributes
    ----------
    spacing : tuple of D floats, or one float for all axes
        Voxel size in mm, in axis order.
    """

    name: ClassVar[str] = "resample"
    spacing: tuple[float, ...] | float

    def __post_init__(self) -> None:
        given = self.spacing
        sides: tuple[Any, ...] = tuple(given) if isinstance(given, list | tuple) else (given,)
        real = all(isinstance(s, int | float) and not isinstance(s, bool) for s in sides)
        if len(sides) not in (1, 2, 3) or not real or not all(MIN_SPACING <= s <= MAX_SPACING for s in sides):
            raise SynthanomError(
                f"{self.name}: spacing must be one size in mm or one per axis, "
                f"between {MIN_SPACING} and {MAX_SPACING}, got {given!r}"
            )
        plain = tuple(float(s) for s in sides)
        object.__setattr__(self, "spacing", plain if isinstance(given, list | tuple) else plain[0])

    def forward(self, state: State) -> tuple[State, dict[str, Any]]:
        """Resample image and foreground; the affine and the spacing follow."""
        dims = len(state.shape)
        wanted = self.spacing if isinstance(self.spacing, tuple) else (self.spacing,) * dims
        if state.spacing is None:
            raise SynthanomError(
                f"{state.name}: the file does not say how large its voxels are, so it cannot be resampled to {wanted} "
                "mm; leave the spacing out or repair the header"
            )
        if len(wanted) != dims:
            raise SynthanomError(
                f"{state.name}: the image has {dims} axes, spacing {wanted} has {len(wanted)}; name one size per axis"
            )
        if np.allclose(wanted, state.spacing, rtol=SAME_SPACING, atol=0):
            return state, {"from": list(state.shape), "scale": [1.0] * dims, "size": list(state.shape)}
        scale = [want / have for want, have in zip(wanted, state.spacing, strict=True)]
        size = [max(1, round(side / factor)) for side, factor in zip(state.shape, scale, strict=True)]
        return resampled(state, size, scale)

    @staticmethod
    def inverse(score: ImageArray, entry: Mapping[str, Any], order: int) -> ImageArray:
        """Sample the map where the old voxels lie."""
        return back(score, entry, order)


@final
@dataclass(frozen=True, kw_only=True)
class ResizePicture(AbstractStep):
    """Resizes a 2D image to a shape, whatever its aspect, smoothed first along axes that shrink.

    Attributes
    ----------
    shape : tuple of 2 ints
        Pixels (Y, X).
    order : {1, 3}
        Linear or cubic interpolation.
    """

    name: ClassVar[str] = "resize-picture"
    shape: tuple[int, ...]
    order: int = 1

    def __post_init__(self) -> None:
        if self.order not in (1, 3):
            raise SynthanomError(f"{self.name}: order must be 1 (linear) or 3 (cubic), got {self.order!r}")
        object.__setattr__(self, "shape", check_shape(self.shape, self.name))
        if len(self.shape) != 2:
            raise SynthanomError(f"{self.name}: shape must have 2 sides, got {self.shape}; volumes take fit-shape")

    def forward(self, state: State) -> tuple[State, dict[str, Any]]:
        """Resize image and foreground; affine and spacing, where known, follow."""
        if len(state.shape) != 2:
            raise SynthanomError(
                f"{state.name}: only 2D pictures are resized to a shape, got {state.shape}; "
                "give volumes a spacing, or a shape to crop and pad to"
            )
        scale = [have / want for have, want in zip(state.shape, self.shape, strict=True)]
        return resampled(state, self.shape, scale, self.order)

    @staticmethod
    def inverse(score: ImageArray, entry: Mapping[str, Any], order: int) -> ImageArray:
        """Sample the map where the old pixels lie."""
        return back(score, entry, order)


def resampled(
    state: State, size: Sequence[int], scale: Sequence[float], order: int = 1
) -> tuple[State, dict[str, Any]]:
    """The state on a new grid whose voxels are `scale` old ones wide, around the same centre.

    Raises
    ------
    SynthanomError
        If the new grid is too large.
    """
    if product(size) * 4 > MAX_BYTES:
        raise SynthanomError(
            f"{state.name}: resampling {state.shape} would make {tuple(size)} voxels, more than "
            f"{MAX_BYTES // 1024**3} GiB per channel; take a coarser spacing or a smaller shape"
        )
    image = np.stack([resample(channel, size, scale, order) for channel in state.image])
    foreground = resample_mask(state.foreground, size, scale)
    within = None if state.within is None else resample_mask(state.within, size, scale)
    affine = state.affine
    if affine is not None:
        affine = affine @ index_matrix(scale, _shift(state.shape, size, scale))
    spacing = state.spacing
    if spacing is not None:
        spacing = tuple(have * factor for have, factor in zip(spacing, scale, strict=True))
    entry = {"from": list(state.shape), "scale": [float(f) for f in scale], "size": [int(s) for s in size]}
    moved = replace(state, image=image, foreground=foreground, affine=affine, spacing=spacing, within=within)
    return moved, entry


def back(score: ImageArray, entry: Mapping[str, Any], order: int) -> ImageArray:
    """A map sampled where the voxels before `resampled` lie, given its trace entry."""
    return resample(score, entry["from"], [1.0 / factor for factor in entry["scale"]], order)


def resample(array: ImageArray, size: Sequence[int], scale: Sequence[float], order: int) -> ImageArray:
    """Sample an array on a grid of `size` voxels, each `scale` old voxels wide, around the same centre.

    Parameters
    ----------
    array : ndarray of shape (*S), float32
    size, scale : sequences of D numbers, in axis order
    order : {0, 1, 3}
        Nearest neighbour, linear, cubic B-spline. Axes with a scale above 1 are smoothed first unless 0.
    """
    if tuple(size) == array.shape and all(factor == 1.0 for factor in scale):
        return array
    smooth = array if order == 0 else _smoothed(array, scale)
    return np.asarray(_run_filter(smooth, size, scale, order), dtype=np.float32)


def resample_mask(mask: MaskArray, size: Sequence[int], scale: Sequence[float]) -> MaskArray:
    """As `resample` by nearest neighbour."""
    return np.asarray(_run_filter(mask.astype(np.uint8), size, scale, 0) > 0)


def _smoothed(array: ImageArray, scale: Sequence[float]) -> ImageArray:
    from scipy.ndimage import gaussian_filter

    sigma = [max(0.0, (factor - 1) * SIGMA_PER_FACTOR) for factor in scale]
    if not any(sigma):
        return array
    return np.asarray(gaussian_filter(array, sigma, mode="nearest"), dtype=np.float32)


def _run_filter(array: npt.NDArray[Any], size: Sequence[int], scale: Sequence[float], order: int) -> npt.NDArray[Any]:
    """SimpleITK's resampling in voxel coordinates; one thread, as callers run one process per core."""
    import SimpleITK

    sitk: Any = SimpleITK
    interpolators = {0: sitk.sitkNearestNeighbor, 1: sitk.sitkLinear, 3: sitk.sitkBSpline}
    if order not in interpolators:
        raise SynthanomError(f"order must be 0 (nearest), 1 (linear) or 3 (cubic), got {order!r}")
    image = sitk.GetImageFromArray(np.ascontiguousarray(array))
    run = sitk.ResampleImageFilter()
    run.SetNumberOfThreads(1)
    run.SetSize([int(s) for s in reversed(size)])
    run.SetOutputSpacing([float(f) for f in reversed(scale)])
    run.SetOutputOrigin([float(s) for s in reversed(_shift(array.shape, size, scale))])
    run.SetInterpolator(interpolators[order])
    # half a voxel beyond the old centres is still inside the image
    run.SetUseNearestNeighborExtrapolator(True)
    return np.asarray(sitk.GetArrayFromImage(run.Execute(image)))


def _shift(old: Sequence[int], new: Sequence[int], scale: Sequence[float]) -> list[float]:
    """Old coordinate of new voxel 0, per axis, where both grids share their centre."""
    return [(o - 1) / 2 - f * (n - 1) / 2 for o, n, f in zip(old, new, scale, strict=True)]
