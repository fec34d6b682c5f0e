"""The map of one image of any size: whole where it fits, else window by window; mirrored where asked for."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from synthanom.arrays import ImageArray
from synthanom.detectors.abstract import AbstractDetector
from synthanom.detectors.memory import GIB, bytes_per_voxel, granularity, largest_window
from synthanom.detectors.windows import windowed_map
from synthanom.errors import SynthanomError, TooLittleMemory
from synthanom.networks.positions import Place

LEFT_RIGHT = -1  # the axis along which training flips
NO_MEMORY = "DefaultCPUAllocator"  # what torch's plain RuntimeError names where the CPU has none left


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """How maps are computed.

    Attributes
    ----------
    memory : int or None
        Bytes that scoring one image may take, besides the image, its map and the weights; larger images are scored in
        windows. None: no bound.
    window : tuple of D ints, "whole" or None
        Sides of the windows, whatever the memory; "whole" cuts nothing.
    mirror : bool
        The mean with the map of the image seen in a mirror, left and right exchanged.

    Raises
    ------
    SynthanomError
        Memory or sides that are not positive.
    """

    memory: int | None = None
    window: tuple[int, ...] | Literal["whole"] | None = None
    mirror: bool = False

    def __post_init__(self) -> None:
        if self.memory is not None and self.memory < 1:
            raise SynthanomError(f"--memory must be more than 0 GiB, got {self.memory / GIB:g}")
        if isinstance(self.window, tuple) and (not self.window or min(self.window) < 1):
            raise SynthanomError(f"--window must be whole, or one number of voxels per axis, got {self.window}")

    def check_axes(self, dims: int) -> None:
        """Refuse a window that has not one side per spatial axis.

        Raises
        ------
        SynthanomError
            Naming both numbers.
        """
        if isinstance(self.window, tuple) and len(self.window) != dims:
            raise SynthanomError(f"--window must have {dims} sides, as the image has axes, got {self.window}")

    def to_dict(self) -> dict[str, Any]:
        """What was asked for, as JSON; how much memory there was is no part of it."""
        window = list(self.window) if isinstance(self.window, tuple) else self.window
        return {"window": window, "mirror": self.mirror}


WHOLE = Scoring()


@dataclass(frozen=True, kw_only=True, eq=False)
class Scorer:
    """A detector with what its maps take.

    Attributes
    ----------
    detector : AbstractDetector
        Where it computes is where its parameters are.
    scoring : Scoring
    multiple : int
        Voxels that windows begin at multiples of.
    voxels : float
        That fit in memory; infinite without a bound.
    """

    detector: AbstractDetector
    scoring: Scoring
    multiple: int
    voxels: float

    def window(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The window that images (*S) are scored in; at most `shape`.

        Raises
        ------
        SynthanomError
            Not even the smallest fits, or the asked-for one has other axes.
        """
        asked = self.scoring.window
        if isinstance(asked, tuple):
            self.scoring.check_axes(len(shape))
            chosen: tuple[int, ...] | None = tuple(min(a, side) for a, side in zip(asked, shape, strict=True))
        elif asked == "whole" or self.scoring.memory is None:
            return shape
        else:
            chosen = largest_window(shape, self.voxels, self.multiple)
        if chosen is None:
            least = np.prod([min(2 * self.multiple, side) for side in shape], dtype=np.float64)
            needed = least / self.voxels * (self.scoring.memory or 0) / GIB
            raise SynthanomError(
                f"the smallest window of this network takes about {needed:.2g} GiB, --memory allows "
                f"{(self.scoring.memory or 0) / GIB:.2g}; allow more, or free some"
            )
        return chosen

    def map(self, image: ImageArray) -> ImageArray:
        """The map of an image (C, *S) -> (*S), float32, not clipped.

        Raises
        ------
        SynthanomError
            As `window`.
        TooLittleMemory
            Memory ran out on the way.
        """
        window = self.window(tuple(int(side) for side in image.shape[1:]))
        found = windowed_map(image, window, self._one, self.multiple)
        if self.scoring.mirror:
            mirrored = np.flip(image, LEFT_RIGHT)
            found += np.flip(windowed_map(mirrored, window, self._one, self.multiple), LEFT_RIGHT)
            found *= np.float32(0.5)
        return found

    def _one(self, image: ImageArray, place: Place) -> npt.NDArray[np.float32]:
        """The map of one window."""
        try:
            return self._computed(image, place)
        except (RuntimeError, MemoryError) as error:
            if not isinstance(error, torch.OutOfMemoryError | MemoryError) and NO_MEMORY not in str(error):
                raise
            raise TooLittleMemory(
                f"memory must suffice for {' x '.join(map(str, image.shape[1:]))} voxels at a time, and did not; allow "
                "less with --memory, or name smaller windows with --window"
            ) from error

    def _computed(self, image: ImageArray, place: Place) -> npt.NDArray[np.float32]:
        device = next(self.detector.module.parameters()).device
        with torch.inference_mode():
            batch = torch.from_numpy(np.array(image, dtype=np.float32, order="C"))[None].to(device)
            whole = batch.shape[2:] == place.whole
            found = self.detector.score_map(batch) if whole else self.detector.score_map(batch, place)
            values: npt.NDArray[np.float32] = found[0].float().cpu().numpy()
        return values


def scorer(detector: AbstractDetector, scoring: Scoring, channels: int, dims: int) -> Scorer:
    """Measure what a detector takes in memory, where there is a bound to keep.

    Raises
    ------
    SynthanomError
        As `bytes_per_voxel`.
    """
    voxels = float("inf")
    if scoring.memory is not None and scoring.window is None:
        voxels = scoring.memory / bytes_per_voxel(detector, channels, dims)
    return Scorer(detector=detector, scoring=scoring, multiple=granularity(detector.module), voxels=voxels)
