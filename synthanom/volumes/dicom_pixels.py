"""Decoding the grey values of a DICOM file: codecs, rescaling, inversion, window."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from synthanom.errors import SynthanomError
from synthanom.volumes.dicom_codecs import check_codec, stored_pixels
from synthanom.volumes.dicom_headers import numbers
from synthanom.volumes.reading import luminance
from synthanom.volumes.volume import check_size, shown, unreadable

BLOCK = 1 << 18  # pixels that are rescaled at a time
GREY = frozenset({"MONOCHROME1", "MONOCHROME2"})
DIRECTORY = "1.2.840.10008.1.3.10"


def check_pixels(dataset: Any, path: Path, *, grey: bool = False) -> tuple[int, int, int]:
    """The declared (frames, rows, columns) of an image whose pixels can be decoded here; of colour only with `grey`.

    Raises
    ------
    SynthanomError
        No pixels, colour, more than 4 GiB declared.
    MissingExtra
        The compression needs a decoder that is not installed.
    """
    if not any(dataset.get(k) for k in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        raise SynthanomError(f"{path}: {_without_pixels(dataset)}")
    try:
        shape = (int(dataset.get("NumberOfFrames") or 1), int(dataset.Rows), int(dataset.Columns))
        samples = int(dataset.get("SamplesPerPixel") or 1)
        bits = int(dataset.get("BitsAllocated") or 16)
    except Exception as error:  # missing or unparsable elements
        raise unreadable(path, error, what="its image size cannot be read") from error
    if _is_colour(dataset) and not grey:
        photometric = shown(dataset.get("PhotometricInterpretation"))
        raise SynthanomError(
            f"{path}: grey values are needed, got colour ({photometric}, {samples} samples per pixel); "
            "turn it into grey with --grey, or pick another series"
        )
    check_size((*shape, samples), -(-bits // 8), path)
    check_codec(dataset, path)
    return shape


def decode(
    dataset: Any,
    path: Path,
    *,
    window: bool,
    grey: bool = False,
    scales: Sequence[tuple[float, float] | None] | None = None,
) -> npt.NDArray[np.float32]:
    """Decode to modality units: float32 (frames, rows, columns), bright where the body is bright.

    The modality lookup table or rescale slope and intercept are applied; MONOCHROME1 is mirrored in the range that the
    stored bits can hold, the same for every slice. With `window`, values are clipped to the first window of the header,
    or go through its first VOI table where there is no window. With `grey`, colour is turned into its luminance.

    Parameters
    ----------
    scales : sequence, optional
        Slope and intercept of each frame; None where it has none of its own.

    Raises
    ------
    SynthanomError, MissingExtra
        Naming the file: see `check_pixels`; truncated or corrupt pixel data.
    """
    shape = check_pixels(dataset, path, grey=grey)
    try:
        _complete(dataset)
        if _is_colour(dataset):
            return _luminance(dataset).reshape(shape)
        stored = stored_pixels(dataset).reshape(shape[0], -1)
        values = np.empty(stored.shape, np.float32)
        for i in range(len(values)):
            _rescale(stored[i], values[i], dataset, window, scales[i] if scales else None)
    except Exception as error:  # a dozen kinds, from pydicom and from each of its decoders
        raise unreadable(path, error, what="its pixels cannot be decoded") from error
    return values.reshape(shape)


def _rescale(
    stored: npt.NDArray[Any],
    out: npt.NDArray[np.float32],
    dataset: Any,
    window: bool,
    scale: tuple[float, float] | None,
) -> None:
    """Write the values of one frame, in blocks: float64 of a whole picture would be most of the memory."""
    low, high = _to_modality_units(_stored_range(dataset, stored), dataset, scale)
    mirrored = dataset.PhotometricInterpretation == "MONOCHROME1"
    voi = _voi(dataset) if window else None
    for start in range(0, len(out), BLOCK):
        part = _to_modality_units(stored[start : start + BLOCK], dataset, scale)
        part = part if voi is None else voi(part)
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite and is refused by name later
            out[start : start + BLOCK] = (low + high) - part if mirrored else part


def _luminance(dataset: Any) -> npt.NDArray[np.float32]:
    from pydicom.pixels.processing import apply_color_lut

    array = stored_pixels(dataset)  # pydicom has turned YBR into RGB
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        array = np.asarray(apply_color_lut(array, dataset))
    return luminance(array)


def _is_colour(dataset: Any) -> bool:
    photometric = str(dataset.get("PhotometricInterpretation") or "MONOCHROME2")
    return int(dataset.get("SamplesPerPixel") or 1) != 1 or photometric not in GREY


def _without_pixels(dataset: Any) -> str:
    """What a DICOM object is that is no image, and the way out."""
    kind = dataset.get("SOPClassUID") or dataset.file_meta.get("MediaStorageSOPClassUID")
    if kind == DIRECTORY:
        return "holds no pixels, it is a directory of images; name its folder, where they are found without it"
    what = shown(kind.name) if kind else "no DICOM image at all"
    return f"holds no pixels ({what}); give it the image files only"


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


def _voi(dataset: Any) -> Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]] | None:
    """What the header does to values for display: its first window, else its first table, else None."""
    window = _window(dataset)
    if window is not None:
        centre, width = window
        if dataset.get("VOILUTFunction") == "SIGMOID":  # PS3.3 C.11.2.1.3.1, in the values' own units
            return lambda part: centre - width / 2 + width / (1 + np.exp(-4 * (part - centre) / width))
        if dataset.get("VOILUTFunction") == "LINEAR_EXACT":
            return lambda part: part.clip(centre - width / 2, centre + width / 2)
        if width >= 1:
            middle, half = centre - 0.5, (width - 1) / 2  # PS3.3 C.11.2.1.2.1
            return lambda part: part.clip(middle - half, middle + half)
    tables = dataset.get("VOILUTSequence") or []
    if tables and tables[0].get("LUTDescriptor") and tables[0].get("LUTData"):
        from pydicom.pixels.processing import apply_voi

        return lambda part: np.asarray(apply_voi(np.rint(part).astype(np.int64), dataset), dtype=np.float64)
    return None


def _window(dataset: Any) -> tuple[float, float] | None:
    """Centre and width of the first window in the header, None where either is missing."""
    found = []
    for keyword in ("WindowCenter", "WindowWidth"):
        value = dataset.get(keyword)
        several = value is not None and not isinstance(value, str | bytes | float | int)
        values = numbers(dataset, keyword, len(value) if several else 1) if value is not None else ()
        found.append(values[:1])
    centre, width = found
    return (centre[0], width[0]) if centre and width and width[0] > 0 else None


def _to_modality_units(
    stored: npt.NDArray[Any], dataset: Any, scale: tuple[float, float] | None = None
) -> npt.NDArray[np.float64]:
    """Through the modality table where there is one, else scaled: by `scale`, else as the header says for all."""
    if scale is not None:
        return stored * scale[0] + scale[1]
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
