"""Reading NIfTI-1, NIfTI-2, Analyze and MGH with nibabel."""

import gzip
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from synthanom.arrays import FloatArray
from synthanom.errors import SynthanomError
from synthanom.volumes.reading import AS_STORED, Reading, luminance
from synthanom.volumes.volume import Volume, check_data_file, check_size, make_volume, unreadable

CHUNK = 1 << 20  # bytes
PACKED = (".nii.gz", ".hdr.gz", ".img.gz", ".mgz")
PLAIN = (".nii", ".hdr", ".img", ".mgh")
MAX_TRAILING = 4096  # chunks behind the voxels of a .nii.gz that are read to reach its checksum


def read_nifti(path: Path, reading: Reading = AS_STORED) -> Volume:
    """Read one image; scaling (scl_slope, scl_inter), byte order and the affine are nibabel's.

    Axes of length 1 beyond the third and trailing ones are dropped. Where the sform's code is positive it is the
    affine, else the qform's, also where the two disagree (nibabel's rule); a header that sets neither, as every Analyze
    header, leaves the orientation unknown: `affine` is None and only the voxel sizes are known. The checksum of a
    .nii.gz is verified. Whether a file is compressed is told by its content, not by its name.

    Raises
    ------
    SynthanomError
        Naming the file: unreadable, truncated or corrupt; several volumes, colour, unless asked for; complex voxels.
    """
    import nibabel

    library: Any = nibabel
    _check_pair(path)
    try:
        packed = _is_gzip(path)
        image = library.load(path) if _usual_name(path, packed) else _loaded_by_content(path, packed)
    except Exception as error:  # whatever a reader library throws at a broken header is the file's fault
        raise unreadable(path, error) from error
    if not isinstance(image, library.spatialimages.SpatialImage) or isinstance(image, library.Cifti2Image):
        raise SynthanomError(f"{path}: expected an image on a voxel grid, got {type(image).__name__}; export a volume")
    shape, index = _spatial_shape(tuple(int(s) for s in image.shape), path, reading)
    _check_dtype(image.get_data_dtype(), path, reading)
    check_size(shape, image.get_data_dtype().itemsize, path)
    try:
        array = _voxels(image, path, index, packed).reshape(shape, order="A")
    except SynthanomError:
        raise
    except Exception as error:  # OSError, EOFError, zlib.error, ValueError, ...: see above
        raise unreadable(path, error, what="its voxels cannot be read") from error
    zooms = [float(z) for z in image.header.get_zooms()[: len(shape)]]
    affine = _known_affine(image)
    spacing = zooms[::-1] if affine is None else None
    if spacing is not None and not all(np.isfinite(z) and z > 0 for z in spacing):
        spacing = None
    return make_volume(array.T, path, kind="volume", affine=affine, spacing=spacing)


def _check_pair(path: Path) -> None:
    """Check the data file of a header that comes as one of two files."""
    header = next((ending for ending in (".hdr.gz", ".hdr") if path.name.lower().endswith(ending)), None)
    if header is not None:
        stem = path.name[: -len(header)]
        for ending in (".img", ".IMG", ".img.gz"):
            check_data_file(path, path.with_name(stem + ending))


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(2) == b"\x1f\x8b"


def _usual_name(path: Path, packed: bool) -> bool:
    """Whether nibabel, which goes by the name, will open the file for what it is."""
    name = path.name.lower()
    return name.endswith(PACKED) if packed else name.endswith(PLAIN)


def _loaded_by_content(path: Path, packed: bool) -> Any:
    """The header of a NIfTI file in one piece whose name says something else; its voxels are read by `_voxels`."""
    import nibabel

    library: Any = nibabel
    with gzip.open(path) if packed else path.open("rb") as stream:
        second = stream.read(4) in (b"\x1c\x02\0\0", b"\0\0\x02\x1c")
        stream.seek(0)
        return (library.Nifti2Image if second else library.Nifti1Image).from_stream(stream)


def _spatial_shape(
    shape: tuple[int, ...], path: Path, reading: Reading
) -> tuple[tuple[int, ...], tuple[int | slice, ...]]:
    """The shape in nibabel's order of the volume to read, and what to index the stored array with to get it."""
    beyond = shape[3:]
    count = math.prod(beyond)  # of Python's integers, which do not overflow
    if count < 1 or min(shape, default=0) < 0:
        raise SynthanomError(f"{path}: every axis must hold at least one voxel, the header declares {shape}")
    index: tuple[int | slice, ...] = (slice(None),) * min(len(shape), 3)
    if beyond:
        chosen = reading.chosen(count, path, f"a {len(shape)}D file of shape {shape} ({count} volumes)")
        for side in beyond:  # the first axis beyond space runs fastest
            index += (chosen % side,)
            chosen //= side
    kept = shape[:3]
    while len(kept) > 2 and kept[-1] == 1:
        kept = kept[:-1]
    if len(kept) < 2:
        raise SynthanomError(f"{path}: a 2D or 3D image is needed, the header declares shape {shape}")
    return kept, index


def _check_dtype(dtype: np.dtype[Any], path: Path, reading: Reading) -> None:
    colour = dtype.names is not None and {"R", "G", "B"} <= set(dtype.names)
    if dtype.kind == "V" and not (colour and reading.grey):
        way = "turn it into grey with --grey" if colour else "convert it to grey first"
        raise SynthanomError(f"{path}: grey values are needed, got colour voxels ({dtype}); {way}")
    if dtype.kind == "c":
        raise SynthanomError(f"{path}: real values are needed, got complex voxels; save the magnitude instead")


def _voxels(image: Any, path: Path, index: tuple[int | slice, ...], packed: bool) -> npt.NDArray[Any]:
    """The scaled voxels of one volume; of a single compressed file up to its end, where its checksum stands."""
    if not packed and _usual_name(path, packed):
        return _grey(image.dataobj[index])
    if not packed:
        with path.open("rb") as stream:
            return _grey(type(image).from_stream(stream).dataobj[index])
    if not hasattr(type(image), "from_stream") or not getattr(image.header, "is_single", True):
        return _grey(image.dataobj[index])  # a pair, whose voxels lie in the other file
    with gzip.open(path) as stream:
        array = _grey(type(image).from_stream(stream).dataobj[index])
        for _ in range(MAX_TRAILING):
            if not stream.read(CHUNK):
                return array
    raise SynthanomError(f"{path}: more than {MAX_TRAILING} MiB follow the voxels; extract the volume or repair it")


def _grey(voxels: Any) -> npt.NDArray[Any]:
    """Voxels as numbers; of colours their luminance."""
    array = np.asarray(voxels)
    if array.dtype.names is None:
        return array
    return luminance(np.stack([array[name] for name in ("R", "G", "B")], axis=-1))


def _known_affine(image: Any) -> FloatArray | None:
    """The affine that the header states; nibabel would otherwise make one up from the voxel sizes."""
    import nibabel

    if isinstance(image, nibabel.Nifti1Pair):  # NIfTI-2 and the single-file classes derive from it
        if int(image.header["sform_code"]) <= 0 and int(image.header["qform_code"]) <= 0:
            return None
    elif not isinstance(image, nibabel.MGHImage) or not int(image.header["goodRASFlag"]):
        return None
    return np.asarray(image.affine, dtype=np.float64)
