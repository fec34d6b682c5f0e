"""A preprocessed image as every task sees it; the only place where arrays are cast."""

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from synthanom.arrays import FloatArray, ImageArray, MaskArray, MaskOrBox, check_mask, mask_or_box, value_range
from synthanom.errors import NormalisationWarning, SynthanomError

MIN_SIDE = 12  # voxels; below it the smallest region and its margin do not fit (specs: sides at least 12)
MAX_SIDE = 65535  # voxels; what lies along a row is counted in 16 bits
MAX_CHANNELS = 8  # more without `channels=` is taken for a volume whose channel axis is missing
USUAL_DEVIATION = (0.05, 5.0)  # standard deviation in the foreground of a z-scored or [-1, 1] image


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """One preprocessed image. Build it with `Sample.from_array`; the arrays are read-only.

    Attributes
    ----------
    image : ndarray of shape (C, *S), float32, C-contiguous
    foreground : ndarray of shape (*S), bool
        Where anomalies may be placed.
    spacing : tuple of D floats or None
        Voxel size in mm, in axis order ([Z,] Y, X); None where unknown.
    affine : ndarray of shape (4, 4), float64, or None
        As nibabel's: maps (x, y, z, 1), the reversed axes of `image`, to world millimetres.
    id : str
        Names the image; keys its random stream.
    subject : str
        Whom the image shows: folds and donors go by it.
    within : ndarray of shape (*S), bool, or None
        Location prior: at least half of every anomaly lies in the foreground and in this mask.
    """

    image: ImageArray
    foreground: MaskArray
    spacing: tuple[float, ...] | None
    affine: FloatArray | None
    id: str
    subject: str
    within: MaskArray | None = None

    @classmethod
    def from_array(
        cls,
        image: npt.ArrayLike,
        foreground: npt.ArrayLike | None = None,
        spacing: Sequence[float] | None = None,
        affine: npt.ArrayLike | None = None,
        id: str = "sample",  # noqa: A002  (the field's name, fixed by the public interface)
        subject: str | None = None,
        *,
        channels: int | None = None,
        within: MaskOrBox | None = None,
    ) -> "Sample":
        """Check and cast an image with what is known about it.

        Parameters
        ----------
        image : array_like of shape (C, Y, X) or (C, Z, Y, X)
            Any real dtype; cast to float32. It is copied unless it already is read-only float32, so that later
            writes to the caller's array cannot reach the sample.
        foreground : array_like of shape (*S), bool, optional
            None means the whole image.
        spacing : sequence of D floats, optional
            Voxel size in mm in axis order; taken from `affine` where only that is given.
        affine : array_like of shape (4, 4), optional
        id, subject : str, optional
            `subject` defaults to `id`.
        channels : int, optional
            Number of channels to insist on; needed for more than 8.
        within : bool array of shape (*S), or (corner, size) of a box in voxels, optional
            Location prior.

        Raises
        ------
        SynthanomError
            Wrong shape or dtype, more than 8 channels without `channels`, NaN or infinity, a side under 12 voxels,
            an empty foreground, a foreground of another shape, a spacing that is not positive, a `within` that has no
            voxel in the foreground.

        Warns
        -----
        NormalisationWarning
            If the standard deviation in the foreground lies outside [0.05, 5].
        """
        array = _cast_image(np.asarray(image), id, channels)
        shape = array.shape[1:]
        mask = _cast_foreground(foreground, shape, id)
        matrix = _cast_affine(affine, id)
        steps = _cast_spacing(spacing, matrix, len(shape), id)
        sample = cls(
            image=array,
            foreground=mask,
            spacing=steps,
            affine=matrix,
            id=str(id),
            subject=str(id if subject is None else subject),
            within=None if within is None else _cast_within(within, mask, id),
        )
        unusual = sample.unusual_scale()
        if unusual is not None:
            warnings.warn(unusual, NormalisationWarning, stacklevel=2)
        return sample

    @property
    def shape(self) -> tuple[int, ...]:
        """Spatial shape S."""
        return tuple(self.foreground.shape)

    @cached_property
    def limits(self) -> ImageArray:
        """Smallest and largest value per channel, float32 (2, C): what tasks clip to."""
        return value_range(self.image)

    @cached_property
    def range_numbers(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """`limits` as plain numbers, as parameters hold them."""
        low, high = self.limits.tolist()
        return tuple(low), tuple(high)

    @cached_property
    def sha256(self) -> str:
        """Digest of the image's shape and values and of the foreground: what a recipe checks before a replay."""
        digest = hashlib.sha256(repr(tuple(self.image.shape)).encode())
        digest.update(np.ascontiguousarray(self.image, dtype="<f4").data)
        digest.update(np.packbits(self.foreground).data)
        return digest.hexdigest()

    def unusual_scale(self) -> str | None:
        """One sentence that names the remedy if the image is not on the scale that the tasks' settings assume."""
        voxels = self.image if self.foreground.all() else self.image[:, self.foreground]
        return unusual_scale(self.id, float(voxels.std(dtype=np.float64)))


def unusual_scale(name: str, deviation: float) -> str | None:
    """What `Sample.unusual_scale` says of an image with this standard deviation in its foreground."""
    low, high = USUAL_DEVIATION
    if low <= deviation <= high:
        return None
    return (
        f"{name}: the standard deviation in the foreground must lie in [{low}, {high}], got {deviation:.3g}; "
        "normalise first (z-score in the foreground, or scale to [-1, 1]): sigma and scale are in image units"
    )


def _cast_image(array: npt.NDArray[Any], name: str, channels: int | None) -> ImageArray:
    """The checked image as read-only, C-contiguous float32 (C, *S)."""
    if array.ndim not in (3, 4):
        hint = "; add a channel axis with image[None]" if array.ndim == 2 else ""
        raise SynthanomError(f"{name}: image must have shape (C, Y, X) or (C, Z, Y, X), got {array.shape}{hint}")
    if not (np.issubdtype(array.dtype, np.floating) or np.issubdtype(array.dtype, np.integer) or array.dtype == bool):
        raise SynthanomError(f"{name}: image must hold real numbers, got dtype {array.dtype}; take its magnitude first")
    if channels is None and array.shape[0] > MAX_CHANNELS:
        raise SynthanomError(
            f"{name}: image must have at most {MAX_CHANNELS} channels on its first axis, got {array.shape}; "
            f"a volume without channel axis needs image[None], or pass channels={array.shape[0]}"
        )
    if channels is not None and array.shape[0] != channels:
        raise SynthanomError(f"{name}: image must have {channels} channels on its first axis, got {array.shape}")
    if array.shape[0] < 1 or min(array.shape[1:]) < MIN_SIDE:
        raise SynthanomError(
            f"{name}: every spatial side must be at least {MIN_SIDE} voxels, got {array.shape[1:]}; "
            "resample or pad the image"
        )
    if max(array.shape[1:]) > MAX_SIDE:
        raise SynthanomError(
            f"{name}: every spatial side must be at most {MAX_SIDE} voxels, got {array.shape[1:]}; cut or resample it"
        )
    with np.errstate(over="ignore"):
        image = np.array(array, dtype=np.float32, order="C", copy=_must_copy(array))
    if not np.isfinite(image).all():
        bad = int(np.count_nonzero(~np.isfinite(image)))
        raise SynthanomError(
            f"{name}: image must be finite in float32, got {bad} NaN or infinite values; "
            "replace them, for example with np.nan_to_num"
        )
    image.flags.writeable = False
    return image


def _must_copy(array: npt.NDArray[Any]) -> bool | None:
    """False-like (None: only if needed) for arrays that nobody can write to any more."""
    return True if array.flags.writeable else None


def _cast_foreground(foreground: npt.ArrayLike | None, shape: tuple[int, ...], name: str) -> MaskArray:
    """The checked foreground as a read-only bool copy."""
    if foreground is None:
        mask = np.ones(shape, dtype=bool)
    else:
        given = np.asarray(foreground)
        check_mask(given, shape, name=f"{name}: foreground")
        mask = np.array(given, order="C", copy=_must_copy(given))
    if not mask.any():
        raise SynthanomError(f"{name}: foreground must hold at least one voxel, got none; None means the whole image")
    mask.flags.writeable = False
    return mask


def _cast_within(within: MaskOrBox, foreground: MaskArray, name: str) -> MaskArray:
    """The checked location prior as a read-only bool copy."""
    given = mask_or_box(within, foreground.shape, name=f"{name}: within")
    if not (given & foreground).any():
        raise SynthanomError(
            f"{name}: within must mark at least one voxel of the foreground, got none; None allows the whole foreground"
        )
    mask = np.array(given, order="C", copy=_must_copy(given))
    mask.flags.writeable = False
    return mask


def _cast_affine(affine: npt.ArrayLike | None, name: str) -> FloatArray | None:
    """The checked affine as a read-only float64 copy."""
    if affine is None:
        return None
    matrix = np.array(affine, dtype=np.float64)
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
        raise SynthanomError(f"{name}: affine must be a finite (4, 4) matrix as nibabel's, got shape {matrix.shape}")
    matrix.flags.writeable = False
    return matrix


def _cast_spacing(
    spacing: Sequence[float] | None, affine: FloatArray | None, dims: int, name: str
) -> tuple[float, ...] | None:
    """The checked spacing in axis order; from the affine's column lengths where only the affine is given."""
    if spacing is None:
        if affine is None:
            return None
        lengths = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
        return tuple(float(v) for v in lengths[:dims][::-1])
    steps = tuple(float(v) for v in spacing)
    if len(steps) != dims or not all(np.isfinite(v) and v > 0 for v in steps):
        raise SynthanomError(f"{name}: spacing must be {dims} positive lengths in mm, in axis order, got {steps}")
    return steps
