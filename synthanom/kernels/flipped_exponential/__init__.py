"""1 - exp(-u): what turns a squared change into a label."""

import numpy as np
import numpy.typing as npt


def flipped_exponential(exponents: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """1 - exp(-u), the digits of small u kept.

    Parameters
    ----------
    exponents : ndarray of any shape, float64
        u >= 0.

    Returns
    -------
    ndarray of the same shape, float64

    Notes
    -----
    Plain arithmetic in a fixed order, so that the values are the same wherever they are computed, whatever the
    library of mathematical functions; relative error under 1e-14, and anything above 18 counts as 18.
    """
    from synthanom.kernels.flipped_exponential.cpu import flip

    roots = np.sqrt(np.asarray(exponents, dtype=np.float64), order="C")
    out = np.empty(roots.shape)
    flip(roots.reshape(-1), 1.0, out.reshape(-1))
    return out
