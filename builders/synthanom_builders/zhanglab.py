"""ZhangLab: paediatric chest radiographs, healthy or with pneumonia; the healthy ones of the training part to train on.

References
----------
Kermany et al., "Identifying medical diagnoses and treatable diseases by image-based deep learning", Cell 172(5), 2018,
doi:10.1016/j.cell.2018.02.010; data doi:10.17632/rscbjbr9sj.
"""

import re
from pathlib import Path, PurePosixPath

from synthanom_builders.cases import Case
from synthanom_builders.folder import Listing, cases_under
from synthanom_builders.known import KnownCase, KnownListing
from synthanom_builders.named import NamedDataSet, below
from synthanom_builders.picture_steps import resized
from synthanom_builders.settings import BuildSettings
from synthanom_builders.subjects import searched_or_own

PLACES = ("train/NORMAL", "chest_xray/train/NORMAL")
TEST_PLACES = ("test", "chest_xray/test")
REMEDY = "unpack ChestXRay2017.zip and name the folder that holds 'train' and 'test'"
# IM-0115-0001.jpeg is picture 1 of patient 115, NORMAL2-IM-0383-0001-0002.jpeg another numbering, person1_virus_6.jpeg
# one with pneumonia; a later release has NORMAL-1003233-0001.jpeg, BACTERIA-... and VIRUS-...
PATIENT = re.compile(
    r"((?:NORMAL2-)?IM-[0-9]+(?=-[0-9]+(?:-[0-9]+)?\.)"
    r"|person[0-9]+(?=_)|(?:NORMAL|BACTERIA|VIRUS)-[0-9]+(?=-[0-9]+\.))",
    re.IGNORECASE,
)
KIND = re.compile(r"(?:^|_)(bacteria|virus)(?=[_-])", re.IGNORECASE)


def list_cases(raw: Path, out: Path, settings: BuildSettings) -> Listing:
    """List the healthy radiographs of the training part; a patient has one or more.

    Raises
    ------
    SynthanomError
        If the folder is missing or holds no image.
    """
    del settings
    named = _cases(raw, below(raw, PLACES, REMEDY), out)
    note = f"subjects: {_patients(named)} patients, by the files' names"
    return Listing(cases=tuple(named), contrasts=(), notes=(note,))


def list_known(raw: Path, out: Path, settings: BuildSettings) -> KnownListing:
    """List the radiographs of the test part, healthy and with pneumonia of bacteria or viruses.

    Raises
    ------
    SynthanomError
        As `list_cases`.
    """
    del settings
    test = below(raw, TEST_PLACES, REMEDY)
    # copies of the set call the sick ones abnormal
    normal, sick = (below(test, names, REMEDY) for names in (("NORMAL",), ("PNEUMONIA", "abnormal")))
    known = [KnownCase(case=case, anomalous=False) for case in _cases(raw, normal, out)]
    known += [KnownCase(case=case, anomalous=True, kind=_kind(case)) for case in _cases(raw, sick, out)]
    note = f"subjects: {_patients([one.case for one in known])} patients, by the files' names"
    return KnownListing(cases=tuple(sorted(known, key=lambda one: one.case.id)), notes=(note,))


def _cases(raw: Path, place: Path, out: Path) -> list[Case]:
    return [searched_or_own(case, PATIENT) for case in cases_under(raw, place, out)]


def _patients(cases: list[Case]) -> int:
    return len({case.subject for case in cases})


def _kind(case: Case) -> str:
    match = KIND.search(PurePosixPath(case.path).name)
    return match[1].lower() if match else "pneumonia"


DATA_SETS = {"zhanglab": NamedDataSet(shape=(256, 256), list_cases=list_cases, list_known=list_known, pipeline=resized)}
