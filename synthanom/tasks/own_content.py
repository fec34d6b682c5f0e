"""A region that shows another part of its own picture."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from synthanom.arrays import ImageArray
from synthanom.regions import Region


def show_elsewhere(image: ImageArray, region: Region, places: Sequence[npt.NDArray[np.int64]]) -> ImageArray:
    """The region's box, showing inside the region what the picture shows elsewhere.

    Parameters
    ----------
    image : ndarray of shape (C, *S)
    region : Region
    places : D index arrays, one per axis and as long as the box along it
        Where each row of the box is read; beyond the image's border, the border.

    Returns
    -------
    ndarray of shape (C, *box), float32
    """
    own = image[(slice(None), *region.slices)]
    read = [np.clip(at, 0, side - 1) for at, side in zip(places, image.shape[1:], strict=True)]
    return np.where(region.mask, image[np.ix_(np.arange(image.shape[0]), *read)], own)


def rows_of(region: Region) -> list[npt.NDArray[np.int64]]:
    """Image coordinates of the rows of a region's box, per axis."""
    return [np.arange(c, c + n) for c, n in zip(region.corner, region.size, strict=True)]
