"""`truth.json`: scans about which the truth is known, where they lie, and the masks of what is wrong in them.

Written by `build-dataset ... --test`; `synthanom predict --input`, `evaluate --truth` and `describe --against` take its
folder. The scans themselves stay where they are.
"""

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, cast, get_args

from synthanom import __version__
from synthanom.arrays import canonical_json
from synthanom.errors import SynthanomError
from synthanom.manifest import replaced_file
from synthanom.volumes import Source
from synthanom.volumes.volume import Format

NAME, KIND, FORMAT = "truth.json", "synthanom-truth", 1
TABLE = "truth.csv"
REMEDY = "run build-dataset --test again into an empty folder"


@dataclass(frozen=True, kw_only=True)
class TruthCase:
    """One scan and what is known about it.

    Attributes
    ----------
    id, subject : str
    images : tuple of Source
        The contrasts, one per channel, in channel order.
    anomalous : bool or None
        None where only the mask can tell.
    kind : str
        Of the anomaly, as the data set calls it; empty where it does not say.
    mask : Source or None
        What is above 0 is anomalous; None for a healthy scan, and where only the label is known.
    columns : mapping of str to str
        What else the data set says, such as an annotator's confidence.
    """

    id: str
    subject: str
    images: tuple[Source, ...]
    anomalous: bool | None
    kind: str = ""
    mask: Source | None = None
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TruthSet:
    """Scans with known truth.

    Attributes
    ----------
    data_set : str
        Whose they are, as `build-dataset` calls it.
    raw : Path
        Folder of the raw data.
    contrasts : tuple of str
        In channel order; empty where each image has one.
    cases : tuple of TruthCase
        In the order of their ids.
    """

    data_set: str
    raw: Path
    contrasts: tuple[str, ...]
    cases: tuple[TruthCase, ...]


def open_truth_set(folder: Path) -> TruthSet:
    """As `read_truth_set`, to read scans or masks from it.

    Raises
    ------
    SynthanomError
        As `read_truth_set`, or if the raw data are no longer where they were.
    """
    truth = read_truth_set(folder)
    if not truth.raw.is_dir():
        raise SynthanomError(
            f"{folder / NAME}: the raw data must lie in {truth.raw}, and are not there; move them back, or list them "
            "anew with build-dataset --test"
        )
    return truth


def holds_truth(folder: Path) -> bool:
    """Whether a folder has a `truth.json`."""
    return (folder / NAME).is_file()


def write_truth_set(folder: Path, truth: TruthSet) -> None:
    """Write `truth.json`, and the same as a table for people, into a folder that holds what was drawn.

    Raises
    ------
    SynthanomError
        If a file lies neither under the raw data nor in the folder, or nothing can be written.
    """
    content = {
        "kind": KIND,
        "format": FORMAT,
        "version": __version__,
        "data_set": truth.data_set,
        "raw": str(truth.raw),
        "contrasts": list(truth.contrasts),
        "cases": [_case_json(case, truth.raw, folder) for case in truth.cases],
    }
    _write_table(folder / TABLE, truth.cases)
    content["digest"] = _digest(content)
    with replaced_file(folder / NAME) as file:
        file.write(json.dumps(content, sort_keys=True, indent=1, allow_nan=False).encode("ascii") + b"\n")


def read_truth_set(folder: Path) -> TruthSet:
    """Read what `write_truth_set` wrote.

    Raises
    ------
    SynthanomError
        If it is missing, damaged, of a newer format, or names a file outside the raw data and the folder.
    """
    path = folder / NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found = _digest({k: v for k, v in content.items() if k != "digest"}) if isinstance(content, dict) else ""
    except (OSError, ValueError, RecursionError) as error:
        raise SynthanomError(f"{path}: must be a readable list of scans and truth, got '{error}'; {REMEDY}") from error
    if not isinstance(content, dict) or content.get("kind") != KIND:
        raise SynthanomError(f"{path}: must be written by build-dataset --test, and is not; {REMEDY}")
    if content.get("format") != FORMAT:
        raise SynthanomError(
            f"{path}: format must be {FORMAT}, got {content.get('format')!r}: another version of synthanom wrote it; "
            f"upgrade, or {REMEDY}"
        )
    if content.get("digest", found) != found:  # lists of older versions have none
        raise SynthanomError(f"{path}: its digest must match its content, and does not: it was changed; {REMEDY}")
    try:
        raw = Path(content["raw"])
        return TruthSet(
            data_set=str(content["data_set"]),
            raw=raw,
            contrasts=tuple(str(name) for name in content["contrasts"]),
            cases=tuple(_case(entry, raw, folder) for entry in content["cases"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise SynthanomError(f"{path}: is damaged ({type(error).__name__}: {error}); {REMEDY}") from error


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical_json(content)).hexdigest()


def _case_json(case: TruthCase, raw: Path, folder: Path) -> dict[str, Any]:
    return {
        "id": case.id,
        "subject": case.subject,
        "images": [_source_json(image, raw, folder) for image in case.images],
        "anomalous": case.anomalous,
        "kind": case.kind,
        "mask": None if case.mask is None else _source_json(case.mask, raw, folder),
        "columns": dict(case.columns),
    }


def _source_json(source: Source, raw: Path, folder: Path) -> dict[str, Any]:
    """Where a source lies: under the raw data, or in the folder itself."""
    for place, root in (("here", folder), ("raw", raw)):
        if all(file.is_relative_to(root) for file in source.files):
            files = [file.relative_to(root).as_posix() for file in source.files]
            return {"id": source.id, "format": source.format, "in": place, "files": files}
    raise SynthanomError(f"{source.path}: must lie under {raw} or {folder}, and does not; name its folder")


def _case(entry: Mapping[str, Any], raw: Path, folder: Path) -> TruthCase:
    mask, anomalous = entry["mask"], entry["anomalous"]
    if not (anomalous is None or isinstance(anomalous, bool)):
        raise TypeError(f"anomalous must be true, false or null, got {anomalous!r}")
    return TruthCase(
        id=_inside(str(entry["id"]), "scans", folder),  # maps will be called so
        subject=str(entry["subject"]),
        images=tuple(_source(image, raw, folder) for image in entry["images"]),
        anomalous=anomalous,
        kind=str(entry["kind"]),
        mask=None if mask is None else _source(mask, raw, folder),
        columns={str(name): str(value) for name, value in entry["columns"].items()},
    )


def _source(entry: Mapping[str, Any], raw: Path, folder: Path) -> Source:
    root = {"here": folder, "raw": raw}[entry["in"]]
    kind, names = entry["format"], [str(name) for name in entry["files"]]
    if kind not in get_args(Format) or not names:
        raise TypeError(f"an image must have files and a known format, got {kind!r}")
    files = tuple(root / _inside(name, f"files under {root}", folder) for name in names)
    return Source(id=str(entry["id"]), files=files, format=cast(Format, kind))


def _inside(name: str, what: str, folder: Path) -> str:
    """The name, unless it leads out of the folder that it is meant to be under."""
    parts = PurePosixPath(name)
    if parts.is_absolute() or ".." in parts.parts or not parts.parts:
        raise SynthanomError(f"{folder / NAME}: must name {what} only, got {name!r}; {REMEDY}")
    return name


def _write_table(path: Path, cases: Sequence[TruthCase]) -> None:
    """The columns id, label, subject, kind, and whatever else the cases have."""
    extra = sorted({name for case in cases for name in case.columns})
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["id", "label", "subject", "kind", *extra])
    for case in cases:
        label = "" if case.anomalous is None else int(case.anomalous)
        table.writerow([case.id, label, case.subject, case.kind, *(case.columns.get(name, "") for name in extra)])
    with replaced_file(path) as file:
        file.write(text.getvalue().encode("utf-8"))
