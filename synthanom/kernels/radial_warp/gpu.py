"""Batched twin: the stretch of each voxel's ray, then one spline per window, ellipsoids and cuboids at once.

What decides where a voxel is sampled is computed in float64, at most four whole windows of it at a time: 430 bytes per
voxel are moved for that (volumes: 490), beside 610 (970) for the spline. Only logarithms leave it, as float32.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from synthanom.arrays import MaskArray, ShapeGeometry, box_slices, inverse_matrix, pad_triple
from synthanom.kernels.cubic_spline.cpu import REACH
from synthanom.kernels.cubic_spline.gpu import TAPS, coefficients, interpolate, radius
from synthanom.kernels.radial_warp.cpu import CLOSEST
from synthanom.kernels.region_mask import embed, half_extent
from synthanom.kernels.windows.gpu import Padded, along, as_volumes, cut, per_item

Shape = tuple[Tensor, Tensor, Tensor, Tensor]  # ellipsoid, half widths, inverse, position
Pull = tuple[Tensor, Tensor, Tensor]  # centre, factor, sink


def warp_boxes(
    images: Tensor,
    item: Tensor,
    start: Tensor,
    region: Tensor,
    shape: Shape,
    pull: Pull,
    *,
    order: int,
    flat: bool,
) -> Tensor:
    """Pull the pictures in windows towards a centre each, or push them away from it, inside regions only.

    Parameters
    ----------
    images : float32 (B, C, Z, Y, X)
    item : int64 (N,), the image of each window
    start : int64 (N, 3), its first voxel
    region : bool (N, *P), the voxels to be warped
        They belong to a convex shape that the window holds, or else what it lacks is the repeated border.
    shape : (bool (N,) ellipsoid, float64 (N, 3) half widths, float64 (N, 3, 3) image axes to own axes,
        float64 (N, 3) centre of the shape in the image)
    pull : (float64 (N, 3) centre in the image, float64 (N,) factor, bool (N,) sink)
    order : {3, 1}
        Cubic B-spline or linear interpolation.
    flat : bool
        Whether these are pictures, with Z = 1.

    Returns
    -------
    float32 (N, C, *P)
        The images' values outside the regions and, to the last bit, at the centres.
    """
    _, nz, ny, nx = region.shape
    centre = pull[0]
    margin = TAPS + radius(order)
    corner, z, y, x = start - margin, margin, margin, margin
    if flat:
        corner[:, 0], z = start[:, 0], 0
    crop = cut(images, item, corner, (nz + 2 * z, ny + 2 * y, nx + 2 * x))
    first = start - centre
    away = [per_item(first[:, a]) + along(a, region.shape[1 + a], start.device) for a in range(3)]
    stretch = stretches(away, shape, pull, flat=flat)
    points = torch.empty((region.shape[0], 3, nz, ny, nx), dtype=torch.float32, device=region.device)
    middle = (TAPS - first).float()  # of each window in its coefficients, which begin so much earlier
    for axis in range(1 if flat else 0, 3):
        torch.addcmul(per_item(middle[:, axis]), away[axis].float(), stretch, out=points[:, axis])
    del stretch
    warped = interpolate(coefficients(crop, flat=flat, order=order), points, order=order)
    moved = region & ((away[0] != 0) | (away[1] != 0) | (away[2] != 0))
    before = crop[:, :, z : z + nz, y : y + ny, x : x + nx]
    return torch.where(moved.unsqueeze(1), warped, before)


def stretches(away: Sequence[Tensor], shape: Shape, pull: Pull, *, flat: bool) -> Tensor:
    """By how much the vectors from the centres to the voxels are stretched: float32 (N, *P), always finite.

    `away` are the vectors' parts along the three axes, float64, to be broadcast over windows.
    """
    ellipsoid, half, inverse, position = shape
    centre, factor, sink = pull
    scaled = inverse / half.unsqueeze(2)
    o = (scaled * (centre - position).unsqueeze(1)).sum(dim=2)
    u = relative_distances(away, o, scaled, ellipsoid, flat=flat)
    # sink: (1 - (1 - u)^f) / u, source: u^(f - 1), both as exp(exponent * log(base)) - 1 = change
    inward = sink.double()
    base = torch.addcmul(per_item(inward), u, per_item(1.0 - 2.0 * inward))
    change = torch.empty(u.shape, dtype=torch.float32, device=u.device)
    torch.mul(base.log_(), per_item(factor - 1.0 + inward), out=change).expm1_()
    outward = per_item(1.0 - inward.float())
    power = torch.addcmul(outward, change, 2.0 * outward - 1.0, out=change)
    return power.div_(u.masked_fill_(per_item(~sink), 1.0))


def relative_distances(away: Sequence[Tensor], o: Tensor, scaled: Tensor, ellipsoid: Tensor, *, flat: bool) -> Tensor:
    """How far voxels lie from the centre, as a share of the surface's distance along the same ray.

    Parameters
    ----------
    away : three parts of the vectors from the centre to the voxels, float64, to be broadcast over windows
    o : float64 (N, 3), the centre in own coordinates over half widths
    scaled : float64 (N, 3, 3), image axes to own coordinates over half widths
    ellipsoid : bool (N,)

    Returns
    -------
    float64 (N, *P), in (0, 1]
        1 also where rounding leaves no way to the surface, and for voxels outside.
    """
    rows = per_item(scaled[:, :, 0]) * away[0].unsqueeze(1) + per_item(scaled[:, :, 1]) * away[1].unsqueeze(1)
    slope, x = scaled[:, :, 2], away[2]
    u = torch.where(
        per_item(ellipsoid),
        _within_ellipsoids(rows, slope, x, o),
        _within_cuboids(rows, slope, x, o, flat=flat),
    )
    # written so that NaN, too, becomes 1
    return u.masked_fill_((u >= CLOSEST).logical_not_(), 1.0).clamp_(max=1.0)


def _within_ellipsoids(rows: Tensor, slope: Tensor, x: Tensor, o: Tensor) -> Tensor:
    """1 / t with |o + t w| = 1, w = rows + slope x: forms of x, so that no window of w is needed.

    `rows` (N, 3, pz, py, 1) and `slope` (N, 3) are vectors in own coordinates over half widths, as `o` is.
    """
    a = (rows * per_item(2.0 * slope)).sum(dim=1) + x * per_item((slope * slope).sum(dim=1))
    a = torch.addcmul((rows * rows).sum(dim=1), x, a, out=a)
    b = (rows * per_item(o)).sum(dim=1) + x * per_item((o * slope).sum(dim=1))
    k = per_item((o * o).sum(dim=1) - 1.0)
    root = (b * b).addcmul_(a, k, value=-1.0).clamp_(min=0.0).sqrt_()
    return a.div_(root.sub_(b))


def _within_cuboids(rows: Tensor, slope: Tensor, x: Tensor, o: Tensor, *, flat: bool) -> Tensor:
    """1 / t with o + t w on the first face that the ray meets: the largest part of w over its distance to a face."""
    steps = per_item(slope) * x.unsqueeze(1)
    nearest, line = None, None
    for side in (1.0, -1.0):
        # a centre on a face or, by rounding, behind it is as good as there already
        inverse = per_item((1.0 - side * o).clamp_(min=1e-300).reciprocal_().mul_(side))
        row, step = rows * inverse, steps * inverse
        for axis in range(1 if flat else 0, 3):
            if nearest is None:
                nearest = row[:, axis] + step[:, axis]
                continue
            line = torch.add(row[:, axis], step[:, axis], out=line)
            torch.maximum(nearest, line, out=nearest)
    assert nearest is not None
    return nearest


def warp_one(
    image: Tensor,
    geometry: ShapeGeometry,
    pull: tuple[Sequence[float], float, bool],
    region: tuple[Sequence[int], MaskArray],
    order: int,
) -> Tensor:
    """One image (C, *S), warped in the marked voxels of a box, (corner, mask): float32 (C, *S)."""
    dims, device = image.ndim - 1, image.device
    flat = dims == 2
    out = as_volumes(image.detach().to(torch.float32, copy=True, memory_format=torch.contiguous_format), dims)
    centre, factor, sink = pull
    corner, mask = region
    first, padded = _window(geometry, centre, tuple(out.shape[1:]), flat=flat)
    corner = [0] * (3 - dims) + [int(c) for c in corner]
    marked = torch.as_tensor(mask, device=device).view((1,) * (3 - dims) + mask.shape)
    z, y, x = box_slices([c - f for c, f in zip(corner, first, strict=True)], marked.shape)
    where = torch.zeros((1, *padded), dtype=torch.bool, device=device)
    where[0, z, y, x] = marked

    def row(values: object) -> Tensor:
        return torch.as_tensor(np.array([values]), device=device)

    values = warp_boxes(
        out.unsqueeze(0),
        torch.zeros(1, dtype=torch.int64, device=device),
        row(first),
        where,
        (
            row(geometry.kind == "ellipsoid"),
            row(pad_triple([s / 2 for s in geometry.size], 1.0)),
            row(embed(inverse_matrix(geometry.matrix))),
            row(pad_triple(geometry.position, 0.0)),
        ),
        (row(pad_triple(centre, 0.0)), row(factor), row(sink)),
        order=order,
        flat=flat,
    )
    oz, oy, ox = box_slices(corner, marked.shape)
    out[:, oz, oy, ox] = values[0, :, z, y, x]
    return out.view(image.shape)


def _window(
    geometry: ShapeGeometry, centre: Sequence[float], sides: Sequence[int], *, flat: bool
) -> tuple[tuple[int, ...], Padded]:
    """First voxel and sides of a window that holds all of a shape and the centre, as far as the image changes."""
    position, middle = pad_triple(geometry.position, 0.0), pad_triple(centre, 0.0)
    reach = pad_triple(half_extent(geometry.kind, geometry.size, geometry.matrix), 0.0)
    first, padded = [], []
    for axis in range(3):
        beyond = 0 if flat and axis == 0 else REACH
        low = max(math.floor(min(position[axis] - reach[axis], middle[axis])), -beyond)
        high = min(math.ceil(max(position[axis] + reach[axis], middle[axis])) + 1, sides[axis] + beyond)
        first.append(low)
        padded.append(high - low)
    z, y, x = padded
    return tuple(first), (z, y, x)
