"""What the labels with a jump share: which voxels changed at all, how that is smoothed, and labelling whole images."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from synthanom.arrays import FloatArray, ImageArray, MaskArray, as_numpy, back_to, box_slices, check_mask
from synthanom.errors import SynthanomError
from synthanom.kernels import components
from synthanom.labels.abstract import AbstractLabeller, check_together, check_visible
from synthanom.labels.boxes import bounding_box

Part = tuple[tuple[slice, ...], MaskArray]  # a component's tight box, and which of its voxels are its own
SMALLEST = 3  # voxels; a component with a smaller side is not smoothed


@dataclass(frozen=True, kw_only=True)
class AbstractChangeLabeller(AbstractLabeller):
    """A label that is 0 in voxels that did not change and jumps where they did.

    Attributes
    ----------
    tolerance : float
        A voxel changed if the mean over channels of |after - before| is larger, image intensity units.
    visible : float
        Samples whose largest label is smaller count as unchanged and are drawn again.
    """

    jumps: ClassVar[bool] = True

    tolerance: float = 0.01
    visible: float = 0.01

    def __post_init__(self) -> None:
        if not 0 <= self.tolerance < np.inf:
            raise SynthanomError(f"tolerance must be a number from 0 in image intensity units, got {self.tolerance}")
        check_visible(self.visible)

    @abstractmethod
    def values(self, change: FloatArray, region: MaskArray, strength: ImageArray | None) -> npt.NDArray[Any]:
        """The label of a change.

        Parameters
        ----------
        change : ndarray of shape (*box), image intensity units, 0 outside the region
        region : ndarray of shape (*box), bool
        strength : ndarray of shape (*box), float32, or None

        Returns
        -------
        ndarray of shape (*box)
        """

    def __call__(self, before: Any, after: Any, region: Any, strength: Any = None) -> Any:
        """Label an anomaly; tensors are labelled on the CPU and come back to their device."""
        first, last, mask = as_numpy(before), as_numpy(after), as_numpy(region)
        check_together(first, last, mask)
        own = None if strength is None else as_numpy(strength)
        if own is not None and own.shape != mask.shape:
            check_mask(mask, own.shape, name="region")
        out = np.zeros(mask.shape, dtype=np.float32)
        box = bounding_box(mask)
        if box is not None:
            inside = box_slices(*box)
            part = (slice(None), *inside)
            self.label_box(first[part], last[part], mask[inside], out[inside], None if own is None else own[inside])
        return back_to(out, before)

    def label_box(
        self,
        before: ImageArray,
        after: ImageArray,
        region: MaskArray,
        out: ImageArray | None = None,
        strength: ImageArray | None = None,
    ) -> tuple[ImageArray, float]:
        """The label of one box (C, *box) and the largest value in it; written into `out` where given."""
        label = np.zeros(region.shape, dtype=np.float32) if out is None else out
        change = np.abs(after.astype(np.float64) - before).mean(axis=0)
        label[...] = self.values(np.where(region, change, 0.0), region, strength)
        return label, float(label.max(initial=0.0))


def parts_of(region: MaskArray) -> list[Part]:
    """The face-connected components of a region (*box), those with a side under 3 voxels left out."""
    numbers, boxes = components.label(region)
    found = []
    for number, (low, end) in enumerate(boxes, 1):
        if (end - low).min() >= SMALLEST:
            box = tuple(slice(a, b) for a, b in zip(low, end, strict=True))
            found.append((box, numbers[box] == number))
    return found


def by_part(
    values: npt.NDArray[Any], parts: Sequence[Part], smooth: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]
) -> npt.NDArray[Any]:
    """Smooth the values (*box) of each part of a region, 0 around it; others stay as they are.

    Each in its own tight box, so that a label does not depend on what else is in the picture.
    """
    out = values.copy()
    for box, own in parts:
        out[box] = np.where(own, smooth(np.where(own, values[box], values.dtype.type(0))), out[box])
    return out


def majority(mask: npt.NDArray[np.bool_], side: int) -> npt.NDArray[np.bool_]:
    """Where more than half of the cube of `side` voxels around a voxel is marked: the median of a mask."""
    count = np.zeros([n + side - 1 for n in mask.shape], np.int16)  # 15 ** 3 at most; 0 beyond the mask
    count[tuple(slice(side // 2, side // 2 + n) for n in mask.shape)] = mask
    for axis, length in enumerate(mask.shape):
        before = (slice(None),) * axis
        total = count[(*before, slice(0, length))].copy()
        for step in range(1, side):
            total += count[(*before, slice(step, step + length))]
        count = total
    found: npt.NDArray[np.bool_] = 2 * count > side**mask.ndim
    return found


def smoothed_change(change: FloatArray, parts: Sequence[Part], tolerance: float, side: int) -> MaskArray:
    """Which voxels changed by more than a tolerance, smoothed by the `majority` within each part of the region."""
    return by_part(change > tolerance, parts, lambda mask: majority(mask, side))


def check_side(side: int, name: str) -> None:
    """Raise unless a cube of that side has a middle voxel.

    Raises
    ------
    SynthanomError
    """
    if not (isinstance(side, int) and 1 <= side <= 15 and side % 2 == 1):
        raise SynthanomError(f"{name} must be an odd number of voxels from 1 (not smoothed) to 15, got {side}")
