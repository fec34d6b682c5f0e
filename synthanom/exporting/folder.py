"""The folder of an export: whose it is, whether it is finished, and what lies in it."""

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from synthanom.errors import SynthanomError
from synthanom.manifest import NAME as MANIFEST
from synthanom.manifest import replaced_file
from synthanom.temporaries import remove_leftovers

NAME, KIND, FORMAT = "export.json", "synthanom-export", 1
TABLE = "rows.csv"
COLUMNS = (
    "task", "row", "id", "subject", "fold", "healthy_index", "variant", "orientation",
    "image", "label", "region", "foreground", "recipe",
)  # fmt: skip


def data_digest(folder: Path) -> str:
    """SHA-256 of a data set's `dataset.json`: by which it is known, whatever it is called."""
    return hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()


def check_place(data: Path, out: Path) -> None:
    """Refuse to write where the data set is.

    Raises
    ------
    SynthanomError
    """
    ours, theirs = out.resolve(), data.resolve()
    if ours.is_relative_to(theirs) or theirs.is_relative_to(ours):
        raise SynthanomError(f"{out}: must lie outside the data set {data}; name another --out")
    if out.exists() and not out.is_dir():
        raise SynthanomError(f"{out}: must be a folder, and is a file; name another --out")


def earlier(out: Path, about: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What an earlier run of the same export left in `out`; None where that is new or empty.

    Parameters
    ----------
    about : mapping
        What this export is; see `export.json`.

    Raises
    ------
    SynthanomError
        If `out` holds anything else.
    """
    if not out.is_dir():
        return None
    path = out / NAME
    if not path.is_file():
        remove_leftovers([out])
        if any(out.iterdir()):
            raise SynthanomError(f"{out}: holds something else than an export; name an empty folder with --out")
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SynthanomError(f"{path}: must be readable JSON, got '{error}'; name another --out") from error
    if not isinstance(found, dict) or found.get("kind") != KIND or found.get("format") != FORMAT:
        raise SynthanomError(f"{path}: must be written by synthanom export, and is not; name another --out")
    for name, ours in about.items():
        if name != "name" and found.get(name) != ours:
            raise SynthanomError(
                f"{out}: holds an export of other settings ({name} was {_short(found.get(name))}, now {_short(ours)}); "
                "name another --out, or delete that one"
            )
    return found


def unchanged(out: Path, files: Mapping[str, int]) -> bool:
    """Whether all files of a finished export are there.

    Raises
    ------
    SynthanomError
        If one has another size than it was written with.
    """
    for name, size in files.items():
        path = out / name
        if path.exists() and (not path.is_file() or path.stat().st_size != size):
            raise SynthanomError(
                f"{path}: must have {size} bytes as when it was exported, and has not; delete it, and run the same "
                "command again"
            )
    return all((out / name).exists() for name in files)


def write_record(out: Path, about: Mapping[str, Any], more: Mapping[str, Any]) -> None:
    """Write `export.json`.

    Raises
    ------
    SynthanomError
        If it cannot be written.
    """
    content = {"kind": KIND, "format": FORMAT, **about, **more}
    with replaced_file(out / NAME) as file:
        file.write(json.dumps(content, indent=1, sort_keys=True, allow_nan=False).encode() + b"\n")


def write_table(out: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write `rows.csv`.

    Raises
    ------
    SynthanomError
        If it cannot be written.
    """
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with replaced_file(out / TABLE) as file:
        file.write(text.getvalue().encode("utf-8"))


def sizes(out: Path, folders: Sequence[str]) -> dict[str, int]:
    """Bytes of every file of the export but `export.json`, by its path in `out`."""
    paths = [path for place in (out, *(out / name for name in folders)) if place.is_dir() for path in place.iterdir()]
    own = [path for path in paths if path.is_file() and path.name != NAME and not path.name.startswith(".")]
    return {path.relative_to(out).as_posix(): path.stat().st_size for path in sorted(own)}


def _short(value: Any) -> str:
    text = json.dumps(value, sort_keys=True)
    return text if len(text) <= 80 else text[:77] + "..."
