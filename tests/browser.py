"""A real headless Chromium, or a skip that says why there is none."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

LAPTOP, PHONE = (1280, 800), (390, 844)


@contextmanager
def chromium(folder: Path) -> Iterator[Any]:
    """A driver of selenium whose profile lies in `folder`."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium, of the extra `dev`")
    paths = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if None in paths:
        pytest.skip("needs Debian's packages chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = paths[0]
    # root may not use the sandbox, and /dev/shm is small in containers
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(argument)
    options.add_argument(f"--user-data-dir={folder / 'profile'}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=paths[1]))
    try:
        driver.set_page_load_timeout(60)
        driver.set_script_timeout(60)
        yield driver
    finally:
        driver.quit()


def look(driver: Any, page: Path, size: tuple[int, int], *, dark: bool = False) -> None:
    """Open a page in a window of a size, in light or in dark."""
    width, height = size
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": scheme})
    driver.get(page.resolve().as_uri())


def complaints(driver: Any) -> list[str]:
    """What the browser's console says since it was last asked."""
    return [json.dumps(entry) for entry in driver.get_log("browser")]


def too_wide(driver: Any) -> float:
    """By how many pixels the page is wider than its window."""
    return float(
        driver.execute_script("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
    )
