"""VinDr-CXR: chest radiographs read by radiologists; those in which three found nothing, and those to test on.

References
----------
Nguyen et al., "VinDr-CXR: an open dataset of chest X-rays with radiologist's annotations", Sci. Data 9, 2022,
doi:10.1038/s41597-022-01498-w.
Cai et al., "Dual-distribution discrepancy for anomaly detection in chest X-rays", MICCAI 2022,
doi:10.1007/978-3-031-16437-8_56 (the split).
Baugh et al., "Many tasks make light work", MICCAI 2023, doi:10.1007/978-3-031-43907-0_16 (preprocessing).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from synthanom.arrays import ImageArray, MaskArray
from synthanom.errors import SynthanomError
from synthanom.volumes.reading import AS_STORED
from synthanom_builders.cases import Case, case_named, read_case
from synthanom_builders.folder import Listing
from synthanom_builders.known import KnownCase, KnownListing
from synthanom_builders.named import NamedDataSet, below
from synthanom_builders.picture_steps import equalised
from synthanom_builders.settings import BuildSettings
from synthanom_builders.vindr_tables import (
    READERS,
    Corners,
    Reports,
    of_split,
    read_reports,
    tested_by_split,
    unanimous,
)

TRAIN_TABLES = ("annotations/annotations_train.csv", "train.csv", "annotations_train.csv")
TEST_TABLES = ("annotations/annotations_test.csv", "annotations_test.csv")
REMEDY = "name the folder that holds '{}' with its .dicom files and the table of annotations"
ENDINGS = (".dicom", ".dcm")


@dataclass(frozen=True, kw_only=True)
class Boxes:
    """What readers drew around findings, for all of them together.

    Attributes
    ----------
    corners : tuple of (x_min, y_min, x_max, y_max)
        In pixels of the file, from the left upper corner of the first.
    """

    corners: tuple[Corners, ...]

    def draw(self, raw: Path, case: Case) -> tuple[ImageArray | None, MaskArray | None]:
        """The union of the boxes on the radiograph's own pixels, every pixel that a box touches."""
        volume, _ = read_case(raw, case, AS_STORED)
        mask = np.zeros(volume.image.shape[1:], dtype=bool)
        for left, top, right, bottom in self.corners:
            rows = slice(max(0, math.floor(top)), max(0, math.ceil(bottom)))
            mask[rows, max(0, math.floor(left)) : max(0, math.ceil(right))] = True
        if not mask.any():
            raise SynthanomError(
                f"{case.path}: none of its boxes lies in the image, got {self.corners}; check the table"
            )
        return None, mask


def list_cases(raw: Path, out: Path, settings: BuildSettings) -> Listing:
    """List the radiographs of the training part in which all readers found nothing, or those of a split.

    Raises
    ------
    SynthanomError
        If a file is missing, or a table or split is not what it should be.
    """
    del out
    place = below(raw, ("train",), REMEDY.format("train"))
    healthy = unanimous(read_reports(_table(raw, TRAIN_TABLES, "train")))
    notes = [f"radiographs in which all {READERS} readers found nothing: {len(healthy)}"]
    chosen = healthy
    if settings.split is not None:
        chosen, replaced = of_split(settings.split, healthy)
        notes.append(f"of the split {settings.split.name}: {len(chosen)}, {replaced} of them in place of others")
    cases = [_case(raw, place, name) for name in chosen]
    return Listing(cases=tuple(cases), contrasts=(), notes=tuple(notes))


def list_known(raw: Path, out: Path, settings: BuildSettings) -> KnownListing:
    """List the radiographs of the test part with their findings, or those that a split of the training part tests on.

    Raises
    ------
    SynthanomError
        If a file is missing, or a table or split is not what it should be.
    """
    del out
    part, tables = ("test", TEST_TABLES) if settings.split is None else ("train", TRAIN_TABLES)
    place = below(raw, (part,), REMEDY.format(part))
    reports = read_reports(_table(raw, tables, part), boxes=True, readers=settings.split is not None)
    chosen, notes = sorted(reports), []
    if settings.split is not None:
        chosen, replaced = tested_by_split(settings.split, unanimous(reports))
        notes = [f"of the split {settings.split.name}: {len(chosen)}, {replaced} healthy ones in place of others"]
        unknown = [name for name in chosen if name not in reports]
        if unknown:
            raise SynthanomError(
                f"{settings.split}: the table says nothing about {unknown[0]!r}; is it this data set's?"
            )
    cases = [_known(_case(raw, place, name), reports[name]) for name in chosen]
    return KnownListing(cases=tuple(cases), notes=tuple(notes))


def _known(case: Case, reports: Reports) -> KnownCase:
    kinds = sorted({kind for kind, _ in reports.findings})
    if not kinds:
        return KnownCase(case=case, anomalous=False)
    boxes = Boxes(corners=tuple(corners for _, corners in reports.findings))
    return KnownCase(case=case, anomalous=True, kind="; ".join(kinds), drawing=boxes)


def _table(raw: Path, names: Sequence[str], part: str) -> Path:
    table = next((raw / name for name in names if (raw / name).is_file()), None)
    if table is None:
        raise SynthanomError(f"{raw / names[0]}: the table of annotations is missing; {REMEDY.format(part)}")
    return table


def _case(raw: Path, place: Path, name: str) -> Case:
    return case_named(raw, place, name, ENDINGS, "dicom")


DATA_SETS = {
    "vindr-cxr": NamedDataSet(
        shape=(256, 256), pipeline=equalised, list_cases=list_cases, list_known=list_known, split="ddad"
    )
}
