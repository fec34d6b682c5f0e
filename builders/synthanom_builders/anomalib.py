"""The layout of MVTec AD, which anomalib and others took over: `train/good`, `test/<kind>`, `ground_truth/<kind>`.

References
----------
Bergmann et al., "The MVTec anomaly detection dataset", Int. J. Comput. Vis. 129, 2021,
doi:10.1007/s11263-020-01400-4.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from synthanom.errors import SynthanomError
from synthanom_builders.cases import Case, Image
from synthanom_builders.inventory import Cases, Inventory, cases_of
from synthanom_builders.known import KnownCase, KnownListing

HEALTHY = "train/good/"
TESTED = re.compile(r"test/(?P<kind>[^/]+)/[^/]+")
GOOD = "good"
OTHERS = ("test/", "ground_truth/")  # without either, a folder that is called train/good says little
CATEGORY = re.compile(r"(?P<category>[^/]+)/train/good/.+")
SHOWN = 5


def recognised(paths: Sequence[str]) -> bool:
    """Whether there are images in `train/good` and some in `test` or `ground_truth`."""
    return any(path.startswith(HEALTHY) for path in paths) and any(path.startswith(OTHERS) for path in paths)


def categories(paths: Sequence[str]) -> list[str]:
    """Folders that are laid out so, each for itself."""
    found = {match["category"] for path in paths if (match := CATEGORY.fullmatch(path)) is not None}
    return sorted(
        name
        for name in found
        if recognised([path.removeprefix(f"{name}/") for path in paths if path.startswith(f"{name}/")])
    )


def training(inventory: Inventory, channels: str | None) -> Cases:
    """The images of `train/good`.

    Raises
    ------
    SynthanomError
        If there is none.
    """
    images = [image for image in inventory.images if image.path.startswith(HEALTHY)]
    if not images:
        _refuse_categories(inventory)
        raise SynthanomError(
            f"{inventory.raw / HEALTHY}: must hold the healthy images, got none there among {len(inventory.images)}; "
            "name the folder that holds train, test and ground_truth"
        )
    others = len(inventory.images) - len(images)
    note = f"layout: anomalib, {len(images)} images of train/good; left out: {others} others (test, ground_truth)"
    together = cases_of(images, channels)
    return replace(together, notes=(note, *together.notes))


def known(inventory: Inventory, channels: str | None) -> KnownListing:
    """The images of `test`: those of `good` are healthy, the others show what their folder is called.

    Raises
    ------
    SynthanomError
        If there is none.
    """
    images = [image for image in inventory.images if TESTED.fullmatch(image.path)]
    if not images:
        _refuse_categories(inventory)
        raise SynthanomError(
            f"{inventory.raw / 'test'}: must hold a folder of images for each kind, such as test/good, got none among "
            f"{len(inventory.images)} images; name the folder that holds train, test and ground_truth"
        )
    masks = {image.id: image for image in inventory.images if image.path.startswith("ground_truth/")}
    together = cases_of(images, channels)
    cases = [_known(case, masks) for case in together.cases]
    bare = sum(case.anomalous is True and case.mask is None for case in cases)
    deeper = sum(image.path.startswith("test/") for image in inventory.images) - len(images)
    note = f"layout: anomalib, {len(cases)} images of test"
    note += f"; {bare} anomalous ones have no mask in ground_truth" if bare else ""
    note += f"; left out: {deeper} images that do not lie in test/<kind> itself" if deeper else ""
    return KnownListing(cases=tuple(cases), contrasts=together.contrasts, notes=(note, *together.notes))


def _known(case: Case, masks: Mapping[str, Image]) -> KnownCase:
    match = TESTED.fullmatch(case.images[0].path)
    assert match is not None
    if match["kind"] == GOOD:
        return KnownCase(case=case, anomalous=False)
    stems = [name.rpartition("/")[2] for name in (case.id, *(image.id for image in case.images))]
    places = [f"ground_truth/{match['kind']}/{stem}{ending}" for stem in stems for ending in ("_mask", "")]
    mask = next((masks[place] for place in places if place in masks), None)
    return KnownCase(case=case, anomalous=True, kind=match["kind"], mask=mask)


def _refuse_categories(inventory: Inventory) -> None:
    names = categories([image.path for image in inventory.images])
    if names:
        raise SynthanomError(
            f"{inventory.raw}: one category must be named, got a folder of {len(names)} ({', '.join(names[:SHOWN])}"
            f"{', ...' if len(names) > SHOWN else ''}); for example {inventory.raw / names[0]}"
        )
