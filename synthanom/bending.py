"""How strongly a region may be bent: its boundary's distance from a point, and the strength of a push."""

import math
from collections.abc import Sequence

from synthanom.arrays import MaskArray
from synthanom.errors import SynthanomError, UnsuitableRegion
from synthanom.kernels import inner_boundary


def mean_boundary_distance(region: MaskArray, centre: Sequence[float], spacing: Sequence[float] | None = None) -> float:
    """Mean distance from a point to the region's inner boundary.

    The inner boundary is the region minus its erosion by the cross-shaped element; beyond the array is outside.

    Parameters
    ----------
    region : ndarray of shape (*box), bool
    centre : D coordinates in that array, voxels
    spacing : D floats, optional
        Voxel size in mm.

    Returns
    -------
    float
        Voxels; mm where the spacing is given.

    Raises
    ------
    UnsuitableRegion
        For an empty region.
    """
    distance = inner_boundary.mean_distance(region, centre, spacing)
    if math.isnan(distance):
        raise UnsuitableRegion("a region must hold at least one voxel, got none")
    return distance


def bend_factor(region: MaskArray, centre: Sequence[float], push: float) -> float:
    """Strength of a deformation that pushes intensities by about `push` voxels at most.

    Parameters
    ----------
    region : ndarray of shape (*box), bool
    centre : D coordinates in that array, voxels
    push : float, voxels, > 0 and under 0.71 times the mean distance to the boundary

    Returns
    -------
    float
        f = ln(a / e) / ln(b / e) with e the mean distance to the inner boundary, a = e/2 - push/sqrt(2) and
        b = e/2 + push/sqrt(2).

    Raises
    ------
    SynthanomError
        If the push is not in that range.
    """
    return deformation_strength(mean_boundary_distance(region, centre), push)


def deformation_strength(e: float, push: float) -> float:
    """`bend_factor` for a region whose inner boundary lies `e` voxels from the centre on average.

    Parameters
    ----------
    e : float
        Voxels, mean distance to the inner boundary.
    push : float
        Voxels, > 0 and under e / sqrt(2).

    Returns
    -------
    float
        As `bend_factor`.

    Raises
    ------
    SynthanomError
        If the push is not in the range that `e` allows.
    """
    from synthanom.drawing import strength

    if not 0 < push < e / math.sqrt(2):
        raise SynthanomError(f"push must lie between 0 and {e / math.sqrt(2):.4g} voxels for this region, got {push}")
    return float(strength(float(e), float(push)))
