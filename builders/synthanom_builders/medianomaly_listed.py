"""MedIAnomaly's sets whose `data.json` says which files of `images` are healthy, and which are for testing."""

import json
from pathlib import Path

from synthanom.errors import SynthanomError
from synthanom.volumes.discover import format_of
from synthanom.volumes.volume import Source
from synthanom_builders.cases import Case, image_of
from synthanom_builders.folder import Listing
from synthanom_builders.known import KnownCase, KnownListing
from synthanom_builders.named import entry_of
from synthanom_builders.tables import is_plain

LIST = "data.json"
PLACES = ("images/", LIST)


def list_training(raw: Path, out: Path) -> Listing:
    """The healthy training images that `data.json` names; each its own subject.

    Raises
    ------
    SynthanomError
        If an image is missing, or the list is not what it should be.
    """
    del out
    cases = _cases(raw, "train", "0")
    return Listing(cases=tuple(cases), contrasts=(), notes=(f"healthy training images of {LIST}: {len(cases)}",))


def list_test(raw: Path, out: Path) -> KnownListing:
    """The test images, under 0 the healthy ones and under 1 the others.

    Raises
    ------
    SynthanomError
        As `list_training`, or if an image is in both lists.
    """
    del out
    healthy, others = _cases(raw, "test", "0"), _cases(raw, "test", "1")
    both = sorted({case.id for case in healthy} & {case.id for case in others})
    if both:
        raise SynthanomError(f"{raw / LIST}: must name {both[0]} under test/0 or test/1, got both; correct the list")
    cases = [KnownCase(case=case, anomalous=False) for case in healthy]
    cases += [KnownCase(case=case, anomalous=True) for case in others]
    note = f"test images of {LIST}: {len(healthy)} healthy, {len(others)} anomalous"
    return KnownListing(cases=tuple(sorted(cases, key=lambda one: one.case.id)), notes=(note,))


def _cases(raw: Path, part: str, label: str) -> list[Case]:
    place, path = (entry_of(raw, name) for name in PLACES)
    assert place is not None and path is not None, "the layout fits"
    return [_case(raw, place, name) for name in listed_names(path, part, label)]


def listed_names(path: Path, part: str, label: str) -> list[str]:
    """File names under a part and label of the list, sorted.

    Raises
    ------
    SynthanomError
        If there is no such list, or it names a file elsewhere.
    """
    where = f"{part}/{label}"
    try:
        names = json.loads(path.read_text(encoding="utf-8"))[part][label]
        found = sorted({str(name) for name in names})
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise SynthanomError(
            f"{path}: must be JSON with a list of file names under {where}, got {type(error).__name__}: {error}; "
            "download it again"
        ) from error
    for name in found:
        if not is_plain(name):
            raise SynthanomError(f"{path}: must name files in 'images' only, got {name!r}; correct the list")
    if not found:
        raise SynthanomError(f"{path}: must name at least one image under {where}, got none; is it the right set?")
    return found


def _case(raw: Path, place: Path, name: str) -> Case:
    file = place / name
    kind = format_of(file) if file.is_file() else None
    if kind is None:
        what = "is not an image" if file.exists() else "is missing"
        raise SynthanomError(f"{file}: this image of {LIST} {what}; complete the download")
    identity = f"{place.relative_to(raw).as_posix()}/{name}"
    image = image_of(Source(id=identity, files=(file,), format=kind), raw)
    return Case(id=identity, subject=identity, images=(image,))
