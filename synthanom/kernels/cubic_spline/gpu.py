"""Batched twin: the prefilter as matrix products, the interpolation as a few linear lookups.

A cubic B-spline's two taps on either side of a point are one linear lookup between them, and the two lookups' weights
add up to 1: along D axes that is 2^D lookups instead of 4^D taps, each a single call that moves 16 bytes per voxel,
where gathering one tap takes three calls and 40 bytes. A lookup's float32 coordinate costs accuracy: at most 3e-5 of
the range of white noise with sides of 160 voxels, 8e-5 with sides of 1024, and a fifth of that in smooth pictures.
"""

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from synthanom.arrays import check_image
from synthanom.errors import SynthanomError
from synthanom.kernels.cubic_spline.cpu import RADIUS, REACH
from synthanom.kernels.windows.gpu import along, as_volumes, per_item, product

TAPS = 2  # voxels on either side of a point that interpolation looks at
EXTRA = REACH + TAPS  # voxels of border around a whole image's coefficients
POLE = 3.0**0.5 - 2.0  # the prefilter's weights are POLE^|k|, made to add up to 1
COPIED = 2**26  # coefficients copied at a time, where several items may share one row of them


def radius(order: int) -> int:
    """How many voxels on either side the prefilter of a spline looks at: none for linear interpolation."""
    return RADIUS if order == 3 else 0


def coefficients(values: Tensor, *, flat: bool, order: int = 3) -> Tensor:
    """Filter windows so that the splines with these coefficients run through them.

    Parameters
    ----------
    values : float32 (N, C, *Q), with `radius(order)` voxels more on every side, but none along a flat axis
    flat : bool
        Whether the first axis is not filtered.

    Returns
    -------
    float32 (N, C, *P), without those voxels; for order 1 the values themselves
    """
    if order == 1:
        return values
    # Products with banded matrices: one call per axis, however large the radius. Convolutions would be rounded to TF32
    # by cuDNN's default, and adding up shifted windows takes 25 calls per axis.
    n, channels, nz, ny, nx = values.shape
    band = _band(max(nz, ny, nx), values.device)
    if not flat:
        filtered = product(_part(band, nz).mT, values.reshape(n, channels, nz, ny * nx))
        values = filtered.view(n, channels, -1, ny, nx)
    values = product(_part(band, ny).mT, values)
    return product(values, _part(band, nx))


def _band(count: int, device: torch.device) -> Tensor:
    """The prefilter of `count` values as a matrix: float32 (count, count - 2 RADIUS)."""
    # made on the device, where a copy of the weights would have to wait
    rows = torch.arange(count, dtype=torch.float64, device=device).unsqueeze(1)
    columns = torch.arange(RADIUS, count - RADIUS, dtype=torch.float64, device=device)
    distance = (rows - columns).abs_()
    total = 2 * sum(POLE**k for k in range(RADIUS + 1)) - 1
    weights = torch.pow(POLE, distance).div_(total)
    return weights.masked_fill_(distance > RADIUS, 0.0).float()


def _part(band: Tensor, count: int) -> Tensor:
    """The matrix for fewer values."""
    return band[:count, : count - 2 * RADIUS]


def extended(images: Tensor, *, flat: bool, sides: Tensor | None = None, order: int = 3) -> Tensor:
    """Coefficients of whole images and `EXTRA` voxels around them, their borders repeated outside.

    Any point brought within `REACH` of an image has its taps there, at `EXTRA` more along every axis but a flat one.

    Parameters
    ----------
    images : float32 (N, C, Z, Y, X)
    sides : int64 (N, 3), optional
        Real sides of images that are padded to common ones; what lies behind them is not looked at.

    Returns
    -------
    float32 (N, C, *Q)
    """
    margin = EXTRA + radius(order)
    places = []
    for axis in range(3):
        count = images.shape[2 + axis]
        beyond = 0 if flat and axis == 0 else margin
        place = (along(axis, count + 2 * beyond, images.device) - beyond).clamp_(0, count - 1)
        places.append(place if sides is None else torch.minimum(place, per_item(sides[:, axis]) - 1))
    item = torch.arange(images.shape[0], device=images.device).view(-1, 1, 1, 1, 1)
    channel = torch.arange(images.shape[1], device=images.device).view(1, -1, 1, 1, 1)
    z, y, x = (place.unsqueeze(1) for place in places)
    return coefficients(images[item, channel, z, y, x], flat=flat, order=order)


def interpolate(coefficients: Tensor, points: Tensor, *, order: int = 3, which: Tensor | None = None) -> Tensor:
    """Sum up splines at points.

    Parameters
    ----------
    coefficients : float32 (M, C, *Q); if its first axis has length 1, it is flat and the points' first axis not read
    points : float32 or float64 (N, 3, *P), voxels of the coefficients; beyond their last taps the border is repeated
        All is computed in their precision: in float64 the result is off by no more than the coefficients are.
    which : int64 (N,), optional
        The row of `coefficients` for each item; its own one by default.

    Returns
    -------
    float32 (N, C, *P)
    """
    if which is None:
        return _interpolate(coefficients, points, order).float()
    # a lookup takes one image per item: copying 8 bytes per coefficient is little beside what 4^D taps would move
    step = max(1, COPIED // max(1, coefficients[0].numel()))
    out = coefficients.new_empty((points.shape[0], coefficients.shape[1], *points.shape[2:]))
    for begin in range(0, points.shape[0], step):
        part = slice(begin, begin + step)
        out[part] = _interpolate(coefficients.index_select(0, which[part]), points[part], order)
    return out


def _interpolate(coefficients: Tensor, points: Tensor, order: int) -> Tensor:
    """`interpolate` with a row of coefficients for each item, in the precision of the points."""
    coefficients = coefficients.to(points.dtype)
    # the lookups want coordinates from the last axis to the first: turning the image round moves nothing
    if coefficients.shape[2] == 1:
        field, places = coefficients.squeeze(2).permute(0, 1, 3, 2), points[:, 1:].flatten(2, 3)
    else:
        field, places = coefficients.permute(0, 1, 4, 3, 2), points
    found = _Lookups(field, places).cubic() if order == 3 else _look_up(field, _normalised(places, field))
    return found.view(*found.shape[:2], *points.shape[2:])


class _Lookups:
    """A cubic spline at points (N, D, *P) as a mixture of linear lookups at both `ends` of each axis.

    With t the part of a coordinate behind its floor, the taps at 1 and 2 weigh (1 + 3 t + 3 t^2 - 2 t^3) / 6 together
    and the latter alone t^3 / 6; those at 0 and -1 the same of 1 - t.
    """

    def __init__(self, field: Tensor, places: Tensor) -> None:
        self._field = field
        base = places.floor()
        t = places - base
        self._share = torch.rsub(t, 0.5, alpha=1 / 3).mul_(t).add_(0.5).mul_(t).add_(1 / 6)
        ahead = torch.addcdiv(base, t.pow(3), self._share, value=1 / 6)
        s = t.neg_().add_(1.0)
        behind = torch.addcdiv(base, s.pow_(3), 1.0 - self._share, value=-1 / 6)
        self._ends = _normalised(behind, field), _normalised(ahead, field, shift=1)
        self._grid = self._ends[0].clone()
        self._at = [0] * places.shape[1]  # which end of each axis the grid holds

    def cubic(self, axis: int = 0) -> Tensor:
        """What the lookups along `axis` and the later ones add up to."""
        if axis == len(self._at):
            return _look_up(self._field, self._grid)
        here = self.cubic(axis + 1)
        end = self._at[axis] = 1 - self._at[axis]
        self._grid[:, axis] = self._ends[end][:, axis]  # only what differs from lookup to lookup is written
        there = self.cubic(axis + 1)
        low, high = (here, there) if end == 1 else (there, here)
        return torch.lerp(low, high, self._share[:, axis : axis + 1])


def _normalised(places: Tensor, field: Tensor, shift: int = 0) -> Tensor:
    """Voxels (N, D, *P) + shift as lookups count them: -1 for the first voxel of an axis, 1 for the last one."""
    out = torch.empty_like(places)
    for axis in range(places.shape[1]):
        scale = 2.0 / max(field.shape[-1 - axis] - 1, 1)
        # a number on the host joins a sum on any device: one call instead of two
        torch.add(torch.tensor(shift * scale - 1.0, dtype=places.dtype), places[:, axis], alpha=scale, out=out[:, axis])
    return out


def _look_up(field: Tensor, grid: Tensor) -> Tensor:
    """Linear interpolation at a grid (N, D, *P): (N, C, *P). No coordinate leads out of memory."""
    return F.grid_sample(field, grid.movedim(1, -1), mode="bilinear", padding_mode="border", align_corners=True)


def sample_points(image: Tensor, points: npt.NDArray[np.float64] | Tensor, order: int) -> Tensor:
    """Interpolate one image (C, *S) at points (D, n), its border repeated outside: float32 (C, n)."""
    dims = image.ndim - 1
    places = torch.as_tensor(points, dtype=torch.float64, device=image.device)
    if places.ndim != 2 or places.shape[0] != dims or not bool(places.isfinite().all()):
        raise SynthanomError(f"points must be finite, of shape ({dims}, n), got shape {tuple(places.shape)}")
    volume = as_volumes(image.detach().float(), dims)
    whole = torch.zeros((1, 3, 1, 1, places.shape[1]), device=image.device)
    for axis in range(3 - dims, 3):
        side = volume.shape[1 + axis]
        whole[0, axis, 0, 0] = places[axis + dims - 3].clamp(-REACH, side + REACH - 1) + EXTRA
    values = extended(volume.unsqueeze(0), flat=dims == 2, order=order)
    return interpolate(values, whole, order=order).view(image.shape[0], -1)


def check_tensor(image: Tensor, *, name: str = "image") -> None:
    """`arrays.check_image` of a tensor, whose values stay where they are.

    Raises
    ------
    SynthanomError
    """
    check_image(np.broadcast_to(np.float32(0), tuple(image.shape)), name=name)
    if image.dtype not in (torch.float32, torch.float64):
        raise SynthanomError(f"{name} must be float32 or float64, got {image.dtype}; convert with .float()")
