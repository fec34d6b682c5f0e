"""What an independent library makes of a file, brought to the form that our reader gives.

DICOM by SimpleITK (its own GDCM), or the bytes at the end of an uncompressed file; NIfTI by SimpleITK, or the header
taken apart with struct; MGH with struct. None of it uses pydicom or nibabel, which our reader uses.
"""

import gzip
import re
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

NIFTI_TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 32: "c8", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8"}
NIFTI_TYPES |= {128: "V3", 2304: "V4"}  # RGB, RGBA
MGH_TYPES = {0: "u1", 1: "i4", 3: "f4", 4: "i2"}
LUMA = (0.299, 0.587, 0.114)  # Rec. 601
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


class NoOpinion(Exception):
    """The other library cannot read the file either."""


def dicom_picture(path: Path) -> np.ndarray:
    """Pixels of one DICOM file, in the order of frames: rescaled, grey, windowed and mirrored as for a picture."""
    image = _itk(path, "GDCMImageIO")
    head = _Header(image)
    array = image_array(image).astype(np.float64)
    if image.GetNumberOfComponentsPerPixel() == 3:
        return (array @ np.array(LUMA)).astype(np.float32)
    if head.number("0028|0100", 16) == 1:
        array = (array > 0).astype(np.float64)  # SimpleITK spreads one bit over a byte
    if head.number("0028|0008", 1) == 1:
        if head.text("0028|0004") == "MONOCHROME1":  # SimpleITK has mirrored it; the window is for what is stored
            ends = sum(head.stored_range())
            array = ends - _windowed(ends - array, head)
        else:
            array = _windowed(array, head)
    return array.astype(np.float32)


def dicom_series(files: Sequence[Path]) -> tuple[np.ndarray, np.ndarray]:
    """Pixels and affine of a series, its slices ordered by their positions."""
    import SimpleITK as sitk

    placed = []
    for file in files:
        image = _itk(file, "GDCMImageIO")
        rows, columns = np.array(image.GetDirection()).reshape(3, 3).T[:2]
        placed.append((float(np.dot(image.GetOrigin(), np.cross(rows, columns))), str(file)))
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([name for _, name in sorted(placed)])
    image = reader.Execute()
    array = image_array(image)
    grey = array @ np.array(LUMA) if image.GetNumberOfComponentsPerPixel() == 3 else array
    return grey.astype(np.float32), itk_affine(image)


def through_table(array: np.ndarray, descriptor: Sequence[int], table: np.ndarray) -> np.ndarray:
    """Values replaced by the entries of a lookup table, whose ends continue."""
    return table[np.clip(array.astype(np.int64) - descriptor[1], 0, len(table) - 1)].astype(np.float32)


def from_ybr(path: Path) -> np.ndarray:
    """Luminance of a picture whose three components are luma and chroma although the header says RGB."""
    luma, blue, red = np.moveaxis(image_array(_itk(path, "GDCMImageIO")).astype(np.float64), -1, 0)
    blue, red = blue - 128, red - 128
    colours = np.stack([luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue], axis=-1)
    return (colours.clip(0, 255) @ np.array(LUMA)).astype(np.float32)


def raw_floats(path: Path, shape: Sequence[int]) -> np.ndarray:
    """Float Pixel Data of an uncompressed little-endian file with explicit types, found by its tag."""
    data = path.read_bytes()
    start = data.rfind(b"\xe0\x7f\x08\x00OF\0\0")
    if start < 0:
        raise NoOpinion("no Float Pixel Data")
    return np.frombuffer(data, "<f4", int(np.prod(shape)), start + 12).reshape(shape)


def nifti(path: Path, volume: int = 0) -> tuple[np.ndarray, np.ndarray | None, str]:
    """Voxels (Z, Y, X) of one volume, the affine where the library states one, and whose opinion it is."""
    name = path.name.lower()
    if name.endswith((".mgz", ".mgh")):
        return _mgh(path)[volume], None, "struct"
    try:
        image = _itk(path, "NiftiImageIO")
    except NoOpinion:
        array, affine = plain_nifti(path)
        return _chosen(array, volume), affine, "struct"
    array = image_array(image)
    if image.GetNumberOfComponentsPerPixel() > 1:  # five axes, or colours
        five = plain_nifti(path)[0].ndim == 5
        array = array[..., volume] if five else array[..., :3] @ np.array(LUMA)
    return _chosen(array.astype(np.float32), volume), itk_affine(image), "SimpleITK"


def image_array(image: Any) -> np.ndarray:
    """Pixels of a SimpleITK image."""
    import SimpleITK as sitk

    return np.asarray(sitk.GetArrayFromImage(image))


def itk_affine(image: Any) -> np.ndarray:
    """RAS+ affine of a SimpleITK image; axes beyond the third are left out."""
    dims = image.GetDimension()
    matrix = np.eye(4)
    kept = min(dims, 3)
    direction = np.array(image.GetDirection()).reshape(dims, dims)[:kept, :kept]
    matrix[:kept, :kept] = direction * np.array(image.GetSpacing())[:kept]
    matrix[:kept, 3] = image.GetOrigin()[:kept]
    return LPS_TO_RAS @ matrix


class _Header:
    """Elements of a DICOM header as SimpleITK gives them."""

    def __init__(self, image: Any) -> None:
        self._image = image

    def text(self, tag: str) -> str:
        return self._image.GetMetaData(tag).strip("\0 ") if self._image.HasMetaDataKey(tag) else ""

    def number(self, tag: str, default: float) -> float:
        first = self.text(tag).split("\\")[0].strip()
        return float(first) if first else default

    def stored_range(self) -> tuple[float, float]:
        bits = int(self.number("0028|0101", self.number("0028|0100", 16)))
        signed = self.number("0028|0103", 0) == 1
        ends = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
        slope, intercept = self.number("0028|1053", 1), self.number("0028|1052", 0)
        return slope * ends[0] + intercept, slope * ends[1] + intercept


def _windowed(array: np.ndarray, head: _Header) -> np.ndarray:
    centre, width = head.number("0028|1050", np.nan), head.number("0028|1051", np.nan)
    if not (np.isfinite(centre) and width >= 1):
        return array
    return array.clip(centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2)


def _itk(path: Path, reader_name: str) -> Any:
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetImageIO(reader_name)
    try:
        return reader.Execute()
    except Exception as error:
        raise NoOpinion(re.sub(r"\(0x[0-9a-f]+\)", "", str(error).strip().splitlines()[-1])) from error


def _chosen(array: np.ndarray, volume: int) -> np.ndarray:
    """One volume of (..., Z, Y, X)."""
    while array.ndim > 2 and array.shape[0] == 1:
        array = array[0]
    return array.reshape(-1, *array.shape[-3:])[volume] if array.ndim > 3 else array


def plain_nifti(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Voxels and sform of a NIfTI-1 or NIfTI-2 file, single or pair, from the offsets of its header."""
    head, data = _bytes(path), None
    name = path.name
    if ".hdr" in name:
        data = _bytes(path.with_name(name.replace(".hdr", ".img")))
    order = "<" if struct.unpack("<i", head[:4])[0] in (348, 540) else ">"
    second = struct.unpack(order + "i", head[:4])[0] == 540
    if not second and struct.unpack(order + "i", head[:4])[0] != 348:
        raise NoOpinion("no NIfTI header")
    if second:
        dims = struct.unpack(order + "8q", head[16:80])
        (kind,), (offset,) = struct.unpack(order + "h", head[12:14]), struct.unpack(order + "q", head[168:176])
        slope, inter = struct.unpack(order + "2d", head[176:192])
        code, rows = struct.unpack(order + "i", head[348:352])[0], struct.unpack(order + "12d", head[400:496])
    else:
        dims = struct.unpack(order + "8h", head[40:56])
        (kind,), (offset,) = struct.unpack(order + "h", head[70:72]), struct.unpack(order + "f", head[108:112])
        slope, inter = struct.unpack(order + "2f", head[112:120])
        code, rows = struct.unpack(order + "h", head[254:256])[0], struct.unpack(order + "12f", head[280:328])
    shape = dims[1 : dims[0] + 1]
    dtype = np.dtype(order + NIFTI_TYPES[kind])
    raw = head[int(offset) :] if data is None else data
    array = np.frombuffer(raw[: int(np.prod(shape)) * dtype.itemsize], dtype).reshape(shape[::-1])
    if dtype.kind == "V":
        array = np.frombuffer(array.tobytes(), np.uint8).reshape(*array.shape, dtype.itemsize)[..., :3] @ np.array(LUMA)
    scaled = array * slope + inter if slope and np.isfinite(slope) else array
    affine = np.vstack([np.reshape(rows, (3, 4)), [0, 0, 0, 1]]) if code > 0 else None
    return scaled.astype(np.float32), affine


def _mgh(path: Path) -> np.ndarray:
    data = _bytes(path)
    _, width, height, depth, frames, kind = struct.unpack(">6i", data[:24])
    dtype = np.dtype(">" + MGH_TYPES[kind])
    count = width * height * depth * frames
    array = np.frombuffer(data[284 : 284 + count * dtype.itemsize], dtype)
    return array.reshape(frames, depth, height, width).astype(np.float32)


def _bytes(path: Path) -> bytes:
    data = path.read_bytes()
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
