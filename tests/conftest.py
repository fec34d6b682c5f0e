"""What every test may use."""

from pathlib import Path

import pytest
from faulty import Scene, undisturbed
from tally import PROPERTY, table

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
    """Print what came of the faults that builds were tried with."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    trials = [
        value
        for report in reports
        if report.when == "call"
        for name, value in report.user_properties
        if name == PROPERTY
    ]
    lines = table(trials)
    if lines:
        terminalreporter.section("faults of builds")
        for line in lines:
            terminalreporter.write_line(line)
