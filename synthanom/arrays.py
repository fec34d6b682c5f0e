"""Axes, dtypes and checks of the arrays that cross files, and which backend an array belongs to.

Images are float32 ``(C, [Z,] Y, X)``, masks bool ``([Z,] Y, X)``; ``S`` is the spatial shape, ``D`` its length, 2 or 3.
"""

import hashlib
import json
import sys
from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from synthanom.errors import SynthanomError

ImageArray = npt.NDArray[np.float32]
FloatArray = npt.NDArray[np.float64]
MaskArray = npt.NDArray[np.bool_]
MaskOrBox = npt.NDArray[np.bool_] | tuple[Sequence[int], Sequence[int]]  # (*S), or corner and size in voxels
FARTHEST = 1e9  # voxels; no coordinate, and no entry of a matrix, is larger
Backend = Literal["numpy", "torch"]


class ShapeGeometry(Protocol):
    """What `kernels.radial_warp.warp` reads off its `geometry`; `regions.Geometry` is one."""

    @property
    def kind(self) -> str:
        """``"ellipsoid"`` or ``"cuboid"``."""

    @property
    def size(self) -> tuple[int, ...]:
        """Full widths along the shape's own axes, in voxels."""

    @property
    def matrix(self) -> FloatArray:
        """(D, D) map from the shape's own axes to image axes."""

    @property
    def position(self) -> tuple[float, ...]:
        """Image coordinates of the centre, in voxels."""


def backend_of(array: Any) -> Backend:
    """Which backend an array belongs to, without importing torch on anyone's behalf.

    Raises
    ------
    SynthanomError
        If it is neither a numpy array nor a torch tensor.
    """
    if isinstance(array, np.ndarray):
        return "numpy"
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(array, torch.Tensor):
        return "torch"
    raise SynthanomError(
        f"expected a numpy array or a torch tensor, got {type(array).__name__}; convert it with np.asarray first"
    )


def check_image(image: npt.NDArray[Any], *, name: str = "image") -> None:
    """Raise unless `image` has shape (C, Y, X) or (C, Z, Y, X) and holds finite floating-point values.

    Raises
    ------
    SynthanomError
    """
    if image.ndim not in (3, 4):
        hint = "; add a channel axis with image[None]" if image.ndim == 2 else ""
        raise SynthanomError(f"{name} must have shape (C, Y, X) or (C, Z, Y, X), got {image.shape}{hint}")
    if image.dtype not in (np.float32, np.float64):
        raise SynthanomError(f"{name} must be float32 or float64, got {image.dtype}; convert with .astype(np.float32)")


def check_mask(mask: npt.NDArray[Any], shape: Sequence[int], *, name: str = "foreground") -> None:
    """Raise unless `mask` is bool and has the spatial shape `shape`.

    Raises
    ------
    SynthanomError
    """
    if mask.dtype != np.bool_:
        raise SynthanomError(f"{name} must be bool, got {mask.dtype}; threshold it first, for example mask > 0")
    if tuple(mask.shape) != tuple(shape):
        raise SynthanomError(
            f"{name} must have the image's spatial shape {tuple(shape)}, got {tuple(mask.shape)}; "
            "resample it onto the image's grid"
        )


def mask_or_box(given: Any, shape: Sequence[int], *, name: str) -> MaskArray:
    """The voxels that a mask or a box marks.

    Parameters
    ----------
    given : bool array or tensor of shape (*S), or (corner, size)
        D whole numbers of voxels each.
    shape : sequence of D ints
    name : str
        For messages.

    Returns
    -------
    ndarray of shape (*S), bool
        The mask itself, or a new array.

    Raises
    ------
    SynthanomError
        A mask of another dtype or shape, a box that holds nothing or leaves the image.
    """
    if not isinstance(given, list | tuple):
        mask = as_numpy(given)
        check_mask(mask, shape, name=name)
        return mask
    parts = [np.asarray(part) for part in given]
    whole = all(part.shape == (len(shape),) and part.dtype.kind in "iu" for part in parts)
    if len(parts) != 2 or not whole or any(c < 0 or n < 1 or c + n > s for c, n, s in zip(*parts, shape, strict=True)):
        raise SynthanomError(
            f"{name} must be a bool mask of shape {tuple(shape)}, or a box in it as (corner, size), {len(shape)} whole "
            f"numbers of voxels each, got {given!r}; cut the box to the image"
        )
    inside = np.zeros(tuple(shape), dtype=np.bool_)
    inside[box_slices(parts[0].tolist(), parts[1].tolist())] = True
    return inside


def mask_digest(mask: MaskArray) -> str:
    """SHA-256 of a mask's shape and bits."""
    digest = hashlib.sha256(repr(tuple(mask.shape)).encode())
    digest.update(np.packbits(mask).data)
    return digest.hexdigest()


def check_coordinates(values: npt.ArrayLike, *, name: str) -> None:
    """Raise unless all numbers are finite and at most `FARTHEST`: compiled code computes places in memory from them.

    Raises
    ------
    SynthanomError
    """
    numbers = np.asarray(values, dtype=np.float64).ravel().tolist()
    if not all(-FARTHEST <= number <= FARTHEST for number in numbers):  # false for NaN, too
        raise SynthanomError(f"{name} must be finite and at most {FARTHEST:g} in size, got {numbers}")


def box_slices(corner: Sequence[int], size: Sequence[int]) -> tuple[slice, ...]:
    """Slices of the box with this `corner` and `size` along the spatial axes (voxels)."""
    return tuple(slice(int(c), int(c) + int(s)) for c, s in zip(corner, size, strict=True))


def value_range(image: npt.NDArray[Any]) -> ImageArray:
    """Smallest and largest value per channel of an image (C, *S): float32 (2, C)."""
    axes = tuple(range(1, image.ndim))
    return np.stack([image.min(axis=axes), image.max(axis=axes)]).astype(np.float32)


def canonical_json(value: Any) -> bytes:
    """The one spelling of a JSON value that digests and random streams are computed from.

    Keys sorted, no spaces, ASCII only; floats as Python's shortest exact form, NaN and infinity refused.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode("ascii")


def as_numpy(array: Any) -> npt.NDArray[Any]:
    """The array as numpy: itself, or a torch tensor's values brought to the host."""
    if backend_of(array) == "torch":
        return np.asarray(array.detach().cpu().numpy())
    return np.asarray(array)


def back_to(array: npt.NDArray[Any], origin: Any) -> Any:
    """A numpy result in the backend (and on the device) that `origin` came from."""
    if backend_of(origin) == "torch":
        import torch

        return torch.from_numpy(np.ascontiguousarray(array)).to(origin.device)
    return array


def shape_only(array: Any) -> npt.NDArray[Any]:
    """Shape and dtype of an array of either backend, to be checked as numpy, with no values fetched from a device."""
    if backend_of(array) == "torch":
        return np.broadcast_to(as_numpy(array.new_empty((), device="cpu")), tuple(array.shape))
    return np.asarray(array)


def to_volume(array: npt.NDArray[Any], dims: int) -> npt.NDArray[Any]:
    """Insert an axis of length 1 before the `dims` = 2 spatial axes, so that one compiled kernel serves 2D and 3D."""
    return array if dims == 3 else array[..., None, :, :]


def read_only(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A view that nobody can write to: one kind of array means one compiled version of each kernel."""
    view = array.view()
    view.flags.writeable = False
    return view


def pad_triple(values: Sequence[float] | FloatArray, fill: float) -> FloatArray:
    """Two or three numbers per axis as three, `fill` standing for the missing first axis."""
    return np.array(values if len(values) == 3 else (fill, *values), dtype=np.float64)


def inverse_matrix(matrix: npt.ArrayLike) -> FloatArray:
    """Inverse of a 2 x 2 or 3 x 3 matrix by cofactors, so that no LAPACK build can change a region by a bit.

    Raises
    ------
    SynthanomError
        If the matrix is not square of side 2 or 3, or is singular.
    """
    m = np.asarray(matrix, dtype=np.float64)
    if m.shape not in ((2, 2), (3, 3)):
        raise SynthanomError(f"matrix must have shape (2, 2) or (3, 3), got {m.shape}")
    if m.shape == (2, 2):
        adjugate = np.array([[m[1, 1], -m[0, 1]], [-m[1, 0], m[0, 0]]])
    else:
        adjugate = np.stack([_cross(m[1], m[2]), _cross(m[2], m[0]), _cross(m[0], m[1])], axis=1)
    determinant = float(m[0, 0] * adjugate[0, 0] + m[0, 1] * adjugate[1, 0])
    if m.shape == (3, 3):
        determinant += float(m[0, 2] * adjugate[2, 0])
    with np.errstate(all="ignore"):
        inverse = np.asarray(adjugate / determinant)
    if not np.isfinite(inverse).all():
        raise SynthanomError(f"matrix must be invertible, got determinant {determinant}")
    return inverse


def _cross(a: FloatArray, b: FloatArray) -> FloatArray:
    return np.array([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])
