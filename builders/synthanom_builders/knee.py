"""Ultrasound of knees, as LoRIS has it: recesses that are not distended, and distended ones to test on.

Nearly every image comes with the box of the recess, the place where the anomaly would be.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from synthanom.errors import SynthanomError
from synthanom_builders.boxes import columns_of, read_boxes
from synthanom_builders.cases import Case, check_inside
from synthanom_builders.folder import Listing, cases_under
from synthanom_builders.known import KnownCase, KnownListing
from synthanom_builders.named import NamedDataSet, below, entry_of
from synthanom_builders.picture_steps import resized
from synthanom_builders.settings import BuildSettings
from synthanom_builders.subjects import with_subjects

SQUARE = "sqr"
PARTS = ("train", "valid", "test", "boxes", "ground_truth")
REMEDY = "name the folder of one fold (anomaly_0), which holds 'sqr' with train, valid, test, boxes and ground_truth"
OWN = "each image its own: those of one patient may fall into different folds; --subjects says whom an image shows"


def list_cases(raw: Path, out: Path, settings: BuildSettings) -> Listing:
    """List the images of recesses that are not distended in the fold's training and validation part, with their boxes.

    Raises
    ------
    SynthanomError
        If a folder is missing, or a file of boxes is malformed.
    """
    boxes, *places = _places(raw, ("boxes", "train/nd", "valid/nd"))
    cases = [case for place in places for case in cases_under(raw, place, out)]
    named, rule = _with_subjects(sorted(cases, key=lambda case: case.id), settings)
    found = [replace(case, columns=_columns(raw, boxes, case)) for case in named]
    return Listing(cases=tuple(found), contrasts=(), notes=(rule, _boxed(found)))


def list_known(raw: Path, out: Path, settings: BuildSettings) -> KnownListing:
    """List the fold's test part; where the recess is distended there is a mask.

    Raises
    ------
    SynthanomError
        As `list_cases`, or if a mask is missing: it names the first.
    """
    boxes, normal, distended, truth = _places(raw, ("boxes", "test/nd", "test/distended", "ground_truth/distended"))
    healthy, rule = _with_subjects(cases_under(raw, normal, out), settings)
    sick, _ = _with_subjects(cases_under(raw, distended, out), settings)
    masks = {_name(mask): mask.images[0] for mask in cases_under(raw, truth, out)}
    known = [KnownCase(case=case, anomalous=False, columns=_columns(raw, boxes, case)) for case in healthy]
    for case in sick:
        mask = masks.get(_name(case))
        if mask is None:
            raise SynthanomError(
                f"{truth / _name(case)}.png: the mask of {case.path} is missing; complete the download"
            )
        columns = _columns(raw, boxes, case)
        known.append(KnownCase(case=case, anomalous=True, kind="distended", mask=mask, columns=columns))
    known.sort(key=lambda one: one.case.id)
    return KnownListing(cases=tuple(known), notes=(rule, _boxed(known)))


def _places(raw: Path, names: Sequence[str]) -> list[Path]:
    """Folders of `sqr`, which may be the raw folder itself; all must be there."""
    itself = entry_of(raw, f"{SQUARE}/") is None and any(entry_of(raw, f"{part}/") for part in PARTS)
    square = raw if itself else below(raw, (SQUARE,), REMEDY)
    return [below(square, (name,), REMEDY) for name in names]


def _with_subjects(cases: Sequence[Case], settings: BuildSettings) -> tuple[list[Case], str]:
    if settings.subjects is None:
        return list(cases), f"subjects: {OWN}"
    named, rule = with_subjects(cases, settings.subjects)
    return named, f"subjects: by {rule}"


def _columns(raw: Path, boxes: Path, case: Case) -> dict[str, str]:
    """The columns of a case; empty where it has no box."""
    path = boxes / f"{_name(case)}.txt"
    if not path.exists():
        return columns_of([])
    check_inside(path, raw)
    return columns_of(read_boxes(path))


def _boxed(cases: Sequence[Case | KnownCase]) -> str:
    return f"boxes: for {sum(case.columns['box'] != '' for case in cases)} of {len(cases)} images"


def _name(case: Case) -> str:
    return PurePosixPath(case.path).stem


DATA_SETS = {
    "knee-us": NamedDataSet(
        shape=(256, 256),
        list_cases=list_cases,
        list_known=list_known,
        pipeline=resized,
        grey=True,
        takes_subjects=True,
    )
}
