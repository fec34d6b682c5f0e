"""Which axes of an image point right, front and up: nibabel's orientation rules in our axis order."""

from typing import Any

import numpy as np

from synthanom.arrays import FloatArray


def canonical_axes(affine: FloatArray) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """How to bring a 3D array (Z, Y, X) closest to RAS+.

    Returns
    -------
    flipped : tuple of int
        Axes to reverse first.
    order : tuple of 3 ints
        Then transpose with this order.
    """
    import nibabel

    library: Any = nibabel
    # row i: where nibabel's axis i goes, and whether it runs backwards
    orientation = np.asarray(library.orientations.io_orientation(affine))
    flipped = tuple(sorted(2 - i for i in range(3) if orientation[i, 1] < 0))
    goes_to = [int(v) for v in orientation[:, 0]]
    order = tuple(2 - goes_to.index(2 - axis) for axis in range(3))
    return flipped, order
