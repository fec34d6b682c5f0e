"""Close a label and fill its holes: grey closing, then reconstruction by erosion.

References
----------
Vincent, "Morphological grayscale reconstruction in image analysis", IEEE Trans. Image Process. 2(2), 1993,
doi:10.1109/83.217222.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from synthanom.arrays import backend_of, to_volume
from synthanom.errors import SynthanomError

MIN_SIDE = 3  # voxels; a smaller box has no inside to fill


def close_and_fill(values: Any) -> Any:
    """Fill the dips of one component's label, in the component's own box.

    Parameters
    ----------
    values : ndarray or tensor of shape (*box), float32
        The component's own values, 0 elsewhere; every side at least 3.

    Returns
    -------
    array of shape (*box), float32, nowhere below `values`

    Raises
    ------
    SynthanomError
        If a side is under 3 voxels.

    Notes
    -----
    The element holds the offsets of squared length <= 2. What lies beyond the box is ignored by the closing. The
    seed of the reconstruction equals the closed values on the box's faces and their maximum inside.
    """
    shape = tuple(values.shape)
    if len(shape) not in (2, 3) or min(shape) < MIN_SIDE:
        raise SynthanomError(f"values must have 2 or 3 axes of at least {MIN_SIDE} voxels, got shape {shape}")
    if backend_of(values) == "torch":
        from synthanom.kernels.grey_reconstruct.gpu import close_and_fill_box

        return close_and_fill_box(values)
    from synthanom.kernels.grey_reconstruct.cpu import fill_volume

    keys = _keys(np.array(values, dtype=np.float32, order="C").view(np.int32))
    filled = fill_volume(to_volume(keys, len(shape))).reshape(shape)
    return _keys(filled).view(np.float32)


def _keys(bits: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Integers that order as the floats whose bits are given, and back."""
    return bits ^ ((bits >> 31) & np.int32(2**31 - 1))
