"""Compiled loops over pixels in bins: serial and without the GIL, safe in forked workers and in threads."""

from typing import Any

import numpy as np

from synthanom.kernels.compiled import njit
from synthanom.metrics.histogram import SHIFT, key_of, place


@njit(nogil=True, cache=True)
def place_in(scores: Any, table: Any, ends: Any, out: Any) -> None:
    """Put the bin of each score (n,) into `out`, and widen `ends` (B, 2), lowest and highest key of each bin."""
    for i in range(scores.size):
        key = key_of(scores[i])
        b = table[place(key) >> np.uint64(SHIFT)]
        out[i] = b
        if key < ends[b, 0]:
            ends[b, 0] = key
        if key > ends[b, 1]:
            ends[b, 1] = key


@njit(nogil=True, cache=True)
def place_finely(scores: Any, out: Any) -> None:
    """Put the bin of `histogram` of each score (n,) into `out`."""
    for i in range(scores.size):
        out[i] = place(key_of(scores[i])) >> np.uint64(SHIFT)


@njit(nogil=True, cache=True)
def count(bins: Any, packed: Any, counts: Any) -> None:
    """Add pixels, with their mask as packed bits, to `counts` (B, 2) by label."""
    for i in range(bins.size):
        counts[bins[i], (packed[i >> 3] >> (7 - (i & 7))) & 1] += 1


@njit(nogil=True, cache=True)
def count_groups(bins: Any, packed: Any, group: Any, counts: Any) -> None:
    """As `count`, into the group (B,) of each bin."""
    for i in range(bins.size):
        counts[group[bins[i]], (packed[i >> 3] >> (7 - (i & 7))) & 1] += 1
