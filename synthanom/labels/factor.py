"""The factor as label: how much of the other picture was blended in."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from synthanom.arrays import FloatArray, ImageArray, MaskArray
from synthanom.labels.changed import AbstractChangeLabeller


@dataclass(frozen=True, kw_only=True)
class Factor(AbstractChangeLabeller):
    """The factor that the anomaly was made with where the picture changed, 0 elsewhere.

    For `fpi` and `pii` that is the share of the other subject; tasks without a factor have 1, as with a `Binary` label
    that is not smoothed. Where anomalies lie on each other it is 1 minus the product of what each has left:
    1 - (1 - f1)(1 - f2). Settings: `AbstractChangeLabeller`.

    Notes
    -----
    It has holes where two pictures happen to agree, as in the papers.

    References
    ----------
    Tan et al., "Detecting outliers with foreign patch interpolation", MELBA 2022, doi:10.59275/j.melba.2022-e651.
    Tan et al., "Detecting outliers with Poisson image interpolation", MICCAI 2021, doi:10.1007/978-3-030-87240-3_56.
    """

    name: ClassVar[str] = "factor"
    uses_strength: ClassVar[bool] = True

    tolerance: float = 0.001

    def values(self, change: FloatArray, region: MaskArray, strength: ImageArray | None) -> npt.NDArray[Any]:
        """The strength where the change is above the tolerance: float32 (*box)."""
        del region
        return np.where(change > self.tolerance, np.float32(1) if strength is None else strength, np.float32(0))
