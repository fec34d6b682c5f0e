"""Small DICOM series of each sort that is read, written for being damaged."""

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, MRImageStorage, RLELossless

SHAPE = (6, 7)
COUNT = 6
AXIAL = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
OBLIQUE = ((0.8, 0.6, 0.0), (-0.36, 0.48, 0.8))


def write_series(folder: Path) -> None:
    """One folder per sort."""
    for i, syntax in enumerate((ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless)):
        _write(folder / f"syntax-{i}", range(COUNT), syntax=syntax)
    _write(folder / "oblique", range(COUNT), plane=OBLIQUE)
    _write(folder / "tilted", range(COUNT), aside=0.7)
    _write(folder / "gap", (0, 1, 2, 4, 5))
    _write(folder / "times", (0, 0, 1, 1, 2, 2))
    _write(folder / "mirrored", range(COUNT), PhotometricInterpretation="MONOCHROME1", RescaleSlope="2")
    _write(folder / "colour", range(COUNT), samples=3, PhotometricInterpretation="RGB", PlanarConfiguration=0)
    _write(folder / "pair", range(2))


def _write(
    folder: Path,
    places: "range | tuple[int, ...]",
    *,
    plane: tuple[tuple[float, ...], tuple[float, ...]] = AXIAL,
    aside: float = 0.0,
    samples: int = 1,
    syntax: str = ExplicitVRLittleEndian,
    **elements: object,
) -> None:
    folder.mkdir()
    rows, columns = np.array(plane)
    step = np.cross(rows, columns) * 2.5 + columns * aside
    for i, place in enumerate(places):
        image = _image(i, samples, f"1.2.3.{sum(folder.name.encode())}")
        image.ImagePositionPatient = [round(float(value), 4) for value in np.array([-10.0, -12.0, 3.0]) + place * step]
        image.ImageOrientationPatient = [*plane[0], *plane[1]]
        for keyword, value in elements.items():
            setattr(image, keyword, value)
        image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian if syntax == RLELossless else syntax
        if syntax == RLELossless:
            image.compress(syntax, generate_instance_uid=False)
        image.save_as(folder / f"{i:02}.dcm", enforce_file_format=True)


def _image(number: int, samples: int, series: str) -> Dataset:
    """A slice that lies nowhere yet."""
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID = MRImageStorage
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID = f"{series}.{number}"
    image.SeriesInstanceUID, image.SeriesNumber, image.InstanceNumber = series, 1, number + 1
    image.Modality, image.PhotometricInterpretation, image.PixelSpacing = "MR", "MONOCHROME2", [0.8, 0.6]
    image.Rows, image.Columns, image.SamplesPerPixel = *SHAPE, samples
    image.BitsAllocated = image.BitsStored = 16 if samples == 1 else 8
    image.HighBit, image.PixelRepresentation = image.BitsStored - 1, 0
    values = np.random.default_rng(number).integers(0, 200, (*SHAPE, samples))
    image.PixelData = values.astype("<u2" if samples == 1 else "u1").tobytes()
    return image
