"""Reading DICOM headers, and telling which files are slices of one stack."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from synthanom.volumes.volume import unreadable

# storage classes that hold no pixels: directory, reports, presentation states, documents, raw data, plans
NOT_IMAGES = (
    "1.2.840.10008.1.3.10",
    "1.2.840.10008.5.1.4.1.1.9.",
    "1.2.840.10008.5.1.4.1.1.11.",
    "1.2.840.10008.5.1.4.1.1.66",
    "1.2.840.10008.5.1.4.1.1.88.",
    "1.2.840.10008.5.1.4.1.1.104.",
    "1.2.840.10008.5.1.4.1.1.481.3",
    "1.2.840.10008.5.1.4.1.1.481.5",
    "1.2.840.10008.5.1.4.1.1.481.8",
)
SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
CROSS_SECTIONAL = frozenset({"CT", "MR", "PT"})  # their files are slices even where the position was removed
SAME_DIRECTION = 1e-3  # of direction cosines, which headers round to four or more digits
TAGS = [
    "SOPClassUID",
    "SeriesInstanceUID",
    "SeriesNumber",
    "Modality",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "ImagePositionPatient",
    "ImageOrientationPatient",
]


@dataclass(frozen=True, kw_only=True)
class SliceHeader:
    """What decides to which stack a file belongs.

    Attributes
    ----------
    file : Path
    stack : tuple or None
        Equal for files that may be slices of one stack, their orientation aside; None for an image of its own.
    orientation : tuple of 6 floats
        Direction cosines of rows and columns; empty where the header has none.
    number : int or None
        Series number.
    """

    file: Path
    stack: tuple[str, int, int] | None
    orientation: tuple[float, ...]
    number: int | None


def read_slice_header(path: Path) -> SliceHeader | None:
    """Read what groups a file; None for DICOM objects that hold no image, such as reports and directories.

    A file whose header cannot be read, or that lacks what grouping needs, stands for itself: reading it says why.
    """
    import pydicom

    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, force=True, specific_tags=list(TAGS))
        return _slice_header(path, header)
    except Exception:  # any broken header: the file stays in the list, and reading it raises what is wrong with it
        return SliceHeader(file=path, stack=None, orientation=(), number=None)


def same_direction(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """Whether two slices lie parallel (or both do not say how they lie)."""
    return len(one) == len(other) and all(abs(a - b) <= SAME_DIRECTION for a, b in zip(one, other, strict=True))


def read_dataset(path: Path, *, pixels: bool = True) -> Any:
    """Read a DICOM file, also without preamble or meta information, up to its pixels or whole.

    Raises
    ------
    SynthanomError
        If it cannot be read.
    """
    import pydicom

    try:
        return pydicom.dcmread(path, force=True, stop_before_pixels=not pixels)
    except Exception as error:  # whatever a reader library throws at a broken file is the file's fault
        raise unreadable(path, error) from error


def numbers(dataset: Any, keyword: str, count: int) -> tuple[float, ...]:
    """The `count` finite values of an element, or () where it is missing, unparsable or of another length."""
    try:
        value = dataset.get(keyword)
        if value is None or isinstance(value, str | bytes):
            return ()
        values = tuple(float(v) for v in (value if count > 1 else [value]))
    except (ValueError, TypeError, OverflowError, NotImplementedError):  # raised when pydicom parses a bad value
        return ()
    return values if len(values) == count and np.isfinite(values).all() else ()


def _slice_header(path: Path, header: Any) -> SliceHeader | None:
    sop_class = str(header.get("SOPClassUID") or header.file_meta.get("MediaStorageSOPClassUID") or "")
    if "Rows" not in header and sop_class.startswith(NOT_IMAGES) and sop_class != SEGMENTATION:
        return None
    orientation = numbers(header, "ImageOrientationPatient", 6)
    position = numbers(header, "ImagePositionPatient", 3)
    uid = str(header.get("SeriesInstanceUID") or "")
    frames = int(header.get("NumberOfFrames") or 1)
    placed = bool(orientation and position) or str(header.get("Modality") or "") in CROSS_SECTIONAL
    stackable = bool(uid) and frames == 1 and placed
    number = header.get("SeriesNumber")
    return SliceHeader(
        file=path,
        stack=(uid, int(header.get("Rows") or 0), int(header.get("Columns") or 0)) if stackable else None,
        orientation=orientation,
        number=None if number is None else int(number),
    )
