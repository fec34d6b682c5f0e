"""The label of a box: 1 minus a Gaussian of the change, closed and filled, in one compiled call."""

from typing import Any

import numpy as np

from synthanom.arrays import ImageArray, MaskArray, to_volume
from synthanom.kernels import components


def label_box(
    before: ImageArray,
    after: ImageArray,
    region: MaskArray,
    sigma: float,
    *,
    fill: bool = True,
    out: ImageArray | None = None,
) -> tuple[ImageArray, float]:
    """Label what changed inside a region.

    Parameters
    ----------
    before, after : ndarray of shape (C, *box), float32 or float64
        Views of larger float32 images are read in place.
    region : ndarray of shape (*box), bool
    sigma : float
        Change (mean over channels, image intensity units) at which the label is 0.39.
    fill : bool
        Close and fill each face-connected component of the region in its own tight box.
    out : ndarray of shape (*box), float32, all 0, optional
        Where to write the label: a view of a larger one.

    Returns
    -------
    label : ndarray of shape (*box), float32 in [0, 1]
    peak : float
        The largest label before filling.

    Notes
    -----
    y = 1 - exp(-d^2 / (2 sigma^2)), d the mean over channels of |after - before| inside the region, 0 outside. Of a
    component only its own values are closed and filled, and nothing is lowered; a component with a side under 3 voxels
    is left as it is.
    """
    from synthanom.kernels.soft_label.cpu import label_volume

    dims = region.ndim
    out = np.zeros(region.shape, dtype=np.float32) if out is None else out
    scale = 1.0 / (2.0 * (sigma * before.shape[0]) ** 2)
    first, last = (to_volume(np.asarray(image, dtype=np.float32), dims) for image in (before, after))
    peak = label_volume(first, last, components.in_eights(region), scale, fill, dims == 2, to_volume(out, dims))
    return out, float(peak)


def label_tensors(before: Any, after: Any, region: Any, sigma: float, *, fill: bool = True) -> Any:
    """`label_box` of whole images, on their device.

    Parameters
    ----------
    before, after : tensor of shape (C, *S), float32
    region : tensor of shape (*S), bool
    sigma, fill
        As for `label_box`.

    Returns
    -------
    tensor of shape (*S), float32 in [0, 1]
    """
    from synthanom.kernels.soft_label.gpu import label_image

    return label_image(before, after, region, sigma, fill=fill)


def fill_components(label: ImageArray, region: MaskArray) -> ImageArray:
    """Close and fill a pointwise label, as `label_box` does.

    Parameters
    ----------
    label : ndarray of shape (*box), float32
        0 outside the region.
    region : ndarray of shape (*box), bool

    Returns
    -------
    ndarray of shape (*box), float32
    """
    from synthanom.kernels.components.cpu import find_runs
    from synthanom.kernels.soft_label.cpu import fill_runs

    out = np.array(label, dtype=np.float32, order="C")
    runs, rows = find_runs(components.in_eights(region))
    fill_runs(to_volume(out, region.ndim), runs, rows, region.ndim == 2)
    return out
