"""Steps that shrink or enlarge an image with care for its edges, or by a factor whatever its voxel size."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, final

import numpy as np

from synthanom.arrays import ImageArray, MaskArray
from synthanom.errors import SynthanomError
from synthanom.preprocess.resampling import Resample, back, resample, resampled
from synthanom.preprocess.state import State
from synthanom.preprocess.step import AbstractStep

MOST = 16.0  # times smaller or larger


@final
@dataclass(frozen=True, kw_only=True)
class EdgePreservingResample(AbstractStep):
    """Resamples to a voxel size without mixing the foreground with what is around it.

    Image times foreground and foreground are resampled linearly and divided; where the latter is under one half, the
    image becomes 0 and the foreground ends. So the rim of a brain that was cut out keeps its brightness.

    Attributes
    ----------
    spacing : tuple of D floats, or one float for all axes
        Voxel size in mm, in axis order.

    References
    ----------
    Baugh et al., "Many tasks make light work", MICCAI 2023, doi:10.1007/978-3-031-43907-0_16 (preprocessing of HCP).
    """

    name: ClassVar[str] = "edge-preserving-resample"
    spacing: tuple[float, ...] | float

    def __post_init__(self) -> None:
        object.__setattr__(self, "spacing", Resample(spacing=self.spacing).spacing)

    def forward(self, state: State) -> tuple[State, dict[str, Any]]:
        """Resample image and foreground; the affine and the spacing follow."""
        inside = state.foreground
        moved, entry = Resample(spacing=self.spacing).forward(replace(state, image=state.image * inside))
        size, scale = entry["size"], entry["scale"]
        share = resample(inside.astype(np.float32), size, scale, 1)
        kept: MaskArray = np.asarray(share >= 0.5)
        if not kept.any():
            raise SynthanomError(
                f"{state.name}: no foreground is left at a spacing of {self.spacing} mm; take a finer one"
            )
        image = np.where(kept, moved.image / np.maximum(share, 0.5), 0.0)
        return replace(moved, image=image.astype(np.float32), foreground=kept), entry

    @staticmethod
    def inverse(score: ImageArray, entry: Mapping[str, Any], order: int) -> ImageArray:
        """Sample the map where the old voxels lie."""
        return back(score, entry, order)


@final
@dataclass(frozen=True, kw_only=True)
class Rescale(AbstractStep):
    """Resizes by a factor along all axes, linearly, smoothed first where it shrinks; the mask by nearest neighbour.

    Attributes
    ----------
    factor : float
        0.5 halves every side. Sides that it does not divide evenly are rounded: pad them first (`PadToMultiple`).
    """

    name: ClassVar[str] = "rescale"
    factor: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.factor) and 1 / MOST <= self.factor <= MOST):
            raise SynthanomError(f"{self.name}: factor must lie between 1/{MOST:g} and {MOST:g}, got {self.factor!r}")

    def forward(self, state: State) -> tuple[State, dict[str, Any]]:
        """Resize image and foreground; affine and spacing, where known, follow."""
        size = [max(1, round(side * self.factor)) for side in state.shape]
        return resampled(state, size, [1 / self.factor] * len(size))

    @staticmethod
    def inverse(score: ImageArray, entry: Mapping[str, Any], order: int) -> ImageArray:
        """Sample the map where the old voxels lie."""
        return back(score, entry, order)
