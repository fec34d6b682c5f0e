"""Counts of scores per bin of their float32 bit pattern, and the ranking metrics of such counts.

A finite float32 becomes an unsigned 32-bit key of the same order; the 24 highest bits of the key (sign, exponent and
15 bits of the mantissa) are its bin, so a bin spans at most 2^-15 of the score's own size (subnormal ones aside, which
share a few). Compiled, serial and without the GIL: safe in forked workers and in threads.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from synthanom.kernels.compiled import njit

BINS = 1 << 24
SHIFT = 8  # bits of a key below its bin
STEPS = 4096
SIGN = 0x80000000
# of float32 keys: those of the largest and the smallest finite number
LOWEST_KEY, HIGHEST_KEY = 0x00800000, 0xFF7FFFFF

Keys = npt.NDArray[np.uint32]


def ordered_keys(scores: npt.NDArray[np.float32]) -> Keys:
    """Unsigned keys (n,) in the order of finite scores (n,); -0.0 and 0.0 get one key."""
    bits = (scores + np.float32(0)).view(np.uint32)  # -0.0 + 0.0 is 0.0
    negative = (bits >> np.uint32(31)).astype(bool)
    return np.where(negative, ~bits, bits | np.uint32(SIGN))


@njit(nogil=True, cache=True)
def count(keys: Any, labels: Any, counts: Any, ends: Any) -> None:
    """Add keys (n,) to `counts` (BINS, 2) by label (n,), bool, and widen `ends` (BINS, 2), the bins' extreme low bytes.

    Ends start as 255, 0; both numbers of a bin lie side by side, as fetching them is what takes the time.
    """
    for i in range(keys.size):
        k, low = keys[i] >> SHIFT, np.uint8(keys[i] & 0xFF)
        counts[k, 1 if labels[i] else 0] += 1
        if low < ends[k, 0]:
            ends[k, 0] = low
        if low > ends[k, 1]:
            ends[k, 1] = low


@njit(nogil=True, cache=True)
def areas_of_counts(counts: Any, ends: Any) -> Any:
    """Average precision, its lower and upper bound, area under the ROC curve and the half width of its bounds.

    `counts` (BINS, 2) holds at least one score of each label. A bin of one value is one threshold. In a bin of several,
    with p positives and n negatives, and `a` and `b` above it, negatives are taken to lie evenly between positives:
    n i / (p + 1) above the i-th. The bounds hold for any order inside such bins: the precision at each of its
    positives lies between (a + 1) / (a + 1 + b + n) and (a + p) / (a + p + b).
    """
    a = b = np.int64(0)
    precision = low = high = twice_area = unordered = 0.0
    for k in range(counts.shape[0] - 1, -1, -1):
        n, p = np.int64(counts[k, 0]), np.int64(counts[k, 1])
        several = ends[k, 0] < ends[k, 1]
        if p > 0 and several:
            precision += _spread(a, b, p, n)
            low += p * ((a + 1) / (a + 1 + b + n))
            high += p * ((a + p) / (a + p + b))
        elif p > 0:
            at_once = p * ((a + p) / (a + p + b + n))
            precision += at_once
            low += at_once
            high += at_once
        # as floats: the product of two counts may pass 2^63
        twice_area += float(n) * float(2 * a + p)
        if several:
            unordered += float(n) * float(p)
        a += p
        b += n
    pairs = float(a) * float(b)
    return precision / a, low / a, high / a, twice_area / 2 / pairs, unordered / 2 / pairs


@njit(nogil=True, cache=True)
def _spread(a: Any, b: Any, p: Any, n: Any) -> Any:
    """Sum of the precisions at p positives with n negatives evenly between them, at no more than STEPS of them."""
    steps = min(p, STEPS)
    total = 0.0
    for s in range(steps):
        i = (s + 0.5) * p / steps + 0.5
        total += (a + i) / (a + i + b + n * i / (p + 1))
    return total * p / steps
