"""What a reader gives: pixels in our axis order with what the file says about their place in the world."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from synthanom.arrays import FloatArray, ImageArray
from synthanom.errors import SynthanomError

Kind = Literal["volume", "picture"]
Format = Literal["nifti", "itk", "picture", "dicom"]

MAX_BYTES = 4 * 1024**3  # of pixels that a header may declare; checked before anything is allocated


@dataclass(frozen=True, kw_only=True)
class Source:
    """One image in a folder of raw data: a file, a header with its data file, or the slices of one DICOM series.

    Attributes
    ----------
    id : str
        Path relative to the folder that was searched, POSIX slashes, without the extension; for a series the path of
        its folder, with ``#<series number>`` where that folder holds more than one.
    files : tuple of Path
        Sorted by name; the order of slices is worked out when reading.
    format : {"nifti", "itk", "picture", "dicom"}
        Which reader takes it.
    """

    id: str
    files: tuple[Path, ...]
    format: Format

    @property
    def path(self) -> Path:
        """The file; for a series of several files the folder that holds them."""
        return self.files[0] if self.format != "dicom" or len(self.files) == 1 else self.files[0].parent


@dataclass(frozen=True, kw_only=True, eq=False)
class Volume:
    """An image as stored, before any preprocessing; the arrays are read-only.

    Attributes
    ----------
    image : ndarray of shape (C, *S), float32, C-contiguous
        The stored array with its axes reversed to ([Z,] Y, X); neither flipped nor resampled.
    affine : ndarray of shape (4, 4), float64, or None
        As nibabel's: maps (x, y, z, 1), the reversed axes of `image`, to RAS+ world millimetres. None where the file
        does not say.
    spacing : tuple of D floats or None
        Voxel size in mm, in axis order; None where the file does not say.
    kind : {"volume", "picture"}
        A picture is a PNG, a JPEG or a single DICOM image: it is scaled to [-1, 1] by default, volumes are z-scored.
    path : Path
        Where it came from, for messages.
    """

    image: ImageArray
    affine: FloatArray | None
    spacing: tuple[float, ...] | None
    kind: Kind
    path: Path


def make_volume(
    array: npt.NDArray[Any],
    path: Path,
    *,
    kind: Kind,
    affine: npt.ArrayLike | None = None,
    spacing: Sequence[float] | None = None,
) -> Volume:
    """Cast one stored array (*S) to a Volume of one channel, checking that its geometry makes sense.

    Raises
    ------
    SynthanomError
        If the affine is not finite or maps the image onto a plane, or the spacing is not positive.
    """
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite and is refused by name later
        image = np.ascontiguousarray(array, dtype=np.float32)[None]
    image.flags.writeable = False
    matrix = None if affine is None else np.array(affine, dtype=np.float64)
    if matrix is not None:
        if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix[:3, :3])) < 1e-12:
            raise SynthanomError(
                f"{path}: the affine must be finite and invertible, got {matrix[:3].round(4).tolist()}; "
                "repair the file's orientation header"
            )
        matrix.flags.writeable = False
    if spacing is None and matrix is not None:
        spacing = spacing_of(matrix, array.ndim)
    steps = None if spacing is None else tuple(float(s) for s in spacing)
    if steps is not None and not all(np.isfinite(s) and s > 0 for s in steps):
        raise SynthanomError(f"{path}: voxel sizes must be positive, got {steps}; repair the file's header")
    return Volume(image=image, affine=matrix, spacing=steps, kind=kind, path=path)


def spacing_of(affine: FloatArray, dims: int) -> tuple[float, ...]:
    """Voxel sizes in mm that an affine implies, in axis order ([Z,] Y, X)."""
    lengths = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    return tuple(float(v) for v in lengths[:dims][::-1])


def check_size(shape: Sequence[int], itemsize: int, path: Path) -> None:
    """Refuse a header that declares more pixels than anyone means, before memory is asked for.

    Raises
    ------
    SynthanomError
        More than 4 GiB as stored or as float32, or an axis of length 0.
    """
    if min(shape, default=0) < 1:
        raise SynthanomError(f"{path}: every axis must hold at least one voxel, the header declares {tuple(shape)}")
    count = 1
    for side in shape:
        count *= int(side)
    size = count * max(itemsize, 4)
    if size > MAX_BYTES:
        raise SynthanomError(
            f"{path}: the header declares {tuple(int(s) for s in shape)} voxels, {size / 1024**3:.3g} GiB in memory; "
            f"at most {MAX_BYTES // 1024**3} GiB are read: crop or resample it first, or repair the header"
        )


def shown(value: object, length: int = 80) -> str:
    """A value from a file as a message may show it: one line, printable, not long (a damaged header holds anything)."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(str(value).split()))[:length]


def check_data_file(header: Path, data: Path) -> None:
    """Refuse pixels that are a link out of their header's folder: a header is data, and must not choose files.

    Where the header is a link too, the whole folder is one of links (as git-annex keeps it), and both are followed.

    Raises
    ------
    SynthanomError
    """
    if data.is_symlink() and not header.is_symlink() and not data.resolve().is_relative_to(header.parent.resolve()):
        raise SynthanomError(f"{header}: its pixels {data.name} are a link out of the folder; copy them there")


def unreadable(path: Path, error: BaseException, *, what: str = "cannot be read") -> SynthanomError:
    """The error to raise when a reader library gave up on a file: one line with the library's own words."""
    words = shown(error, 300) or type(error).__name__
    return SynthanomError(f"{path}: {what} ({type(error).__name__}: {words}); check or replace the file")
