"""A long command from its beginning to its end: progress, log, and what the log says of errors."""

import shlex
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import synthanom
from synthanom import exits
from synthanom.progress import Progress, on_terminal
from synthanom.run_log import RunLog


class LongRun:
    """What a command shows and logs while it runs; made by `long_run`."""

    def __init__(self, log: RunLog, *, announce: bool) -> None:
        self.log = log
        self.progress = Progress(terminal=on_terminal(), announce=announce, log=log)
        self._over = False

    @property
    def log_path(self) -> str | None:
        """Where the log is, if there is one."""
        return str(self.log.path) if self.log.begun else None

    def end(self, status: int, words: str, *, wrote: bool = True) -> None:
        """Log the outcome; a run that wrote nothing leaves no log of its own."""
        self._over = True
        self.log.line(f"{words}; exit status {status} ({exits.WORDS[status]})")
        if wrote:
            self.log.begin()
        if status != exits.DONE and self.log.begun:
            self.progress.tell(f"log: {self.log.path}")


@contextmanager
def long_run(log: Path | None, *, announce: bool = False) -> Iterator[LongRun]:
    """Log what happens in the block, exceptions included.

    Parameters
    ----------
    log : Path or None
        Where; None for a run that writes nothing.
    announce : bool
        Whether a line on stderr says that a stage begins where that is no terminal.

    Raises
    ------
    Exception
        What the block raises, after it was logged; a refusal before the first stage is not worth a file.
    """
    kept = RunLog(log, lambda text: run.progress.tell(text))
    run = LongRun(kept, announce=announce)
    kept.line(f"command: {shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])}")
    kept.line(f"synthanom {synthanom.__version__}, Python {sys.version.split()[0]}, in {Path.cwd()}")
    try:
        yield run
    except BaseException as error:
        _log_error(run, error)
        raise
    finally:
        kept.close()


def _log_error(run: LongRun, error: BaseException) -> None:
    status = exits.status_of(error)
    if status == exits.BUG and run.log.path is not None and run.log.path.parent.is_dir():
        run.log.begin()
        for line in "".join(traceback.format_exception(error)).splitlines():
            run.log.line(line)
    words = f"{exits.WORDS[status]}; {exits.AGAIN}" if isinstance(error, KeyboardInterrupt) else f"error: {error}"
    run.end(status, words, wrote=False)
