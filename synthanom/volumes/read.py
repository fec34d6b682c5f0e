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
from synthanom.volumes.reading import AS_STORED, Reading
from synthanom.volumes.volume import Source, Volume

JPEG = (".jpg", ".jpeg")
PACKED = {b"\x28\xb5\x2f\xfd": "zstd", b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"BZh": "bzip2", b"\xfd7zXZ": "xz"}
JPEG_THRESHOLD = 128  # compression leaves small grey values around a mask's edge


def read(source: Source | str | os.PathLike[str], reading: Reading = AS_STORED) -> Volume:
    """Read one image as it is stored: axes in our order, values in the file's units.

    Parameters
    ----------
    source : Source, or path of a file, or of a folder that holds exactly one image or DICOM series
    reading : Reading
        Which volume of several, whether gaps are filled, whether colour is turned into grey; by default none of it.

    Returns
    -------
    Volume

    Raises
    ------
    SynthanomError
        Naming the file, what is wrong with it and the way out.
    MissingExtra
        If its compression needs a decoder that is not installed.
    """
    if not isinstance(source, Source):
        source = _as_source(Path(source))
    # what a damaged header makes overflow becomes infinite or NaN, and is refused by name
    with np.errstate(over="ignore", invalid="ignore"):
        return _read(source, reading)


def read_mask(
    path: Source | str | os.PathLike[str], reading: Reading = AS_STORED
) -> tuple[MaskArray, FloatArray | None]:
    """Read a mask: what is marked are stored values above 0 (of a JPEG: above half of 255).

    Parameters
    ----------
    path : Source, or path of a file, or of a folder that holds exactly one image or DICOM series
    reading : Reading

    Returns
    -------
    mask : ndarray of shape (*S), bool
    affine : ndarray of shape (4, 4), float64, or None

    Raises
    ------
    SynthanomError
        As `read`; NaN.
    """
    volume = read(path, reading)
    if np.isnan(volume.image).any():
        raise SynthanomError(f"{volume.path}: a mask must not hold NaN; replace it by 0")
    threshold = JPEG_THRESHOLD - 1 if volume.path.suffix.lower() in JPEG else 0
    mask = volume.image[0] > threshold
    mask.flags.writeable = False
    return mask, volume.affine


def _read(source: Source, reading: Reading) -> Volume:
    if source.format == "dicom":
        return read_dicom(source.files, source.path, reading)
    readers = {"nifti": read_nifti, "itk": read_itk, "picture": read_picture}
    return readers[source.format](source.path, reading)


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
        raise SynthanomError(f"{path}: {_unknown(path)}")
    return Source(id=path.name, files=(path,), format=kind)


def _unknown(path: Path) -> str:
    """Why a file is not taken for an image, and the way out."""
    name = path.name.lower()
    for data, header in ((".img.gz", ".hdr.gz"), (".img", ".hdr"), (".raw", ".mhd"), (".zraw", ".mhd")):
        if name.endswith(data):
            return f"is a file of voxels without a header; name its header, {path.name[: -len(data)]}{header}, instead"
    with path.open("rb") as stream:
        head = stream.read(8)
    for start, what in PACKED.items():
        if head.startswith(start):
            return f"an image file is needed, this is packed ({what}); unpack it first"
    return "not recognised as an image; NIfTI, DICOM, NRRD, MetaImage, PNG and JPEG are read"
