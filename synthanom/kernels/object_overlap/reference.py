"""The definition, with every voxel's place in the donor at once."""

import numpy as np

from synthanom.arrays import FloatArray, MaskArray


def counts(
    donor: MaskArray, mask: MaskArray, foreground: MaskArray, scale: FloatArray, offset: FloatArray
) -> tuple[int, int]:
    """Voxels of the patch that show the donor's object, and those of them that land on the picture's."""
    places = [
        np.clip(np.rint(o + k * np.arange(n)).astype(np.int64), 0, side - 1)
        for o, k, n, side in zip(offset, scale, mask.shape, donor.shape, strict=True)
    ]
    shown = donor[np.ix_(*places)] & mask
    return int(np.count_nonzero(shown)), int(np.count_nonzero(shown & foreground))
