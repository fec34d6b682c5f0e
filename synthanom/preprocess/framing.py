"""Steps that choose a frame by what the image holds: borders cut off, squares, sides that divide evenly, a frame
around the foreground."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final, get_args

import numpy as np

from synthanom.arrays import ImageArray, MaskArray
from synthanom.errors import SynthanomError
from synthanom.nearest import meant
from synthanom.preprocess.grids import bounding_box, check_dims, check_shape, framed, moved_box, put_back
from synthanom.preprocess.state import State
from synthanom.preprocess.step import AbstractStep

SquareBy = Literal["pad", "crop"]


@final
@dataclass(frozen=True, kw_only=True)
class CropBorder(AbstractStep):
    """Cuts off the dark border of a picture or volume: outer rows, columns and planes in which nothing is brighter.

    Attributes
    ----------
    threshold : float
        Of the image's range, counted from its smallest value: 0.02 takes what is at most 2 % brighter for border.
    """

    name: ClassVar[str] = "crop-border"
    threshold: float = 0.02

    def __post_init__(self) -> None:
        if not 0 <= self.threshold < 1:
            raise SynthanomError(f"{self.name}: threshold must be a share of the range in [0, 1), got {self.threshold}")

    def forward(self, state: State) -> tuple[State, dict[str, Any]]:
        """Cut image and foreground; the affine's origin moves along."""
        low, high = float(state.image.min()), float(state.image.max())
        bright: MaskArray = np.asarray((state.image > low + self.threshold * (high - low)).any(axis=0))
        if not bright.any():
            raise SynthanomError(
                f"{state.name}: nothing is brighter than the border, the image is constant; leave it out"
            )
        corner, end = bounding_box(bright)
        size = [h - c for c, h in zip(corner, end, strict=True)]
        return moved_box(state, corner, size), {"corner": corner, "size": size, "from": list(state.shape)}

    @staticmethod
    def inverse(score: ImageArray, entry: Mapping[str, Any], order: int) -> ImageArray:
        """Put the map back into an image of zeros."""
        return put_back(score, entry)


@final
@dataclass(frozen=True, kw_only=True)
class Square(AbstractStep):
    """Makes all sides equal about the centre, by padding to the longest or cropping to the shortest.

    Attributes
    ----------
    by : {"pad", "crop"}
        Padding takes each channel's smallest value outside the foreground (of the image where there is no outside).
    """

    name: ClassVar[str] = "square"
    by: SquareBy = "pad"

    def __post_init__(self) -> None:
        if self.by not in get_args(SquareBy):
            near = meant(self.by, get_args(SquareBy))
            raise SynthanomError(
                f"{self.name}: by must be one of {', '.join(get_args(SquareBy))}, got {self.by!r}{near}"
            )

    def forward(self, state: State) -> tuple[State, dict[str, Any]]:
        """Pad or crop image and foreground; the affine's origin moves along."""
        side = max(state.shape) if self.by == "pad" else min(state.shape)
        size = [side] * len(state.shape)
        corner = [(have - side) // 2 for have in state.shape]
        return moved_box(state, corner, size), {"corner": corner, "size": size, "from": list(state.shape)}

    @staticmethod
    def inverse(score: ImageArray, entry: Mapping[str, Any], order: int) -> ImageArray:
        """Cut the padding off, or put zeros where the image was cropped."""
        return put_back(score, entry)


@final
@dataclass(frozen=True, kw_only=True)
class PadToMultiple(AbstractStep):
    """Pads every side at its end to a multiple of some voxels, so that it can be shrunk by that factor evenly.

    Attributes
    ----------
    multiple : int
    """

    name: ClassVar[str] = "pad-to-multiple"
    multiple: int = 2

    def __post_init__(self) -> None:
        if isinstance(self.multiple, bool) or not isinstance(self.multiple, int) or self.multiple < 1:
            raise SynthanomError(f"{self.name}: multiple must be a number of voxels, at least 1, got {self.multiple!r}")

    def forward(self, state: State) -> tuple[State, dict[str, Any]]:
        """Pad image and foreground; no voxel moves."""
        size = [-(-side // self.multiple) * self.multiple for side in state.shape]
        corner = [0] * len(size)
        return moved_box(state, corner, size), {"corner": corner, "size": size, "from": list(state.shape)}

    @staticmethod
    def inverse(score: ImageArray, entry: Mapping[str, Any], order: int) -> ImageArray:
        """Cut the padding off."""
        return put_back(score, entry)


@final
@dataclass(frozen=True, kw_only=True)
class FrameForeground(AbstractStep):
    """Takes a frame of a fixed shape around the middle of the foreground's bounding box, padded as by `FitShape`.

    So scans of different grids, in which a brain lies here or there, end up alike.

    Attributes
    ----------
    shape : tuple of D ints
        Voxels, in axis order.
    """

    name: ClassVar[str] = "frame-foreground"
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", check_shape(self.shape, self.name))

    def forward(self, state: State) -> tuple[State, dict[str, Any]]:
        """Crop and pad; the trace keeps the corner and the part of the foreground that was cut away."""
        check_dims(state, self.shape)
        if not state.foreground.any():
            raise SynthanomError(f"{state.name}: the foreground is empty; give a mask or another foreground rule")
        first, end = bounding_box(state.foreground)
        corner = [(low + high - want) // 2 for low, high, want in zip(first, end, self.shape, strict=True)]
        return framed(state, corner, self.shape)

    @staticmethod
    def inverse(score: ImageArray, entry: Mapping[str, Any], order: int) -> ImageArray:
        """Cut the padding off and put zeros where the image was cropped."""
        return put_back(score, entry)
