"""A training command as a process of its own, that ends with the one that started it: started, collected, ended."""

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from synthanom.training.attended import PATIENCE

MODULE = "synthanom.training.attended"
SAID = 500  # last characters of what a command that failed said


@dataclass(frozen=True, kw_only=True, eq=False)
class Command:
    """A command that runs, and where its words go."""

    process: "subprocess.Popen[bytes]"
    out: IO[bytes]
    err: IO[bytes]


@dataclass(frozen=True, kw_only=True)
class Ended:
    """What came of a command.

    Attributes
    ----------
    status : int
        Its exit status; below 0 the signal that killed it.
    answer : dict
        What it answered about its run, empty if something went wrong.
    problem : str
        What went wrong, else empty.
    """

    status: int
    answer: dict[str, Any]
    problem: str


def started(words: Sequence[str], environment: Mapping[str, str]) -> Command:
    """Start the training command with these arguments (without `--json`, which is added)."""
    out, err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115 (closed when they were read)
    process = subprocess.Popen(
        [sys.executable, "-m", MODULE, *words, "--json"],
        env=dict(environment),
        stdin=subprocess.PIPE,  # closes when this process is gone
        stdout=out,
        stderr=err,
    )
    return Command(process=process, out=out, err=err)


def collected(command: Command) -> Ended:
    """What came of a command that has ended."""
    status = command.process.returncode
    with _closed(command):
        for file in (command.out, command.err):
            file.seek(0)
        answer, words = command.out.read().decode(errors="replace"), command.err.read().decode(errors="replace")
    with contextlib.suppress(ValueError):
        found = json.loads(answer)
        if status == 0:
            return Ended(status=status, answer=found["runs"][0], problem="")
        words = str(found.get("error", words))
    problem = " ".join(words.split())[-SAID:] or f"exit status {status}"
    return Ended(status=status or 1, answer={}, problem=problem)


def end(commands: Sequence[Command]) -> None:
    """End what still runs; each keeps its last state."""
    for command in commands:
        if command.process.poll() is None:
            command.process.terminate()
    for command in commands:
        with _closed(command):
            try:
                command.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                command.process.kill()
                command.process.wait()


@contextlib.contextmanager
def _closed(command: Command) -> Iterator[None]:
    try:
        yield
    finally:
        for file in (command.out, command.err, command.process.stdin):
            if file is not None:
                file.close()
