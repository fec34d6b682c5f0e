"""What every test may use."""

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
