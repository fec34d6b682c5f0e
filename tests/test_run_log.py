"""The log of a run: whole lines by several processes, nothing where nothing happened, never over other files."""

import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from synthanom.run_log import OURS, RunLog, log_beside

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (\d+) (.*)")


@pytest.fixture
def complaints():
    return []


def read(path: Path) -> list[str]:
    """The events, each line being whole."""
    found = [LINE.fullmatch(line) for line in path.read_text().splitlines()]
    assert all(found)
    return [match[2] for match in found]


def test_lines_are_held_until_something_begins(tmp_path, complaints):
    path = tmp_path / "deep" / "data.log"
    log = RunLog(path, complaints.append)
    log.line("first")
    assert not path.parent.exists() and not log.begun
    log.begin()
    log.line("second")
    log.close()
    again = RunLog(path, complaints.append)
    again.line("dropped")
    again.close()
    assert read(path) == ["first", "second"] and complaints == []
    assert f" {os.getpid()} " in path.read_text() and OURS.match(path.read_bytes())


def test_one_event_stays_one_line(tmp_path, complaints):
    log = RunLog(tmp_path / "a.log", complaints.append)
    log.begin()
    log.line("scan\n2026-01-01T00:00:00.000Z 1 error: forged\x1b[2J\u2028ä \udcff")
    log.close()
    (event,) = read(tmp_path / "a.log")
    assert event == r"scan\n2026-01-01T00:00:00.000Z 1 error: forged\x1b[2J\u2028ä \udcff"


def test_several_processes_keep_whole_lines(tmp_path):
    code = (
        "import sys; from pathlib import Path; from synthanom.run_log import RunLog\n"
        "log = RunLog(Path(sys.argv[1]), print); log.begin()\n"
        "for number in range(400): log.line(f'{number} ' + 'x' * 5000)\n"
    )
    path = tmp_path / "data.log"
    processes = [subprocess.Popen([sys.executable, "-c", code, str(path)]) for _ in range(3)]
    assert [process.wait(timeout=60) for process in processes] == [0, 0, 0]
    events = read(path)
    assert len(events) == 1200 and {len(event.partition(" ")[2]) for event in events} == {5000}


@pytest.mark.parametrize("content", ["my own notes\n", "2026-01-01 looks alike\n"])
def test_another_file_of_that_name_is_left_alone(tmp_path, complaints, content):
    path = tmp_path / "data.log"
    path.write_text(content)
    log = RunLog(path, complaints.append)
    log.begin()
    log.line("lost")
    log.close()
    assert path.read_text() == content
    assert len(complaints) == 1 and "something else" in complaints[0] and str(path) in complaints[0]


def test_where_it_cannot_be_written_one_note_is_all(tmp_path, complaints):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "data.log", tmp_path):
        log = RunLog(path, complaints.append)
        log.begin()
        log.line("lost")
        log.begin()
        assert log.path is None
    assert len(complaints) == 2


def test_a_full_disk_is_one_note(tmp_path):
    code = (
        "from pathlib import Path; from synthanom.run_log import RunLog\n"
        f"log = RunLog(Path({str(tmp_path / 'a.log')!r}), print); log.begin()\n"
        "for _ in range(100): log.line('x' * 100)\n"
    )
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # noqa: E731
    done = subprocess.run([sys.executable, "-c", code], preexec_fn=limit, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stderr == "" and done.stdout.count("no log is kept") == 1


def test_it_lies_beside_what_is_written(tmp_path):
    assert log_beside(tmp_path / "data") == tmp_path / "data.log"
    assert log_beside(tmp_path / "a.b" / "..") == tmp_path.with_name(f"{tmp_path.name}.log")
