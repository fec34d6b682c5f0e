"""Compiled loops over pixels in bins: serial and without the GIL, safe in forked workers and in threads."""

from typing import Any

import numpy as np

from synthanom.kernels.compiled import njit
from synthanom.metrics.histogram import SHIFT, place


@njit(nogil=True, cache=True)
def place_in(keys: Any, table: Any, ends: Any, out: Any) -> None:
    """Put the bin of each key (n,) into `out`, and widen `ends` (B, 2), lowest and highest key of each bin."""
    for i in range(keys.size):
        b = table[place(keys[i]) >> np.uint64(SHIFT)]
        out[i] = b
        if keys[i] < ends[b, 0]:
            ends[b, 0] = keys[i]
        if keys[i] > ends[b, 1]:
            ends[b, 1] = keys[i]


@njit(nogil=True, cache=True)
def place_finely(keys: Any, out: Any) -> None:
    """Put the bin of `histogram` of each key (n,) into `out`."""
    for i in range(keys.size):
        out[i] = place(keys[i]) >> np.uint64(SHIFT)


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
