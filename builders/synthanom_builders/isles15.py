"""ISLES 2015 (SISS): brains with a sub-acute ischaemic stroke lesion drawn by hand; for testing only.

References
----------
Maier et al., "ISLES 2015 - a public evaluation benchmark for ischemic stroke lesion segmentation from multispectral
MRI", Med. Image Anal. 35, 2017, doi:10.1016/j.media.2016.07.009.
"""

from pathlib import Path

from synthanom.errors import SynthanomError
from synthanom.volumes.volume import Source
from synthanom_builders.brains import HALF, NIFTI, case_of, pipeline
from synthanom_builders.cases import image_of
from synthanom_builders.known import KnownCase, KnownListing
from synthanom_builders.named import NamedDataSet
from synthanom_builders.settings import BuildSettings

# VSD.Brain.XX.O.MR_T2.70616/VSD.Brain.XX.O.MR_T2.70616.nii, and VSD.Brain_3more.XX.XX.OT.70639/ for the lesion
MARKS = {"T1": ".mr_t1.", "T2": ".mr_t2.", "FLAIR": ".mr_flair.", "DWI": ".mr_dwi."}
LESION = ".ot."
PART = "SISS2015_Training"
REMEDY = f"name the folder {PART}, or the one that holds it"


def list_known(raw: Path, out: Path, settings: BuildSettings) -> KnownListing:
    """List the cases whose lesion is drawn.

    Raises
    ------
    SynthanomError
        If there is no case, or one lacks a file: it names the first.
    """
    place = raw / PART if (raw / PART).is_dir() else raw
    folders = [entry for entry in place.iterdir() if entry.is_dir() and entry.name.isdecimal() and entry != out]
    if not folders:
        raise SynthanomError(f"{place / '1'}: this folder, or that of another case, is missing; {REMEDY}")
    cases = [_case(raw, folder, settings) for folder in folders]
    several = settings.contrasts if len(settings.contrasts) > 1 else ()
    note = f"cases: {len(cases)}, one for each patient, contrasts {', '.join(settings.contrasts)}"
    return KnownListing(cases=tuple(sorted(cases, key=lambda one: one.case.id)), contrasts=several, notes=(note,))


def _case(raw: Path, folder: Path, settings: BuildSettings) -> KnownCase:
    lesion = _file(folder, LESION)
    files: dict[str, Path | None] = {contrast: _file(folder, MARKS[contrast]) for contrast in settings.contrasts}
    name = folder.relative_to(raw).as_posix()
    mask = image_of(Source(id=f"{name}/{lesion.name}", files=(lesion,), format="nifti"), raw)
    case = case_of(raw, name, name, files, settings.contrasts)
    return KnownCase(case=case, anomalous=True, kind="stroke", mask=mask)


def _file(folder: Path, mark: str) -> Path:
    """The one NIfTI file of the folder that bears a mark in its name.

    Raises
    ------
    SynthanomError
        If there is none.
    """
    for entry in sorted(folder.iterdir()):
        if mark in f"{entry.name.lower()}." and entry.is_dir():
            found = sorted(file for file in entry.iterdir() if file.name.lower().endswith(NIFTI))
            if found:
                return found[0]
    example = f"VSD.Brain.XX.O{mark.upper() if mark != LESION else '.OT.'}*"
    raise SynthanomError(f"{folder / example}: the folder with this image is missing; complete the download")


DATA_SETS = {
    "isles15": NamedDataSet(shape=HALF, pipeline=pipeline, list_known=list_known, contrasts=tuple(MARKS), usual=("T2",))
}
