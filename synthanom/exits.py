"""Exit statuses of every command, and the one place that turns exceptions into them."""

import _thread
import io
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from synthanom.errors import SynthanomError
from synthanom.mistyped import misuse

DONE, BUG, REFUSED, SKIPPED, INTERRUPTED, TERMINATED = 0, 1, 2, 3, 130, 143
WORDS = {
    DONE: "done",
    BUG: "bug",
    REFUSED: "refused",
    SKIPPED: "done, with skipped files",
    INTERRUPTED: "interrupted",
    TERMINATED: "terminated",
}
AGAIN = "run the same command again"
EPILOG = "Exit status: " + "; ".join(f"{status} {words}" for status, words in WORDS.items()) + "."
NO_THREAD = "can't start new thread"
LOST_SECONDS = 0.05  # until an interruption that was lost comes again


class Terminated(KeyboardInterrupt):
    """SIGTERM, as job schedulers send it: cleaned up after like Ctrl-C."""


def run(app: Callable[..., Any], *, resume_hint: str = AGAIN, hints: Mapping[str, str] | None = None) -> None:
    """Run a typer `app` and exit with the status its outcome calls for; `--debug` anywhere shows tracebacks.

    A `SynthanomError`, a file-system error or lack of memory prints one line and exits 2, Ctrl-C exits 130 and SIGTERM
    143 and both say how to go on, anything else is a bug of ours: one line, exit 1. With `--json` anywhere the line is
    also printed as a JSON object.

    Parameters
    ----------
    app : typer application
    resume_hint : str
        How to go on after an interruption.
    hints : mapping, optional
        The same for some of the subcommands.
    """
    arguments = sys.argv[1:]
    debug = "--debug" in arguments
    if debug:
        arguments = [a for a in arguments if a != "--debug"]
    hint = (hints or {}).get(arguments[0] if arguments else "", resume_hint)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names of files that a console cannot show are no error
            stream.reconfigure(errors="backslashreplace")
    sys.exit(_status(app, arguments, debug, hint))


def report(content: Mapping[str, Any], status: int = DONE) -> None:
    """Print the one JSON object of a command that was asked for JSON: its content, `status` in words and `exit`."""
    text = json.dumps({**content, "status": WORDS[status], "exit": status}, indent=1, allow_nan=False)
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def status_of(error: BaseException) -> int:
    """The exit status that an exception calls for."""
    if isinstance(error, Terminated):
        return TERMINATED
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    return REFUSED if isinstance(error, SynthanomError | OSError) or _starved(error) else BUG


def _starved(error: BaseException) -> bool:
    """Whether memory was lacking: also for a thread's stack, which Python calls a RuntimeError."""
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and str(error) == NO_THREAD)


def _status(app: Callable[..., Any], arguments: list[str], debug: bool, hint: str) -> int:
    from typer.exceptions import Abort, Exit, TyperException

    as_json = "--json" in arguments
    received: list[int] = []
    try:
        with _terminable(received), _never_lost(received):
            code = app(args=arguments, standalone_mode=False)
            sys.stdout.flush()
    except Exit as stop:
        code = stop.exit_code
    except TyperException as wrong:
        if type(wrong).__name__ == "NoArgsIsHelpError":  # the help has been shown already
            return REFUSED
        return _refused(misuse(_one_line(wrong)), REFUSED, as_json)
    except (KeyboardInterrupt, Abort):
        code = INTERRUPTED
    except (BrokenPipeError, SystemExit) as leave:
        if not _reader_gone(leave):
            raise
        # the reader (head, less) went away: not worth a message; stdout is closed so that exit does not raise again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception as error:
        if debug:
            traceback.print_exc()
        status = status_of(error)
        line = _one_line(error) if status == REFUSED else _bug_line(error, debug)
        if _starved(error):
            line = f"not enough memory ({_one_line(error)}); free some, or run it where there is more"
        return _refused(line, status, as_json)
    if code == INTERRUPTED:  # typer turns Ctrl-C into this status by itself
        code = TERMINATED if received else INTERRUPTED
        sys.stderr.write(f"\n{WORDS[code]}; to go on, {hint}\n")
        if as_json:
            report({"error": f"{WORDS[code]}; to go on, {hint}"}, code)
    return code if isinstance(code, int) else DONE


def _refused(line: str, status: int, as_json: bool) -> int:
    sys.stderr.write(f"error: {line}\n")
    if as_json:
        report({"error": line}, status)
    return status


def _bug_line(bug: BaseException, debug: bool) -> str:
    hint = "" if debug else "; run again with --debug for the traceback and report it"
    return f"a bug in synthanom: {type(bug).__name__}: {_one_line(bug)}{hint}"


def _reader_gone(leave: BaseException) -> bool:
    """Whether a closed pipe made the command leave; typer turns that into a `SystemExit`."""
    return isinstance(leave, BrokenPipeError) or isinstance(leave.__context__, BrokenPipeError)


@contextmanager
def _terminable(received: list[int]) -> Iterator[None]:
    """While the block runs, the first SIGTERM raises `Terminated`; it and further ones are added to `received`.

    A SIGTERM that is ignored or handled already stays so.
    """

    def stop(number: int, _: object) -> None:
        received.append(number)
        if len(received) == 1:  # further ones would disturb the cleaning up
            raise Terminated

    ours = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    if ours:
        signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def _never_lost(received: list[int]) -> Iterator[None]:
    """While the block runs, Ctrl-C and SIGTERM come again where Python dropped them.

    It drops exceptions in callbacks, and h5py runs many: 49 of 60 interruptions of a command that wrote HDF5 were lost.
    """
    before = sys.unraisablehook

    def dropped(what: "sys.UnraisableHookArgs") -> None:
        if not isinstance(what.exc_value, KeyboardInterrupt):
            before(what)
            return
        received.clear()
        number = signal.SIGTERM if isinstance(what.exc_value, Terminated) else signal.SIGINT
        again = threading.Timer(LOST_SECONDS, _thread.interrupt_main, (number,))
        again.daemon = True
        again.start()

    sys.unraisablehook = dropped
    try:
        yield
    finally:
        sys.unraisablehook = before


def _one_line(error: BaseException) -> str:
    from typer.exceptions import TyperException

    message = error.format_message() if isinstance(error, TyperException) else str(error)
    return " ".join(message.split()).rstrip(".") or type(error).__name__
