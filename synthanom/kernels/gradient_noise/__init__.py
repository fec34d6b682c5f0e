"""Gradient noise: smooth, without a mean, made of cells of a chosen size."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from synthanom.arrays import FloatArray, MaskArray, check_coordinates, check_mask, pad_triple
from synthanom.errors import SynthanomError
from synthanom.kernels.region_mask import byte_volume, embed

_FLAT = np.array([[0.0], [1.0], [1.0]])  # takes the flat axis out of a matrix


def sample(
    gradients: FloatArray,
    matrix: npt.ArrayLike,
    offset: Sequence[float],
    size: Sequence[int],
    wanted: MaskArray | None = None,
) -> npt.NDArray[np.float64]:
    """Evaluate gradient noise on a box.

    Parameters
    ----------
    gradients : ndarray of shape (n_1, .., n_D, D), float64
        One vector per point of a lattice; of length 1 as a rule.
    matrix : (D, D), offset : (D,)
        Voxel q of the box lies at lattice coordinates t = matrix @ q + offset, which must be within [0, n_i - 1].
    size : D integers, the box
    wanted : ndarray of shape (*size), bool, optional
        Where it is evaluated; 0 elsewhere.

    Returns
    -------
    ndarray of shape (*size), float64

    Notes
    -----
    sqrt(2) times the sum over the 2^D lattice points k around t of gradient_k . (t - k) times the product over axes of
    1 - fade(|t_i - k_i|), with fade(x) = 6 x^5 - 15 x^4 + 10 x^3. In 2D it lies within [-1, 1] for unit gradients.

    References
    ----------
    Perlin, "Improving noise", ACM Trans. Graph. 21(3), 2002, doi:10.1145/566654.566636.

    Raises
    ------
    SynthanomError
        For numbers that are not finite, a box that leaves the lattice, or a mask of another shape.
    """
    from synthanom.kernels.gradient_noise.cpu import sample_rows

    dims, sides = len(size), tuple(int(n) for n in size)
    turned, start = np.asarray(matrix, dtype=np.float64), np.asarray(offset, dtype=np.float64)
    check_coordinates(turned, name="the noise's matrix")
    check_coordinates(start, name="the noise's offset")
    lattice = np.ascontiguousarray(gradients, dtype=np.float64)
    if dims not in (2, 3) or lattice.ndim != dims + 1 or lattice.shape[-1] != dims or turned.shape != (dims, dims):
        raise SynthanomError(
            f"noise in {dims} axes needs gradients (*lattice, {dims}) and a matrix ({dims}, {dims}), got "
            f"{lattice.shape} and {turned.shape}"
        )
    far = turned * (np.array(sides) - 1)
    low, high = start + np.minimum(far, 0).sum(axis=1), start + np.maximum(far, 0).sum(axis=1)
    if (low < 0).any() or (high > np.array(lattice.shape[:-1]) - 1).any() or min(lattice.shape[:-1]) < 2:
        raise SynthanomError(f"the box must lie within the lattice {lattice.shape[:-1]}, got {low} to {high}")
    everywhere = np.ones(sides, dtype=np.bool_) if wanted is None else wanted
    check_mask(everywhere, sides, name="wanted")
    if dims == 2:  # the flat axis in front has one lattice point, where every voxel lies
        lattice = np.ascontiguousarray(np.pad(lattice, [(0, 0), (0, 0), (1, 0)])[None])
    out = np.empty((1,) * (3 - dims) + sides)
    sample_rows(
        out, byte_volume(everywhere), lattice, embed(turned) * (1.0 if dims == 3 else _FLAT), pad_triple(start, 0.0)
    )
    return out.reshape(sides)
