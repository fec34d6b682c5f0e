"""What other systems than Linux would stumble over; checked here by taking away what they do not have."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from building import shards, write_pictures
from running import BUILD, SYNTHANOM, TRAIN, command

from synthanom import temporaries
from synthanom.record_locks import SHARERS

ROOT = Path(__file__).parents[1]
HOOK = Path(__file__).parent / "foreign_hook"
SOURCES = sorted(path for folder in ("synthanom", "builders", "examples") for path in (ROOT / folder).rglob("*.py"))
POSIX_MODULES = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "termios", "tty"}
# names that exist on POSIX only, and where they stand behind a question whether they are there
POSIX_NAMES = {"fork", "forkpty", "geteuid", "getuid", "mkfifo", "pthread_sigmask", "sched_getaffinity", "SIGKILL"}
GUARDED = {
    "synthanom/kernels/compiled.py": {"geteuid"},
    "builders/synthanom_builders/running.py": {"sched_getaffinity"},
    "builders/synthanom_builders/local_workers.py": {"pthread_sigmask"},
}
LINKS = {"symlink", "symlink_to", "link", "hardlink_to", "link_to"}
RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
FORBIDDEN = re.compile(r'[<>:"|?*\\\x00-\x1f]|[. ]$')
SPAWN = "import synthanom_builders.local_workers as workers; workers.METHOD = 'spawn'\n"
TINY = "network: {settings: {base: 2, resolutions: 2}}\npositions: false\nbatch_size: 4\nepochs: 1\n"


def portable(paths: list[str]) -> list[str]:
    """What is wrong with some paths where upper and lower case are one, or names are reserved."""
    parts = {part for path in paths for part in path.split("/")}
    wrong = [part for part in sorted(parts) if RESERVED.fullmatch(part) or FORBIDDEN.search(part)]
    met: dict[str, str] = {}
    for path in paths:
        if met.setdefault(path.casefold(), path) != path:
            wrong.append(path)
    return wrong


def foreign_environment(folder: Path) -> dict[str, str]:
    """With what a process is started where things are as on another system."""
    paths = [str(HOOK), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "FOREIGN": str(folder)}


def foreign(folder: Path, code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """A command where things are as on another system."""
    environment = {**foreign_environment(folder), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command(code, *arguments), cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def test_names_that_are_not_portable_are_seen():
    assert portable(["a/b.txt", "a/c.txt"]) == []
    assert portable(["docs/Aux.md", "x:y", "a/b ", "Read.me", "READ.me"]) == ["Aux.md", "b ", "x:y", "READ.me"]


def test_files_of_the_repository_have_portable_names():
    try:
        told = subprocess.run(["git", "ls-files", "-s", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this is no checkout of the repository")
    entries = [entry.split("\t") for entry in told.stdout.split("\0") if entry]
    assert len(entries) > 300
    assert portable([path for _, path in entries]) == []
    assert [path for about, path in entries if about.startswith("120000")] == []  # symbolic links


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_of_posix_is_needed(path):
    place = path.relative_to(ROOT).as_posix()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    late = {node for function in ast.walk(tree) if isinstance(function, ast.FunctionDef) for node in ast.walk(function)}
    for node in ast.walk(tree):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        modules += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
        assert not (POSIX_MODULES & set(modules)) or (node in late and place == "synthanom/record_locks.py"), place
        if isinstance(node, ast.Attribute):
            assert node.attr not in LINKS, f"{place}:{node.lineno} makes a link"
            assert node.attr not in POSIX_NAMES or node.attr in GUARDED.get(place, ()), f"{place}:{node.lineno}"
        if isinstance(node, ast.Constant):
            assert node.value != "fork", f"{place}:{node.lineno} forks"


def test_spawned_workers_build_the_bytes_of_forked_ones(tmp_path):
    write_pictures(tmp_path / "scans", count=4)
    usual = ("folder", "scans", "--tasks", "sink,source", "--folds", "2", "--variants", "1", "--workers", "2")
    for out, code in (("forked", BUILD), ("spawned", SPAWN + BUILD)):
        done = subprocess.run(
            command(code, *usual, "--out", out), cwd=tmp_path, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
    assert shards(tmp_path / "forked") == shards(tmp_path / "spawned")


def test_the_main_job_works_without_posix(tmp_path):
    write_pictures(tmp_path / "scans", count=4)
    (tmp_path / "c.yaml").write_text(TINY)
    build = ("folder", "scans", "--out", "data", "--tasks", "sink,source", "--folds", "2", "--variants", "1")
    steps: list[tuple[str, tuple[str, ...]]] = [
        (SPAWN + BUILD, (*build, "--workers", "2")),
        (SYNTHANOM, ("check", "data")),
        (TRAIN, ("data", "--out", "run", "--config", "c.yaml", "--device", "cpu")),
        (SYNTHANOM, ("predict", "run", "--input", "scans", "--out", "maps")),
    ]
    for code, arguments in steps:
        done = foreign(tmp_path, code, *arguments)
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
    written = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")]
    assert portable(written) == []
    assert not [path for path in tmp_path.rglob("*") if path.is_symlink()]
    assert not [name for name in written if name.endswith((".lock", ".tmp")) and "run/" not in name]
    assert b"\r" not in b"".join(path.read_bytes() for path in tmp_path.rglob("*.json"))


HELD = """
import os, sys, time
from pathlib import Path
from synthanom.unfinished.lock import locked
with locked(Path(sys.argv[1]), shared=sys.argv[2] == "shared"):
    print("held", flush=True)
    sys.stdin.read()
"""
ASKED = """
import sys
from pathlib import Path
from synthanom.errors import SynthanomError
from synthanom.unfinished.lock import locked
try:
    with locked(Path(sys.argv[1]), shared=sys.argv[2] == "shared"):
        print("taken")
except SynthanomError as error:
    print("refused" if "is writing there" in str(error) else error)
"""


@pytest.mark.parametrize("posix", [True, False], ids=["posix", "bytes"])
@pytest.mark.parametrize(
    ("held", "asked", "answer"),
    [("alone", "alone", "refused"), ("alone", "shared", "refused"), ("shared", "alone", "refused"),
     ("shared", "shared", "taken")],
)  # fmt: skip
def test_folders_are_locked_with_and_without_posix(tmp_path, posix, held, asked, answer):
    environment = {**os.environ}
    if not posix:
        environment |= foreign_environment(tmp_path)
    holder = subprocess.Popen(
        [sys.executable, "-c", HELD, str(tmp_path / "out"), held],
        env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        words = [sys.executable, "-c", ASKED, str(tmp_path / "out"), asked]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60)
        assert done.stdout == f"{answer}\n", done.stderr
    finally:
        holder.communicate("")
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout == "taken\n", done.stderr  # its lock ended with it
    if "shared" not in (held, asked):
        assert list((tmp_path / "out").iterdir()) == []


def test_sharers_of_bytes_find_another_one():
    assert SHARERS > 1


def test_signal_0_which_is_ctrl_c_on_windows_is_not_sent_there(monkeypatch, tmp_path):
    sent: list[object] = []
    fake = SimpleNamespace(name="nt", getpid=os.getpid, kill=lambda *given: sent.append(given))
    monkeypatch.setattr(temporaries, "os", fake)
    left = temporaries.temporary_path(tmp_path / "a.h5")
    left = left.with_name(left.name.replace(str(os.getpid()), "1"))
    left.touch()
    temporaries.remove_leftovers([tmp_path])
    assert not left.exists() and sent == []


def test_a_console_that_cannot_show_a_name_shows_escapes(tmp_path):
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252:strict", "PYTHONUTF8": "0"}
    done = subprocess.run(
        command(SYNTHANOM, "check", tmp_path / "日本"), env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2 and "\\u65e5\\u672c" in done.stdout, done.stdout + done.stderr
