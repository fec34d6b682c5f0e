"""Commands as processes of their own: on a pseudo-terminal, or ended by a signal in the middle of their work."""

import io
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

BUILD = "from synthanom_builders.cli import main; main()"
SYNTHANOM = "from synthanom.cli import main; main()"
TRAIN = "from synthanom.training.cli import main; main()"
AT_ONCE = "import synthanom.progress as p; p.SHOWN_AFTER = 0.0; p.PER_SECOND = 50\n"  # bars from the first moment
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def command(code: str, *arguments: object) -> list[str]:
    return [sys.executable, "-W", "error:::synthanom", "-c", code, *map(str, arguments)]


def ran(code: str, *arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The command with pipes."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command(code, *arguments), cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def on_terminal(code: str, *arguments: object, cwd: Path | None = None) -> tuple[int, str]:
    """Exit status and everything that a terminal of 120 columns was sent, without its escapes."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TERM": "xterm", "COLUMNS": "120"}
    process = subprocess.Popen(
        command(code, *arguments), cwd=cwd, env=environment, stdin=theirs, stdout=theirs, stderr=theirs,
        start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    sent = []
    for _ in range(100_000):
        try:
            sent.append(os.read(ours, 4096))
        except OSError:  # the other end is closed
            break
    os.close(ours)
    return process.wait(timeout=60), ESCAPES.sub("", b"".join(sent).decode())


def answer(main: Callable[[], None], *arguments: object) -> tuple[int, dict[str, Any], str]:
    """Exit status, the one JSON object and stderr of a command in this process."""
    out, err = io.StringIO(), io.StringIO()
    argv = sys.argv
    sys.argv = ["command", *map(str, arguments), "--json"]
    try:
        with redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as stop:
        return int(stop.code or 0), json.loads(out.getvalue()), err.getvalue()
    finally:
        sys.argv = argv
    raise AssertionError("main returned without an exit status")


def stopping(signal_name: str, function: str, call: int, main: str) -> str:
    """Code of a command that is sent a signal in its own call, from 1, of a function `package.module:name`."""
    module, _, name = function.partition(":")
    return (
        f"import os, signal, sys, {module}\nmodule = sys.modules[{module!r}]\n"
        f"original, calls = module.{name}, []\n"
        "def fatal(*given, **named):\n"
        "    calls.append(1)\n"
        f"    if len(calls) == {call}: os.kill(os.getpid(), signal.{signal_name})\n"
        "    return original(*given, **named)\n"
        f"module.{name} = fatal\n{main}"
    )
