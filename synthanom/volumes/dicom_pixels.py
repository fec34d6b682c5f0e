"""Decoding the grey values of a DICOM file: codecs, rescaling, inversion, window."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from synthanom.errors import MissingExtra, SynthanomError
from synthanom.volumes.dicom_headers import numbers
from synthanom.volumes.volume import check_size, unreadable

BLOCK = 1 << 18  # pixels that are rescaled at a time
GREY = frozenset({"MONOCHROME1", "MONOCHROME2"})


def check_pixels(dataset: Any, path: Path) -> tuple[int, int, int]:
    """The declared (frames, rows, columns) of a grey image whose pixels can be decoded here.

    Raises
    ------
    SynthanomError
        No pixels, colour, more than 4 GiB declared.
    MissingExtra
        The compression needs a decoder that is not installed.
    """
    if not any(k in dataset for k in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        kind = dataset.get("SOPClassUID")
        what = kind.name if kind else "no DICOM image at all"
        raise SynthanomError(f"{path}: holds no pixels ({what}); give it the image files only")
    try:
        shape = (int(dataset.get("NumberOfFrames") or 1), int(dataset.Rows), int(dataset.Columns))
        samples = int(dataset.get("SamplesPerPixel") or 1)
        bits = int(dataset.get("BitsAllocated") or 16)
    except Exception as error:  # missing or unparsable elements
        raise unreadable(path, error, what="its image size cannot be read") from error
    photometric = str(dataset.get("PhotometricInterpretation") or "MONOCHROME2")
    if samples != 1 or photometric not in GREY:
        raise SynthanomError(
            f"{path}: grey values are needed, got colour ({photometric}, {samples} samples per pixel); "
            "export a grey image or pick another series"
        )
    check_size(shape, -(-bits // 8), path)
    _check_codec(dataset, path)
    return shape


def decode(dataset: Any, path: Path, *, window: bool) -> npt.NDArray[np.float32]:
    """Decode to modality units: float32 (frames, rows, columns), bright where the body is bright.

    The modality lookup table or rescale slope and intercept are applied; MONOCHROME1 is mirrored in the range that the
    stored bits can hold, the same for every slice. With `window`, values are clipped to the first window of the header.

    Raises
    ------
    SynthanomError, MissingExtra
        Naming the file: see `check_pixels`; truncated or corrupt pixel data.
    """
    shape = check_pixels(dataset, path)
    try:
        _complete(dataset)
        stored = np.asarray(dataset.pixel_array).reshape(-1)
        low, high = _to_modality_units(_stored_range(dataset, stored), dataset)
        mirrored = dataset.PhotometricInterpretation == "MONOCHROME1"
        limits = _window(dataset) if window else None
        grey = np.empty(math.prod(shape), np.float32)
        for start in range(0, grey.size, BLOCK):  # float64 of a whole picture would be most of the memory
            part = _to_modality_units(stored[start : start + BLOCK], dataset)
            part = part if limits is None else part.clip(*limits)
            with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite and is refused by name later
                grey[start : start + BLOCK] = (low + high) - part if mirrored else part
    except Exception as error:  # a dozen kinds, from pydicom and from each of its decoders
        raise unreadable(path, error, what="its pixels cannot be decoded") from error
    return grey.reshape(shape)


def _complete(dataset: Any) -> None:
    """Fill in what the standard that came before DICOM left out, and what is needed to decode."""
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    for keyword, usual in (
        ("PhotometricInterpretation", "MONOCHROME2"),
        ("SamplesPerPixel", 1),
        ("PixelRepresentation", 0),
    ):
        if dataset.get(keyword) is None:
            dataset[keyword] = _element(keyword, usual)
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit


def _element(keyword: str, value: Any) -> Any:
    from pydicom.datadict import dictionary_VR, tag_for_keyword
    from pydicom.dataelem import DataElement

    tag = tag_for_keyword(keyword)
    assert tag is not None
    return DataElement(tag, dictionary_VR(tag), value)


def _window(dataset: Any) -> tuple[float, float] | None:
    """Lowest and highest value of the first window in the header, None where its centre or width is missing."""
    found = []
    for keyword in ("WindowCenter", "WindowWidth"):
        value = dataset.get(keyword)
        several = value is not None and not isinstance(value, str | bytes | float | int)
        values = numbers(dataset, keyword, len(value) if several else 1) if value else ()
        found.append(values[:1])
    centre, width = found
    if not (centre and width) or width[0] < 1:
        return None
    middle, half = centre[0] - 0.5, (width[0] - 1) / 2  # PS3.3 C.11.2.1.2.1
    return middle - half, middle + half


def _to_modality_units(stored: npt.NDArray[Any], dataset: Any) -> npt.NDArray[np.float64]:
    tables = dataset.get("ModalityLUTSequence") or []
    if tables and tables[0].get("LUTDescriptor") and tables[0].get("LUTData"):
        from pydicom.pixels.processing import apply_modality_lut

        return np.asarray(apply_modality_lut(stored.astype(np.int64), dataset), dtype=np.float64)
    return stored * _scale(dataset, "RescaleSlope", 1.0) + _scale(dataset, "RescaleIntercept", 0.0)


def _scale(dataset: Any, keyword: str, default: float) -> float:
    """A rescale value; the per-frame place of enhanced objects counts where it is shared by all frames."""
    value = numbers(dataset, keyword, 1)
    for shared in [] if value else dataset.get("SharedFunctionalGroupsSequence") or []:
        for transformation in shared.get("PixelValueTransformationSequence") or []:
            value = numbers(transformation, keyword, 1)
    return value[0] if value else default


def _stored_range(dataset: Any, stored: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Smallest and largest value that the stored bits can hold; of floating-point pixels the image's own range."""
    if stored.dtype.kind == "f":
        return np.array([stored.min(), stored.max()])
    bits = int(dataset.get("BitsStored") or dataset.BitsAllocated)
    if int(dataset.get("PixelRepresentation") or 0) == 1:
        return np.array([-(2 ** (bits - 1)), 2 ** (bits - 1) - 1])
    return np.array([0, 2**bits - 1])


def _check_codec(dataset: Any, path: Path) -> None:
    """Refuse a compression that no installed decoder knows, before pydicom explains it in a paragraph."""
    from pydicom.pixels.decoders.base import get_decoder

    syntax = dataset.file_meta.get("TransferSyntaxUID")
    if syntax is None or not syntax.is_transfer_syntax or not syntax.is_compressed:
        return
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        raise SynthanomError(
            f"{path}: pixels compressed as {syntax.name} cannot be decoded; convert the file to an uncompressed syntax"
        ) from error
    if not decoder.is_available:
        raise MissingExtra(
            f"{path}: pixels compressed as {syntax.name} need a decoder that is not installed; "
            'pip install "synthanom[dicom]"'
        )
