"""Steps that map grey values alone: a window, an equalised histogram, an inversion. Maps stay as they are."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, final

import numpy as np

from synthanom.arrays import ImageArray
from synthanom.errors import SynthanomError
from synthanom.preprocess.state import State
from synthanom.preprocess.step import AbstractStep

LARGEST_BINS = 65536


@final
@dataclass(frozen=True, kw_only=True)
class Window(AbstractStep):
    """Clips intensities to a window, as a viewer shows them; DICOM's own windows are applied when it is read.

    Attributes
    ----------
    centre, width : float
        In the image's units (HU for CT).
    """

    name: ClassVar[str] = "window"
    centre: float
    width: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.centre) and np.isfinite(self.width) and self.width > 0):
            raise SynthanomError(
                f"{self.name}: centre must be finite and width positive, got {self.centre} and {self.width}"
            )

    def forward(self, state: State) -> tuple[State, dict[str, Any]]:
        """Clip."""
        low, high = self.centre - self.width / 2, self.centre + self.width / 2
        return replace(state, image=np.clip(state.image, np.float32(low), np.float32(high))), {}

    @staticmethod
    def inverse(score: ImageArray, entry: Mapping[str, Any], order: int) -> ImageArray:
        """The map as it is."""
        return score


@final
@dataclass(frozen=True, kw_only=True)
class EqualiseHistogram(AbstractStep):
    """Spreads the grey values of each channel so that all are about equally frequent, in [0, 1].

    Attributes
    ----------
    bins : int
        Of the histogram.
    """

    name: ClassVar[str] = "equalise-histogram"
    bins: int = 256

    def __post_init__(self) -> None:
        if isinstance(self.bins, bool) or not isinstance(self.bins, int) or not 2 <= self.bins <= LARGEST_BINS:
            raise SynthanomError(f"{self.name}: bins must be a number from 2 to {LARGEST_BINS}, got {self.bins!r}")

    def forward(self, state: State) -> tuple[State, dict[str, Any]]:
        """Equalise, over the whole image."""
        from skimage import exposure

        library: Any = exposure
        image = np.stack([library.equalize_hist(channel, nbins=self.bins) for channel in state.image])
        return replace(state, image=image.astype(np.float32)), {}

    @staticmethod
    def inverse(score: ImageArray, entry: Mapping[str, Any], order: int) -> ImageArray:
        """The map as it is."""
        return score


@final
@dataclass(frozen=True, kw_only=True)
class Invert(AbstractStep):
    """Mirrors the grey values of each channel within their range: for pictures saved with dark and bright exchanged."""

    name: ClassVar[str] = "invert"

    def forward(self, state: State) -> tuple[State, dict[str, Any]]:
        """Mirror."""
        flat = state.image.reshape(len(state.image), -1)
        both = (flat.min(axis=1) + flat.max(axis=1)).reshape(-1, *(1,) * len(state.shape))
        return replace(state, image=np.asarray(both - state.image, dtype=np.float32)), {}

    @staticmethod
    def inverse(score: ImageArray, entry: Mapping[str, Any], order: int) -> ImageArray:
        """The map as it is."""
        return score
