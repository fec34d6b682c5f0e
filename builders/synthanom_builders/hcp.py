"""HCP: healthy young adults of the Human Connectome Project, structural images cut out of the skull, 0.7 mm.

References
----------
Van Essen et al., "The WU-Minn Human Connectome Project: an overview", NeuroImage 80, 2013,
doi:10.1016/j.neuroimage.2013.05.041.
Baugh et al., "Many tasks make light work", MICCAI 2023, doi:10.1007/978-3-031-43907-0_16 (preprocessing).
"""

import re
from pathlib import Path

from synthanom.errors import SynthanomError
from synthanom_builders.brains import HALF, case_of, nifti_of, pipeline
from synthanom_builders.cases import Case
from synthanom_builders.folder import Listing
from synthanom_builders.named import NamedDataSet
from synthanom_builders.settings import BuildSettings

SUBJECT = re.compile("[0-9]{6}")
FILES = {name: f"{name}w_acpc_dc_restore_brain" for name in ("T1", "T2")}
REMEDY = "unpack '<subject>_3T_Structural_preproc.zip' and name the folder that holds the subjects"


def list_cases(raw: Path, out: Path, settings: BuildSettings) -> Listing:
    """List one case for each subject; those without a wanted contrast are left out of the build and told.

    Raises
    ------
    SynthanomError
        If there is no subject's folder, or none holds a wanted file: it names the first that is missing.
    """
    del out
    subjects = sorted(entry for entry in raw.iterdir() if entry.is_dir() and SUBJECT.fullmatch(entry.name))
    if not subjects:
        raise SynthanomError(f"{raw / '100206' / 'T1w'}: this folder, or that of another subject, is missing; {REMEDY}")
    cases = [case for folder in subjects if (case := _case(raw, folder, settings)) is not None]
    if not cases:
        first = subjects[0] / "T1w" / f"{FILES[settings.contrasts[0]]}.nii.gz"
        raise SynthanomError(f"{first}: is missing, and so for every subject; {REMEDY}")
    several = settings.contrasts if len(settings.contrasts) > 1 else ()
    without = len(subjects) - len(cases)
    notes = [f"subjects: {len(cases)}" + (f", {without} other folders hold none of the files" if without else "")]
    return Listing(cases=tuple(cases), contrasts=several, notes=tuple(notes))


def _case(raw: Path, folder: Path, settings: BuildSettings) -> Case | None:
    place = folder / "T1w"  # of the space, which is that of the T1w image; the T2w image lies there too
    if not place.is_dir():
        return None
    files = {name: nifti_of(place, FILES[name]) for name in settings.contrasts}
    if not any(files.values()):
        return None
    return case_of(raw, f"{folder.name}/T1w", folder.name, files, settings.contrasts)


DATA_SETS = {
    "hcp": NamedDataSet(shape=HALF, pipeline=pipeline, list_cases=list_cases, contrasts=("T1", "T2"), usual=("T2",))
}
