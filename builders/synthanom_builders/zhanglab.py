"""ZhangLab: paediatric chest radiographs, healthy or with pneumonia; the healthy ones of the training part.

References
----------
Kermany et al., "Identifying medical diagnoses and treatable diseases by image-based deep learning", Cell 172(5), 2018,
doi:10.1016/j.cell.2018.02.010; data doi:10.17632/rscbjbr9sj.
"""

import re
from pathlib import Path

from synthanom_builders.folder import Listing, cases_under
from synthanom_builders.named import NamedDataSet, below
from synthanom_builders.picture_steps import resized
from synthanom_builders.settings import BuildSettings
from synthanom_builders.subjects import searched_or_own

PLACES = ("train/NORMAL", "chest_xray/train/NORMAL")
REMEDY = "unpack ChestXRay2017.zip and name the folder that holds 'train' and 'test'"
# IM-0115-0001.jpeg is picture 1 of patient 115, NORMAL2-IM-0383-0001-0002.jpeg another numbering
PATIENT = re.compile(r"((?:NORMAL2-)?IM-[0-9]+)-[0-9]+(?:-[0-9]+)?\.", re.IGNORECASE)


def list_cases(raw: Path, out: Path, settings: BuildSettings) -> Listing:
    """List the healthy radiographs of the training part; a patient has one or more.

    Raises
    ------
    SynthanomError
        If the folder is missing or holds no image.
    """
    del settings
    cases = cases_under(raw, below(raw, PLACES, REMEDY), out)
    named = [searched_or_own(case, PATIENT) for case in cases]
    patients = len({case.subject for case in named})
    return Listing(cases=tuple(named), contrasts=(), notes=(f"subjects: {patients} patients, by the files' names",))


DATA_SETS = {"zhanglab": NamedDataSet(shape=(256, 256), list_cases=list_cases, pipeline=resized)}
