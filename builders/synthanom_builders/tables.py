"""The tables that data sets come with: text whose names of files may not lead out of the data set's folders."""

import csv
from collections.abc import Sequence
from pathlib import Path

from synthanom.errors import SynthanomError


def read_table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a CSV table with a head, these columns only, without the spaces around their values.

    Raises
    ------
    SynthanomError
        If it cannot be read, or lacks a column.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            missing = [name for name in columns if name not in (rows.fieldnames or ())]
            if missing:
                raise SynthanomError(
                    f"{path}: must have the columns {', '.join(columns)}, got no {missing[0]}; download it again"
                )
            return [{name: (row[name] or "").strip() for name in columns} for row in rows]
    except (OSError, UnicodeError, csv.Error) as error:
        raise SynthanomError(f"{path}: must be a readable CSV table: {error}; download it again") from error


def is_plain(name: str) -> bool:
    """Whether a name from a table or list is that of a file in a folder, and leads nowhere else."""
    return Path(name).name == name and name not in ("", ".", "..") and "\\" not in name
