"""MedIAnomaly's skin lesions: ISIC 2018, task 3, in the layout of the challenge; naevi count as healthy.

References
----------
Tschandl et al., "The HAM10000 dataset", Sci. Data 5, 2018, doi:10.1038/sdata.2018.161.
Codella et al., "Skin lesion analysis toward melanoma detection 2018", arXiv:1902.03368.
"""

from dataclasses import replace
from pathlib import Path

from synthanom.errors import SynthanomError
from synthanom_builders.cases import Case, case_named
from synthanom_builders.folder import Listing
from synthanom_builders.known import KnownCase, KnownListing
from synthanom_builders.named import entry_of
from synthanom_builders.tables import read_table

TRAINING, TEST = (
    (f"{part}_Input/", f"{part}_GroundTruth/{part}_GroundTruth.csv")
    for part in ("ISIC2018_Task3_Training", "ISIC2018_Task3_Test")
)
GROUPINGS = "ISIC2018_Task3_Training_LesionGroupings.csv"  # the challenge has it beside the tables of truth
CLASSES = ("MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC")
HEALTHY = "NV"
ENDINGS = (".jpg", ".jpeg", ".png")


def list_training(raw: Path, out: Path) -> Listing:
    """The naevi of the training part; pictures of one lesion are one subject where the groupings are there.

    Raises
    ------
    SynthanomError
        If an image is missing, or a table is not what it should be.
    """
    del out
    cases = [case for case, kind in _cases(raw, TRAINING) if kind == HEALTHY]
    notes = [f"naevi of the training part: {len(cases)}"]
    table = entry_of(raw, GROUPINGS) or entry_of(raw, f"ISIC2018_Task3_Training_GroundTruth/{GROUPINGS}")
    if table is None:
        notes.append(f"subjects: each image its own; pictures of one lesion stay together with {GROUPINGS} in {raw}")
    else:
        lesions = {row["image"]: row["lesion_id"] for row in read_table(table, ("image", "lesion_id"))}
        known = sum(bool(lesions.get(case.subject)) for case in cases)
        cases = [replace(case, subject=lesions.get(case.subject) or case.subject) for case in cases]
        count = len({case.subject for case in cases})
        notes.append(f"subjects: {count} lesions, by {table.name}, which names {known} of {len(cases)} images")
    return Listing(cases=tuple(cases), contrasts=(), notes=tuple(notes))


def list_test(raw: Path, out: Path) -> KnownListing:
    """The test part; what is no naevus is anomalous.

    Raises
    ------
    SynthanomError
        As `list_training`.
    """
    del out
    known = [
        KnownCase(case=case, anomalous=kind != HEALTHY, kind="" if kind == HEALTHY else kind)
        for case, kind in _cases(raw, TEST)
    ]
    healthy = sum(not one.anomalous for one in known)
    return KnownListing(cases=tuple(known), notes=(f"test part: {healthy} naevi, {len(known) - healthy} others",))


def classes_of(table: Path) -> dict[str, str]:
    """The class of every image, by the image's name, sorted.

    Raises
    ------
    SynthanomError
        If the table cannot be read, lacks a column, or a row has not exactly one class.
    """
    found: dict[str, str] = {}
    for row in read_table(table, ("image", *CLASSES)):
        name = row["image"]
        try:
            chosen = [label for label in CLASSES if float(row[label]) == 1]
        except ValueError:
            chosen = []
        if len(chosen) != 1 or found.setdefault(name, chosen[0]) != chosen[0]:
            raise SynthanomError(f"{table}: {name} must have 1 for exactly one class; correct the table")
    if not found:
        raise SynthanomError(f"{table}: must name at least one image, got none; download it again")
    return dict(sorted(found.items()))


def _cases(raw: Path, part: tuple[str, str]) -> list[tuple[Case, str]]:
    """Every image of a part and its class; its subject is its bare name."""
    place, table = (entry_of(raw, name) for name in part)
    assert place is not None and table is not None, "the layout fits"
    return [(case_named(raw, place, name, ENDINGS, "picture"), kind) for name, kind in classes_of(table).items()]
