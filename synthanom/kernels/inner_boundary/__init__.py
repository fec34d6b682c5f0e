"""How far a region's inner boundary lies from one of its voxels."""

from collections.abc import Sequence

from synthanom.arrays import MaskArray, pad_triple
from synthanom.kernels.region_mask import byte_volume


def mean_distance(region: MaskArray, centre: Sequence[float], spacing: Sequence[float] | None = None) -> float:
    """Mean distance from a point to the voxels of a region that have a face neighbour outside.

    Parameters
    ----------
    region : ndarray of shape (*box), bool
        Beyond the array is outside.
    centre : D coordinates in that array, voxels
    spacing : D lengths of a voxel's sides, optional
        1 by default: distances are in voxels.

    Returns
    -------
    float
        nan for an empty region.
    """
    from synthanom.kernels.inner_boundary.cpu import mean_distance as kernel

    steps = pad_triple((1.0,) * region.ndim if spacing is None else spacing, 1.0)
    return float(kernel(byte_volume(region), region.ndim == 2, pad_triple(centre, 0.0), steps))
