"""The sets of MedIAnomaly whose folders say what is healthy: Camelyon16 (patches) and BraTS2021 (slices with masks)."""

import re
from pathlib import Path

from synthanom.errors import SynthanomError
from synthanom_builders.cases import Case
from synthanom_builders.known import KnownCase
from synthanom_builders.named import below
from synthanom_builders.pictures import picture_case, pictures_in

CAMELYON, BRATS = "camelyon16", "brats2021"
REMEDY = "complete the download, or name the folder of the set"
# BraTS2021_00000_flair_60.png shows slice 60 of case 00000; its mask says seg instead of flair, or has the same name
CASE = re.compile(r"(BraTS2021_[0-9]+)", re.IGNORECASE)
MODALITY = re.compile(r"_(?:flair|t1ce|t1|t2|seg|mask)(?=[_.]|$)", re.IGNORECASE)


def camelyon_train(raw: Path) -> list[Case]:
    """Cases of the healthy patches to train on.

    Raises
    ------
    SynthanomError
        If a folder is missing.
    """
    return [picture_case(raw, file, "this patch") for file in pictures_in(below(raw, ("train/good",), REMEDY))]


def camelyon_test(raw: Path) -> list[KnownCase]:
    """Cases of the patches to test on; only their labels are known.

    Raises
    ------
    SynthanomError
        If a folder is missing.
    """
    known = []
    for folder, anomalous in (("test/good", False), ("test/Ungood", True)):
        files = pictures_in(below(raw, (folder,), REMEDY))
        kind = "metastasis" if anomalous else ""
        known += [KnownCase(case=picture_case(raw, f, "this patch"), anomalous=anomalous, kind=kind) for f in files]
    return known


def brats_train(raw: Path) -> list[Case]:
    """Cases of the slices without tumour to train on.

    Raises
    ------
    SynthanomError
        If a folder is missing.
    """
    return [_slice(raw, file) for file in pictures_in(below(raw, ("train",), REMEDY))]


def brats_test(raw: Path) -> list[KnownCase]:
    """Cases of the slices to test on, those with a tumour with its mask.

    Raises
    ------
    SynthanomError
        If a folder or a mask is missing.
    """
    healthy, tumours, masks = (below(raw, (f"test/{name}",), REMEDY) for name in ("normal", "tumor", "annotation"))
    known = [KnownCase(case=_slice(raw, file), anomalous=False) for file in pictures_in(healthy)]
    by_name = {_plain(file): file for file in pictures_in(masks)}
    for file in pictures_in(tumours):
        mask = by_name.get(_plain(file))
        if mask is None:
            raise SynthanomError(f"{masks / file.name}: the annotation of this slice is missing; complete the download")
        image = picture_case(raw, mask, "this annotation").images[0]
        known.append(KnownCase(case=_slice(raw, file), anomalous=True, kind="glioma", mask=image))
    return known


def _slice(raw: Path, file: Path) -> Case:
    match = CASE.search(file.name)
    return picture_case(raw, file, "this slice", subject=None if match is None else match[1])


def _plain(file: Path) -> str:
    """What a slice and its mask share."""
    return MODALITY.sub("", file.stem).lower()
