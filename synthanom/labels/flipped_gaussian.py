"""The flipped Gaussian: continuous where nothing changed, saturating where much did."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from synthanom.arrays import ImageArray, MaskArray, as_numpy, backend_of, box_slices
from synthanom.errors import SynthanomError
from synthanom.kernels import soft_label
from synthanom.labels.abstract import AbstractLabeller, check_together, check_visible
from synthanom.labels.boxes import bounding_box


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

    name: ClassVar[str] = "flipped_gaussian"
    jumps: ClassVar[bool] = False

    sigma: float = 0.2
    fill: bool = True
    visible: float = 0.01

    def __post_init__(self) -> None:
        if not (np.isfinite(self.sigma) and self.sigma > 0):
            raise SynthanomError(f"sigma must be a positive number in image intensity units, got {self.sigma}")
        check_visible(self.visible)

    def __call__(self, before: Any, after: Any, region: Any, strength: Any = None) -> Any:
        """Label an anomaly; tensors stay on their device."""
        del strength
        if backend_of(before) == "torch":
            last, mask = (_beside(array, before) for array in (after, region))
            check_together(before, last, mask)
            return soft_label.label_tensors(before, last, mask, self.sigma, fill=self.fill)
        first, last, mask = as_numpy(before), as_numpy(after), as_numpy(region)
        check_together(first, last, mask)
        out = np.zeros(mask.shape, dtype=np.float32)
        box = bounding_box(mask)
        if box is not None:
            inside = box_slices(*box)
            part = (slice(None), *inside)
            self.label_box(first[part], last[part], mask[inside], out[inside])
        return out

    def label_box(
        self,
        before: ImageArray,
        after: ImageArray,
        region: MaskArray,
        out: ImageArray | None = None,
        strength: ImageArray | None = None,
    ) -> tuple[ImageArray, float]:
        """The label of one box (C, *box) and the largest pointwise label in it; written into `out` where given."""
        del strength
        return soft_label.label_box(before, after, region, self.sigma, fill=self.fill, out=out)


def _beside(array: Any, origin: Any) -> Any:
    """An array of any backend as a tensor on the device of `origin`."""
    import torch

    if backend_of(array) == "torch":
        return array.to(origin.device)
    return torch.tensor(np.ascontiguousarray(array), device=origin.device)
