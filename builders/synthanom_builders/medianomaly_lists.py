"""The sets of MedIAnomaly that come as `images/` with a `data.json` (RSNA, VinCXR, BrainTumor, LAG)."""

import json
from pathlib import Path

from synthanom.errors import SynthanomError
from synthanom_builders.cases import Case
from synthanom_builders.known import KnownCase
from synthanom_builders.named import below
from synthanom_builders.pictures import picture_case

LIST = "data.json"
REMEDY = f"name the folder of one set (RSNA, VinCXR, BrainTumor, LAG) that holds 'images' and '{LIST}'"


def listed_train(raw: Path) -> list[Case]:
    """Cases of the healthy training images that the list names.

    Raises
    ------
    SynthanomError
        If a file is missing, or the list is not what it should be.
    """
    return [_case(raw, name) for name in listed_names(raw / LIST, "train", "0")]


def listed_test(raw: Path) -> list[KnownCase]:
    """Cases of the test images that the list names.

    Raises
    ------
    SynthanomError
        As `listed_train`.
    """
    known = []
    for part in ("0", "1"):
        names = listed_names(raw / LIST, "test", part)
        known += [KnownCase(case=_case(raw, name), anomalous=part == "1") for name in names]
    return known


def listed_names(path: Path, part: str, label: str) -> list[str]:
    """File names under ``part``/``label``, sorted.

    Raises
    ------
    SynthanomError
        If the file is missing or has no such list, or names a file elsewhere.
    """
    if not path.is_file():
        raise SynthanomError(f"{path}: the list of images is missing; {REMEDY}")
    where = f"{part}/{label}"
    try:
        names = json.loads(path.read_text(encoding="utf-8"))[part][label]
        found = sorted({str(name) for name in names})
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise SynthanomError(
            f"{path}: must be JSON with a list of file names under {where}, got {type(error).__name__}: {error}"
        ) from error
    for name in found:
        # a list is data: it may not lead out of the folder
        if Path(name).name != name or name in (".", ".."):
            raise SynthanomError(f"{path}: must name files in 'images' only, got {name!r}; correct the list")
    if not found:
        raise SynthanomError(f"{path}: must name at least one image under {where}, got none; is it the right set?")
    return found


def _case(raw: Path, name: str) -> Case:
    return picture_case(raw, below(raw, ("images",), REMEDY) / name, f"this image of {LIST}")
