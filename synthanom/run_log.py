"""The text log of a long run: what happened and when, line by line, beside what the run makes."""

import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from synthanom.errors import SynthanomError

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
OURS = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \d+ ")
EXTENSION = ".log"


def log_beside(out: Path) -> Path:
    """Where the log of what is written into the folder `out` lies: beside it, so that nothing in it changes."""
    out = out.resolve()
    return out.with_name(out.name + EXTENSION)


class RunLog:
    """Lines with time (UTC) and process id, appended to a file.

    Each line is one write to the end of the file, so that several processes may keep one log. Lines are held back
    until `begin`: a run that does nothing leaves nothing.

    Parameters
    ----------
    path : Path or None
        None: nothing is kept.
    complain : callable
        Told once if the file cannot be written; the run goes on without a log.
    """

    def __init__(self, path: Path | None, complain: Callable[[str], None]) -> None:
        self.path = path
        self._complain = complain
        self._held: list[bytes] = []
        self._file: int | None = None

    @property
    def begun(self) -> bool:
        """Whether lines go into the file."""
        return self._file is not None

    def line(self, text: str) -> None:
        """Add one event; what would break the line is shown as an escape."""
        if self.path is None:
            return
        now = datetime.now(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00")
        shown = CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)
        self._write(f"{now}Z {os.getpid()} {shown}\n".encode("utf-8", "backslashreplace"))

    def begin(self) -> None:
        """Open the file and write what was held back."""
        if self.path is None or self._file is not None:
            return
        try:
            self._file = _opened(self.path)
        except (OSError, SynthanomError) as error:
            self._give_up(error)
            return
        held, self._held = self._held, []
        for line in held:
            self._write(line)

    def close(self) -> None:
        """Close the file; what is still held back is dropped."""
        if self._file is not None:
            os.close(self._file)
        self._file = None
        self._held = []

    def _write(self, line: bytes) -> None:
        if self._file is None:
            self._held.append(line)
            return
        try:
            if os.write(self._file, line) < len(line):
                raise OSError("only a part of a line could be written")
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        path, self.path = self.path, None
        self.close()
        self._complain(f"no log is kept: {path}: {getattr(error, 'strerror', None) or error}")


def _opened(path: Path) -> int:
    """A descriptor that appends to a log of ours, or to a new one.

    Raises
    ------
    OSError, SynthanomError
        If it cannot be written, or something else has its name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        if not path.is_file():
            raise SynthanomError("must be a file, and is something else")
        with path.open("rb") as file:
            head = file.read(64)
        if head and not OURS.match(head):
            raise SynthanomError("holds something else than a log of synthanom")
    as_it_is = getattr(os, "O_BINARY", 0)  # Windows would write two bytes for the end of a line
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | as_it_is, 0o666)
