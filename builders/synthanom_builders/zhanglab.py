"""ZhangLab: paediatric chest radiographs, healthy or with pneumonia; the healthy ones of the training part to train on.

References
----------
Kermany et al., "Identifying medical diagnoses and treatable diseases by image-based deep learning", Cell 172(5), 2018,
doi:10.1016/j.cell.2018.02.010; data doi:10.17632/rscbjbr9sj.
"""

import re
from dataclasses import replace
from pathlib import Path

from synthanom_builders.cases import Case
from synthanom_builders.folder import Listing, cases_under
from synthanom_builders.known import KnownCase, KnownListing
from synthanom_builders.named import NamedDataSet, below
from synthanom_builders.picture_steps import resized
from synthanom_builders.settings import BuildSettings

REMEDY = "unpack ChestXRay2017.zip and name the folder that holds 'train' and 'test'"
# IM-0115-0001.jpeg is picture 1 of patient 115, NORMAL2-IM-0383-0001-0002.jpeg another numbering; sick children are
# person1_bacteria_1.jpeg or person1_virus_6.jpeg
PATIENT = re.compile(r"((?:NORMAL2-)?IM-[0-9]+)-[0-9]+(?:-[0-9]+)?\.|(person[0-9]+)_(bacteria|virus)_", re.IGNORECASE)


def list_cases(raw: Path, out: Path, settings: BuildSettings) -> Listing:
    """List the healthy radiographs of the training part; a patient has one or more.

    Raises
    ------
    SynthanomError
        If the folder is missing or holds no image.
    """
    del settings
    cases = [case for case, _ in _radiographs(raw, out, "train/NORMAL")]
    patients = len({case.subject for case in cases})
    return Listing(cases=tuple(cases), contrasts=(), notes=(f"subjects: {patients} patients, by the files' names",))


def list_known(raw: Path, out: Path, settings: BuildSettings) -> KnownListing:
    """List the radiographs of the test part, healthy or with pneumonia.

    Raises
    ------
    SynthanomError
        As `list_cases`.
    """
    del settings
    known = []
    for folders, anomalous in ((("test/NORMAL",), False), (("test/PNEUMONIA", "test/abnormal"), True)):
        for case, cause in _radiographs(raw, out, *folders):
            kind = f"pneumonia ({cause})" if cause else "pneumonia" if anomalous else ""
            known.append(KnownCase(case=case, anomalous=anomalous, kind=kind))
    return KnownListing(cases=tuple(sorted(known, key=lambda one: one.case.id)))


def _radiographs(raw: Path, out: Path, *folders: str) -> list[tuple[Case, str]]:
    """The radiographs of a folder under their patients, and what causes their pneumonia, where the name says so."""
    found = []
    places = [f"{base}{folder}" for folder in folders for base in ("", "chest_xray/")]
    for case in cases_under(raw, below(raw, places, REMEDY), out):
        match = PATIENT.search(case.path)
        patient, cause = (None, "") if match is None else (match[1] or match[2], (match[3] or "").lower())
        found.append((replace(case, subject=patient or case.id), cause))
    return found


DATA_SETS = {"zhanglab": NamedDataSet(shape=(256, 256), pipeline=resized, list_cases=list_cases, list_known=list_known)}
