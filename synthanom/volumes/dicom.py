"""Reading DICOM: one file as a picture, a series of slices or the frames of one file as a volume."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from synthanom.errors import SynthanomError
from synthanom.volumes.dicom_geometry import Plane, plane_affine, stack
from synthanom.volumes.dicom_headers import numbers, read_dataset
from synthanom.volumes.dicom_pixels import check_pixels, decode
from synthanom.volumes.volume import Volume, check_size, make_volume, unreadable


def read_dicom(files: Sequence[Path], path: Path) -> Volume:
    """Read the files of one source; several are the slices of one volume.

    Raises
    ------
    SynthanomError, MissingExtra
        Naming the file: no image, colour, truncated, a codec that is not installed; slices that form no stack;
        frames whose places are unknown.
    """
    try:
        if len(files) > 1:
            return _read_series(files, path)
        dataset = read_dataset(files[0])
        frames = check_pixels(dataset, files[0])[0]
        return _read_frames(dataset, files[0], frames) if frames > 1 else _read_single(dataset, files[0])
    except SynthanomError:
        raise
    except Exception as error:
        # pydicom parses values where they are first used, and raises a dozen kinds of error there
        raise unreadable(path, error, what="its header cannot be understood") from error


def _read_series(files: Sequence[Path], path: Path) -> Volume:
    """Slices in files of their own; pixels are decoded one file at a time."""
    planes: list[Plane] = []
    pictures = []
    for file in files:
        dataset = read_dataset(file)
        frames, rows, columns = check_pixels(dataset, file)
        check_size((len(files), frames, rows, columns), 4, path)
        plane = _plane(file.name, dataset, dataset, dataset)
        if plane is None:
            raise SynthanomError(
                f"{file}: a slice of a series must state position, orientation and pixel spacing, this one does not; "
                "convert the series to NIfTI with a tool that knows the scanner, for example dcm2niix"
            )
        planes.append(plane)
        pictures.append(decode(dataset, file, window=False)[0])
        if pictures[-1].shape != pictures[0].shape:
            raise SynthanomError(
                f"{file}: slices of one stack must have one size, got {pictures[-1].shape} and {pictures[0].shape}; "
                "keep one stack per series"
            )
    order, affine = stack(planes, path)
    return make_volume(np.stack([pictures[i] for i in order]), path, kind="volume", affine=affine)


def _read_single(dataset: Any, path: Path) -> Volume:
    """One frame: a picture, with its place in the patient where the header states it."""
    array = decode(dataset, path, window=True)[0]
    plane = _plane(path.name, dataset, dataset, dataset)
    spacing = _pixel_spacing(dataset) or None
    affine = None if plane is None else plane_affine(plane)
    return make_volume(array, path, kind="picture", affine=affine, spacing=spacing)


def _read_frames(dataset: Any, path: Path, frames: int) -> Volume:
    """The frames of one enhanced file, where its functional groups say where each lies."""
    groups = dataset.get("PerFrameFunctionalGroupsSequence") or []
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [None])[0]
    planes = [_frame_plane(f"frame {i + 1}", group, shared) for i, group in enumerate(groups)]
    known = [plane for plane in planes if plane is not None]
    if len(known) != frames:
        raise SynthanomError(
            f"{path}: frames of a volume must each state position, orientation and pixel spacing, "
            f"{len(known)} of {frames} do; export the frames that are meant as single pictures (a film is no volume)"
        )
    if any("PixelValueTransformationSequence" in group for group in groups) and not _one_scale(groups):
        raise SynthanomError(
            f"{path}: all frames must be rescaled alike, these are not; convert the file to NIfTI first"
        )
    order, affine = stack(known, path)
    array = decode(_with_scale(dataset, groups), path, window=False)
    return make_volume(array[order], path, kind="volume", affine=affine)


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


def _transform(group: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    found = group.get("PixelValueTransformationSequence")
    if not found:
        return (), ()
    return numbers(found[0], "RescaleSlope", 1), numbers(found[0], "RescaleIntercept", 1)


def _one_scale(groups: Sequence[Any]) -> bool:
    return len({_transform(group) for group in groups}) == 1


def _with_scale(dataset: Any, groups: Sequence[Any]) -> Any:
    """The dataset with the frames' common rescaling where a single-frame object keeps it."""
    slope, intercept = _transform(groups[0])
    if slope:
        dataset.RescaleSlope, dataset.RescaleIntercept = slope[0], intercept[0] if intercept else 0.0
    return dataset
