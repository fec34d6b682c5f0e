"""Ordering parallel slices along their normal, and the affine that their positions state."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from synthanom.arrays import FloatArray
from synthanom.errors import SynthanomError
from synthanom.volumes.dicom_headers import same_direction
from synthanom.volumes.reading import Reading

SAME_PLACE = 1e-3  # mm: slices closer than this lie at one place
ASIDE = 0.1  # of the step: how far a slice may lie off the line through the first and the last
UNEVEN = 0.05  # of the distance between slices: positions are stored rounded
SAME_SPACING = 1e-3  # of the pixel spacing
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
WAY_OUT = "; keep one of them"
NAMED = 3  # places that a message names
MAX_FILLED = 1.0  # slices that may be made up for gaps, in multiples of those that are there


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


@dataclass(frozen=True, kw_only=True, eq=False)
class Stack:
    """How slices form a volume.

    Attributes
    ----------
    order : tuple of int
        Index of each slice that is used, from first to last along the normal.
    affine : ndarray of shape (4, 4), float64
        Maps (column, row, slice of the volume, 1) to RAS+ millimetres.
    places : ndarray of shape (n,), float64, or None
        Where the volume's slices lie among those of `order`, as fractional indices; None where they are those.
    """

    order: tuple[int, ...]
    affine: FloatArray
    places: FloatArray | None


def stack(planes: Sequence[Plane], path: Path, reading: Reading) -> Stack:
    """Order parallel slices along their normal and give the affine of the stack.

    The step from slice to slice is measured from the positions, never read from a header field; a tilted gantry
    shows as a sheared affine. Where every place holds equally many slices (time points, echoes), the asked-for volume
    is made of one of each, counted in the order of `planes`.

    Raises
    ------
    SynthanomError
        Slices that are not parallel, lie at one place, are missing or unevenly spaced (unless gaps are allowed), or
        not in a line; several volumes and none of them asked for.
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
    order = _one_per_place([int(i) for i in np.argsort(along, kind="stable")], along, planes, (path, reading))
    if len(order) == 1:
        return Stack(order=tuple(order), affine=plane_affine(planes[order[0]]), places=None)
    names = [planes[i].name for i in order]
    at = along[order]
    usual = _usual_gap(at, names, path, reading)
    _check_line(positions[order], at, names, path)
    count = len(order) if usual is None else round((at[-1] - at[0]) / usual) + 1
    step = (positions[order[-1]] - positions[order[0]]) / (count - 1)
    places = None if usual is None else np.interp(np.linspace(at[0], at[-1], count), at, np.arange(len(at)))
    return Stack(order=tuple(order), affine=plane_affine(planes[order[0]], step), places=places)


def at_places(slices: npt.NDArray[np.float32], places: FloatArray | None) -> npt.NDArray[np.float32]:
    """Slices (n, Y, X) at fractional indices, linear between neighbours; `slices` itself where there are none."""
    if places is None:
        return slices
    filled = np.empty((len(places), *slices.shape[1:]), np.float32)
    for i, place in enumerate(places):
        lower = min(int(place), len(slices) - 2)
        part = np.float32(place - lower)
        filled[i] = slices[lower] * (1 - part) + slices[lower + 1] * part
    return filled


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


def _one_per_place(
    order: list[int], along: FloatArray, planes: Sequence[Plane], told: tuple[Path, Reading]
) -> list[int]:
    """One slice of each place: all of them, or the asked-for volume where every place holds equally many."""
    path, reading = told
    groups: list[list[int]] = []
    for i in order:
        if groups and along[i] - along[groups[-1][0]] < SAME_PLACE:
            groups[-1].append(i)
        else:
            groups.append([i])
    count = len(groups[0])
    if any(len(group) != count for group in groups) or (count > 1 and reading.volume is None):
        one, other = sorted(next(group for group in groups if len(group) > 1))[:2]
        pairs = len(order) - len(groups)
        several = f"; --volume 0 to {count - 1} takes one of each" if all(len(g) == count for g in groups) else ""
        raise SynthanomError(
            f"{path}: every slice needs a place of its own, {planes[one].name} and {planes[other].name} lie at the "
            f"same one ({pairs} such pairs of {len(order)} slices): echoes, time points or copies{several or WAY_OUT}"
        )
    chosen = reading.chosen(count, path, f"{count} slices at each of {len(groups)} places")
    return [sorted(group)[chosen] for group in groups]


def _usual_gap(at: FloatArray, names: Sequence[str], path: Path, reading: Reading) -> float | None:
    """None where the slices are evenly spaced, else the distance to fill the stack up to.

    Raises
    ------
    SynthanomError
        Missing slices and uneven distances, unless gaps are allowed and most of the slices are there.
    """
    gaps = np.diff(at)
    usual = float(np.sort(gaps)[(len(gaps) - 1) // 2])
    uneven = np.flatnonzero(np.abs(gaps - usual) > UNEVEN * usual)
    if not uneven.size:
        return None
    places = ", ".join(f"{names[i]} to {names[i + 1]} {gaps[i]:.4g} mm" for i in uneven[:NAMED])
    more = f" and {uneven.size - NAMED} more" if uneven.size > NAMED else ""
    said = f"{path}: slices must be evenly spaced (here {usual:.4g} mm), got {places}{more}; add the missing slices"
    if not reading.allow_gaps:
        raise SynthanomError(f"{said} or interpolate them with --allow-gaps")
    if (at[-1] - at[0]) / usual + 1 > (1 + MAX_FILLED) * len(at):
        raise SynthanomError(f"{said}: --allow-gaps would make up more slices than there are")
    return usual


def _check_line(positions: FloatArray, at: FloatArray, names: Sequence[str], path: Path) -> None:
    """Refuse slices that shift sideways other than in proportion to their distance (a tilted gantry)."""
    share = (at - at[0]) / (at[-1] - at[0])
    off = np.linalg.norm(positions - positions[0] - share[:, None] * (positions[-1] - positions[0]), axis=1)
    worst = int(off.argmax())
    step = float(np.linalg.norm(positions[-1] - positions[0])) / (len(positions) - 1)
    if off[worst] > max(ASIDE * step, SAME_PLACE):
        raise SynthanomError(
            f"{path}: slices must lie in a straight line, {names[worst]} is off by {off[worst]:.4g} mm; "
            "keep one stack per series or resample it first"
        )
