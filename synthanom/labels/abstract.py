"""What a labeller is: settings as a frozen dataclass, and a label in [0, 1] of what changed in a box."""

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from synthanom.arrays import ImageArray, MaskArray, backend_of, check_mask
from synthanom.errors import SynthanomError


@dataclass(frozen=True, kw_only=True)
class AbstractLabeller(ABC):
    """Turns (before, after, region) into a label in [0, 1], and says whether the anomaly can be seen at all."""

    name: ClassVar[str]  # as stored in dataset.json
    jumps: ClassVar[bool]  # whether the smallest difference between pictures may change a label by more than a little
    uses_strength: ClassVar[bool] = False  # whether it asks how strong the anomaly was meant to be

    @abstractmethod
    def __call__(self, before: Any, after: Any, region: Any, strength: Any = None) -> Any:
        """Label an anomaly.

        Parameters
        ----------
        before, after : array of shape (C, *S), float32
        region : bool array of shape (*S)
        strength : array of shape (*S), float32 in [0, 1], optional
            How strong the anomaly is in each voxel, for labellers that use it; 1 everywhere by default.

        Returns
        -------
        array of shape (*S), float32 in [0, 1], of the backend (and on the device) of `before`

        Raises
        ------
        SynthanomError
            If shapes or dtypes do not fit together.
        """

    @abstractmethod
    def label_box(
        self,
        before: ImageArray,
        after: ImageArray,
        region: MaskArray,
        out: ImageArray | None = None,
        strength: ImageArray | None = None,
    ) -> tuple[ImageArray, float]:
        """The label of one box, and the largest value in it, on which `visible` is judged.

        Parameters
        ----------
        before, after : ndarray of shape (C, *box), float32
        region : ndarray of shape (*box), bool
        out : ndarray of shape (*box), float32, all 0, optional
            Where to write the label.
        strength : ndarray of shape (*box), float32, optional
            As for the call.

        Returns
        -------
        label : ndarray of shape (*box), float32 in [0, 1]
        peak : float
        """

    @property
    @abstractmethod
    def visible(self) -> float:
        """Smallest largest value of a sample that counts as anomalous."""

    def to_dict(self) -> dict[str, Any]:
        """The name and the settings as JSON; `labeller_from` takes them."""
        return {"name": self.name, **asdict(self)}


def check_visible(visible: float) -> None:
    """Raise unless a sample's largest label can reach it.

    Raises
    ------
    SynthanomError
    """
    if not 0 <= visible < 1:
        raise SynthanomError(f"visible must lie in [0, 1), got {visible}")


def check_together(before: Any, after: Any, region: Any) -> None:
    """Raise unless three arrays or three tensors fit together.

    Raises
    ------
    SynthanomError
    """
    shape, other = tuple(before.shape), tuple(after.shape)
    if shape != other:
        raise SynthanomError(f"before and after must have one shape, got {shape} and {other}")
    mask = region
    if backend_of(region) == "torch":
        if str(region.dtype) != "torch.bool":
            raise SynthanomError(f"region must be bool, got {region.dtype}; threshold it first, for example mask > 0")
        mask = np.broadcast_to(np.False_, tuple(region.shape))  # takes no memory; its shape is what remains to check
    check_mask(mask, shape[1:], name="region")
