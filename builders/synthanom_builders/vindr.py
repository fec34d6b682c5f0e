"""VinDr-CXR: chest radiographs read by three radiologists; those in which all three found nothing.

References
----------
Nguyen et al., "VinDr-CXR: an open dataset of chest X-rays with radiologist's annotations", Sci. Data 9, 2022,
doi:10.1038/s41597-022-01498-w.
Cai et al., "Dual-distribution discrepancy for anomaly detection in chest X-rays", MICCAI 2022,
doi:10.1007/978-3-031-16437-8_56 (the split).
Baugh et al., "Many tasks make light work", MICCAI 2023, doi:10.1007/978-3-031-43907-0_16 (preprocessing).
"""

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from synthanom.errors import SynthanomError
from synthanom.volumes.volume import Source
from synthanom_builders.cases import Case, image_of
from synthanom_builders.folder import Listing
from synthanom_builders.named import NamedDataSet, below
from synthanom_builders.picture_steps import equalised
from synthanom_builders.settings import BuildSettings

TABLES = ("annotations/annotations_train.csv", "train.csv", "annotations_train.csv")
REMEDY = "name the folder that holds 'train' with its .dicom files and the table of annotations"
NOTHING = "No finding"
READERS = 3
ENDINGS = (".dicom", ".dcm")


def list_cases(raw: Path, out: Path, settings: BuildSettings) -> Listing:
    """List the radiographs of the training part in which all readers found nothing, or those of a split.

    Raises
    ------
    SynthanomError
        If a file is missing, or a table or split is not what it should be.
    """
    del out
    place = below(raw, ("train",), REMEDY)
    table = next((raw / name for name in TABLES if (raw / name).is_file()), None)
    if table is None:
        raise SynthanomError(f"{raw / TABLES[0]}: the table of annotations is missing; {REMEDY}")
    healthy = unanimous(table)
    notes = [f"radiographs in which all {READERS} readers found nothing: {len(healthy)}"]
    chosen = healthy
    if settings.split is not None:
        chosen, replaced = of_split(settings.split, healthy)
        notes.append(f"of the split {settings.split.name}: {len(chosen)}, {replaced} of them in place of others")
    cases = [_case(raw, place, name) for name in chosen]
    return Listing(cases=tuple(cases), contrasts=(), notes=tuple(notes))


def unanimous(table: Path) -> list[str]:
    """Ids of the images that three readers or more looked at and all of them found nothing in, sorted.

    Raises
    ------
    SynthanomError
        If the table cannot be read or lacks a column.
    """
    readers: dict[str, set[str]] = {}
    found: set[str] = set()
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            missing = {"image_id", "rad_id", "class_name"} - set(rows.fieldnames or ())
            if missing:
                raise SynthanomError(
                    f"{table}: must have the columns image_id, rad_id and class_name, got no {min(missing)}"
                )
            for row in rows:
                readers.setdefault(row["image_id"], set()).add(row["rad_id"])
                if row["class_name"] != NOTHING:
                    found.add(row["image_id"])
    except (OSError, UnicodeError, csv.Error) as error:
        raise SynthanomError(f"{table}: must be a readable CSV table of annotations: {error}") from error
    return sorted(name for name, who in readers.items() if name not in found and len(who) >= READERS)


def of_split(path: Path, healthy: Sequence[str]) -> tuple[list[str], int]:
    """The healthy training images of a split, and how many of them stand in for images that not all found healthy.

    Those are replaced by the first other healthy images in sorted order that the split's test part does not name.

    Raises
    ------
    SynthanomError
        If the file is not a split as DDAD has it, or there are too few other images.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        listed, test = _stems(content["train"]["0"]), _stems(content["test"]["0"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SynthanomError(
            f"{path}: must be JSON with lists of file names under train/0 and test/0, as DDAD's split has them, got "
            f"{type(error).__name__}: {error}"
        ) from error
    known = set(healthy)
    kept = [name for name in listed if name in known]
    others = [name for name in healthy if name not in {*listed, *test}]
    wanted = len(listed) - len(kept)
    if wanted > len(others):
        raise SynthanomError(
            f"{path}: {wanted} of its training images are not unanimously healthy and {len(others)} others are; "
            "is it the split of this data set?"
        )
    return sorted([*kept, *others[:wanted]]), wanted


def _stems(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(Path(name).stem for name in names))


def _case(raw: Path, place: Path, name: str) -> Case:
    if Path(name).name != name:  # a table is data: it may not lead out of the folder
        raise SynthanomError(f"{place}: image_id must be the name of a file there, got {name!r}; correct the table")
    file = next((place / f"{name}{ending}" for ending in ENDINGS if (place / f"{name}{ending}").is_file()), None)
    if file is None:
        raise SynthanomError(f"{place / name}{ENDINGS[0]}: this radiograph is missing; complete the download")
    image = image_of(Source(id=f"{place.relative_to(raw).as_posix()}/{name}", files=(file,), format="dicom"), raw)
    return Case(id=image.id, subject=name, images=(image,))


DATA_SETS = {"vindr-cxr": NamedDataSet(shape=(256, 256), list_cases=list_cases, pipeline=equalised, split="ddad")}
