"""The definition."""

import numpy as np
import numpy.typing as npt


def flipped_exponential(exponents: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """1 - exp(-u) by `expm1`, which keeps the digits of small u."""
    return np.asarray(-np.expm1(-np.asarray(exponents, dtype=np.float64)))
