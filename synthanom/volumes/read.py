"""Reading any source or file, and masks."""

import os
from pathlib import Path

import numpy as np

from synthanom.arrays import FloatArray, MaskArray
from synthanom.errors import SynthanomError
from synthanom.volumes.dicom import read_dicom
from synthanom.volumes.discover import discover, format_of
from synthanom.volumes.itk import read_itk
from synthanom.volumes.nifti import read_nifti
from synthanom.volumes.pictures import read_picture
from synthanom.volumes.volume import Source, Volume

JPEG = (".jpg", ".jpeg")
JPEG_THRESHOLD = 128  # compression leaves small grey values around a mask's edge


def read(source: Source | str | os.PathLike[str]) -> Volume:
    """Read one image as it is stored: axes in our order, values in the file's units.

    Parameters
    ----------
    source : Source, or path of a file, or of a folder that holds exactly one image or DICOM series

    Raises
    ------
    SynthanomError
        Naming the file, what is wrong with it and the way out.
    MissingExtra
        If its compression needs a decoder that is not installed.
    """
    if not isinstance(source, Source):
        source = _as_source(Path(source))
    path = source.path
    if source.format == "dicom":
        return read_dicom(source.files, path)
    if source.format == "nifti":
        return read_nifti(path)
    return read_itk(path) if source.format == "itk" else read_picture(path)


def read_mask(path: Source | str | os.PathLike[str]) -> tuple[MaskArray, FloatArray | None]:
    """Read a mask: bool (*S), True where the stored value is above 0 (of a JPEG: above half of 255), and its affine.

    Raises
    ------
    SynthanomError
        As `read`; NaN.
    """
    volume = read(path)
    if np.isnan(volume.image).any():
        raise SynthanomError(f"{volume.path}: a mask must not hold NaN; replace it by 0")
    threshold = JPEG_THRESHOLD - 1 if volume.path.suffix.lower() in JPEG else 0
    mask = volume.image[0] > threshold
    mask.flags.writeable = False
    return mask, volume.affine


def _as_source(path: Path) -> Source:
    if path.is_dir():
        found = discover(path)
        if len(found) != 1:
            some = ", ".join(source.id for source in found[:3])
            raise SynthanomError(f"{path}: one image is needed, the folder holds {len(found)} ({some}, ...); name one")
        return found[0]
    if not path.is_file():
        raise SynthanomError(f"{path}: the file does not exist; check the path")
    kind = format_of(path)
    if kind is None:
        raise SynthanomError(
            f"{path}: not recognised as an image; NIfTI, DICOM, NRRD, MetaImage, PNG and JPEG are read"
        )
    return Source(id=path.name, files=(path,), format=kind)
