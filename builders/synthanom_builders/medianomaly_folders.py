"""MedIAnomaly's sets whose folders say what is healthy: patches of Camelyon16, slices of BraTS 2021.

References
----------
Ehteshami Bejnordi et al., "Diagnostic assessment of deep learning algorithms for detection of lymph node metastases in
women with breast cancer", JAMA 318(22), 2017, doi:10.1001/jama.2017.14585 (Camelyon16).
Baid et al., "The RSNA-ASNR-MICCAI BraTS 2021 benchmark", arXiv:2107.02314.
"""

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from synthanom.errors import SynthanomError
from synthanom_builders.cases import Case, Image
from synthanom_builders.folder import Listing, cases_under
from synthanom_builders.known import KnownCase, KnownListing
from synthanom_builders.named import entry_of
from synthanom_builders.subjects import searched_or_own

PATIENT = re.compile(r"(BraTS2021_[0-9]+)", re.IGNORECASE)
MODALITY = re.compile(r"_(?:flair|t1ce|t1|t2|seg)(?=_|$)", re.IGNORECASE)  # BraTS2021_00000_flair_60, ..._seg_60


def list_camelyon_training(raw: Path, out: Path) -> Listing:
    """The patches of healthy tissue; their names say nothing about slides.

    Raises
    ------
    SynthanomError
        If a folder holds no image, or folders of images.
    """
    cases = images_in(raw, "train/good/", out)
    note = f"patches: {len(cases)}, each its own subject; which of them are of one slide is not known"
    return Listing(cases=tuple(cases), contrasts=(), notes=(note,))


def list_camelyon_test(raw: Path, out: Path) -> KnownListing:
    """The patches for testing, with metastases or without.

    Raises
    ------
    SynthanomError
        As `list_camelyon_training`.
    """
    healthy = [KnownCase(case=case, anomalous=False) for case in images_in(raw, "test/good/", out)]
    sick = [KnownCase(case=case, anomalous=True, kind="metastasis") for case in images_in(raw, "test/Ungood/", out)]
    return _known([*healthy, *sick], "patches")


def list_brats_training(raw: Path, out: Path) -> Listing:
    """The slices of brains without a tumour; those of one patient are one subject.

    Raises
    ------
    SynthanomError
        As `list_camelyon_training`.
    """
    cases = [searched_or_own(case, PATIENT) for case in images_in(raw, "train/", out)]
    patients = len({case.subject for case in cases})
    note = f"slices: {len(cases)} of {patients} patients, by the files' names"
    return Listing(cases=tuple(cases), contrasts=(), notes=(note,))


def list_brats_test(raw: Path, out: Path) -> KnownListing:
    """The slices for testing; those with a tumour have a mask.

    Raises
    ------
    SynthanomError
        As `list_camelyon_training`, or if a slice with a tumour has no mask, or several.
    """
    masks = _by_name(images_in(raw, "test/annotation/", out))
    healthy = [
        KnownCase(case=searched_or_own(case, PATIENT), anomalous=False) for case in images_in(raw, "test/normal/", out)
    ]
    sick = [
        KnownCase(case=searched_or_own(case, PATIENT), anomalous=True, kind="glioma", mask=_mask_of(case, masks, raw))
        for case in images_in(raw, "test/tumor/", out)
    ]
    return _known([*healthy, *sick], "slices")


def images_in(raw: Path, place: str, out: Path) -> list[Case]:
    """A case for every image of a folder.

    Raises
    ------
    SynthanomError
        If there is none, or one lies deeper: such as a folder of masks, which would pass for images.
    """
    folder = entry_of(raw, place)
    assert folder is not None, "the layout fits"
    cases = cases_under(raw, folder, out)
    for case in cases:
        if (raw / case.path).parent != folder:
            raise SynthanomError(f"{folder}: must hold images and no folders of images, got {case.path}; move it away")
    return cases


def _by_name(cases: list[Case]) -> dict[str, list[Image]]:
    """Masks by their names without extension, whole and without the modality."""
    masks: dict[str, list[Image]] = {}
    for case in cases:
        name = PurePosixPath(case.path).stem
        for key in {name, MODALITY.sub("", name)}:
            masks.setdefault(key, []).append(case.images[0])
    return masks


def _mask_of(case: Case, masks: Mapping[str, list[Image]], raw: Path) -> Image:
    name = PurePosixPath(case.path).stem
    found = masks.get(name) or masks.get(MODALITY.sub("", name), [])
    if len(found) != 1:
        what = "none is there; complete the download" if not found else f"got {found[0].path} and {found[1].path}"
        raise SynthanomError(f"{raw / case.path}: its annotation must have its name, or 'seg' in it: {what}")
    return found[0]


def _known(cases: list[KnownCase], what: str) -> KnownListing:
    sick = sum(bool(one.anomalous) for one in cases)
    note = f"test {what}: {len(cases) - sick} healthy, {sick} anomalous"
    return KnownListing(cases=tuple(sorted(cases, key=lambda one: one.case.id)), notes=(note,))
