"""Hidden names of files that are being written; they tell which process of which machine writes them."""

import hashlib
import os
import platform
import re
from collections.abc import Iterable
from pathlib import Path

PATTERN = re.compile(r"\..+\.(?:([0-9a-f]{8})-)?([0-9]+)\.tmp")  # earlier versions named no machine


def temporary_path(path: Path) -> Path:
    """Where this process writes what will be called `path`."""
    return path.with_name(f".{path.name}.{_machine()}-{os.getpid()}.tmp")


def remove_leftovers(folders: Iterable[Path], *, every: bool = False) -> None:
    """Remove what processes of this machine that are gone had not finished writing.

    Parameters
    ----------
    folders : iterable of Path
        Looked through, but not what is below them.
    every : bool
        Remove all of them, once nothing that anybody could still write is wanted: a killed process that nobody has
        waited for yet still counts as one, and those of other machines cannot be asked for.
    """
    for folder in folders:
        for path in folder.glob(".*.tmp"):
            match = PATTERN.fullmatch(path.name)
            if match is not None and (every or (match[1] in (None, _machine()) and not _alive(int(match[2])))):
                _remove(path)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except PermissionError:
        if os.name != "nt":  # where it only says that somebody is writing it
            raise


def _machine() -> str:
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def _alive(process: int) -> bool:
    if process == os.getpid():
        return False  # this one is not writing anything just now
    if os.name == "nt":
        return False  # signal 0 would be Ctrl-C there; a file that is being written cannot be removed anyway
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # another user's
    return True
