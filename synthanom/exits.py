"""Exit statuses of every command, and the one place that turns exceptions into them."""

import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

from synthanom.errors import SynthanomError

DONE, BUG, REFUSED, SKIPPED, INTERRUPTED = 0, 1, 2, 3, 130


def run(app: Callable[..., Any], *, resume_hint: str = "run the same command again") -> None:
    """Run a typer `app` and exit with the status its outcome calls for; `--debug` anywhere shows tracebacks.

    A `SynthanomError` or a file-system error prints one line and exits 2, Ctrl-C exits 130 and says how to go on,
    anything else is a bug of ours: one line, exit 1.
    """
    arguments = sys.argv[1:]
    debug = "--debug" in arguments
    if debug:
        arguments = [a for a in arguments if a != "--debug"]
    sys.exit(_status(app, arguments, debug, resume_hint))


def _status(app: Callable[..., Any], arguments: list[str], debug: bool, resume_hint: str) -> int:
    from typer.exceptions import Abort, Exit, TyperException

    try:
        code = app(args=arguments, standalone_mode=False)
    except Exit as stop:
        code = stop.exit_code
    except TyperException as misuse:
        if type(misuse).__name__ == "NoArgsIsHelpError":  # the help has been shown already
            return REFUSED
        sys.stderr.write(f"error: {_one_line(misuse)}; see --help\n")
        return REFUSED
    except (KeyboardInterrupt, Abort):
        code = INTERRUPTED
    except BrokenPipeError:
        # the reader (head, less) went away: not worth a message; stdout is closed so that exit does not raise again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except (SynthanomError, OSError) as refusal:
        if debug:
            traceback.print_exc()
        sys.stderr.write(f"error: {_one_line(refusal)}\n")
        return REFUSED
    except Exception as bug:
        if debug:
            traceback.print_exc()
        hint = "" if debug else "; run again with --debug for the traceback and report it"
        sys.stderr.write(f"error: a bug in synthanom: {type(bug).__name__}: {_one_line(bug)}{hint}\n")
        return BUG
    if code == INTERRUPTED:  # typer turns Ctrl-C into this status by itself
        sys.stderr.write(f"\ninterrupted; to go on, {resume_hint}\n")
    return code if isinstance(code, int) else DONE


def _one_line(error: BaseException) -> str:
    from typer.exceptions import TyperException

    message = error.format_message() if isinstance(error, TyperException) else str(error)
    return " ".join(message.split()).rstrip(".") or type(error).__name__
