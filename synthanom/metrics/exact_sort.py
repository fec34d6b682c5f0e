"""Ranking metrics from sorted keys, one array per label: four bytes per score, and no bit for the label."""

from typing import Any

import numpy as np
import numpy.typing as npt

from synthanom.kernels.compiled import njit

TERMS = 2**18  # thresholds summed at a time, by numpy's pairwise sum as in `ranking`


def areas_of_sorted(negatives: npt.NDArray[np.uint32], positives: npt.NDArray[np.uint32]) -> tuple[float, float]:
    """Average precision and area under the ROC curve of two ascending arrays of keys, neither of them empty."""
    terms = np.empty(TERMS)
    i, j = positives.size, negatives.size
    precision = twice_area = 0.0
    for _ in range((i + j) // TERMS + 1):  # each threshold takes at least one key
        i, j, filled, area = _walk(negatives, positives, i, j, terms)
        precision += float(np.sum(terms[:filled]))
        twice_area += area
    assert i == j == 0
    return precision / positives.size, twice_area / 2 / positives.size / negatives.size


@njit(nogil=True, cache=True)
def _walk(negatives: Any, positives: Any, i: int, j: int, terms: Any) -> Any:
    """Go down the next thresholds, of which `i` positives and `j` negatives are left, until `terms` is full."""
    filled, twice_area = 0, 0.0
    while filled < terms.size and (i > 0 or j > 0):
        key = positives[i - 1] if j == 0 or (i > 0 and positives[i - 1] > negatives[j - 1]) else negatives[j - 1]
        before, above = positives.size - i, negatives.size - j
        while i > 0 and positives[i - 1] == key:
            i -= 1
        while j > 0 and negatives[j - 1] == key:
            j -= 1
        a, b = positives.size - i, negatives.size - j
        terms[filled] = (a - before) * (a / (a + b))
        # as floats: the product of two counts may pass 2^63
        twice_area += float(b - above) * float(before + a)
        filled += 1
    return i, j, filled, twice_area
