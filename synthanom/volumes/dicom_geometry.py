"""Ordering parallel slices along their normal, and the affine that their positions state."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from synthanom.arrays import FloatArray
from synthanom.errors import SynthanomError
from synthanom.volumes.dicom_headers import same_direction

SAME_PLACE = 1e-3  # mm: slices closer than this lie at one place
ASIDE = 0.1  # of the step: how far a slice may lie off the line through the first and the last
UNEVEN = 0.05  # of the distance between slices: positions are stored rounded
SAME_SPACING = 1e-3  # of the pixel spacing
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
NAMED = 3  # places that a message names


@dataclass(frozen=True, kw_only=True)
class Plane:
    """Where one slice lies, in the patient's LPS millimetres.

    Attributes
    ----------
    name : str
        File or frame, for messages.
    position : tuple of 3 floats
        Centre of the first pixel.
    orientation : tuple of 6 floats
        Direction along a row (growing column index), then along a column (growing row index).
    spacing : tuple of 2 floats
        Distance of rows, distance of columns, in mm.
    """

    name: str
    position: tuple[float, ...]
    orientation: tuple[float, ...]
    spacing: tuple[float, ...]


def stack(planes: Sequence[Plane], path: Path) -> tuple[list[int], FloatArray]:
    """Order parallel slices along their normal and give the affine of the stack.

    The step from slice to slice is measured from the positions, never read from a header field; a tilted gantry
    shows as a sheared affine.

    Returns
    -------
    order : list of int
        Index into `planes` of each slice of the stack, from first to last.
    affine : ndarray of shape (4, 4), float64
        Maps (column, row, slice, 1) to RAS+ millimetres.

    Raises
    ------
    SynthanomError
        Slices that are not parallel, lie at one place, are missing or unevenly spaced, or not in a line.
    """
    first = planes[0]
    for plane in planes[1:]:
        if not same_direction(plane.orientation, first.orientation) or not np.allclose(
            plane.spacing, first.spacing, rtol=SAME_SPACING, atol=0
        ):
            raise SynthanomError(
                f"{path}: slices of one stack must be parallel and of one pixel spacing, {plane.name} and {first.name} "
                "are not; keep one stack per series"
            )
    positions = np.array([plane.position for plane in planes])
    along = positions @ _normal(first)
    order = [int(i) for i in np.argsort(along, kind="stable")]
    names = [planes[i].name for i in order]
    _check_gaps(np.diff(along[order]), names, path)
    step = (positions[order[-1]] - positions[order[0]]) / (len(planes) - 1)
    _check_line(positions[order], step, names, path)
    return order, plane_affine(planes[order[0]], step)


def plane_affine(plane: Plane, step: FloatArray | None = None) -> FloatArray:
    """RAS+ affine of (column, row, slice, 1); one slice alone steps 1 mm along its normal."""
    rows, columns = np.array(plane.orientation).reshape(2, 3)
    affine = np.eye(4)
    affine[:3, 0] = rows * plane.spacing[1]
    affine[:3, 1] = columns * plane.spacing[0]
    affine[:3, 2] = _normal(plane) if step is None else step
    affine[:3, 3] = plane.position
    return LPS_TO_RAS @ affine


def _normal(plane: Plane) -> FloatArray:
    rows, columns = np.array(plane.orientation).reshape(2, 3)
    normal = np.cross(rows, columns)
    return np.asarray(normal / max(float(np.linalg.norm(normal)), 1e-12), dtype=np.float64)


def _check_gaps(gaps: FloatArray, names: Sequence[str], path: Path) -> None:
    """Refuse slices at one place, missing slices and uneven distances."""
    same = np.flatnonzero(gaps < SAME_PLACE)
    if same.size:
        i = int(same[0])
        raise SynthanomError(
            f"{path}: every slice needs a place of its own, {names[i]} and {names[i + 1]} lie at the same one "
            f"({same.size} such pairs of {len(names)} slices): echoes, time points or copies; keep one of them"
        )
    usual = float(np.median(gaps))
    uneven = np.flatnonzero(np.abs(gaps - usual) > UNEVEN * usual)
    if uneven.size:
        places = ", ".join(f"{names[i]} to {names[i + 1]} {gaps[i]:.4g} mm" for i in uneven[:NAMED])
        more = f" and {uneven.size - NAMED} more" if uneven.size > NAMED else ""
        raise SynthanomError(
            f"{path}: slices must be evenly spaced (here {usual:.4g} mm), got {places}{more}; "
            "add the missing slices or resample the series first"
        )


def _check_line(positions: FloatArray, step: FloatArray, names: Sequence[str], path: Path) -> None:
    """Refuse slices that shift sideways from one to the next other than by a constant step (a tilted gantry)."""
    straight = positions[0] + np.arange(len(positions))[:, None] * step
    off = np.linalg.norm(positions - straight, axis=1)
    worst = int(off.argmax())
    if off[worst] > max(ASIDE * float(np.linalg.norm(step)), SAME_PLACE):
        raise SynthanomError(
            f"{path}: slices must lie in a straight line, {names[worst]} is off by {off[worst]:.4g} mm; "
            "keep one stack per series or resample it first"
        )
