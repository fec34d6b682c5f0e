"""The tasks and the label as a good user of scipy and scikit-image would write them, without our kernels.

Only the drawn numbers are taken from a recipe: shapes, centres, strengths, where a patch lies in its donor. Everything
else is computed here, vectorised, and boxed where that is one line; the label is computed on the whole volume.

References
----------
Baugh et al., "Many tasks make light work", MICCAI 2023, doi:10.1007/978-3-031-43907-0_16.
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy import fft, ndimage
from skimage.morphology import reconstruction

from synthanom.arrays import box_slices
from synthanom.recipe import Anomaly, Recipe
from synthanom.regions import Geometry
from synthanom.sample import Sample
from synthanom.tasks.donor_patch import BlendParams

SIGMA = 0.2  # intensity units, of the label
PatchOf = Callable[[np.ndarray, np.ndarray, np.ndarray, Sequence[int]], np.ndarray]
SPLINE_MARGIN = 14  # voxels around what is sampled: beyond it the filter's memory is under 1e-7


def make(
    sample: Sample, recipe: Recipe, donors: Sequence[Sample | None], patch_of: PatchOf | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The picture and the label of a recipe: float32 (C, *S) and (*S); patches from elsewhere with `patch_of`."""
    image = sample.image.copy()
    touched = np.zeros(sample.shape, dtype=bool)
    for anomaly, donor in zip(recipe.anomalies, donors, strict=True):
        box = box_slices(anomaly.region.corner, anomaly.region.size)
        shape = anomaly.region.geometry
        mask = anomaly.region.mask if shape is None else shape_mask(shape, anomaly.region.corner, anomaly.region.size)
        before = image[(slice(None), *box)]
        after = change(image, mask, anomaly, donor, patch_of or donor_patch)
        touched[box] |= mask
        if isinstance(anomaly.params, BlendParams):
            touched[box] |= np.abs(after - before).mean(axis=0) > anomaly.params.join_threshold
        image[(slice(None), *box)] = after
    return image, label(sample.image, image, touched)


def change(
    image: np.ndarray, mask: np.ndarray, anomaly: Anomaly, donor: Sample | None, patch_of: PatchOf
) -> np.ndarray:
    """The anomaly's box afterwards: float32 (C, *box)."""
    if isinstance(anomaly.params, BlendParams):
        return blend(image, mask, anomaly, donor, patch_of)
    if anomaly.task in ("fpi", "pii"):
        return interpolate(image, mask, anomaly, donor)
    if anomaly.task in ("cutpaste", "cutout"):
        return replace(image, mask, anomaly)
    if anomaly.task == "smooth_intensity":
        return brighten(image, mask, anomaly)
    if anomaly.task in ("uniform", "noise"):
        return add(image, mask, anomaly)
    if anomaly.task == "perlin_texture":
        return lay_over(image, mask, anomaly, donor, patch_of)
    if anomaly.task in ("local_shift", "mirror"):
        return show_elsewhere(image, mask, anomaly)
    return deform(image, mask, anomaly)


def shape_mask(shape: Geometry, corner: Sequence[int], size: Sequence[int]) -> np.ndarray:
    """The voxels of a box that lie in the shape: bool (*box)."""
    axes = np.ogrid[box_slices(corner, size)]
    inverse = np.linalg.inv(shape.matrix)
    centred = [axis - p for axis, p in zip(axes, shape.position, strict=True)]
    half = np.array(shape.size) / 2
    own = [sum(m * x for m, x in zip(row, centred, strict=True)) for row in inverse / half[:, None]]
    if shape.kind == "ellipsoid":
        return sum(o**2 for o in own) <= 1
    return np.logical_and.reduce([np.abs(o) <= 1 for o in own])


def blend(image: np.ndarray, mask: np.ndarray, anomaly: Anomaly, donor: Sample, patch_of: PatchOf) -> np.ndarray:
    """Poisson blending of the donor's patch."""
    params = anomaly.params
    target = image[(slice(None), *anomaly.region.slices)]
    inner = (slice(1, -1),) * mask.ndim
    inside = np.zeros_like(mask)
    inside[inner] = mask[inner]
    out = target.copy()
    for c in range(out.shape[0]):
        patch = patch_of(donor.image[c], np.array(params.matrix), np.array(params.offset), mask.shape)
        patch = np.clip(patch, params.donor_limits[0][c], params.donor_limits[1][c])
        wanted = divergence(target[c], patch, inside, params.mixed)
        change_of_laplacian = (wanted - divergence(target[c], target[c], inside, False))[inner]
        out[c][inner] = np.clip(
            target[c][inner] + solve_poisson(change_of_laplacian), params.limits[0][c], params.limits[1][c]
        )
    return out


def donor_patch(donor: np.ndarray, matrix: np.ndarray, offset: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """The donor at matrix @ q + offset for every voxel q of the box."""
    far = matrix * (np.array(size) - 1)[None, :]
    low, high = offset + np.minimum(far, 0).sum(axis=1), offset + np.maximum(far, 0).sum(axis=1)
    part, origin = crop(donor, low, high)
    return ndimage.affine_transform(part, matrix, offset - origin, tuple(size), order=3, mode="nearest")


def crop(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The part of an image that a cubic spline needs for points within [low, high], and its first voxel."""
    last = np.array(values.shape) - 1
    start = np.clip(np.floor(low).astype(int) - SPLINE_MARGIN, 0, last)
    stop = np.clip(np.ceil(high).astype(int) + SPLINE_MARGIN, 0, last) + 1
    return values[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))], start


def divergence(target: np.ndarray, donor: np.ndarray, inside: np.ndarray, mixed: bool) -> np.ndarray:
    """Divergence of the guidance field: the donor's forward differences inside, the target's elsewhere."""
    out = np.zeros_like(target)
    for axis in range(target.ndim):
        lower = tuple(slice(None, -1) if a == axis else slice(None) for a in range(target.ndim))
        upper = tuple(slice(1, None) if a == axis else slice(None) for a in range(target.ndim))
        own, other = np.diff(target, axis=axis), np.diff(donor, axis=axis)
        take = inside[lower] & (np.abs(own) < np.abs(other)) if mixed else inside[lower]
        field = np.where(take, other, own)
        out[lower] += field
        out[upper] -= field
    return out


def interpolate(image: np.ndarray, mask: np.ndarray, anomaly: Anomaly, donor: Sample) -> np.ndarray:
    """A mixture with the same place of the donor, or of the gradients there; patches are upright boxes."""
    params = anomaly.params
    box = (slice(None), *anomaly.region.slices)
    own, other = image[box], donor.image[box]
    limits = [np.array(v, np.float32).reshape(-1, *(1,) * mask.ndim) for v in params.limits]
    if anomaly.task == "fpi":
        return np.where(mask, np.clip((1 - params.factor) * own + params.factor * other, *limits), own)
    out, inner = own.copy(), (slice(None), *(slice(1, -1),) * mask.ndim)
    change_of_laplacian = np.zeros_like(own)
    for axis in range(1, own.ndim):
        mine, foreign = np.diff(own, axis=axis), np.diff(other, axis=axis)
        kept = np.abs((1 - params.factor) * mine) > np.abs(params.factor * foreign)
        field = np.where(kept, (1 - params.factor) * mine, params.factor * foreign) - mine
        lower, upper = (
            tuple(s if a == axis else slice(None) for a in range(own.ndim)) for s in (slice(-1), slice(1, None))
        )
        change_of_laplacian[lower] += field
        change_of_laplacian[upper] -= field
    for c, right in enumerate(change_of_laplacian[inner]):
        out[inner][c] += solve_poisson(right)
    return np.where(mask, np.clip(out, *limits), own)


def replace(image: np.ndarray, mask: np.ndarray, anomaly: Anomaly) -> np.ndarray:
    """A patch from elsewhere in the picture, or one value per channel."""
    place = anomaly.region.slices
    out = image[(slice(None), *place)].copy()
    if anomaly.task == "cutout":
        for channel, value in zip(out, anomaly.params.value, strict=True):
            channel[mask] = value
        return out
    away = np.argwhere(mask) + np.array(anomaly.region.corner) + np.array(anomaly.params.shift)
    out[:, mask] = image[(slice(None), *away.T)]
    return out


def add(image: np.ndarray, mask: np.ndarray, anomaly: Anomaly) -> np.ndarray:
    """A constant per channel, or noise from the key in the recipe, added and clipped."""
    params = anomaly.params
    out = image[(slice(None), *anomaly.region.slices)].copy()
    if anomaly.task == "uniform":
        added = np.repeat(np.array(params.change)[:, None], mask.sum(), axis=1)
    else:
        raw = np.random.Philox(key=params.key).random_raw((len(out), int(mask.sum())))
        added = np.array(params.least)[:, None] + np.array(params.spread)[:, None] * (raw // 2**11 / 2**53)
    limits = [np.array(v)[:, None] for v in params.limits]
    out[:, mask] = np.clip(out[:, mask] + added, *limits)
    return out


def show_elsewhere(image: np.ndarray, mask: np.ndarray, anomaly: Anomaly) -> np.ndarray:
    """What the moved or mirrored picture shows there."""
    box, params = (slice(None), *anomaly.region.slices), anomaly.params
    if anomaly.task == "mirror":
        return np.where(mask, np.flip(image, 1 + params.axis)[box], image[box])
    pads = [(abs(by), abs(by)) for by in params.shift]
    padded = np.pad(image, [(0, 0), *pads], mode="edge")
    start = [c + abs(by) + by for c, by in zip(anomaly.region.corner, params.shift, strict=True)]
    return np.where(mask, padded[(slice(None), *box_slices(start, mask.shape))], image[box])


def lay_over(image: np.ndarray, mask: np.ndarray, anomaly: Anomaly, donor: Sample, patch_of: PatchOf) -> np.ndarray:
    """A texture of the donor over the picture, each with its weight."""
    params = anomaly.params
    out = image[(slice(None), *anomaly.region.slices)].copy()
    for c, channel in enumerate(out):
        texture = patch_of(donor.image[c], np.array(params.matrix), np.array(params.offset), mask.shape)
        texture = np.clip(texture, params.donor_limits[0][c], params.donor_limits[1][c])
        mixture = (1 - params.beta) * texture + params.beta * channel
        channel[mask] = np.clip(mixture, params.limits[0][c], params.limits[1][c])[mask]
    return out


def solve_poisson(laplacian: np.ndarray) -> np.ndarray:
    """f with this Laplacian and 0 all around, by the type-1 sine transform."""
    spectrum = fft.dstn(laplacian, type=1)
    symbol = np.zeros((1,) * laplacian.ndim, dtype=laplacian.dtype)
    for axis, n in enumerate(laplacian.shape):
        eigenvalues = 2 * np.cos(np.pi * np.arange(1, n + 1) / (n + 1)) - 2
        symbol = symbol + eigenvalues.astype(laplacian.dtype).reshape(
            [-1 if a == axis else 1 for a in range(laplacian.ndim)]
        )
    return fft.idstn(spectrum / symbol, type=1)


def deform(image: np.ndarray, mask: np.ndarray, anomaly: Anomaly) -> np.ndarray:
    """Sink or source: cubic interpolation along the rays through the centre."""
    corner = np.array(anomaly.region.corner)
    centre = np.array(anomaly.params.centre, dtype=np.float64)
    away = np.argwhere(mask) + (corner - centre)
    u = relative_distance(anomaly.region.geometry, centre, away)
    with np.errstate(divide="ignore", invalid="ignore"):
        if anomaly.task == "sink":
            stretch = np.where(u > 0, (1 - (1 - u) ** anomaly.params.factor) / u, 1)
        else:
            stretch = u ** (anomaly.params.factor - 1)
    points = centre + away * stretch[:, None]
    out = image[(slice(None), *anomaly.region.slices)].copy()
    for channel, values in zip(out, image, strict=True):
        part, origin = crop(values, points.min(axis=0), points.max(axis=0))
        channel[mask] = ndimage.map_coordinates(
            part, (points - origin).T, order=anomaly.params.order, mode="nearest", output=np.float32
        )
    return out


def relative_distance(shape: Geometry, centre: np.ndarray, away: np.ndarray) -> np.ndarray:
    """|p - c| as a share of the distance from c along p - c to the shape's surface, for N offsets p - c: (N,)."""
    half = np.array(shape.size) / 2
    inverse = np.linalg.inv(shape.matrix)
    o = inverse @ (centre - shape.position) / half
    w = away @ inverse.T / half
    with np.errstate(divide="ignore", invalid="ignore"):
        if shape.kind == "ellipsoid":
            a, b, k = (w * w).sum(axis=1), w @ o, o @ o - 1
            t = (-b + np.sqrt(np.maximum(b * b - a * k, 0))) / a
        else:
            t = np.where(w != 0, (np.sign(w) - o) / w, np.inf).min(axis=1)
        u = np.where(t > 0, np.minimum(1 / t, 1), 1)
    u[~away.any(axis=1)] = 0
    return u


def brighten(image: np.ndarray, mask: np.ndarray, anomaly: Anomaly) -> np.ndarray:
    """A change that fades in from the edge, clipped to the sample's range."""
    params = anomaly.params
    values = image[(slice(None), *anomaly.region.slices)]
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[(slice(1, -1),) * mask.ndim]
    strength = np.minimum(depth / params.ramp, 1).astype(np.float32)
    per_channel = (-1, *(1,) * mask.ndim)
    offset, low, high = (np.array(v, np.float32).reshape(per_channel) for v in (params.change, *params.limits))
    return np.where(mask, np.clip(values + offset * strength, low, high), values)


def label(before: np.ndarray, after: np.ndarray, touched: np.ndarray) -> np.ndarray:
    """The soft label of the whole volume, every component closed and its holes filled."""
    difference = np.abs(after - before).mean(axis=0) * touched
    out = 1 - np.exp(-(difference**2) / (2 * SIGMA**2))
    element = sum((x**2 for x in np.ogrid[(slice(-1, 2),) * touched.ndim]), np.zeros((1,) * touched.ndim)) <= 2
    pointwise = out.copy()
    components, _ = ndimage.label(touched)
    for number, box in enumerate(ndimage.find_objects(components), start=1):
        if min(s.stop - s.start for s in box) < 3:
            continue
        own = np.where(components[box] == number, pointwise[box], 0)
        closed = ndimage.grey_closing(own, footprint=element)
        seed = closed.copy()
        seed[(slice(1, -1),) * seed.ndim] = closed.max()
        out[box] = np.maximum(out[box], reconstruction(seed, closed, method="erosion", footprint=element))
    return out
