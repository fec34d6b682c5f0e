"""Steps that leave every voxel in its place: foreground and normalisation."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, final, get_args

import numpy as np
import numpy.typing as npt

from synthanom.arrays import ImageArray, MaskArray
from synthanom.errors import SynthanomError
from synthanom.nearest import meant
from synthanom.preprocess.state import State
from synthanom.preprocess.step import AbstractStep

Rule = Literal["nonzero", "otsu", "none"]


@final
@dataclass(frozen=True, kw_only=True)
class Foreground(AbstractStep):
    """Decides where anomalies may be placed and over which voxels intensities are normalised.

    A mask that the caller brought counts whatever the rule.

    Attributes
    ----------
    rule : {"nonzero", "otsu", "none"}
        Voxels that are not 0 in some channel; voxels above Otsu's threshold of the mean channel; everything. Holes
        (background that touches no face of the image) are filled.
    """

    name: ClassVar[str] = "foreground"
    rule: Rule = "nonzero"

    def __post_init__(self) -> None:
        if self.rule not in get_args(Rule):
            near = meant(self.rule, get_args(Rule))
            raise SynthanomError(
                f"{self.name}: rule must be one of {', '.join(get_args(Rule))}, got {self.rule!r}{near}"
            )

    def forward(self, state: State) -> tuple[State, dict[str, Any]]:
        """Set the foreground."""
        mask = state.foreground
        if not state.given:
            mask = self._by_rule(state)
        if not mask.any():
            raise SynthanomError(f"{state.name}: the foreground is empty; give a mask or another foreground rule")
        return replace(state, foreground=mask), {"given": state.given}

    @staticmethod
    def inverse(score: ImageArray, entry: Mapping[str, Any], order: int) -> ImageArray:
        """The map as it is."""
        return score

    def _by_rule(self, state: State) -> MaskArray:
        if self.rule == "none":
            return np.ones(state.shape, dtype=bool)
        if self.rule == "nonzero":
            return fill_holes(np.any(state.image != 0, axis=0))
        from skimage import filters

        mean = state.image.mean(axis=0, dtype=np.float64)
        library: Any = filters
        return fill_holes(mean > float(library.threshold_otsu(mean)))


@final
@dataclass(frozen=True, kw_only=True)
class ForegroundFromCorners(AbstractStep):
    """Takes for background what hangs together with a corner of the image and is dark in every channel.

    A mask that the caller brought counts instead.

    Attributes
    ----------
    threshold : float
        In image units; at most so bright is dark (0.03 for MOOD's volumes, whose values lie in [0, 1]).
    """

    name: ClassVar[str] = "foreground-from-corners"
    threshold: float = 0.03

    def __post_init__(self) -> None:
        if not np.isfinite(self.threshold):
            raise SynthanomError(f"{self.name}: threshold must be a finite number, got {self.threshold!r}")

    def forward(self, state: State) -> tuple[State, dict[str, Any]]:
        """Set the foreground."""
        mask = state.foreground if state.given else ~self._around(state)
        if not mask.any():
            raise SynthanomError(
                f"{state.name}: the foreground is empty, nothing is brighter than {self.threshold}; lower the threshold"
            )
        return replace(state, foreground=mask), {"given": state.given}

    @staticmethod
    def inverse(score: ImageArray, entry: Mapping[str, Any], order: int) -> ImageArray:
        """The map as it is."""
        return score

    def _around(self, state: State) -> MaskArray:
        """The dark voxels that hang together with a corner (face neighbours)."""
        from scipy.ndimage import label

        components, _ = label((state.image <= self.threshold).all(axis=0))
        corners = components[np.ix_(*((0, -1),) * components.ndim)]
        return np.asarray(np.isin(components, corners[corners > 0]))


@final
@dataclass(frozen=True, kw_only=True)
class ZScore(AbstractStep):
    """Shifts and scales each channel to mean 0 and standard deviation 1 in the foreground."""

    name: ClassVar[str] = "z-score"

    def forward(self, state: State) -> tuple[State, dict[str, Any]]:
        """Normalise; the trace keeps mean and deviation per channel."""
        values = state.image[:, state.foreground].astype(np.float64)
        mean, deviation = values.mean(axis=1), values.std(axis=1)
        _check_varied(deviation > 1e-6 * np.maximum(np.abs(mean), 1e-30), mean, state, "in its foreground")
        return _rescaled(state, mean, deviation)

    @staticmethod
    def inverse(score: ImageArray, entry: Mapping[str, Any], order: int) -> ImageArray:
        """The map as it is."""
        return score


@final
@dataclass(frozen=True, kw_only=True)
class MinusOneOne(AbstractStep):
    """Scales each channel so that the image's smallest value becomes -1 and its largest 1."""

    name: ClassVar[str] = "minus-one-one"

    def forward(self, state: State) -> tuple[State, dict[str, Any]]:
        """Normalise; the trace keeps the middle and half the range per channel."""
        flat = state.image.reshape(len(state.image), -1)
        low, high = flat.min(axis=1).astype(np.float64), flat.max(axis=1).astype(np.float64)
        _check_varied(high > low, low, state, "everywhere")
        return _rescaled(state, (low + high) / 2, (high - low) / 2)

    @staticmethod
    def inverse(score: ImageArray, entry: Mapping[str, Any], order: int) -> ImageArray:
        """The map as it is."""
        return score


def fill_holes(mask: MaskArray) -> MaskArray:
    """Add the background that touches no face of the image (face neighbours).

    scipy's binary_fill_holes gives the same; labelling once is some ten times faster on a brain volume.
    """
    from scipy.ndimage import label

    components, count = label(~mask)
    keep = np.zeros(count + 1, dtype=bool)
    for axis in range(mask.ndim):
        for side in (0, -1):
            keep[np.unique(np.take(components, side, axis=axis))] = True
    keep[0] = False  # component 0 is the mask itself
    return np.asarray(~keep[components])


def _check_varied(varied: npt.NDArray[np.bool_], level: npt.NDArray[np.float64], state: State, where: str) -> None:
    if not varied.all():
        channel = int(np.flatnonzero(~varied)[0])
        raise SynthanomError(
            f"{state.name}: the image must vary, channel {channel} is constant ({level[channel]:.4g}) {where}; "
            "leave the case out or check its file"
        )


def _rescaled(
    state: State, middle: npt.NDArray[np.float64], width: npt.NDArray[np.float64]
) -> tuple[State, dict[str, Any]]:
    """(image - middle) / width per channel, computed in float64."""
    axes = (slice(None),) + (None,) * len(state.shape)
    image = ((state.image - middle[axes]) / width[axes]).astype(np.float32)
    return replace(state, image=image), {"shift": [float(v) for v in middle], "divide": [float(v) for v in width]}
