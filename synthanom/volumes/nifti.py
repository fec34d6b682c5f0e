"""Reading NIfTI-1, NIfTI-2, Analyze and MGH with nibabel."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from synthanom.arrays import FloatArray
from synthanom.errors import SynthanomError
from synthanom.volumes.volume import Volume, check_size, make_volume, unreadable

CHUNK = 1 << 20  # bytes
MAX_TRAILING = 4096  # chunks behind the voxels of a .nii.gz that are read to reach its checksum


def read_nifti(path: Path) -> Volume:
    """Read one image; scaling (scl_slope, scl_inter), byte order and the affine are nibabel's.

    Trailing axes of length 1 are dropped. Where the sform's code is positive it is the affine, else the qform's, also
    where the two disagree (nibabel's rule); a header that sets neither, as every Analyze header, leaves the
    orientation unknown: `affine` is None and only the voxel sizes are known. The checksum of a .nii.gz is verified.

    Raises
    ------
    SynthanomError
        Naming the file: unreadable, truncated or corrupt; 4D with more than one volume; colour or complex voxels.
    """
    import nibabel

    library: Any = nibabel
    try:
        image = library.load(path)
    except Exception as error:  # whatever a reader library throws at a broken header is the file's fault
        raise unreadable(path, error) from error
    if not isinstance(image, library.spatialimages.SpatialImage) or isinstance(image, library.Cifti2Image):
        raise SynthanomError(f"{path}: expected an image on a voxel grid, got {type(image).__name__}; export a volume")
    shape = _spatial_shape(tuple(int(s) for s in image.shape), path)
    _check_dtype(image.get_data_dtype(), path)
    check_size(shape, image.get_data_dtype().itemsize, path)
    try:
        array = _voxels(image, path).reshape(shape, order="A")
    except Exception as error:  # OSError, EOFError, zlib.error, ValueError, ...: see above
        raise unreadable(path, error, what="its voxels cannot be read") from error
    zooms = [float(z) for z in image.header.get_zooms()[: len(shape)]]
    affine = _known_affine(image)
    spacing = zooms[::-1] if affine is None else None
    if spacing is not None and not all(np.isfinite(z) and z > 0 for z in spacing):
        spacing = None
    return make_volume(array.T, path, kind="volume", affine=affine, spacing=spacing)


def _spatial_shape(shape: tuple[int, ...], path: Path) -> tuple[int, ...]:
    """The shape in nibabel's order without trailing axes of length 1."""
    kept = shape
    while len(kept) > 2 and kept[-1] == 1:
        kept = kept[:-1]
    if len(kept) > 3:
        raise SynthanomError(
            f"{path}: one 2D or 3D image per file is read, got a {len(kept)}D file of shape {shape} "
            f"({int(np.prod(kept[3:]))} volumes); extract one volume first, for example with "
            "nibabel.funcs.four_to_three or fslroi"
        )
    if len(kept) < 2:
        raise SynthanomError(f"{path}: a 2D or 3D image is needed, the header declares shape {shape}")
    return kept


def _check_dtype(dtype: np.dtype[Any], path: Path) -> None:
    if dtype.names is not None or dtype.kind == "V":
        raise SynthanomError(f"{path}: grey values are needed, got colour voxels ({dtype}); convert it to grey first")
    if dtype.kind == "c":
        raise SynthanomError(f"{path}: real values are needed, got complex voxels; save the magnitude instead")


def _voxels(image: Any, path: Path) -> npt.NDArray[Any]:
    """The scaled voxels; of a .nii.gz up to its end, because only there stands the checksum."""
    if not path.name.lower().endswith(".nii.gz"):
        return np.asarray(image.dataobj)
    with gzip.open(path) as stream:
        array = np.asarray(type(image).from_stream(stream).dataobj)
        for _ in range(MAX_TRAILING):
            if not stream.read(CHUNK):
                return array
    raise SynthanomError(f"{path}: more than {MAX_TRAILING} MiB follow the voxels; repair the file")


def _known_affine(image: Any) -> FloatArray | None:
    """The affine that the header states; nibabel would otherwise make one up from the voxel sizes."""
    import nibabel

    if isinstance(image, nibabel.Nifti1Pair):  # NIfTI-2 and the single-file classes derive from it
        if int(image.header["sform_code"]) <= 0 and int(image.header["qform_code"]) <= 0:
            return None
    elif not isinstance(image, nibabel.MGHImage) or not int(image.header["goodRASFlag"]):
        return None
    return np.asarray(image.affine, dtype=np.float64)
