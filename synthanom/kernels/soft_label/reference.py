"""The definition, from the definitions of its parts."""

import numpy as np
import numpy.typing as npt

from synthanom.kernels.components.reference import label as label_components
from synthanom.kernels.flipped_exponential.reference import flipped_exponential
from synthanom.kernels.grey_reconstruct.reference import close_and_fill

Values = npt.NDArray[np.float64]


def label_box(
    before: npt.NDArray[np.floating],
    after: npt.NDArray[np.floating],
    region: npt.NDArray[np.bool_],
    sigma: float,
    *,
    fill: bool = True,
) -> tuple[Values, float]:
    """The label of a box and its largest value before filling, in float64."""
    change = np.abs(np.asarray(after, dtype=np.float64) - before).mean(axis=0) * region
    pointwise = flipped_exponential(change**2 / (2 * sigma**2))
    out = pointwise.copy()
    numbers, boxes = label_components(region)
    for k, (low, end) in enumerate(boxes if fill else []):
        box = tuple(slice(a, b) for a, b in zip(low, end, strict=True))
        if (end - low).min() >= 3:
            own = np.where(numbers[box] == k + 1, pointwise[box], 0.0)
            out[box] = np.maximum(out[box], close_and_fill(own))
    return out, float(pointwise.max(initial=0.0))
