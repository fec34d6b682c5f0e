"""What docs/cli.md says about statuses and messages, by real processes."""

import re
from pathlib import Path

import pytest
from building import write_pictures
from running import BUILD, SYNTHANOM, TRAIN, ran, stopping
from synthanom_builders.settings import read_task_config
from tiny_dataset import write_tiny

from synthanom import exits
from synthanom.errors import SynthanomError
from synthanom.training.config import load_config

PAGE = (Path(__file__).parents[1] / "docs" / "cli.md").read_text(encoding="utf-8")
BROKEN = "import synthanom.cli.checking as checking\nchecking.check_data = lambda *given, **named: 1 / 0\n" + SYNTHANOM
CHECK = "synthanom.cli.checking:check_data"
BUILT = ("folder", "scans", "--out", "built", "--tasks", "sink", "--folds", "1", "--variants", "1", "--workers", "1")
# what makes a command end with each status
ENDS = {
    0: (TRAIN, ("data", "--list"), ""),
    1: (BROKEN, ("check", "data"), "a bug in synthanom: ZeroDivisionError"),
    2: (SYNTHANOM, ("describe", "nowhere"), "error: nowhere"),
    3: (BUILD, BUILT, "skipped"),
    130: (
        stopping("SIGINT", CHECK, 1, SYNTHANOM),
        ("check", "data"),
        "interrupted; to go on, run the same command again",
    ),
    143: (
        stopping("SIGTERM", CHECK, 1, SYNTHANOM),
        ("check", "data"),
        "terminated; to go on, run the same command again",
    ),
}


def rows(heading: str) -> list[list[str]]:
    """Cells of the tables under a heading, without their own headings."""
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    cells = [[cell.strip().strip("`") for cell in line.strip("|").split(" | ")] for line in lines]
    return [row for row in cells if row[0] not in ("Status", "---", "In the file", "In the file of tasks")]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    write_tiny(folder / "data")
    write_pictures(folder / "scans", count=3)
    (folder / "scans" / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n and nothing more")
    return folder


def test_the_page_has_every_status_in_its_words():
    assert {int(status): words for status, words, _ in rows("Exit statuses")} == exits.WORDS
    assert list(exits.WORDS) == list(ENDS)


@pytest.mark.parametrize("status", list(ENDS))
def test_commands_end_with_each_status(place, status):
    code, arguments, words = ENDS[status]
    done = ran(code, *arguments, cwd=place)
    assert done.returncode == status and words in done.stderr, done.stderr


@pytest.mark.parametrize("arguments", [(SYNTHANOM,), (SYNTHANOM, "check"), (TRAIN,), (BUILD,), (BUILD, "hcp")])
def test_help_lists_every_status(arguments):
    code, *words = arguments
    done = ran(code, *words, "--help")
    shown = " ".join(done.stdout.split())
    assert done.returncode == 0 and exits.EPILOG in shown, done.stdout
    assert all(f"{status} {word}" in exits.EPILOG for status, word in exits.WORDS.items())


def test_examples_of_settings_are_refused_as_the_page_says(tmp_path):
    found = rows("Files of settings")
    assert len(found) >= 7
    for number, (text, words) in enumerate(found):
        path = tmp_path / f"{number}.yaml"
        path.write_text(text)
        with pytest.raises(SynthanomError) as caught:
            if text.startswith(("sink", "sinc")):
                read_task_config(path)
            else:
                load_config(path, (16, 16))
        assert str(caught.value).removeprefix(f"{path}: ") == words


def test_examples_of_names_are_refused_as_the_page_says(place):
    section = PAGE.split("## Names that there are not\n")[1].split("\n## ")[0]
    found = re.findall(r"^\$ build-dataset (.*)\n(error: .*)$", section, flags=re.MULTILINE)
    assert len(found) == 3
    for arguments, words in found:
        done = ran(BUILD, *arguments.replace("--out data", "--out other").split(), cwd=place)
        assert (done.returncode, done.stderr.strip()) == (2, words)
