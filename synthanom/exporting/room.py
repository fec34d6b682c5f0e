"""How much space an export needs, found by compressing a few of its rows, and whether it is there."""

import math
import shutil
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from synthanom.errors import SynthanomError
from synthanom.exporting.pictures import Pictures
from synthanom.exporting.selection import HEALTHY, Group

SAMPLED = 2  # rows of a group that are compressed
SMALL_BYTES = 4096  # of a row besides its arrays: recipe, names, headers


@dataclass(frozen=True, kw_only=True)
class Packing:
    """How arrays are compressed.

    Attributes
    ----------
    level : int
        Of zlib; 0 for not at all.
    shuffle : bool
        Whether the bytes of values are sorted by place first, as HDF5 does.
    """

    level: int
    shuffle: bool


@dataclass(frozen=True, kw_only=True)
class Room:
    """Bytes that an export takes (`needed`, by estimate), and that its arrays have in memory (`plain`)."""

    needed: int
    plain: int


def room_of(pictures: Pictures, groups: Sequence[Group], packing: Packing) -> Room:
    """Estimate the size of an export.

    Raises
    ------
    SynthanomError
        If a row that is looked at is damaged.
    """
    needed = plain = 0
    for group in groups:
        rows = group.rows[np.unique(np.linspace(0, len(group) - 1, min(SAMPLED, len(group))).astype(int))]
        arrays = [_arrays(pictures, group.name, int(row)) for row in rows]
        share = len(group) / len(rows)
        plain += round(share * sum(array.nbytes for row in arrays for array in row))
        needed += round(share * sum(_packed(array, packing) for row in arrays for array in row))
        needed += SMALL_BYTES * len(group)
    return Room(needed=needed, plain=plain)


def check_room(out: Path, room: Room) -> int:
    """Free bytes where `out` will lie.

    Raises
    ------
    SynthanomError
        If the export will not fit besides what it has there already.
    """
    place = next(folder for folder in (out.resolve(), *out.resolve().parents) if folder.is_dir())
    free = shutil.disk_usage(place).free
    there = sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) if out.is_dir() else 0
    if room.needed - there > free:
        raise SynthanomError(
            f"{out}: needs about {size_text(room.needed)}, {size_text(free)} are free there; name another --out, or "
            "take less with --tasks, --folds, --variants or --limit"
        )
    return free


def size_text(count: float) -> str:
    """A number of bytes for people."""
    value, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.3g} {unit}"


def _arrays(pictures: Pictures, name: str, row: int) -> tuple[npt.NDArray[Any], ...]:
    if name == HEALTHY:
        sample = pictures.healthy(row)
        return sample.image, sample.foreground
    made = pictures.anomaly(name, row)
    return made.image, made.label, made.region


def _packed(array: npt.NDArray[Any], packing: Packing) -> int:
    if not packing.level:
        return array.nbytes
    content = np.ascontiguousarray(array).view(np.uint8).reshape(math.prod(array.shape), -1)
    return len(zlib.compress(content.T.tobytes() if packing.shuffle else content.tobytes(), packing.level))
