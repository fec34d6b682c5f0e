"""``--within``: where anomalies may lie, by masks beside the images, a table of boxes, or a file of boxes for each."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from synthanom.arrays import MaskArray
from synthanom.errors import SynthanomError
from synthanom.preprocess import mask_on_grid
from synthanom.volumes import Volume
from synthanom.volumes.boxes import read_box_table
from synthanom.volumes.masks import mask_of
from synthanom.volumes.reading import Reading
from synthanom_builders.boxes import read_boxes
from synthanom_builders.cases import Case, Image, with_problem
from synthanom_builders.marked_boxes import MarkedBox, marked_by
from synthanom_builders.settings import BOXES, prior_kind

NONE = "--within has no mask or box for it; add one, or leave the image out"


def with_mask_priors(cases: Sequence[Case], masks: Mapping[str, Image], pattern: str) -> tuple[list[Case], str]:
    """Give every case the mask of where anomalies may lie, or mark it as a case without one; and a note.

    Parameters
    ----------
    masks : mapping
        As `synthanom.volumes.masks.split_masks` gives it.
    """
    named = [replace(case, within=mask_of(case.path, masks)) for case in cases]
    count = sum(case.within is not None for case in named)
    return _marked(named), f"within: masks {pattern!r}, for {count} of {len(named)} images"


def with_box_priors(cases: Sequence[Case], asked: str | None) -> tuple[tuple[Case, ...], tuple[str, ...]]:
    """Give every case its boxes, or mark it as a case without one; and notes. Nothing where no boxes are asked for.

    Parameters
    ----------
    asked : str or None
        A table (.csv), or a folder of text files in YOLO's way, ``ID.txt`` or ``NAME.txt``.

    Raises
    ------
    SynthanomError
        A table or file that cannot be read, a box of no image, or no box at all.
    """
    if asked is None or prior_kind(asked) != BOXES:
        return tuple(cases), ()
    path = Path(asked)
    boxes = _from_files(path, cases) if path.is_dir() else _from_table(path, cases)
    found = [replace(case, boxes=boxes.get(case.id, ())) for case in cases]
    count = sum(bool(case.boxes) for case in found)
    if count == 0:
        raise SynthanomError(
            f"{path}: must hold a text file of boxes for the images (such as {_name(cases[0])}.txt), got none; for "
            "masks give a pattern that matches them below the raw folder, such as --within '*_lung.nii.gz'"
        )
    return tuple(_marked(found)), (f"within: boxes of {path.name}, for {count} of {len(found)} images",)


def prior_of(volume: Volume, case: Case, raw: Path, reading: Reading) -> MaskArray | None:
    """Where anomalies may lie in a case, on its own grid: bool (*S); None where everywhere.

    Raises
    ------
    SynthanomError
        A mask that cannot be read, marks nothing or lies on another grid, a box that leaves the image.
    """
    if case.within is not None:
        return mask_on_grid(volume, case.within.source(raw), reading)
    return marked_by(case.boxes, volume.image.shape[1:], case.path) if case.boxes else None


def _marked(cases: Sequence[Case]) -> list[Case]:
    return [
        case if case.problem or case.within is not None or case.boxes else with_problem(case, NONE) for case in cases
    ]


def _from_table(path: Path, cases: Sequence[Case]) -> dict[str, tuple[MarkedBox, ...]]:
    table = read_box_table(path)
    table.check_ids(case.id for case in cases)
    return {
        name: tuple(MarkedBox(first=box.first, end=box.end, shares=False) for box in boxes)
        for name, boxes in table.boxes.items()
    }


def _from_files(folder: Path, cases: Sequence[Case]) -> dict[str, tuple[MarkedBox, ...]]:
    names = Counter(_name(case) for case in cases)
    found = {}
    for case in cases:
        file = folder / f"{case.id}.txt"
        if not file.is_file():
            file = folder / f"{_name(case)}.txt"
            if file.is_file() and names[_name(case)] > 1:
                raise SynthanomError(
                    f"{file}: must be of one image, got {names[_name(case)]} of that name; call it {case.id}.txt"
                )
        if file.is_file():
            corners = [box.corners for box in read_boxes(file)]
            found[case.id] = tuple(MarkedBox(first=(y0, x0), end=(y1, x1), shares=True) for x0, y0, x1, y1 in corners)
    return found


def _name(case: Case) -> str:
    return PurePosixPath(case.path).stem if case.images else case.id
