"""What every test may use."""

from pathlib import Path

import pytest

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
