"""Counts of scores per bin of their float32 bit pattern, and the ranking metrics of such counts.

A finite float32 becomes an unsigned 32-bit key of the same order. Scores in [0.5, 1) have 2^23 patterns only, and
probabilities crowd at the end of them; they are placed by how far they lie below 1, as finely as numbers are near 0.
What is above the 8 lowest bits of a place (sign, exponent and 15 bits of the mantissa) is the score's bin, so a bin
spans at most 2^-15 of the score's own size or, in [0.5, 1), of its distance from 1 (subnormal scores aside, which
share a few). Compiled, serial and without the GIL: safe in forked workers and in threads.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from synthanom.kernels.compiled import njit

SHIFT = 8  # bits of a place below its bin
STEPS = 4096
SIGN = 0x80000000
# keys of the smallest and the largest finite number, of 0.5 and of 1
LOWEST_KEY, HIGHEST_KEY = 0x00800000, 0xFF7FFFFF
HALF_KEY, ONE_KEY = 0xBF000000, 0xBF800000
FARTHEST = 0x4B000000  # bit pattern of 2^23 as a float: the distance of 0.5 from 1, in units of 2^-24
# makes 1 begin the bin after that of the number below it, whose distance of one unit has the bit pattern 0x3F800000
LATER = HALF_KEY + FARTHEST - 0x3F800000 + (1 << SHIFT) - ONE_KEY
LOWEST_BIN, HIGHEST_BIN = LOWEST_KEY >> SHIFT, (HIGHEST_KEY + LATER) >> SHIFT
BINS = HIGHEST_BIN + 1  # 1.04 x 2^24

Keys = npt.NDArray[np.uint32]


def ordered_keys(scores: npt.NDArray[np.float32]) -> Keys:
    """Unsigned keys (n,) in the order of finite scores (n,); -0.0 and 0.0 get one key."""
    bits = (scores + np.float32(0)).view(np.uint32)  # -0.0 + 0.0 is 0.0
    negative = (bits >> np.uint32(31)).astype(bool)
    return np.where(negative, ~bits, bits | np.uint32(SIGN))


@njit(nogil=True, cache=True)
def key_of(score: Any) -> Any:
    """As `ordered_keys`, of one float32."""
    bits = np.float32(score + np.float32(0)).view(np.uint32)
    return np.uint32(~bits) if bits >> np.uint32(31) else np.uint32(bits | np.uint32(SIGN))


@njit(nogil=True, cache=True)
def place(key: Any) -> Any:
    """Where a key lies in the order of all, uint64: keys of [0.5, 1) spread out, those from 1 on moved up."""
    if key < HALF_KEY:
        return np.uint64(key)
    if key >= ONE_KEY:
        return np.uint64(key) + np.uint64(LATER)
    distance = np.float32(np.uint32(ONE_KEY) - key)  # at most 2^23, hence exact
    return np.uint64(HALF_KEY + FARTHEST) - np.uint64(distance.view(np.uint32))


@njit(nogil=True, cache=True)
def count(keys: Any, labels: Any, counts: Any, ends: Any) -> None:
    """Add keys (n,) to `counts` (BINS, 2) by label (n,), bool, and widen `ends` (BINS, 2), the bins' extreme low bytes.

    Ends start as 255, 0; both numbers of a bin lie side by side, as fetching them is what takes the time.
    """
    for i in range(keys.size):
        _count_one(keys[i], labels[i], counts, ends)


@njit(nogil=True, cache=True)
def count_scores(scores: Any, labels: Any, counts: Any, ends: Any) -> None:
    """As `count`, of finite float32 scores (n,): a quarter less time than by way of an array of keys."""
    for i in range(scores.size):
        _count_one(key_of(scores[i]), labels[i], counts, ends)


@njit(nogil=True, cache=True)
def _count_one(key: Any, label: Any, counts: Any, ends: Any) -> None:
    at = place(key)
    k, low = at >> np.uint64(SHIFT), np.uint8(at & np.uint64(0xFF))
    counts[k, 1 if label else 0] += 1
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
