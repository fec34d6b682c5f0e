"""DICOM series of which slices are damaged, edited, repeated, left out, exchanged, or taken from another series."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
from damage import damage
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from synthanom.volumes import discover

LARGEST = 8 << 20  # bytes of all slices together; series beyond that only slow the others down
ALL = 0.3  # chance that a header is edited in every slice alike
# as written: numbers of US as they are, everything else as text; None removes the element
EDITS: dict[str, tuple[str | int | None, ...]] = {
    "ImagePositionPatient": (
        None, "", "0\\0\\0", "0\\0\\1e-7", "1\\2", "nan\\nan\\nan", "inf\\0\\0", "1e308\\-1e308\\1e308", "x\\0\\0",
        "0\\0\\1e15",
    ),
    "ImageOrientationPatient": (
        None, "", "0\\0\\0\\0\\0\\0", "1\\0\\0\\1\\0\\0", "1\\0\\0\\0\\1\\0", "0\\1\\0\\0\\0\\1", "1\\0\\0",
        "nan\\0\\0\\0\\1\\0", "1e200\\0\\0\\0\\1e200\\0", "1e-200\\0\\0\\0\\1e-200\\0", "1\\0\\0\\0\\1\\x",
    ),
    "PixelSpacing": (None, "", "0\\0", "-1\\1", "1", "1\\1", "nan\\1", "1e-300\\1e-300", "1e300\\1e300", "1e-9\\1e9"),
    "InstanceNumber": (None, "", "0", "1", "-1", "1.5", "x", "9" * 30, "1\\2", "nan", "1e400"),
    "Rows": (None, 0, 1, 3, 6, 300, 0x8000, 0xFFFF),
    "Columns": (None, 0, 1, 3, 7, 300, 0x8000, 0xFFFF),
    "NumberOfFrames": (None, "", "0", "1", "2", "-1", "x", "2147483647", "1\\1"),
    "BitsAllocated": (None, 0, 1, 8, 12, 16, 32, 0xFFFF),
    "SamplesPerPixel": (None, 0, 1, 3, 0xFFFF),
    "RescaleSlope": (None, "", "0", "1e300", "nan", "x", "1\\2"),
    "SeriesNumber": (None, "", "-3", "x", "9" * 30, "1\\2"),
    "SeriesInstanceUID": (None, "", "1.2.3", "x" * 200, "1.2\\1.3", "\x1b\n"),
    "Modality": (None, "", "CT", "CR", "\n\\x"),
}  # fmt: skip
SWAPPED = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "InstanceNumber", "Rows", "PixelData")
Slices = dict[str, bytes]  # contents by file name


def series_in(folders: Sequence[Path]) -> list[tuple[Path, ...]]:
    """The files of each series of several that is found in the folders, without the very large ones."""
    sources = [source for folder in folders for source in discover(folder)]
    several = [source.files for source in sources if source.format == "dicom" and len(source.files) > 1]
    return [files for files in several if sum(file.stat().st_size for file in files) <= LARGEST]


def damaged_series(series: Sequence[tuple[Path, ...]], seed: int, number: int) -> tuple[Path, str, Slices]:
    """The folder of the series it was made from, what was done to it, and its slices."""
    rng = np.random.default_rng([seed, number, 1])
    files = series[rng.integers(len(series))]
    slices = {file.name: file.read_bytes() for file in files}
    strangers = [file for other in series if other != files for file in other] or list(files)
    done = []
    # in the order of CHANGES: headers are edited before bytes are damaged, since afterwards they may not be readable
    for change in sorted(rng.integers(len(CHANGES), size=rng.integers(1, 4))):
        done.append(CHANGES[change](slices, rng, strangers))
    return files[0].parent, ", ".join(done), slices


def _header(slices: Slices, rng: np.random.Generator, strangers: Sequence[Path]) -> str:
    keyword = list(EDITS)[rng.integers(len(EDITS))]
    value = EDITS[keyword][rng.integers(len(EDITS[keyword]))]
    names = list(slices) if rng.random() < ALL else [_any(slices, rng)]
    for name in names:
        slices[name] = _with(slices[name], keyword, value)
    return f"{keyword} {value!r} in {names[0] if len(names) == 1 else 'all'}"


def _swap(slices: Slices, rng: np.random.Generator, strangers: Sequence[Path]) -> str:
    keyword = SWAPPED[rng.integers(len(SWAPPED))]
    one, other = _any(slices, rng), _any(slices, rng)
    mine, theirs = (_dataset(slices[name]) for name in (one, other))
    if mine.file_meta.get("TransferSyntaxUID") != theirs.file_meta.get("TransferSyntaxUID"):
        return f"{one} and {other} as they are"  # neither could be written with what the other holds
    for dataset, source, name in ((mine, _dataset(slices[other]), one), (theirs, _dataset(slices[one]), other)):
        dataset.pop(keyword, None)
        if keyword in source:
            dataset[keyword] = source[keyword]
        slices[name] = _bytes(dataset)
    return f"{keyword} of {one} and {other} swapped"


def _stranger(slices: Slices, rng: np.random.Generator, strangers: Sequence[Path]) -> str:
    file = strangers[rng.integers(len(strangers))]
    name = _any(slices, rng) if rng.random() < 0.5 else f"other-{file.name}"
    slices[name] = file.read_bytes()
    if rng.random() < 0.5:  # taken for a slice of this series
        mine = _dataset(slices[min(slices)]).get("SeriesInstanceUID")
        slices[name] = _with(slices[name], "SeriesInstanceUID", None if mine is None else str(mine))
    return f"{name} from another series"


def _duplicate(slices: Slices, rng: np.random.Generator, strangers: Sequence[Path]) -> str:
    name = _any(slices, rng)
    slices[f"copy-{name}"] = slices[name]
    return f"{name} twice"


def _remove(slices: Slices, rng: np.random.Generator, strangers: Sequence[Path]) -> str:
    name = _any(slices, rng)
    if len(slices) > 1:
        del slices[name]
    return f"without {name}"


def _bytes_of_one(slices: Slices, rng: np.random.Generator, strangers: Sequence[Path]) -> str:
    name = _any(slices, rng)
    data = bytearray(slices[name])
    change = damage(data, rng) if data else "nothing left"
    slices[name] = bytes(data)
    return f"{change} in {name}"


def _any(slices: Slices, rng: np.random.Generator) -> str:
    return list(slices)[rng.integers(len(slices))]


def _with(data: bytes, keyword: str, value: str | int | None) -> bytes:
    """A file with one element written as it is, whether its value makes sense or not."""
    dataset = _dataset(data)
    dataset.pop(keyword, None)
    if value is not None:
        implicit, little = dataset.original_encoding
        raw = value.to_bytes(2, "little" if little else "big") if isinstance(value, int) else value.encode()
        raw += b" " * (len(raw) % 2)
        tag = Tag(keyword)
        dataset[tag] = RawDataElement(tag, dictionary_VR(tag), len(raw), raw, 0, bool(implicit), bool(little))
    return _bytes(dataset)


def _dataset(data: bytes) -> pydicom.FileDataset:
    return pydicom.dcmread(io.BytesIO(data), force=True)


def _bytes(dataset: pydicom.Dataset) -> bytes:
    stream = io.BytesIO()
    dataset.save_as(stream)
    return stream.getvalue()


CHANGES = (_swap, _stranger, _duplicate, _remove, _header, _header, _bytes_of_one, _bytes_of_one)
