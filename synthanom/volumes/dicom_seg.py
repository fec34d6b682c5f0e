"""Score maps as fractional DICOM Segmentations of the series that they belong to."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from synthanom import __version__
from synthanom.arrays import ImageArray
from synthanom.errors import MissingExtra, SynthanomError
from synthanom.volumes.dicom import stacked_files
from synthanom.volumes.dicom_headers import read_dataset
from synthanom.volumes.dicom_pixels import check_pixels
from synthanom.volumes.reading import AS_STORED, Reading
from synthanom.volumes.volume import Source

STEPS = 255  # of a stored value: 1 is 255
# may be missing in what scanners write, while a Segmentation must have them, empty if need be
EMPTY = (
    "AccessionNumber",
    "PatientBirthDate",
    "PatientID",
    "PatientName",
    "PatientSex",
    "ReferringPhysicianName",
    "StudyDate",
    "StudyID",
    "StudyTime",
)
ABNORMAL = ("49755003", "SCT", "Morphologically Abnormal Structure")
LESION = ("52988006", "SCT", "Lesion")
LABEL = "anomaly score"


def check_highdicom() -> None:
    """Say at once if Segmentations cannot be written.

    Raises
    ------
    MissingExtra
        Without highdicom.
    """
    try:
        import highdicom  # noqa: F401
    except ImportError as error:
        raise MissingExtra('DICOM Segmentations need highdicom; pip install "synthanom[dicom-out]"') from error


def segmentation(values: ImageArray, source: Source, reading: Reading = AS_STORED) -> bytes:
    """A map as the bytes of a DICOM file: one frame per image of the series, each referring to its image.

    Parameters
    ----------
    values : ndarray of shape ([Z,] Y, X), float32
        In [0, 1], on the grid that the source was read on; stored in 255 steps.
    source : Source
        One image, or the slices of a series.
    reading : Reading
        How the source was read. Where missing slices were filled in, frames are made for those that are there.

    Raises
    ------
    SynthanomError
        A source that is no DICOM or has several frames in a file, or headers from which none can be derived.
    """
    check_highdicom()
    if source.format != "dicom":
        raise SynthanomError(f"{source.path}: only DICOM images can be referred to, this is {source.format}")
    files, frames = _frames(values, source, reading)
    images = [read_dataset(file, pixels=False) for file in files]
    for image in images:
        for keyword in EMPTY:
            if keyword not in image:
                setattr(image, keyword, "")
    try:
        return _built(frames, images)
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        # highdicom raises any of these for a header that lacks what a Segmentation must state
        reason = " ".join(str(error).split())[:200]
        raise SynthanomError(
            f"{source.path}: its headers must hold what a Segmentation refers to, got: {reason}; use the NIfTI map"
        ) from error


def _frames(values: ImageArray, source: Source, reading: Reading) -> tuple[Sequence[Path], npt.NDArray[np.float32]]:
    """The files that the map lies on, and the map on each of them: (n, Y, X)."""
    if len(source.files) > 1:
        files, formed = stacked_files(source.files, source.path, reading)
        if formed.places is None:
            return files, values
        at = np.interp(np.arange(len(files)), formed.places, np.arange(len(values)))
        lower = np.minimum(at.astype(int), len(values) - 2)
        part = (at - lower).astype(np.float32)[:, None, None]
        return files, values[lower] * (1 - part) + values[lower + 1] * part
    if check_pixels(read_dataset(source.path), source.path, grey=reading.grey)[0] > 1:
        raise SynthanomError(f"{source.path}: one image per file is needed, this has several frames; use the NIfTI map")
    return source.files, values[None]


def _built(frames: npt.NDArray[np.float32], images: Sequence[Any]) -> bytes:
    import highdicom
    from pydicom.sr.codedict import codes
    from pydicom.sr.coding import Code

    hd: Any = highdicom
    algorithm = hd.AlgorithmIdentificationSequence(
        name="synthanom", version=__version__, family=codes.cid7162.ArtificialIntelligence
    )
    segment = hd.seg.SegmentDescription(
        segment_number=1,
        segment_label=LABEL,
        segmented_property_category=Code(*ABNORMAL),
        segmented_property_type=Code(*LESION),
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm,
    )
    made = hd.seg.Segmentation(
        source_images=images,
        pixel_array=np.clip(frames, 0.0, 1.0),
        segmentation_type=hd.seg.SegmentationTypeValues.FRACTIONAL,
        fractional_type=hd.seg.SegmentationFractionalTypeValues.PROBABILITY,
        max_fractional_value=STEPS,
        segment_descriptions=[segment],
        series_instance_uid=hd.UID(),
        series_number=9000,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer="synthanom",
        manufacturer_model_name="synthanom",
        software_versions=__version__,
        device_serial_number="0",
        content_label="ANOMALY",
        content_description=LABEL,
        series_description=LABEL,
        omit_empty_frames=False,
    )
    buffer = io.BytesIO()
    made.save_as(buffer)
    return buffer.getvalue()
