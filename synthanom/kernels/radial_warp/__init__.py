"""Sink and source deformation: intensities move along rays through a centre, inside a shape only."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from synthanom.arrays import (
    ImageArray,
    MaskArray,
    ShapeGeometry,
    backend_of,
    box_slices,
    check_image,
    pad_triple,
    read_only,
    to_volume,
)
from synthanom.errors import SynthanomError
from synthanom.kernels import region_mask

Direction = Literal["sink", "source"]


def warp(
    image: Any,
    geometry: ShapeGeometry,
    centre: Sequence[float],
    factor: float,
    *,
    direction: Direction,
    order: int = 3,
) -> Any:
    """Pull the picture towards a centre (sink) or push it away from it (source), inside a shape only.

    Parameters
    ----------
    image : ndarray or tensor of shape (C, *S), float32 or float64
    geometry : the shape, in voxels of the image
    centre : D floats
        Fixed point of the deformation, voxels, inside the shape and the image.
    factor : float
        Strength f > 1.
    direction : {"sink", "source"}
    order : {3, 1}
        Cubic B-spline or linear interpolation; the image's border is repeated outside.

    Returns
    -------
    array of shape (C, *S), float32, of the same backend; `image` is not written

    Raises
    ------
    SynthanomError
        For a factor that is not above 1, an unknown direction or order, or a wrong shape.

    Notes
    -----
    u = |p - c| / d with d the distance from c along (p - c) to the shape's surface. The value at p is taken at
    c + (p - c) / u (1 - (1 - u)^f) (sink) or c + (p - c) / u u^f (source).
    """
    if backend_of(image) == "torch":
        from synthanom.kernels.cubic_spline.gpu import check_tensor
        from synthanom.kernels.radial_warp.gpu import warp_one

        check_tensor(image)
        box = _box_of(geometry, image.shape[1:])
        if box is None:
            return image.detach().float().clone()
        _check_settings(factor, direction, order, centre, image.shape[1:])
        return warp_one(image, geometry, (centre, float(factor), direction == "sink"), box, order)
    values = np.asarray(image)
    check_image(values)
    out = np.array(values, dtype=np.float32, order="C")
    box = _box_of(geometry, out.shape[1:])
    if box is not None:
        low, mask = box
        pull = (tuple(float(v) for v in centre), float(factor))
        out[(slice(None), *box_slices(low, mask.shape))] = warp_box(out, geometry, pull, box, direction, order)
    return out


def _box_of(geometry: ShapeGeometry, shape: Sequence[int]) -> tuple[list[int], MaskArray] | None:
    """First voxel and mask of the box that a shape fills in an image, if any."""
    reach = region_mask.half_extent(geometry.kind, geometry.size, geometry.matrix)
    low = [max(0, int(np.floor(p - r))) for p, r in zip(geometry.position, reach, strict=True)]
    high = [min(n, int(np.ceil(p + r)) + 1) for p, r, n in zip(geometry.position, reach, shape, strict=True)]
    size = [max(0, h - a) for a, h in zip(low, high, strict=True)]
    if min(size) == 0:
        return None
    return low, region_mask.mask(geometry.kind, geometry.size, geometry.matrix, geometry.position, (low, size))


def warp_box(
    image: ImageArray,
    geometry: ShapeGeometry,
    pull: tuple[Sequence[float], float],
    region: tuple[Sequence[int], MaskArray],
    direction: Direction,
    order: int = 3,
) -> ImageArray:
    """The warped values of one box only: what `warp` changes, without a copy of the whole image.

    Parameters
    ----------
    image : ndarray of shape (C, *S), float32
    pull : (centre, factor) as in `warp`
    region : (corner, mask) of the box, the mask marking the voxels of the shape

    Returns
    -------
    ndarray of shape (C, *box), float32
    """
    from synthanom.kernels.cubic_spline.cpu import WEIGHTS
    from synthanom.kernels.radial_warp.cpu import warp_region

    centre, factor = pull
    corner, mask = region
    _check_settings(factor, direction, order, centre, image.shape[1:])
    dims = mask.ndim
    out = np.array(image[(slice(None), *box_slices(corner, mask.shape))], dtype=np.float32, order="C")
    shape = (
        geometry.kind == "ellipsoid",
        pad_triple([s / 2 for s in geometry.size], 1.0),
        region_mask.embed(geometry.matrix),
        pad_triple(geometry.position, 0.0),
    )
    warp_region(
        to_volume(out, dims),
        read_only(to_volume(np.ascontiguousarray(image, dtype=np.float32), dims)),
        region_mask.byte_volume(mask),
        pad_triple([float(a) for a in corner], 0.0),
        shape,
        (pad_triple(centre, 0.0), float(factor), direction == "sink", order),
        WEIGHTS[order],
    )
    return out


def _check_settings(factor: float, direction: str, order: int, centre: Sequence[float], shape: Sequence[int]) -> None:
    if direction not in ("sink", "source"):
        raise SynthanomError(f"direction must be 'sink' or 'source', got {direction!r}")
    if order not in (1, 3):
        raise SynthanomError(f"order must be 3 (cubic) or 1 (linear), got {order}")
    if not (np.isfinite(factor) and factor > 1):
        raise SynthanomError(
            f"factor must be a finite number above 1, got {factor}; a larger push gives a larger factor"
        )
    if len(centre) != len(shape):
        raise SynthanomError(f"centre must have one coordinate per spatial axis ({len(shape)}), got {len(centre)}")
    if not all(0 <= c <= n - 1 for c, n in zip(centre, shape, strict=True)):  # false for NaN, too
        raise SynthanomError(f"centre must lie in the image of shape {tuple(shape)}, got {tuple(centre)}")
