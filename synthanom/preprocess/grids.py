"""Steps that move voxels without touching their values: orientation, cropping, padding."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, final

import numpy as np
import numpy.typing as npt

from synthanom.arrays import ImageArray, MaskArray
from synthanom.errors import SynthanomError
from synthanom.preprocess.state import State, index_matrix, product
from synthanom.preprocess.step import AbstractStep

MAX_PADDING = 2.0  # times the voxels that are kept


@final
@dataclass(frozen=True, kw_only=True)
class Canonical(AbstractStep):
    """Flips and swaps axes to the orientation closest to RAS+; 2D images and unknown orientations stay as they are."""

    name: ClassVar[str] = "canonical"

    def forward(self, state: State) -> tuple[State, dict[str, Any]]:
        """Reorient the image, the masks, the affine and the spacing."""
        from synthanom.volumes.orientation import canonical_axes

        dims = len(state.shape)
        if state.affine is None or dims != 3:
            return state, {"flipped": [], "order": list(range(dims)), "from": list(state.shape)}
        flipped, order = canonical_axes(state.affine)
        image = np.flip(state.image, tuple(axis + 1 for axis in flipped)).transpose(0, *(axis + 1 for axis in order))
        within = state.within
        moved = replace(
            state,
            image=np.ascontiguousarray(image),
            foreground=np.ascontiguousarray(np.flip(state.foreground, flipped).transpose(order)),
            within=None if within is None else np.ascontiguousarray(np.flip(within, flipped).transpose(order)),
            affine=state.affine @ _old_from_new(order, flipped, state.shape),
            spacing=None if state.spacing is None else tuple(state.spacing[axis] for axis in order),
        )
        return moved, {"flipped": list(flipped), "order": list(order), "from": list(state.shape)}

    @staticmethod
    def inverse(score: ImageArray, entry: Mapping[str, Any], order: int) -> ImageArray:
        """Swap and flip back."""
        back = np.argsort(entry["order"])
        return np.ascontiguousarray(np.flip(score.transpose(back), tuple(entry["flipped"])))


@final
@dataclass(frozen=True, kw_only=True)
class CropToForeground(AbstractStep):
    """Cuts the image to the bounding box of the foreground.

    Attributes
    ----------
    margin : int
        Voxels kept around the box, where the image has them.
    """

    name: ClassVar[str] = "crop-to-foreground"
    margin: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.margin, bool) or not isinstance(self.margin, int) or self.margin < 0:
            raise SynthanomError(f"{self.name}: margin must be a number of voxels, at least 0, got {self.margin!r}")

    def forward(self, state: State) -> tuple[State, dict[str, Any]]:
        """Cut image and foreground; the affine's origin moves along."""
        if not state.foreground.any():
            raise SynthanomError(f"{state.name}: the foreground is empty; give a mask or another foreground rule")
        first, end = bounding_box(state.foreground)
        low = [max(c - self.margin, 0) for c in first]
        high = [min(c + self.margin, side) for c, side in zip(end, state.shape, strict=True)]
        size = [h - c for c, h in zip(low, high, strict=True)]
        return moved_box(state, low, size), {"corner": low, "size": size, "from": list(state.shape)}

    @staticmethod
    def inverse(score: ImageArray, entry: Mapping[str, Any], order: int) -> ImageArray:
        """Put the map back into an image of zeros."""
        return put_back(score, entry)


@final
@dataclass(frozen=True, kw_only=True)
class FitShape(AbstractStep):
    """Crops and pads around the centre to a fixed shape.

    Padding takes each channel's smallest value outside the foreground (of the image where there is no outside).

    Attributes
    ----------
    shape : tuple of D ints
        Voxels, in axis order.
    """

    name: ClassVar[str] = "fit-shape"
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", check_shape(self.shape, self.name))

    def forward(self, state: State) -> tuple[State, dict[str, Any]]:
        """Crop and pad; the trace keeps the corner and the part of the foreground that was cut away."""
        check_dims(state, self.shape)
        corner = [(have - want) // 2 for have, want in zip(state.shape, self.shape, strict=True)]
        return framed(state, corner, self.shape)

    @staticmethod
    def inverse(score: ImageArray, entry: Mapping[str, Any], order: int) -> ImageArray:
        """Cut the padding off and put zeros where the image was cropped."""
        return put_back(score, entry)


def framed(state: State, corner: list[int], shape: tuple[int, ...]) -> tuple[State, dict[str, Any]]:
    """The box of this corner and shape, and its trace with the share of the foreground that was cut away.

    Raises
    ------
    SynthanomError
        If more than half of it would be padding.
    """
    kept = [
        max(0, min(start + want, have) - max(start, 0))
        for start, want, have in zip(corner, shape, state.shape, strict=True)
    ]
    ratio = product(shape) / max(1, product(kept))
    if ratio > MAX_PADDING:
        spacing = "" if state.spacing is None else f" (voxels are now {_rounded(state.spacing)} mm)"
        raise SynthanomError(
            f"{state.name}: padding {state.shape} to {shape} makes {ratio:.3g} times the voxels, "
            f"at most {MAX_PADDING:g} times are stored; take a shape near {tuple(kept)} or resample "
            f"to a finer spacing{spacing}"
        )
    moved = moved_box(state, corner, shape)
    before = int(np.count_nonzero(state.foreground))
    lost = before - int(np.count_nonzero(moved.foreground))
    entry = {"corner": corner, "size": list(shape), "from": list(state.shape)}
    return moved, entry | {"foreground_lost": lost / max(before, 1)}


def check_dims(state: State, shape: tuple[int, ...]) -> None:
    """Refuse a shape with another number of axes than the image's.

    Raises
    ------
    SynthanomError
    """
    if len(shape) != len(state.shape):
        raise SynthanomError(
            f"{state.name}: the image has {len(state.shape)} axes of shape {state.shape}, "
            f"the wanted shape {shape} has {len(shape)}; name one side per axis"
        )


def check_shape(shape: Any, name: str) -> tuple[int, ...]:
    """A shape of 2 or 3 positive sides as a tuple of ints.

    Raises
    ------
    SynthanomError
    """
    sides = tuple(shape) if isinstance(shape, Sequence) and not isinstance(shape, str) else ()
    if len(sides) not in (2, 3) or not all(isinstance(s, int) and not isinstance(s, bool) and s > 0 for s in sides):
        raise SynthanomError(f"{name}: shape must be 2 or 3 positive numbers of voxels in axis order, got {shape!r}")
    return sides


def _old_from_new(order: Sequence[int], flipped: Sequence[int], shape: Sequence[int]) -> npt.NDArray[np.float64]:
    """Old voxel coordinates (x, y, z, 1) from new ones, for axes that were flipped and then reordered."""
    matrix = np.zeros((4, 4))
    matrix[3, 3] = 1.0
    for new, old in enumerate(order):
        matrix[2 - old, 2 - new] = -1.0 if old in flipped else 1.0
        matrix[2 - old, 3] = shape[old] - 1 if old in flipped else 0.0
    return matrix


def bounding_box(mask: MaskArray) -> tuple[list[int], list[int]]:
    """First marked voxel and end (one after the last) along every axis of a mask that is not empty."""
    first, end = [], []
    for axis in range(mask.ndim):
        filled = np.flatnonzero(mask.any(axis=tuple(a for a in range(mask.ndim) if a != axis)))
        first.append(int(filled[0]))
        end.append(int(filled[-1]) + 1)
    return first, end


def put_back(score: ImageArray, entry: Mapping[str, Any]) -> ImageArray:
    """A map on the grid before a step cut or padded, 0 where it was cut; `entry` holds `corner` and `from`."""
    return placed(score, [-c for c in entry["corner"]], entry["from"], 0.0)


def moved_box(state: State, corner: Sequence[int], size: Sequence[int]) -> State:
    """The state on the box of this `corner` and `size`, padded where the box leaves the image."""
    inside = all(c >= 0 and c + s <= n for c, s, n in zip(corner, size, state.shape, strict=True))
    image = np.stack([placed(c, corner, size, 0.0 if inside else _outside(c, state)) for c in state.image])
    affine = state.affine
    if affine is not None:
        affine = affine @ index_matrix([1.0] * len(size), corner)
    foreground = placed(state.foreground, corner, size, False)
    within = None if state.within is None else placed(state.within, corner, size, False)
    return replace(state, image=image, foreground=foreground, affine=affine, within=within)


def _outside(channel: ImageArray, state: State) -> float:
    """What the image holds where there is nothing: its smallest value outside the foreground."""
    outside = channel[~state.foreground]
    return float(outside.min() if outside.size else channel.min())


def placed(array: npt.NDArray[Any], corner: Sequence[int], size: Sequence[int], fill: float) -> npt.NDArray[Any]:
    """The box of an array, filled with `fill` where the box leaves it."""
    out = np.full(tuple(size), fill, dtype=array.dtype)
    source, target = [], []
    for start, side, have in zip(corner, size, array.shape, strict=True):
        first, last = max(start, 0), min(start + side, have)
        source.append(slice(first, max(last, first)))
        target.append(slice(first - start, max(last, first) - start))
    out[tuple(target)] = array[tuple(source)]
    return out


def _rounded(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(round(v, 3) for v in values)
