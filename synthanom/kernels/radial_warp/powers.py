"""Powers of a row of numbers in plain arithmetic: it vectorises, and no processor or C library changes a bit.

The C library's `pow` took 20 ns a number and differs between systems.
"""

import math
from typing import Any

import numpy as np

from synthanom.kernels.compiled import njit

LN2 = math.log(2.0)
SMALLEST = 1e-300  # what a base of 0 counts as: to any exponent above 1 it is 0 all the same
LOWEST = -1000.0  # exponents of two below which the power is 0 for us


@njit(nogil=True, cache=True)
def raise_row(values: Any, count: int, exponent: float, work: Any) -> None:
    """Raise the first numbers, in [0, 1], to a positive power, in place: float64, relative error under 1e-12.

    `work` is as long. Both logarithm and exponential are to base 2: x = 2^e m with m in [sqrt(1/2), sqrt(2)).
    """
    n = count
    bits, scratch = values.view(np.int64), work.view(np.int64)
    for i in range(n):
        values[i] = max(values[i], SMALLEST)
    for i in range(n):
        # the exponent of x sqrt(2), as a float: subtracting the bits of sqrt(1/2) rounds it where the mantissa needs it
        shift = (bits[i] - 0x3FE6A09E667F3BCD) >> 52
        scratch[i] = shift
        bits[i] -= shift << 52
    for i in range(n):
        m = values[i]
        z = (m - 1.0) / (m + 1.0)
        s = z * z
        series = 1 / 13 + s * (1 / 15 + s * (1 / 17))
        series = 1 / 5 + s * (1 / 7 + s * (1 / 9 + s * (1 / 11 + s * series)))
        logarithm = 2.0 * z * (1.0 + s * (1 / 3 + s * series)) / LN2
        values[i] = max((logarithm + np.float64(scratch[i])) * exponent, LOWEST)
    for i in range(n):
        r = (values[i] - np.floor(values[i] + 0.5)) * LN2
        series = 1 / 5040 + r * (1 / 40320 + r * (1 / 362880 + r * (1 / 3628800 + r * (1 / 39916800))))
        series = 1 / 24 + r * (1 / 120 + r * (1 / 720 + r * series))
        work[i] = 1.0 + r * (1.0 + r * (0.5 + r * (1 / 6 + r * series)))
    for i in range(n):
        scratch[i] += np.int64(np.floor(values[i] + 0.5)) << 52
    for i in range(n):
        values[i] = work[i]
