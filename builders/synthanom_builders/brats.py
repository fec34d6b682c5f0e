"""BraTS: brains with glioma and the tumour's parts drawn by hand, of 2017 and later; for testing only.

References
----------
Menze et al., "The multimodal brain tumor image segmentation benchmark (BRATS)", IEEE Trans. Med. Imaging 34(10), 2015,
doi:10.1109/TMI.2014.2377694.
Bakas et al., "Advancing the cancer genome atlas glioma MRI collections", Sci. Data 4, 2017, doi:10.1038/sdata.2017.117.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from synthanom.errors import SynthanomError
from synthanom.volumes.volume import Source
from synthanom_builders.brains import HALF, NIFTI, case_of, nifti_of, pipeline
from synthanom_builders.cases import image_of
from synthanom_builders.known import KnownCase, KnownListing
from synthanom_builders.named import NamedDataSet
from synthanom_builders.settings import BuildSettings

# as files are called until 2021, and from 2023 on
ENDINGS = {"T1": ("_t1", "-t1n"), "T1ce": ("_t1ce", "-t1c"), "T2": ("_t2", "-t2w"), "FLAIR": ("_flair", "-t2f")}
TRUTH = ("_seg", "-seg")
CASE = re.compile(r"brats.*", re.IGNORECASE)
# Brats17_CBICA_AAB_1 and BraTS-GLI-00005-101 are patients seen at some time; other years have one case a patient
PATIENT = re.compile(r"(?P<patient>Brats1[78]_.+)_[0-9]+|(?P<later>BraTS-[A-Za-z]+-[0-9]+)-[0-9]+", re.IGNORECASE)
DEEPEST = 3  # folders below the one that is named, such as MICCAI_BraTS_2018_Data_Training/HGG/Brats18_...
REMEDY = "name the folder that holds the training part, a folder for each case"


def list_known(raw: Path, out: Path, settings: BuildSettings) -> KnownListing:
    """List the cases whose tumour is drawn.

    Raises
    ------
    SynthanomError
        If there is no case, or one lacks a file: it names the first.
    """
    folders = [folder for folder in _case_folders(raw, DEEPEST) if not folder.is_relative_to(out)]
    if not folders:
        raise SynthanomError(f"{raw / 'BraTS2021_00000'}: this folder, or that of another case, is missing; {REMEDY}")
    cases = [_case(raw, folder, settings) for folder in folders]
    patients = len({one.case.subject for one in cases})
    several = settings.contrasts if len(settings.contrasts) > 1 else ()
    note = f"cases: {len(cases)} of {patients} patients, contrasts {', '.join(settings.contrasts)}"
    return KnownListing(cases=tuple(sorted(cases, key=lambda one: one.case.id)), contrasts=several, notes=(note,))


def _case(raw: Path, folder: Path, settings: BuildSettings) -> KnownCase:
    files = {contrast: _file(folder, ENDINGS[contrast]) for contrast in settings.contrasts}
    # one mask of BraTS 2020 kept another name (case 355)
    truth = _file(folder, TRUTH) or next((f for f in sorted(folder.glob("*[Ss]egm*")) if f.name.endswith(NIFTI)), None)
    for contrast, file in {**files, "truth": truth}.items():
        if file is None:
            ending = TRUTH[0] if contrast == "truth" else ENDINGS[contrast][0]
            raise SynthanomError(f"{folder / (folder.name + ending)}.nii.gz: is missing; complete the download")
    assert truth is not None
    name = folder.relative_to(raw).as_posix()
    match = PATIENT.fullmatch(folder.name)
    subject = folder.name if match is None else match["patient"] or match["later"]
    mask = image_of(Source(id=f"{name}/{truth.name}", files=(truth,), format="nifti"), raw)
    case = case_of(raw, name, subject, files, settings.contrasts)
    return KnownCase(case=case, anomalous=True, kind="glioma", mask=mask)


def _file(folder: Path, endings: tuple[str, ...]) -> Path | None:
    return next((file for ending in endings if (file := nifti_of(folder, folder.name + ending)) is not None), None)


def _case_folders(folder: Path, deepest: int) -> Iterator[Path]:
    """Folders that are named as a case and hold images; no link is followed."""
    entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    if CASE.fullmatch(folder.name) and any(_is_contrast(folder, entry.name) for entry in entries):
        yield folder
    elif deepest:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _case_folders(Path(entry.path), deepest - 1)


def _is_contrast(folder: Path, name: str) -> bool:
    """Whether a file is one of the case's images: so a case that lacks some is told, not passed over."""
    rest = name.lower().removeprefix(folder.name.lower())
    known = [ending for endings in (*ENDINGS.values(), TRUTH) for ending in endings]
    return rest.removesuffix(".gz").removesuffix(".nii") in known


DATA_SETS = {
    "brats": NamedDataSet(shape=HALF, pipeline=pipeline, list_known=list_known, contrasts=tuple(ENDINGS), usual=("T2",))
}
