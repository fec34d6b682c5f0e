"""Compiled twin of `reference`: how often each rank occurs in the ball, kept up to date as the ball moves along a row.

References
----------
Huang, Yang, Tang, "A fast two-dimensional median filtering algorithm", IEEE Trans. ASSP 27(1), 1979,
doi:10.1109/TASSP.1979.1163188.
"""

from typing import Any

import numpy as np

from synthanom.kernels.compiled import njit

SHIFT = 5
BLOCK = 1 << SHIFT  # ranks that are counted together


@njit(nogil=True, cache=True)
def filtered(padded: Any, out: Any, rows: Any, levels: int) -> None:
    """Write the median rank of every ball into `out`, int32 (Z, Y, X).

    Parameters
    ----------
    padded : int32, `out` with the ball's reach on either side of every axis of more than one voxel that has one
    out : int32 (Z, Y, X)
    rows : int64 (n, 3), the ball as `rows_of` gives it
    levels : int
        Ranks are below it.
    """
    nz, ny, nx = out.shape
    reach_z, reach_y, reach = (padded.shape[0] - nz) // 2, (padded.shape[1] - ny) // 2, (padded.shape[2] - nx) // 2
    counts = np.zeros(levels + BLOCK, np.int32)
    blocks = np.zeros((levels >> SHIFT) + 2, np.int32)
    flat = padded.reshape(-1)
    n = rows.shape[0]
    enter, leave, middle = np.empty(n, np.int64), np.empty(n, np.int64), 0
    for i in range(n):
        row = (rows[i, 0] * padded.shape[1] + rows[i, 1]) * padded.shape[2]
        enter[i], leave[i] = row + rows[i, 2], row - rows[i, 2] - 1
        middle += 2 * rows[i, 2] + 1
    middle //= 2  # a ball has an odd number of voxels
    for z in range(nz):
        for y in range(ny):
            counts[:] = 0
            blocks[:] = 0
            block, below = 0, 0  # how many of the ball lie in blocks before this one
            start = ((z + reach_z) * padded.shape[1] + y + reach_y) * padded.shape[2] + reach
            # the first ball of the row, but for what the loop below adds
            for i in range(n):
                for k in range(leave[i] + 1, enter[i]):
                    counts[flat[start + k]] += 1
                    blocks[flat[start + k] >> SHIFT] += 1
            for x in range(nx):
                for i in range(n):
                    rank = flat[start + x + enter[i]]
                    counts[rank] += 1
                    blocks[rank >> SHIFT] += 1
                    below += rank >> SHIFT < block
                if x > 0:
                    for i in range(n):
                        rank = flat[start + x + leave[i]]
                        counts[rank] -= 1
                        blocks[rank >> SHIFT] -= 1
                        below -= rank >> SHIFT < block
                while below > middle:
                    block -= 1
                    below -= blocks[block]
                while below + blocks[block] <= middle:
                    below += blocks[block]
                    block += 1
                left, rank = middle - below, block << SHIFT
                while counts[rank] <= left:
                    left -= counts[rank]
                    rank += 1
                out[z, y, x] = rank
