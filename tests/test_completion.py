"""The Tab key: by the protocol that shells speak with the commands, and in bash itself."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from synthanom_builders.named import NAMES
from synthanom_builders.settings import LAYOUTS, NORMALISATIONS

from synthanom.shards.codecs import CODECS
from synthanom.tasks import TASKS

BIN = Path(sys.executable).parent
COMMANDS = ("synthanom", "synthanom-train", "build-dataset")


def spoken(command: str, **environment: str) -> str:
    """What the installed command answers a shell."""
    variable = f"_{command.replace('-', '_').upper()}_COMPLETE"
    given = {variable if name == "instruction" else name: value for name, value in environment.items()}
    done = subprocess.run(
        [str(BIN / command)], env={**os.environ, **given}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == "", done.stderr
    return done.stdout


def offered(line: str) -> list[str]:
    """What bash is offered at the end of a line."""
    words = line.split(" ")
    return spoken(
        words[0], instruction="complete_bash", COMP_WORDS=" ".join(words), COMP_CWORD=str(len(words) - 1)
    ).split()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("synthanom pre", ["preview", "predict"]),
        ("synthanom replay data s", ["sink", "source", "smooth_intensity"]),
        ("synthanom preview data --tasks sink,s", ["sink,source", "sink,smooth_intensity"]),
        ("synthanom predict run --dev", ["--device"]),
        ("synthanom predict run --device c", ["cpu", "cuda"]),
        ("synthanom-train data --pairing ", ["crossed", "full"]),
        ("synthanom-train data --epo", ["--epochs"]),
        ("build-dataset mood", ["mood-brain", "mood-abdomen"]),
        ("build-dataset hcp raw --tasks ", list(TASKS)),
        ("build-dataset folder raw --codec ", list(CODECS)),
        ("build-dataset folder raw --layout ", list(LAYOUTS)),
        ("build-dataset folder raw --normalise ", [name for name in NORMALISATIONS if name != "auto"]),
        ("build-dataset folder raw --out ", []),  # the shell's own business: files
    ],
)
def test_bash_is_offered(line, expected):
    assert sorted(offered(line)) == sorted(expected)


def test_every_data_set_is_offered():
    assert {"folder", *NAMES} <= set(offered("build-dataset "))


def test_zsh_and_fish_are_offered_the_same():
    zsh = spoken("synthanom", instruction="complete_zsh", _TYPER_COMPLETE_ARGS="synthanom preview data --tasks si")
    assert zsh.strip() == """_arguments '*: :(("sink"))'"""
    fish = {"_TYPER_COMPLETE_ARGS": "synthanom replay data so", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    assert spoken("synthanom", instruction="complete_fish", **fish) == "source\n"


def in_bash(home: Path, lines: str) -> subprocess.CompletedProcess[str]:
    """What bash says to some lines, with the commands in its path and a home of its own."""
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "HOME": str(home)}
    return subprocess.run(
        ["bash", "--norc", "-c", f"{lines}\ntrue\n"], env=environment, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_every_shell_has_its_script(command, shell):
    script = spoken(command, instruction=f"source_{shell}")
    assert f"_{command.replace('-', '_').upper()}_COMPLETE" in script and f"complete_{shell}" in script
    assert command in script


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
@pytest.mark.parametrize(
    ("command", "word", "expected"), [("synthanom", "chec", "check"), ("build-dataset", "zh", "zhanglab")]
)
def test_bash_completes(tmp_path, command, word, expected):
    """Bash sources the script and asks for the completion of a line, as the Tab key makes it do."""
    asked = (
        f"source <({command} --show-completion)\nCOMP_WORDS=({command} {word})\nCOMP_CWORD=1\n"
        f"_{command.replace('-', '_')}_completion {command}\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n"
    )
    done = in_bash(tmp_path, asked)
    assert done.stdout == f"{expected}\n", done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_installing_writes_into_the_users_home_only(tmp_path):
    done = in_bash(tmp_path, "synthanom --install-completion")
    assert done.returncode == 0 and "bash completion installed" in done.stdout, done.stdout + done.stderr
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [".bashrc", "synthanom.sh"]


def test_offering_tasks_imports_nothing_heavy():
    code = (
        "import sys\nfrom synthanom.completion import listed_task_names\n"
        "print(listed_task_names('sink,so'), sorted({'torch', 'h5py', 'lightning', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "['sink,source'] []\n", done.stderr
