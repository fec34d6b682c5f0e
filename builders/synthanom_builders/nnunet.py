"""nnU-Net, versions 1 and 2: `imagesTr/CASE_0000.nii.gz` with the channel's number, `labelsTr/CASE.nii.gz`, `imagesTs`.

References
----------
Isensee et al., "nnU-Net: a self-configuring method for deep learning-based biomedical image segmentation",
Nat. Methods 18, 2021, doi:10.1038/s41592-020-01008-z.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from synthanom.errors import SynthanomError
from synthanom_builders.cases import Case, Image, with_problem
from synthanom_builders.inventory import Cases, Inventory, cases_of
from synthanom_builders.known import KnownCase, KnownListing
from synthanom_builders.label_files import marking
from synthanom_builders.nnunet_names import channel_names

TRAINING, TESTING = "Tr", "Ts"
NUMBER = r"_([0-9]{4})\.[A-Za-z.]+$"  # up to the end: a case's name may hold such a number, too
IMAGE = re.compile(r"images(?P<part>T[rs])/(?P<case>[^/]+)_[0-9]{4}\.[A-Za-z.]+")


def recognised(paths: Sequence[str]) -> bool:
    """Whether `imagesTr` holds an image whose name ends with a channel's number."""
    return any((match := IMAGE.fullmatch(path)) is not None and match["part"] == TRAINING for path in paths)


def training(inventory: Inventory, channels: str | None) -> Cases:
    """The cases of `imagesTr` in which nothing is labelled; all of them if there are no labels.

    Raises
    ------
    SynthanomError
        If there is no case, or every one is labelled.
    """
    together = _together(inventory, (TRAINING,), channels)
    labels = _labels(inventory, TRAINING)
    used = sum(len(case.images) for case in together.cases)
    note = (
        f"layout: nnU-Net, {len(together.cases)} cases of imagesTr; left out: {len(inventory.images) - used} others "
        "(labels, imagesTs, what is elsewhere)"
    )
    if not labels:
        warning = "labels: no labelsTr, all cases are taken for healthy; sets in this layout usually show patients"
        return replace(together, notes=(note, *together.notes, warning))
    unlabelled = [case for case in together.cases if _stem(case) not in labels]
    markings = {case: marking(inventory.raw, labels[_stem(case)]) for case in together.cases if _stem(case) in labels}
    empty = sum(not found.anything and not found.problem for found in markings.values())
    if not empty:
        raise SynthanomError(
            f"{inventory.raw / 'labelsTr'}: must leave a case without any mark to be taken for healthy, got none among "
            f"{len(together.cases)}; if the labels are no anomalies but organs, name {inventory.raw / 'imagesTr'}"
            f"{_as_channels(together)}, which takes all its images"
        )
    kept = [with_problem(case, case.problem or found.problem) for case, found in markings.items() if not found.anything]
    marked = sum(found.anything for found in markings.values())
    told = (
        f"labels: {empty} cases of labelsTr mark nothing and are taken for healthy; left out: {marked} that mark "
        f"something, {len(unlabelled)} without a label"
    )
    return replace(together, cases=tuple(kept), notes=(note, *together.notes, told))


def known(inventory: Inventory, channels: str | None) -> KnownListing:
    """The labelled cases of `imagesTr` that show something, and all labelled ones of `imagesTs`.

    Raises
    ------
    SynthanomError
        If there is none.
    """
    together = _together(inventory, (TRAINING, TESTING), channels)
    labels = {part: _labels(inventory, part) for part in (TRAINING, TESTING)}
    cases = []
    for case in together.cases:
        part = _part(case)
        label = labels[part].get(_stem(case))
        found = None if label is None else marking(inventory.raw, label)
        if found is None or (part == TRAINING and not found.anything and not found.problem):
            continue  # nothing is known, or it is what is trained on
        told = with_problem(case, case.problem or found.problem)
        cases.append(KnownCase(case=told, anomalous=found.anything, mask=label if found.anything else None))
    if not cases:
        raise SynthanomError(
            f"{inventory.raw}: --test needs labels in labelsTr that mark something, or labels in labelsTs, got neither "
            f"for {len(together.cases)} cases; add them, or score the scans with synthanom predict"
        )
    parts = {part: sum(_part(one.case) == part for one in cases) for part in (TRAINING, TESTING)}
    note = (
        f"layout: nnU-Net, labelled cases: {parts[TRAINING]} of imagesTr that show something, {parts[TESTING]} of "
        f"imagesTs; left out: {len(together.cases) - len(cases)} that are trained on or have no label"
    )
    contrasts = together.names or together.contrasts
    return KnownListing(cases=tuple(cases), contrasts=contrasts, notes=(note, *together.notes))


def _together(inventory: Inventory, parts: Sequence[str], channels: str | None) -> Cases:
    """Cases with all their channels, whose subject is the case; by another pattern if one is given."""
    matched = {image: match for image in inventory.images if (match := IMAGE.fullmatch(image.path)) is not None}
    images = [image for image, match in matched.items() if match["part"] in parts]
    if not images:
        raise SynthanomError(
            f"{inventory.raw}: an nnU-Net folder must hold imagesTr/CASE_0000.nii.gz, got {len(inventory.images)} "
            f"images with other names, the first {inventory.images[0].path}; name the folder that holds imagesTr"
        )
    together = cases_of(images, NUMBER if channels is None else channels)
    cases = tuple(replace(case, subject=_stem(case)) for case in together.cases)
    if channels is not None:
        return replace(together, cases=cases)
    if len(together.contrasts) == 1:  # no contrasts to tell apart: a model of one channel takes files of any name
        return Cases(cases=cases)
    names, note = channel_names(inventory.raw, together.contrasts)
    return replace(together, cases=cases, names=names, notes=(note,))


def _labels(inventory: Inventory, part: str) -> Mapping[str, Image]:
    """Case to label; a label that ``--foreground`` names is a mask and none of these."""
    folder = f"labels{part}/"
    return {image.id.removeprefix(folder): image for image in inventory.images if image.id.startswith(folder)}


def _stem(case: Case) -> str:
    """What nnU-Net calls the case."""
    match = IMAGE.fullmatch(case.images[0].path)
    assert match is not None
    return match["case"]


def _part(case: Case) -> str:
    match = IMAGE.fullmatch(case.images[0].path)
    assert match is not None
    return match["part"]


def _as_channels(together: Cases) -> str:
    return f" with --channels '{together.pattern}'" if together.pattern else ""
