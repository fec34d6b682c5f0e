"""Reading DICOM: one file as a picture, a series of slices or the frames of one file as a volume."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from synthanom.errors import SynthanomError
from synthanom.volumes.dicom_geometry import Plane, Stack, at_places, plane_affine, stack
from synthanom.volumes.dicom_headers import numbers, read_dataset
from synthanom.volumes.dicom_pixels import check_pixels, decode
from synthanom.volumes.reading import AS_STORED, Reading
from synthanom.volumes.volume import Volume, check_size, make_volume, unreadable


def read_dicom(files: Sequence[Path], path: Path, reading: Reading = AS_STORED) -> Volume:
    """Read the files of one source; several are the slices of one volume.

    Raises
    ------
    SynthanomError, MissingExtra
        Naming the file: no image, colour unless asked for as grey, truncated, a codec that is not installed; slices
        that form no stack; frames whose places are unknown.
    """
    try:
        if len(files) > 1:
            return _read_series(files, path, reading)
        dataset = read_dataset(files[0])
        frames = check_pixels(dataset, files[0], grey=reading.grey)[0]
        if frames > 1:
            return _read_frames(dataset, files[0], frames, reading)
        return _read_single(dataset, files[0], reading)
    except SynthanomError:
        raise
    except Exception as error:
        # pydicom parses values where they are first used, and raises a dozen kinds of error there
        raise unreadable(path, error, what="its header cannot be understood") from error


def stacked_files(files: Sequence[Path], path: Path, reading: Reading = AS_STORED) -> tuple[list[Path], Stack]:
    """The files of a series that a volume is made of, from its first slice to its last, and how they form it.

    Raises
    ------
    SynthanomError
        As `read_dicom`.
    """
    # volumes of one place are counted in the order of their instances
    placed = sorted((_slice_plane(file) for file in files), key=lambda entry: entry[0])
    formed = stack([plane for _, plane, _ in placed], path, reading)
    return [placed[i][2] for i in formed.order], formed


def _read_series(files: Sequence[Path], path: Path, reading: Reading) -> Volume:
    """Slices in files of their own: first all places, then the pixels of one file at a time."""
    used, formed = stacked_files(files, path, reading)
    slices = np.empty((0, 0, 0), np.float32)
    for i, file in enumerate(used):
        dataset = read_dataset(file)
        frames, rows, columns = check_pixels(dataset, file, grey=reading.grey)
        if i == 0:
            count = len(formed.order) if formed.places is None else len(formed.places)
            check_size((count, frames, rows, columns), 4, path)
            slices = np.empty((len(formed.order), rows, columns), np.float32)
        if (frames, rows, columns) != (1, *slices.shape[1:]):
            raise SynthanomError(
                f"{file}: slices of one stack must have one size, got {(rows, columns)} and {slices.shape[1:]}; "
                "keep one stack per series"
            )
        slices[i] = decode(dataset, file, window=False, grey=reading.grey)[0]
    return make_volume(at_places(slices, formed.places), path, kind="volume", affine=formed.affine)


def _slice_plane(file: Path) -> tuple[tuple[int, str], Plane, Path]:
    """What orders the slices of one place, and the place."""
    dataset = read_dataset(file, pixels=False)
    plane = _plane(file.name, dataset, dataset, dataset)
    if plane is None:
        raise SynthanomError(
            f"{file}: a slice of a series must state position, orientation and pixel spacing, this one does not; "
            "convert the series to NIfTI with a tool that knows the scanner, for example dcm2niix"
        )
    instance = numbers(dataset, "InstanceNumber", 1)
    return (int(instance[0]) if instance else 0, file.name), plane, file


def _read_single(dataset: Any, path: Path, reading: Reading) -> Volume:
    """One frame: a picture, with its place in the patient where the header states it."""
    array = decode(dataset, path, window=True, grey=reading.grey)[0]
    plane = _plane(path.name, dataset, dataset, dataset)
    spacing = _pixel_spacing(dataset) or None
    affine = None if plane is None else plane_affine(plane)
    return make_volume(array, path, kind="picture", affine=affine, spacing=spacing)


def _read_frames(dataset: Any, path: Path, frames: int, reading: Reading) -> Volume:
    """The frames of one enhanced file, where its functional groups say where each lies."""
    groups = dataset.get("PerFrameFunctionalGroupsSequence") or []
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [None])[0]
    planes = [_frame_plane(f"frame {i + 1}", group, shared) for i, group in enumerate(groups)]
    known = [plane for plane in planes if plane is not None]
    if len(known) != frames or len(planes) != frames:
        raise SynthanomError(
            f"{path}: frames of a volume must each state position, orientation and pixel spacing, "
            f"{len(known)} of {frames} do; export the frames that are meant as single pictures (a film is no volume)"
        )
    formed = stack(known, path, reading)
    scales = [_transform(group) for group in groups]
    array = decode(dataset, path, window=False, grey=reading.grey, scales=scales if any(scales) else None)
    chosen = array[list(formed.order)]
    if formed.places is not None:
        check_size((len(formed.places), *array.shape[1:]), 4, path)
    return make_volume(at_places(chosen, formed.places), path, kind="volume", affine=formed.affine)


def _frame_plane(name: str, group: Any, shared: Any) -> Plane | None:
    """The place of one frame from its own functional group or, where that is silent, the shared one."""
    parts = []
    for sequence in ("PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence"):
        holder = next((g for g in (group, shared) if g is not None and g.get(sequence)), None)
        if holder is None:
            return None
        parts.append(holder[sequence].value[0])
    return _plane(name, *parts)


def _plane(name: str, place: Any, direction: Any, measures: Any) -> Plane | None:
    position = numbers(place, "ImagePositionPatient", 3)
    orientation = numbers(direction, "ImageOrientationPatient", 6)
    spacing = _pixel_spacing(measures)
    if not (position and orientation and spacing):
        return None
    return Plane(name=name, position=position, orientation=orientation, spacing=spacing)


def _pixel_spacing(dataset: Any) -> tuple[float, ...]:
    """Distance of rows and of columns in mm, () where the header has no calibrated one."""
    spacing = numbers(dataset, "PixelSpacing", 2)
    return spacing if spacing and min(spacing) > 0 else ()


def _transform(group: Any) -> tuple[float, float] | None:
    """Slope and intercept of one frame, where its own functional group states them."""
    found = group.get("PixelValueTransformationSequence")
    slope = numbers(found[0], "RescaleSlope", 1) if found else ()
    intercept = numbers(found[0], "RescaleIntercept", 1) if found else ()
    return (slope[0], intercept[0] if intercept else 0.0) if slope else None
