"""Writing score maps and pictures; a name appears only when its file is complete."""

import gzip
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from synthanom.arrays import FloatArray
from synthanom.errors import SynthanomError

GZIP_LEVEL = 3
MAX_SIDE = 32767  # of NIfTI-1: sides are 16-bit integers


def write_volume(
    path: str | os.PathLike[str],
    array: npt.NDArray[Any],
    affine: npt.ArrayLike | None = None,
    spacing: Sequence[float] | None = None,
) -> None:
    """Write an array (*S) as NIfTI, axes put back to nibabel's order; the same array gives the same bytes.

    Parameters
    ----------
    path : path
        Ends in .nii or .nii.gz; the folder must exist.
    array : ndarray of shape ([Z,] Y, X)
        Bool is stored as uint8, anything else as float32. A 2D array gets a third axis of length 1, without which
        viewers drop the part of the affine that leads out of the plane.
    affine : array_like of shape (4, 4), optional
        Without it the header states no orientation, only the voxel sizes.
    spacing : sequence of D floats, optional
        Voxel size in mm in axis order, used where `affine` is None.

    Raises
    ------
    SynthanomError
        Another extension or number of axes, or the file cannot be written.
    """
    target = Path(path)
    if not target.name.endswith((".nii", ".nii.gz")):
        raise SynthanomError(f"{target}: a volume is written as NIfTI; end the name in .nii or .nii.gz")
    if array.ndim not in (2, 3):
        raise SynthanomError(f"{target}: an array ([Z,] Y, X) is needed, got shape {array.shape}; take one channel")
    data = nifti_bytes(array, affine, spacing)
    write_bytes(target, packed(data) if target.name.endswith(".gz") else data)


def packed(data: bytes) -> bytes:
    """The bytes of a .gz file; the same content gives the same bytes."""
    return gzip.compress(data, GZIP_LEVEL, mtime=0)


def write_picture(path: str | os.PathLike[str], array: npt.NDArray[Any]) -> None:
    """Write values in [0, 1] as a grey PNG of 8 bits.

    Parameters
    ----------
    path : path
        Ends in .png; the folder must exist.
    array : ndarray of shape (Y, X)

    Raises
    ------
    SynthanomError
        Values outside [0, 1] or NaN, another shape or extension, or the file cannot be written.
    """
    from PIL import Image

    target = Path(path)
    if not target.name.lower().endswith(".png"):
        raise SynthanomError(f"{target}: a picture is written as PNG; end the name in .png")
    if array.ndim != 2:
        raise SynthanomError(f"{target}: an array (Y, X) is needed, got shape {array.shape}; take one plane")
    values = np.asarray(array, dtype=np.float64)
    if not (values.min() >= 0 and values.max() <= 1):
        raise SynthanomError(
            f"{target}: values must lie in [0, 1], got {values.min():.4g} to {values.max():.4g}; clip or rescale them"
        )
    buffer = io.BytesIO()
    Image.fromarray(np.rint(values * 255).astype(np.uint8)).save(buffer, format="PNG")
    write_bytes(target, buffer.getvalue())


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file under a temporary name in its folder, flush it to disk, then give it its name.

    Raises
    ------
    SynthanomError
        If it cannot be written; nothing of it is left then.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        reason = error.strerror or str(error)
        raise SynthanomError(f"{path}: cannot be written ({reason}); check the folder and the space left") from error


def nifti_bytes(
    array: npt.NDArray[Any], affine: npt.ArrayLike | None = None, spacing: Sequence[float] | None = None
) -> bytes:
    """A whole NIfTI-1 file, as `write_volume` writes it.

    Parameters
    ----------
    array : ndarray of shape ([Z,] Y, X) or (C, Z, Y, X)
        Channels become the fourth axis; those of 2D images come as (C, 1, Y, X).
    affine, spacing : as `write_volume`

    Raises
    ------
    SynthanomError
        If a side is longer than NIfTI-1 can say.
    """
    import nibabel

    if max(array.shape) > MAX_SIDE:
        raise SynthanomError(f"NIfTI-1 holds sides of up to {MAX_SIDE} voxels, got shape {array.shape}; use HDF5")
    stored = np.asarray(array, dtype=np.uint8 if array.dtype == bool else np.float32)
    voxels = stored.T[..., None] if stored.ndim == 2 else stored.T  # (x, y, z[, channel])
    matrix: FloatArray | None = None if affine is None else np.asarray(affine, dtype=np.float64)
    image: Any = nibabel.Nifti1Image(voxels, matrix)  # type: ignore[no-untyped-call]
    if matrix is None and spacing is not None:
        zooms = [float(s) for s in spacing][::-1]
        image.header.set_zooms(zooms + [1.0] * (voxels.ndim - len(zooms)))
    image.header.set_xyzt_units("mm")
    return bytes(image.to_bytes())
