"""Batched twin: patches of donors whose spline coefficients stay on the device."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from synthanom.arrays import pad_triple
from synthanom.kernels.cubic_spline import gpu as spline
from synthanom.kernels.cubic_spline.cpu import REACH
from synthanom.kernels.region_mask import embed
from synthanom.kernels.windows.gpu import Padded, along, as_volumes, per_item

EXTRA = spline.EXTRA  # voxels by which a donor's coefficients reach beyond it, on every side that is not flat


def extended(donors: Tensor, *, flat: bool, sides: Tensor | None = None) -> Tensor:
    """Spline coefficients of donors and `EXTRA` voxels around them, to be kept.

    Parameters
    ----------
    donors : float32 (Nd, C, Z, Y, X)
    flat : bool
        Whether these are pictures, with Z = 1.
    sides : int64 (Nd, 3), optional
        Their real sides, where they are padded to the largest ones.

    Returns
    -------
    float32 (Nd, C, *Q)
    """
    return spline.extended(donors, flat=flat, sides=sides)


def sample_boxes(
    coefficients: Tensor,
    which: Tensor,
    sides: Tensor,
    matrix: Tensor,
    offset: Tensor,
    limits: Tensor,
    padded: Padded,
    *,
    flat: bool,
) -> Tensor:
    """Resample donors onto windows, their borders repeated outside, clipped.

    Parameters
    ----------
    coefficients : float32 (Nd, C, *Q), of `extended`
    which : int64 (N,), the donor of each window
    sides : int64 (N, 3), real sides of these donors
    matrix : float64 (N, 3, 3), offset : float64 (N, 3)
        Voxel q of a window is taken at donor coordinates matrix @ q + offset.
    limits : (N, 2, C), values to clip to
    padded : sides of the windows

    Returns
    -------
    float32 (N, C, *padded)
    """
    z, y, x = (along(axis, padded[axis], matrix.device) for axis in range(3))
    m = [per_item(matrix[:, :, i]) for i in range(3)]
    # in float64 to the end: blending takes the larger of two gradients, and of a million edges in a box some are nearly
    # equal: with float32 coordinates, off by 1e-5 of the range, one large box in two had one that went the other way
    rows = m[0] * z + m[1] * y + per_item(offset + EXTRA)
    points = rows + m[2] * x
    highest = per_item(sides + (EXTRA + REACH - 1)).double()
    points.clamp_(torch.full_like(highest, EXTRA - REACH), highest)
    found = spline.interpolate(coefficients, points, which=which)
    low, high = limits.float().view(*limits.shape, 1, 1, 1).unbind(dim=1)
    return found.clamp_(low, high)


def sample_one(
    donor: Tensor,
    matrix: npt.ArrayLike,
    offset: Sequence[float],
    size: Sequence[int],
    limits: npt.ArrayLike | Tensor | None,
) -> Tensor:
    """The patch of one donor (C, *S), clipped to the donor's own range by default: float32 (C, *size)."""
    dims, device = len(size), donor.device
    volume = as_volumes(donor.detach().float(), dims).unsqueeze(0)
    if limits is None:
        limits = torch.stack([volume.amin(dim=(0, 2, 3, 4)), volume.amax(dim=(0, 2, 3, 4))])
    flat = dims == 2
    z, y, x = (1,) * (3 - dims) + tuple(size)
    patch = sample_boxes(
        extended(volume, flat=flat),
        torch.zeros(1, dtype=torch.int64, device=device),
        torch.tensor([volume.shape[2:]], device=device),
        torch.as_tensor(embed(np.asarray(matrix, dtype=np.float64)), device=device).unsqueeze(0),
        torch.as_tensor(pad_triple(offset, 0.0), device=device).unsqueeze(0),
        torch.as_tensor(limits, device=device).unsqueeze(0),
        (z, y, x),
        flat=flat,
    )
    return patch.view(donor.shape[0], *size)
