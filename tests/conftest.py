"""What every test may use."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from faulty import Scene, undisturbed
from tally import DAMAGES, PROPERTY, damage_table, table

REPOSITORY = Path(__file__).parents[1]
SHARED = REPOSITORY.parent / "shared"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real scans that may lie beside the repository; tests that want them skip where they do not."""
    if not (SHARED / "data").is_dir():
        pytest.skip("needs ../shared/data, which is not here")
    return SHARED / "data"


@pytest.fixture(scope="session")
def golden() -> Path:
    """Golden arrays that may lie beside the repository."""
    if not (SHARED / "golden").is_dir():
        pytest.skip("needs ../shared/golden, which is not here")
    return SHARED / "golden"


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """A tiny build that nothing happens to."""
    return undisturbed(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Networks this small are slower on several threads, much slower on a busy machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run `synthanom` in this process: (status, stdout, stderr)."""
    from synthanom.cli import main

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["synthanom", *map(str, arguments)])
        with pytest.raises(SystemExit) as leave:
            main()
        captured = capsys.readouterr()
        return int(leave.value.code or 0), captured.out, captured.err

    return call


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what came of the faults that builds were tried with, and of the damage that was done to data sets."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    kept = [each for report in reports if report.when == "call" for each in report.user_properties]
    faults = table(value for name, value in kept if name == PROPERTY)
    damages = damage_table(trial for name, value in kept if name == DAMAGES for trial in value)
    for title, lines in (("faults of builds", faults), ("damage to data sets", damages)):
        if lines:
            terminalreporter.section(title)
            for line in lines:
                terminalreporter.write_line(line)
