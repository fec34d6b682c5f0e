"""ISIC 2018 Task 3 as MedIAnomaly uses it: naevi (NV) are healthy, the six other kinds of skin lesion are not.

References
----------
Codella et al., "Skin lesion analysis toward melanoma detection 2018", arXiv:1902.03368.
Tschandl et al., "The HAM10000 dataset", Sci. Data 5, 2018, doi:10.1038/sdata.2018.161.
"""

import csv
from pathlib import Path

from synthanom.errors import SynthanomError
from synthanom_builders.cases import Case
from synthanom_builders.known import KnownCase
from synthanom_builders.named import below
from synthanom_builders.pictures import picture_case

SKIN = "isic2018"
HEALTHY = "NV"
KINDS = ("MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC")
GROUPS = "ISIC2018_Task3_Training_LesionGroupings.csv"  # a lesion may have several photographs
REMEDY = "unpack the archives of ISIC 2018 Task 3 side by side and name the folder that holds them"


def skin_train(raw: Path) -> list[Case]:
    """Cases of the naevi to train on.

    Raises
    ------
    SynthanomError
        If a folder, a table or an image is missing, or a table is not what it should be.
    """
    lesions = _lesions(raw)
    names = [name for name, kind in _kinds(raw, "Training").items() if kind == HEALTHY]
    return [_case(raw, "Training", name, lesions.get(name)) for name in names]


def skin_test(raw: Path) -> list[KnownCase]:
    """Cases of the test part; only their kind is known.

    Raises
    ------
    SynthanomError
        As `skin_train`.
    """
    return [
        KnownCase(case=_case(raw, "Test", name, None), anomalous=kind != HEALTHY, kind="" if kind == HEALTHY else kind)
        for name, kind in _kinds(raw, "Test").items()
    ]


def _kinds(raw: Path, part: str) -> dict[str, str]:
    """Image -> the kind of lesion that its row marks."""
    table = below(raw, (f"ISIC2018_Task3_{part}_GroundTruth",), REMEDY) / f"ISIC2018_Task3_{part}_GroundTruth.csv"
    found: dict[str, str] = {}
    for line, row in _rows(table, ("image", *KINDS)):
        marked = [kind for kind in KINDS if row[kind].strip() in ("1", "1.0")]
        name = row["image"].strip()
        if len(marked) != 1 or Path(name).name != name or not name:  # a table may not lead out of the folder
            raise SynthanomError(
                f"{table}: line {line} must name an image and mark one of {', '.join(KINDS)} with 1, got {name!r} and "
                f"{marked}; correct it"
            )
        found[name] = marked[0]
    return found


def _lesions(raw: Path) -> dict[str, str]:
    """Image -> lesion, where the table of lesions lies there too."""
    places = (raw / GROUPS, raw / "ISIC2018_Task3_Training_GroundTruth" / GROUPS)
    table = next((place for place in places if place.is_file()), None)
    if table is None:
        return {}
    return {row["image"].strip(): row["lesion_id"].strip() for _, row in _rows(table, ("image", "lesion_id"))}


def _rows(table: Path, columns: tuple[str, ...]) -> list[tuple[int, dict[str, str]]]:
    """Line number and row of a CSV table."""
    if not table.is_file():
        raise SynthanomError(f"{table}: this table is missing; {REMEDY}")
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file, restval="")
            missing = set(columns) - set(rows.fieldnames or ())
            if missing:
                raise SynthanomError(f"{table}: must have the columns {', '.join(columns)}, got no {min(missing)}")
            return [(rows.line_num, row) for row in rows]
    except (OSError, UnicodeError, csv.Error) as error:
        raise SynthanomError(f"{table}: must be a readable CSV table: {error}") from error


def _case(raw: Path, part: str, name: str, lesion: str | None) -> Case:
    folder = below(raw, (f"ISIC2018_Task3_{part}_Input",), REMEDY)
    return picture_case(raw, folder / f"{name}.jpg", "this photograph", subject=lesion)
