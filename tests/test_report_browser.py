"""Reports in a real browser: sliders move, nothing is complained about, phones and the dark are suited."""

from pathlib import Path

import pytest
from browser import LAPTOP, PHONE, chromium, complaints, look, too_wide
from real_data import write_real

from synthanom.report import page_of, rendered

LONG_NAME = "a-name-without-any-place-to-break-it-" * 4


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    skipped = f"{LONG_NAME}.nii,read,{LONG_NAME}\n"
    data = write_real(
        folder / "data", shape=(18, 22, 20), tasks=("inter_blend", "sink"), subjects=3, variants=1,
        prefix=LONG_NAME + "<script>document.title='owned'</script>", skipped=skipped,
    )  # fmt: skip
    path = folder / "the report ü.html"
    path.write_bytes(rendered(page_of(data)))
    return path


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("browser")) as started:
        yield started


PLACES = """return [...arguments[0].querySelectorAll(".strip")].map(
    s => s.getBoundingClientRect().top - s.parentElement.getBoundingClientRect().top)"""


def test_sliders_move_all_panels_of_their_card_and_no_others(driver, page):
    from selenium.webdriver.common.keys import Keys

    look(driver, page, LAPTOP)
    viewers = driver.find_elements("css selector", "[data-viewer]")
    first, second = viewers[0], viewers[1]
    before, others = (driver.execute_script(PLACES, each) for each in (first, second))
    slider = first.find_element("css selector", "input[type=range]")
    slider.send_keys(Keys.HOME)
    at_start = driver.execute_script(PLACES, first)
    slider.send_keys(Keys.ARROW_RIGHT)
    after = driver.execute_script(PLACES, first)
    window = first.find_element("css selector", ".window").rect["height"]
    assert len(after) == 4 and before != at_start
    assert [a - b for a, b in zip(at_start, after, strict=True)] == pytest.approx(4 * [window], abs=0.6)
    assert driver.execute_script(PLACES, second) == others
    numbers = slider.get_attribute("data-numbers").split()
    assert first.find_element("css selector", "output").text == numbers[1]
    assert slider.get_attribute("aria-valuetext") == f"slice {numbers[1]}"
    assert complaints(driver) == []


def test_every_slice_shows_its_own_part_of_the_picture(driver, page):
    look(driver, page, LAPTOP)
    script = """
    const [viewer] = arguments, slider = viewer.querySelector("input"), windows = viewer.querySelectorAll(".window");
    const seen = [];
    for (let k = 0; k <= Number(slider.max); k++) {
      slider.value = k; slider.dispatchEvent(new Event("input"));
      for (const w of windows) {
        const strip = w.querySelector(".strip").getBoundingClientRect(), place = w.getBoundingClientRect();
        seen.push([(place.top - strip.top) / strip.height * (Number(slider.max) + 1) - k, strip.height / place.height]);
      }
    }
    return seen"""
    for each in driver.find_elements("css selector", "[data-viewer]"):
        count = len(each.find_element("css selector", "input").get_attribute("data-numbers").split())
        for error, share in driver.execute_script(script, each):
            assert abs(error) < 0.02 and share == pytest.approx(count, rel=0.01)
    assert complaints(driver) == []


@pytest.mark.parametrize("size", [LAPTOP, PHONE])
@pytest.mark.parametrize("dark", [False, True])
def test_pages_fit_their_window_and_follow_the_dark(driver, page, size, dark):
    look(driver, page, size, dark=dark)
    driver.execute_script("for (const d of document.querySelectorAll('details')) d.open = true")
    assert too_wide(driver) <= 0
    script = "const s = getComputedStyle(document.body); return [s.backgroundColor, s.color]"
    paper, ink = (sum(map(int, c[c.index("(") + 1 : -1].split(",")[:3])) for c in driver.execute_script(script))
    assert (paper < 150 and ink > 600) if dark else (paper > 700 and ink < 150)
    assert complaints(driver) == []


def test_names_from_data_run_nothing_and_nothing_can_be_loaded(driver, page):
    look(driver, page, LAPTOP)
    assert driver.title == "data: report on a data set"
    assert driver.execute_script(
        "return document.images.length > 0 && [...document.images].every(i => i.naturalWidth > 0)"
    )
    assert (
        driver.execute_script(
            "return performance.getEntriesByType('resource').filter(r => !r.name.startsWith('data:')).length"
        )
        == 0
    )
    refused = driver.execute_async_script(
        "const done = arguments[0], s = document.createElement('script'); s.textContent = 'document.title = \"owned\"';"
        "document.body.append(s); setTimeout(() => done(document.title), 100)"
    )
    assert refused == "data: report on a data set"
    assert any("Content Security Policy" in line for line in complaints(driver))  # the browser says that it refused
