"""Which library decompresses the pixels of a DICOM file.

python-gdcm is never asked, even where it is installed: a damaged JPEG stream makes it end the whole process. What only
GDCM can decode (lossless and 12-bit JPEG) goes through SimpleITK, which holds GDCM and turns its failures into errors.
"""

import re
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from synthanom.errors import MissingExtra, SynthanomError
from synthanom.volumes.volume import shown

PACKED = 12  # bits allocated
NEVER = "gdcm"
RUST_PANIC = "PanicException"  # of pylibjpeg-rle; no Exception, and of a class that cannot be imported
# JPEG: baseline, extended, lossless, lossless of selection value 1
MARKER = 0xFF  # begins every marker of a JPEG stream
FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
BY_SIMPLEITK = tuple(f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 57, 70))
MULTIFRAME_WORD = "1.2.840.10008.5.1.4.1.1.7.3"  # a storage class without rescaling of its own
DESCRIBING = (
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
)
HEADINGS = re.compile(r"Unable to decode as exceptions were raised by all available plugins:\s*")
ADDRESS = re.compile(r"( object at |\()0x[0-9a-f]+\)?")


def check_codec(dataset: Any, path: Path) -> None:
    """Refuse a compression that no installed decoder knows, before pydicom explains it in a paragraph.

    Raises
    ------
    SynthanomError, MissingExtra
        Nothing can decode it; an extra would.
    """
    from pydicom.pixels.decoders.base import get_decoder

    syntax = dataset.file_meta.get("TransferSyntaxUID")
    if syntax is None or not syntax.is_transfer_syntax or not syntax.is_compressed or syntax in BY_SIMPLEITK:
        return
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        raise SynthanomError(
            f"{path}: pixels compressed as {shown(syntax.name)} cannot be decoded; "
            "convert the file to an uncompressed syntax"
        ) from error
    if not decoder.is_available or not set(decoder.available_plugins) - {NEVER}:
        raise MissingExtra(
            f"{path}: pixels compressed as {syntax.name} need a decoder that is not installed; "
            'pip install "synthanom[dicom]"'
        )


def stored_pixels(dataset: Any) -> npt.NDArray[Any]:
    """The pixels as stored, colour as RGB; the first decoder that succeeds is the one.

    Raises
    ------
    Exception
        Of many kinds; where several decoders were tried, a RuntimeError with the words of each.
    """
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.pixels.utils import pixel_array

    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_compressed:
        return _unpacked(dataset) if dataset.BitsAllocated == PACKED else np.asarray(dataset.pixel_array)
    decoders: dict[str, Callable[[Any], Any]] = {
        name: partial(pixel_array, decoding_plugin=name)
        for name in get_decoder(syntax).available_plugins
        if name != NEVER
    }
    if syntax in BY_SIMPLEITK:
        decoders["SimpleITK"] = _by_simpleitk
    failures = []
    for name, decode in decoders.items():
        try:
            return np.asarray(decode(dataset))
        except BaseException as error:
            if not isinstance(error, Exception) and type(error).__name__ != RUST_PANIC:
                raise
            failures.append(f"{name}: {plain_words(error)}")
    raise RuntimeError("; ".join(failures))


def _unpacked(dataset: Any) -> npt.NDArray[np.uint16]:
    """Grey values of which two share three bytes, as the standard that came before DICOM stores 12 bits."""
    frames = int(dataset.get("NumberOfFrames") or 1)
    count = frames * int(dataset.Rows) * int(dataset.Columns)
    data = np.frombuffer(dataset.PixelData, np.uint8)
    size = -(-count * 3 // 2)
    if len(data) < size:
        raise ValueError(f"{size} bytes of packed pixels are needed, got {len(data)}")
    if int(dataset.get("PixelRepresentation") or 0) or int(dataset.get("SamplesPerPixel") or 1) != 1:
        raise ValueError("packed pixels must be unsigned and grey")
    first, middle, last = np.resize(data, -(-size // 3) * 3).astype(np.uint16).reshape(-1, 3).T
    pairs = np.stack([first | (middle & 15) << 8, middle >> 4 | last << 4], axis=-1)
    return pairs.reshape(-1)[:count]


def plain_words(error: BaseException) -> str:
    """What an error says, in one line, without addresses and headings that say nothing."""
    words = " ".join(str(error).split())
    return ADDRESS.sub("", HEADINGS.sub("", words)) or type(error).__name__


def _by_simpleitk(dataset: Any) -> npt.NDArray[Any]:
    """Decode with SimpleITK, from a copy that holds only what describes the pixels, so that nothing is rescaled."""
    import SimpleITK
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID

    sitk: Any = SimpleITK
    _check_jpeg_sizes(dataset)
    slim = Dataset()
    slim.file_meta = FileMetaDataset()
    slim.file_meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    slim.file_meta.MediaStorageSOPClassUID = slim.SOPClassUID = UID(MULTIFRAME_WORD)
    slim.file_meta.MediaStorageSOPInstanceUID = slim.SOPInstanceUID = UID("1.2.3")
    for keyword in DESCRIBING:
        if dataset.get(keyword) is not None:
            slim[keyword] = dataset[keyword]
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        slim.PhotometricInterpretation = "MONOCHROME2"  # SimpleITK would mirror it
    slim["PixelData"] = dataset["PixelData"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.dcm"
        slim.save_as(path, enforce_file_format=True)
        reader = sitk.ImageFileReader()
        reader.SetImageIO("GDCMImageIO")
        reader.SetFileName(str(path))
        try:
            return np.asarray(sitk.GetArrayFromImage(reader.Execute()))
        except RuntimeError as error:
            raise RuntimeError(str(error).strip().splitlines()[-1]) from error


def _check_jpeg_sizes(dataset: Any) -> None:
    """Refuse JPEG streams of another size than the header's: the decoder makes room for what the stream says.

    Raises
    ------
    ValueError
    """
    from pydicom.encaps import generate_frames

    expected = (int(dataset.Rows), int(dataset.Columns), int(dataset.get("SamplesPerPixel") or 1))
    frames = int(dataset.get("NumberOfFrames") or 1)
    for frame in generate_frames(dataset.PixelData, number_of_frames=frames):
        found = jpeg_size(frame)
        if found != expected:
            raise ValueError(f"the JPEG stream must hold {expected} rows, columns and samples, got {found}")


def jpeg_size(stream: bytes) -> tuple[int, int, int] | None:
    """Rows, columns and samples that the frame header of a JPEG stream states; None where there is none.

    References
    ----------
    ITU-T T.81, B.1 and B.2.2.
    """
    place = 2  # behind the start of the image
    while place + 10 <= len(stream):  # each step moves on by a marker and its segment
        if stream[place] != MARKER:
            return None
        kind = stream[place + 1]
        if kind == MARKER:  # a fill byte
            place += 1
        elif kind in FRAME_HEADERS:
            rows, columns = (int.from_bytes(stream[place + k : place + k + 2], "big") for k in (5, 7))
            return rows, columns, stream[place + 9]
        else:
            place += 2 + max(2, int.from_bytes(stream[place + 2 : place + 4], "big"))
    return None
