"""What changed, as a soft label."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from synthanom.arrays import ImageArray, MaskArray, as_numpy, backend_of, box_slices, check_mask
from synthanom.errors import SynthanomError
from synthanom.kernels import components, soft_label

Box = tuple[tuple[int, ...], tuple[int, ...]]  # corner and size, voxels


class AbstractLabeller(ABC):
    """Turns (before, after, region) into a label in [0, 1], and says whether the anomaly can be seen at all."""

    @abstractmethod
    def __call__(self, before: Any, after: Any, region: Any) -> Any:
        """Label an anomaly: (C, *S), (C, *S), bool (*S) -> float32 (*S) in [0, 1]."""

    @abstractmethod
    def label_box(
        self, before: ImageArray, after: ImageArray, region: MaskArray, out: ImageArray | None = None
    ) -> tuple[ImageArray, float]:
        """The label of one box and the largest pointwise label in it, on which `visible` is judged.

        Parameters
        ----------
        before, after : ndarray of shape (C, *box), float32
        region : ndarray of shape (*box), bool
        out : ndarray of shape (*box), float32, all 0, optional
            Where to write the label.

        Returns
        -------
        label : ndarray of shape (*box), float32 in [0, 1]
        peak : float
        """

    @property
    @abstractmethod
    def visible(self) -> float:
        """Smallest largest pointwise label of a sample that counts as anomalous."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """The labeller's settings as JSON."""


@dataclass(frozen=True, kw_only=True)
class FlippedGaussian(AbstractLabeller):
    """1 minus a Gaussian of the change: smooth, 0 where nothing changed, near 1 where the change is large.

    Attributes
    ----------
    sigma : float
        Change (mean over channels, image intensity units) at which the label is 0.39.
    fill : bool
        Close the label and fill its holes, component by component.
    visible : float
        Samples whose largest pointwise label is smaller count as unchanged and are drawn again.

    Notes
    -----
    y = 1 - exp(-d^2 / (2 sigma^2)) with d the mean over channels of |after - before| inside the region, 0 outside.

    References
    ----------
    Baugh et al., "Many tasks make light work", MICCAI 2023, doi:10.1007/978-3-031-43907-0_16.
    """

    sigma: float = 0.2
    fill: bool = True
    visible: float = 0.01

    def __post_init__(self) -> None:
        if not (np.isfinite(self.sigma) and self.sigma > 0):
            raise SynthanomError(f"sigma must be a positive number in image intensity units, got {self.sigma}")
        if not 0 <= self.visible < 1:
            raise SynthanomError(f"visible must lie in [0, 1), got {self.visible}")

    def __call__(self, before: Any, after: Any, region: Any) -> Any:
        """Label an anomaly.

        Parameters
        ----------
        before, after : array of shape (C, *S), float32
        region : bool array of shape (*S)

        Returns
        -------
        array of shape (*S), float32 in [0, 1], of the backend (and on the device) of `before`
        """
        if backend_of(before) == "torch":
            last, mask = (_beside(array, before) for array in (after, region))
            _check_together(before, last, mask)
            return soft_label.label_tensors(before, last, mask, self.sigma, fill=self.fill)
        first, last, mask = as_numpy(before), as_numpy(after), as_numpy(region)
        _check_together(first, last, mask)
        out = np.zeros(mask.shape, dtype=np.float32)
        box = bounding_box(mask)
        if box is not None:
            inside = box_slices(*box)
            part = (slice(None), *inside)
            self.label_box(first[part], last[part], mask[inside], out[inside])
        return out

    def label_box(
        self, before: ImageArray, after: ImageArray, region: MaskArray, out: ImageArray | None = None
    ) -> tuple[ImageArray, float]:
        """The label of one box (C, *box) and the largest pointwise label in it; written into `out` where given."""
        return soft_label.label_box(before, after, region, self.sigma, fill=self.fill, out=out)

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON."""
        return {"name": "flipped_gaussian", "sigma": self.sigma, "fill": self.fill, "visible": self.visible}


def _beside(array: Any, origin: Any) -> Any:
    """An array of any backend as a tensor on the device of `origin`."""
    import torch

    if backend_of(array) == "torch":
        return array.to(origin.device)
    return torch.tensor(np.ascontiguousarray(array), device=origin.device)


def _check_together(before: Any, after: Any, region: Any) -> None:
    """Raise unless three arrays or three tensors fit together."""
    shape, other = tuple(before.shape), tuple(after.shape)
    if shape != other:
        raise SynthanomError(f"before and after must have one shape, got {shape} and {other}")
    mask = region
    if backend_of(region) == "torch":
        if str(region.dtype) != "torch.bool":
            raise SynthanomError(f"region must be bool, got {region.dtype}; threshold it first, for example mask > 0")
        mask = np.broadcast_to(np.False_, tuple(region.shape))  # takes no memory; its shape is what remains to check
    check_mask(mask, shape[1:], name="region")


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
