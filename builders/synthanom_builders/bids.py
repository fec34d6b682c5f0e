"""BIDS: anatomical images of raw data, `sub-*/[ses-*/]anat/sub-*_<suffix>.nii[.gz]`; lesion masks in `derivatives`.

References
----------
Gorgolewski et al., "The brain imaging data structure, a format for organizing and describing outputs of neuroimaging
experiments", Sci. Data 3, 2016, doi:10.1038/sdata.2016.44.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from synthanom.errors import SynthanomError
from synthanom_builders.cases import Case, Image, with_problem
from synthanom_builders.inventory import Cases, Inventory, cases_of
from synthanom_builders.known import KnownCase, KnownListing
from synthanom_builders.label_files import marking

ANAT = re.compile(
    r"(?P<subject>sub-[A-Za-z0-9]+)/(?:ses-[A-Za-z0-9]+/)?anat/"
    r"(?P=subject)_(?:[^/_]+_)*(?P<suffix>[A-Za-z0-9]+)\.nii(?:\.gz)?"
)
LESION = re.compile(
    r"derivatives/(?:.+/)?sub-[A-Za-z0-9]+_(?:[^/_]+_)*(?:label|desc)-lesion_(?:[^/_]+_)*mask\.nii(?:\.gz)?"
)
LABELS = frozenset({"mask", "dseg", "probseg", "defacemask", "roi"})  # suffixes of what is drawn, not measured
NOT_OF_THE_SCAN = ("label", "desc", "space", "res", "den")  # entities of derivatives: they do not say which scan
AS_SCANNED = (None, "orig", "individual")  # spaces in which a mask lies on the raw scan's grid


def recognised(paths: Sequence[str]) -> bool:
    """Whether one of the paths is an anatomical image where BIDS has it."""
    return any(_suffix(path) for path in paths)


def training(inventory: Inventory, channels: str | None) -> Cases:
    """The anatomical images of the raw data, those of subjects with a lesion left out.

    Raises
    ------
    SynthanomError
        If there is none, or there are several kinds and nothing says which to take.
    """
    together = _scans(inventory, channels)
    masks = _lesion_masks(inventory)
    if not masks:
        return together
    healthy, unread = [], 0
    markings = {who: [marking(inventory.raw, mask) for mask in of_who] for who, of_who in masks.items()}
    for case in together.cases:
        found = markings.get(_subject(case.path), [])
        if any(marked.anything for marked in found):
            continue  # nor are the subject's other sessions: a lesion stays, and who is tested on is not trained on
        problem = next((marked.problem for marked in found if marked.problem), "")
        unread += bool(problem)
        healthy.append(with_problem(case, case.problem or problem))
    if len(healthy) == unread:
        raise SynthanomError(
            f"{inventory.raw}: must hold scans of subjects without a lesion, got lesion masks in derivatives of every "
            "one; add healthy subjects, or list these to test on with --test"
        )
    left_out = len(together.cases) - len(healthy)
    note = f"lesion masks: of {len(masks)} subjects; left out: {left_out} scans of subjects with a lesion"
    return replace(together, cases=tuple(healthy), notes=(*together.notes, note))


def _scans(inventory: Inventory, channels: str | None) -> Cases:
    """Every anatomical image of the raw data."""
    images = [image for image in inventory.images if _suffix(image.path)]
    if not images:
        raise SynthanomError(
            f"{inventory.raw}: a BIDS folder must hold sub-*/[ses-*/]anat/sub-*_<suffix>.nii[.gz], got "
            f"{len(inventory.images)} images elsewhere, the first {inventory.images[0].path}; name the folder of sub-*"
        )
    counts = Counter(_suffix(image.path) for image in images)
    kinds = sorted(counts)
    found = ", ".join(f"{counts[kind]} {kind}" for kind in kinds)
    if channels is None and len(kinds) > 1:
        raise SynthanomError(
            f"{inventory.raw}: anatomical images must be of one kind unless told apart, got "
            f"{found}; --channels '_({kinds[0]})\\.nii' takes one kind, "
            f"--channels '_({'|'.join(kinds)})\\.nii' several as channels"
        )
    note = f"layout: BIDS, anatomical images of the raw data: {found}"
    others = len(inventory.images) - len(images)
    if others:
        note += f"; left out: {others} others (derivatives, masks, other modalities)"
    together = cases_of(images, channels)
    return replace(together, notes=(note, *together.notes))


def known(inventory: Inventory, channels: str | None) -> KnownListing:
    """The scans with a lesion mask; a mask that marks nothing says that the scan is healthy.

    Raises
    ------
    SynthanomError
        As `training`; no mask; or two of one scan.
    """
    together = _scans(inventory, channels)
    masks = _lesion_masks(inventory)
    cases = [_known(inventory, case, mask) for case in together.cases if (mask := _mask_of(case, masks)) is not None]
    if not cases:
        raise SynthanomError(
            f"{inventory.raw}: --test needs derivatives/**/sub-*_label-lesion_mask.nii.gz (or _desc-lesion_mask) on "
            f"the grid of a scan, got those of {len(masks)} subjects and none of one of the {len(together.cases)} "
            "scans; add them, or score the scans with synthanom predict"
        )
    unknown = len(together.cases) - len(cases)
    note = f"lesion masks: of {len(cases)} scans; left out: {unknown} scans without one"
    return KnownListing(cases=tuple(cases), contrasts=together.contrasts, notes=(*together.notes, note))


def _lesion_masks(inventory: Inventory) -> Mapping[str, Sequence[Image]]:
    """The masks of every subject that has some."""
    found: dict[str, list[Image]] = {}
    for image in inventory.images:
        if LESION.fullmatch(image.path):
            found.setdefault(_subject(image.path), []).append(image)
    return found


def _suffix(path: str) -> str:
    """What kind of anatomical image a path names; empty if it is none."""
    match = ANAT.fullmatch(path)
    return "" if match is None or match["suffix"] in LABELS else match["suffix"]


def _entities(path: str) -> Mapping[str, str]:
    """The parts `key-value` of a file's name."""
    pairs = (part.partition("-") for part in path.rpartition("/")[2].split("_")[:-1])
    return {key: value for key, dash, value in pairs if dash}


def _subject(path: str) -> str:
    return _entities(path)["sub"]


def _mask_of(case: Case, masks: Mapping[str, Sequence[Image]]) -> Image | None:
    """The mask on the case's grid whose session, run and so on are those of one of its images.

    Raises
    ------
    SynthanomError
        If there are two.
    """
    scans = [_entities(image.path).items() for image in case.images]
    found = []
    for mask in masks.get(_subject(case.path), ()):
        said = _entities(mask.path)
        of_scan = {key: value for key, value in said.items() if key not in NOT_OF_THE_SCAN}
        if said.get("space") in AS_SCANNED and any(of_scan.items() <= scan for scan in scans):
            found.append(mask)
    if len(found) > 1:
        raise SynthanomError(
            f"{case.path}: must have one lesion mask, got {found[0].path} and {found[1].path}; move one of them away"
        )
    return found[0] if found else None


def _known(inventory: Inventory, case: Case, mask: Image) -> KnownCase:
    found = marking(inventory.raw, mask)
    if found.problem and not case.problem:
        case = with_problem(case, found.problem)
    if not found.anything:
        return KnownCase(case=case, anomalous=False)
    return KnownCase(case=case, anomalous=True, kind="lesion", mask=mask)
