"""Boxes of voxels that labels are made in, and the filling of a label's components."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from synthanom.arrays import ImageArray, MaskArray
from synthanom.kernels import components, soft_label

Box = tuple[tuple[int, ...], tuple[int, ...]]  # corner and size, voxels


def fill_components(label: ImageArray, region: MaskArray) -> ImageArray:
    """Close and fill a label, each face-connected component of the region in its own tight box.

    Parameters
    ----------
    label : ndarray of shape (*box), float32, 0 outside the region
    region : ndarray of shape (*box), bool

    Returns
    -------
    ndarray of shape (*box), float32
        Nowhere below `label`; components with a side under 3 voxels are left as they are.
    """
    return soft_label.fill_components(label, region)


def bounding_box(mask: npt.NDArray[np.bool_]) -> Box | None:
    """The smallest box around the marked voxels.

    Parameters
    ----------
    mask : ndarray of shape (*S), bool

    Returns
    -------
    (corner, size) or None
        D integers each; None if there are no marked voxels.
    """
    low, end = components.bounds(mask).tolist()
    return None if end[0] == 0 else (tuple(low), tuple(b - a for a, b in zip(low, end, strict=True)))


def merge_boxes(boxes: Sequence[Box]) -> list[Box]:
    """Replace boxes that overlap by their common bounding box until none overlap.

    Parameters
    ----------
    boxes : sequence of (corner, size)
        D integers each, voxels.

    Returns
    -------
    list of (corner, size)
        In order of their corners.
    """
    left = list(boxes)
    for _ in range(len(boxes)):
        pair = next(
            ((i, j) for i in range(len(left)) for j in range(i + 1, len(left)) if _overlap(left[i], left[j])), None
        )
        if pair is None:
            break
        i, j = pair
        left = [box for k, box in enumerate(left) if k not in pair] + [_around(left[i], left[j])]
    return sorted(left)


def _overlap(a: Box, b: Box) -> bool:
    return all(p < q + m and q < p + n for p, n, q, m in zip(a[0], a[1], b[0], b[1], strict=True))


def _around(a: Box, b: Box) -> Box:
    low = tuple(min(p, q) for p, q in zip(a[0], b[0], strict=True))
    high = tuple(max(p + n, q + m) for p, n, q, m in zip(a[0], a[1], b[0], b[1], strict=True))
    return low, tuple(h - p for p, h in zip(low, high, strict=True))
