"""The tables and splits of VinDr-CXR: what readers said about every image, and which images a split names."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from synthanom.errors import SynthanomError
from synthanom_builders.tables import read_table

NOTHING = "No finding"
READERS = 3
CORNERS = ("x_min", "y_min", "x_max", "y_max")
Corners = tuple[float, float, float, float]  # in that order, pixels
NO_BOX: Corners = (0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, kw_only=True)
class Reports:
    """What the readers of one image said: who they are, and their boxes by kind of finding."""

    readers: frozenset[str]
    findings: tuple[tuple[str, Corners], ...]

    @property
    def unanimous(self) -> bool:
        """Whether enough readers looked and none found anything."""
        return len(self.readers) >= READERS and not self.findings


def unanimous(reports: Mapping[str, Reports]) -> list[str]:
    """Ids of the images that three readers or more looked at and all of them found nothing in, sorted."""
    return sorted(name for name, said in reports.items() if said.unanimous)


def read_reports(table: Path, *, boxes: bool = False, readers: bool = True) -> dict[str, Reports]:
    """What a table says about every image.

    Parameters
    ----------
    boxes : bool
        Whether every finding must have corners.
    readers : bool
        Whether the table must tell who said what; that of the test part does not, as its readers agreed.

    Raises
    ------
    SynthanomError
        If the table cannot be read, lacks a column, or gives no box where one is needed.
    """
    who: dict[str, set[str]] = {}
    findings: dict[str, list[tuple[str, Corners]]] = {}
    needed = ("image_id", *(("rad_id",) if readers else ()), "class_name", *(CORNERS if boxes else ()))
    for line, row in enumerate(read_table(table, needed), start=2):
        who.setdefault(row["image_id"], set()).add(row.get("rad_id", ""))
        if row["class_name"] != NOTHING:
            place = _corners(table, line, row) if boxes else NO_BOX
            findings.setdefault(row["image_id"], []).append((row["class_name"], place))
    return {
        name: Reports(readers=frozenset(names), findings=tuple(findings.get(name, ()))) for name, names in who.items()
    }


def _corners(table: Path, line: int, row: Mapping[str, str]) -> Corners:
    try:
        left, top, right, bottom = (float(row[name]) for name in CORNERS)
    except ValueError as error:
        raise SynthanomError(f"{table}: line {line} must give a finding's box as four numbers, got {error}") from error
    if not (math.isfinite(left + top + right + bottom) and left < right and top < bottom):
        raise SynthanomError(f"{table}: line {line} must give a box with x_min < x_max and y_min < y_max, got {row}")
    return left, top, right, bottom


def of_split(path: Path, healthy: Sequence[str]) -> tuple[list[str], int]:
    """The healthy training images of a split, and how many of them stand in for images that not all found healthy.

    Those are replaced by the first other healthy images in sorted order that the split's test part does not name.

    Raises
    ------
    SynthanomError
        If the file is not a split as DDAD has it, or there are too few other images.
    """
    listed, test, _ = _split(path)
    others = [name for name in healthy if name not in {*listed, *test}]
    kept, wanted = _kept(path, listed, healthy, len(others))
    return sorted([*kept, *others[:wanted]]), wanted


def tested_by_split(path: Path, healthy: Sequence[str]) -> tuple[list[str], int]:
    """The images that a split tests on, and how many healthy ones stand in for images that not all found healthy.

    Those are replaced by the last other healthy images in sorted order that the split's training part does not name.

    Raises
    ------
    SynthanomError
        As `of_split`.
    """
    train, listed, anomalous = _split(path)
    taken = {*listed, *train, *of_split(path, healthy)[0]}
    others = [name for name in healthy if name not in taken]
    kept, wanted = _kept(path, listed, healthy, len(others))
    return sorted({*kept, *others[len(others) - wanted :], *anomalous}), wanted


def _kept(path: Path, listed: Sequence[str], healthy: Sequence[str], others: int) -> tuple[list[str], int]:
    """The listed images that are unanimously healthy, and how many are not; so many others must be there."""
    known = set(healthy)
    kept = [name for name in listed if name in known]
    wanted = len(listed) - len(kept)
    if wanted > others:
        raise SynthanomError(
            f"{path}: {wanted} of its healthy images are not unanimously healthy and {others} others are; is it the "
            "split of this data set?"
        )
    return kept, wanted


def _split(path: Path) -> tuple[list[str], list[str], list[str]]:
    """Names under train/0, test/0 and test/1 (empty where a split has none)."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        train, test = content["train"], content["test"]
        return _stems(train["0"]), _stems(test["0"]), _stems(test.get("1", ()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SynthanomError(
            f"{path}: must be JSON with lists of file names under train/0 and test/0, as DDAD's split has them, got "
            f"{type(error).__name__}: {error}"
        ) from error


def _stems(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(Path(name).stem for name in names))
