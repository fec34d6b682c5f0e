"""Exit statuses: one line, the right number, a traceback on request only."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys, typer
from synthanom.errors import SynthanomError
from synthanom.exits import run
app = typer.Typer(add_completion=False)
@app.command()
def main(what: str, number: int = 0):
    if what == "refuse": raise SynthanomError("no such scan\\n  here")
    if what == "file": open("/nonexistent/file")
    if what == "memory": raise MemoryError("Unable to allocate 3 TiB")
    if what == "thread": raise RuntimeError("can't start new thread")
    if what == "bug": [][1]
    if what == "stop": raise KeyboardInterrupt
    if what == "exit": raise typer.Exit(3)
    print("done")
run(app, resume_hint="run it again")
"""


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["fine"], 0, ""),
        (["refuse"], 2, "error: no such scan here"),
        (["file"], 2, "/nonexistent/file"),
        (["memory"], 2, "error: not enough memory (Unable to allocate 3 TiB); free some"),
        (["thread"], 2, "error: not enough memory (can't start new thread); free some"),
        (["bug"], 1, "a bug in synthanom: IndexError"),
        (["stop"], 130, "run it again"),
        (["exit"], 3, ""),
        (["fine", "--number", "many"], 2, "--number"),
        (["fine", "--unknown"], 2, "--unknown"),
        ([], 2, "what"),
    ],
)
def test_status_and_message(arguments, status, words):
    done = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == status, done.stderr
    assert words in done.stderr and "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 1


def test_debug_shows_the_traceback():
    done = subprocess.run([sys.executable, "-c", PROGRAM, "bug", "--debug"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "Traceback" in done.stderr


LOST = """
import os, signal, time, typer, weakref
from synthanom.exits import run

app = typer.Typer()

class Thing:
    pass

@app.command()
def work(number: int):
    thing = Thing()
    watched = weakref.ref(thing, lambda _: (os.kill(os.getpid(), number), time.sleep(0.01)))
    del thing  # what the callback raises is dropped
    for _ in range(100):
        time.sleep(0.05)
    print("never told")

run(app)
"""


@pytest.mark.parametrize(("number", "status", "word"), [(2, 130, "interrupted"), (15, 143, "terminated")])
def test_interruptions_that_fall_into_a_callback_are_not_lost(number, status, word):
    done = subprocess.run([sys.executable, "-c", LOST, str(number)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (
        status,
        "",
        f"\n{word}; to go on, run the same command again\n",
    )
