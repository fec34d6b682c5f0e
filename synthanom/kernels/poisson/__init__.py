"""Poisson image editing: a donor's gradients inside a region, the target's everywhere else.

References
----------
Perez, Gangnet, Blake, "Poisson image editing", ACM Trans. Graph. 22(3), 2003, doi:10.1145/882262.882269.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from synthanom.arrays import (
    ImageArray,
    MaskArray,
    as_numpy,
    backend_of,
    box_slices,
    check_image,
    check_mask,
    read_only,
    shape_only,
    to_volume,
)
from synthanom.errors import SynthanomError
from synthanom.kernels.region_mask import byte_volume


def blend(target: Any, donor: Any, region: Any, corner: Sequence[int], *, mixed: bool = True) -> Any:
    """Blend a donor patch into one box of a picture so that no seam shows.

    Parameters
    ----------
    target : ndarray or tensor of shape (C, *S), float32 or float64
    donor : array of shape (C, *box)
        The patch, already resampled onto the box.
    region : bool array of shape (*box)
        Where the donor's gradients may be taken; cleared on the box's faces here.
    corner : D integers, the box's place in the target
    mixed : bool
        Keep, per axis and channel, the target's gradient where it is at least as large as the donor's.

    Returns
    -------
    array of shape (C, *S), float32, of the same backend, not clipped; the inputs are not written

    Raises
    ------
    SynthanomError
        If shapes disagree or the box leaves the image.

    Notes
    -----
    Solves Laplacian(f) = div(v) at the box's inner voxels with f = target on its faces, by the type-1 sine
    transform with the eigenvalues of the (2D + 1)-point Laplacian, so that the discrete equation holds to rounding.
    The edge between voxels i and i + 1 belongs to the region if voxel i does.
    """
    picture, mask = shape_only(target), shape_only(region)
    check_image(picture, name="target")
    place = [int(c) for c in corner]
    box = box_slices(place, mask.shape)
    if any(c < 0 or c + n > s for c, n, s in zip(place, mask.shape, picture.shape[1:], strict=True)):
        raise SynthanomError(
            f"the box at {tuple(place)} of size {mask.shape} must lie in the target {picture.shape[1:]}"
        )
    if backend_of(target) == "torch":
        from synthanom.kernels.poisson.gpu import blend as kernel

        _check_box(picture[:, *box], shape_only(donor), mask)
        return kernel(target, donor, region, box, mixed=mixed)
    out = np.array(target, dtype=np.float32, order="C")
    patch = as_numpy(donor).astype(np.float32, copy=False)
    out[:, *box] = blend_box(out[:, *box], patch, as_numpy(region), mixed=mixed)
    return out


def _check_box(target: npt.NDArray[Any], donor: npt.NDArray[Any], region: npt.NDArray[Any]) -> None:
    """Raise unless region and donor have the shape of the target's box (C, *box)."""
    check_mask(region, target.shape[1:], name="region")
    if donor.shape != target.shape:
        raise SynthanomError(f"donor must have the box's shape {target.shape}, got {donor.shape}; resample it first")


def blend_box(
    target: ImageArray,
    donor: ImageArray,
    region: MaskArray,
    *,
    mixed: bool = True,
    limits: npt.ArrayLike | None = None,
) -> ImageArray:
    """`blend` on the values of the box alone, inner voxels clipped to `limits` (2, C): float32 (C, *box)."""
    from synthanom.kernels.poisson.cpu import blend_volume

    _check_box(target, donor, region)
    dims = region.ndim
    out = np.array(target, dtype=np.float32, order="C")
    if min(region.shape) >= 3:  # the faces of a smaller box are all of it, and they stay
        patch = to_volume(np.ascontiguousarray(donor, dtype=np.float32), dims)
        bounds = np.empty((2, out.shape[0]), dtype=np.float32)
        bounds[:] = [[-np.inf], [np.inf]] if limits is None else limits
        blend_volume(to_volume(out, dims), patch, byte_volume(region), dims == 2, mixed, bounds)
    return out


def integrate_box(
    target: ImageArray, guidance: Sequence[npt.NDArray[Any]], *, limits: npt.ArrayLike | None = None
) -> ImageArray:
    """The values of a box whose differences come closest to what is wanted, given those on its faces.

    Parameters
    ----------
    target : ndarray of shape (C, *box), float32
        Its faces are kept.
    guidance : sequence of D arrays
        For each axis of the box the difference wanted from every voxel to the next along it: (C, *box), one shorter
        along that axis.
    limits : (2, C), optional
        What inner voxels are clipped to.

    Returns
    -------
    ndarray of shape (C, *box), float32

    Notes
    -----
    Solves Laplacian(f) = div(guidance) at the inner voxels, as `blend` does.
    """
    from synthanom.kernels.poisson.sines import solve

    out = np.array(target, dtype=np.float32, order="C")
    dims = out.ndim - 1
    if min(out.shape[1:]) < 3:  # the faces of a smaller box are all of it
        return out
    inner = (slice(1, -1),) * dims
    bounds = np.empty((2, out.shape[0]), dtype=np.float32)
    bounds[:] = [[-np.inf], [np.inf]] if limits is None else limits
    for c, values in enumerate(out):
        own = values.astype(np.float64)
        sums = np.zeros([n - 2 for n in values.shape])
        for axis in range(dims):
            excess = guidance[axis][c] - np.diff(own, axis=axis)
            sums += np.diff(excess, axis=axis)[*(slice(None) if a == axis else slice(1, -1) for a in range(dims))]
        correction = sums.astype(np.float32)
        solve(to_volume(correction, dims), dims == 2)
        values[inner] = np.clip(values[inner] + correction, bounds[0, c], bounds[1, c])
    return out


def changed(before: ImageArray, after: ImageArray, region: MaskArray, threshold: float) -> MaskArray:
    """A region (*box) and every voxel that two images (C, *box) differ in by more than `threshold`: bool (*box)."""
    from synthanom.kernels.poisson.cpu import mark_changed

    out = region.copy()
    dims = region.ndim
    mark_changed(to_volume(out, dims), read_only(to_volume(before, dims)), to_volume(after, dims), float(threshold))
    return out
