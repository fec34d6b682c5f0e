"""The definition: one voxel at a time, in float64, the surface found along each ray."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from synthanom.kernels.cubic_spline.reference import sample

Shape = tuple[str, Sequence[float], npt.ArrayLike, Sequence[float]]


def warp(
    image: npt.NDArray[np.floating],
    shape: Shape,
    centre: Sequence[float],
    factor: float,
    *,
    direction: str,
    order: int = 3,
) -> npt.NDArray[np.float64]:
    """Warp an image (C, *S) inside `shape` = (kind, size, matrix, position): float64 (C, *S)."""
    points = mapping(image.shape[1:], shape, centre, factor, direction=direction)
    out = np.asarray(image, dtype=np.float64).copy()
    inside = np.isfinite(points[0])
    out[:, inside] = sample(image, points[:, inside], order)
    return out


def mapping(
    spatial: Sequence[int], shape: Shape, centre: Sequence[float], factor: float, *, direction: str
) -> npt.NDArray[np.float64]:
    """Where the value of each voxel is taken from: float64 (D, *S), NaN outside the shape."""
    kind, size, matrix, position = shape
    half = np.asarray(size, dtype=np.float64) / 2
    c = np.asarray(centre, dtype=np.float64)
    inverse = np.linalg.inv(np.asarray(matrix, dtype=np.float64))
    o = inverse @ (c - np.asarray(position, dtype=np.float64))
    out = np.full((len(spatial), *spatial), np.nan)
    for v in np.ndindex(*spatial):
        p = np.asarray(v, dtype=np.float64)
        if not _inside(inverse @ (p - np.asarray(position, dtype=np.float64)), half, kind):
            continue
        w = inverse @ (p - c)
        u = _relative_distance(o, w, half, kind)
        stretch = (1.0 if u == 0 else (1 - (1 - u) ** factor) / u) if direction == "sink" else u ** (factor - 1)
        out[(slice(None), *v)] = c + (p - c) * stretch
    return out


def _inside(o: npt.NDArray[np.float64], half: npt.NDArray[np.float64], kind: str) -> bool:
    return bool(((o / half) ** 2).sum() <= 1 if kind == "ellipsoid" else (np.abs(o) <= half).all())


def _relative_distance(
    o: npt.NDArray[np.float64], w: npt.NDArray[np.float64], half: npt.NDArray[np.float64], kind: str
) -> float:
    """u in [0, 1]: 0 at the centre, 1 on the surface, for the ray from own coordinates o along w."""
    if not w.any():
        return 0.0
    if kind == "ellipsoid":
        a, b, k = ((w / half) ** 2).sum(), (o * w / half**2).sum(), ((o / half) ** 2).sum() - 1
        t = (-b + np.sqrt(max(b * b - a * k, 0.0))) / a
    else:
        moving = w != 0
        t = ((np.sign(w) * half - o)[moving] / w[moving]).min()
    return 1.0 if t <= 0 else float(min(1 / t, 1.0))
