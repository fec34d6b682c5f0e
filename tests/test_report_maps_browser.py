"""Reports on maps in a real browser: what its sliders say is what the metrics say."""

import json
from pathlib import Path

import numpy as np
import pytest
from browser import LAPTOP, PHONE, chromium, complaints, look, too_wide
from scored_maps import HOSTILE, rename, write_maps

from synthanom.evaluation import Choices
from synthanom.metrics import Confusion
from synthanom.report import rendered
from synthanom.report.maps import Asked, maps_page

FIGURES = {
    "recall": Confusion.recall,
    "specificity": Confusion.specificity,
    "precision": Confusion.precision,
    "npv": Confusion.negative_predictive_value,
    "accuracy": Confusion.accuracy,
    "f": lambda found: found.f_beta(1.1),
}
SET = """
const [name, value] = arguments, field = document.getElementById(name);
field.value = value; field.dispatchEvent(new Event(field.tagName === "SELECT" ? "change" : "input"));
"""
READ = """
const read = (name) => Object.fromEntries([...document.querySelectorAll(`[data-${name}]`)]
  .map((item) => [item.dataset[name], item.textContent]));
return { cell: read("cell"), thousand: read("thousand"), figure: read("figure"),
  cut: document.getElementById("calling-cut-words").value,
  share: document.getElementById("calling-share-words").value };
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    root = write_maps(tmp_path_factory.mktemp("maps"), count=14)
    rename(root, "sub-00_scan00", HOSTILE)
    asked = Asked(truth=root / "truth", labels=root / "labels.csv", choices=Choices())
    path = root / "report.html"
    path.write_bytes(rendered(maps_page(root / "maps", asked)))
    return path


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("browser")) as started:
        yield started


def set_to(driver, name, value):
    driver.execute_script(SET, name, str(value))


def callings(driver):
    return json.loads(driver.execute_script("return document.getElementById('calling-data').textContent"))


def table_at(one, place):
    tp, fp = one["tp"][place], one["fp"][place]
    return Confusion(tp=tp, fp=fp, fn=one["positives"] - tp, tn=one["negatives"] - fp)


def percent(value):
    return "-" if np.isnan(value) else f"{100 * value:.1f} %"


def agree(shown, value):
    """Within the last digit shown: halves are rounded up there and to even here."""
    if shown == "-" or np.isnan(value):
        return shown == "-" and bool(np.isnan(value))
    return abs(float(shown.removesuffix(" %")) - 100 * float(value)) <= 0.0501


def test_the_sliders_say_what_the_metrics_say(driver, page):
    look(driver, page, LAPTOP)
    every = callings(driver)
    assert {one["level"] for one in every} == {"sample", "slice", "pixel"}
    for number, one in enumerate(every):
        set_to(driver, "calling-level", number)
        last = len(one["cuts"]) - 1
        for place in (one["start"], 0, last // 3, last - 1, last):
            set_to(driver, "calling-cut", place)
            driver.execute_script("document.getElementById('calling-own').click()")
            found = table_at(one, place)
            seen = driver.execute_script(READ)
            assert {k: int(v.replace(",", "")) for k, v in seen["cell"].items()} == vars(found)
            for name, figure in FIGURES.items():
                assert agree(seen["figure"][name], float(figure(found))), (one["level"], place, name)
            assert "as in this set" in seen["share"]
            for slider in (-3000, -1700, -301):
                set_to(driver, "calling-share", slider)
                there = found.at_prevalence(10 ** (slider / 1000))
                seen = driver.execute_script(READ)
                for name, figure in FIGURES.items():
                    assert agree(seen["figure"][name], float(figure(there))), (one["level"], place, slider, name)
                assert seen["share"] == percent(10 ** (slider / 1000))
                # of a thousand, as many are anomalous as the share says
                share = 10 ** (slider / 1000)
                wanted = {"tp": share * found.recall(), "fp": (1 - share) * (1 - found.specificity())}
                for name, value in wanted.items():
                    assert float(seen["thousand"][name]) == pytest.approx(1000 * float(value), abs=0.51)
    assert complaints(driver) == []


def test_it_starts_at_the_stored_cut_and_keys_move_it(driver, page):
    from selenium.webdriver.common.keys import Keys

    look(driver, page, LAPTOP)
    assert driver.execute_script(READ)["cut"] == "0.982 (stored)"
    before = driver.execute_script(READ)["cell"]
    slider = driver.find_element("id", "calling-cut")
    slider.send_keys(Keys.HOME)
    after = driver.execute_script(READ)["cell"]
    assert after["fn"] == after["tn"] == "0" and int(before["fn"]) and int(before["tn"])
    slider.send_keys(Keys.END)
    assert driver.execute_script(READ)["cell"]["tp"] == "0"
    assert driver.execute_script(READ)["figure"]["precision"] == "-"
    buttons = driver.find_elements("css selector", "#calling-chosen button")
    assert sorted(button.text for button in buttons) == ["f_beta", "oracle", "stored"]
    stored = next(button for button in buttons if button.text == "stored")
    driver.execute_script("arguments[0].click()", stored)  # the page scrolls smoothly, and a click does not wait
    assert driver.execute_script(READ)["cell"] == before
    share = driver.find_element("id", "calling-share")
    share.send_keys(Keys.ARROW_LEFT)
    assert "as in this set" not in driver.execute_script(READ)["share"]
    assert complaints(driver) == []


def test_cards_follow_the_cut_and_the_filter(driver, page):
    look(driver, page, LAPTOP)
    one = callings(driver)[0]
    cards = driver.find_elements("css selector", "[data-case]")
    for place in (one["start"], len(one["cuts"]) // 2):
        set_to(driver, "calling-cut", place)
        wrong = 0
        for card in cards:
            called = float(card.get_attribute("data-case")) >= one["cuts"][place]
            right = called == (card.get_attribute("data-truth") == "anomalous")
            wrong += not right
            words = card.find_element("css selector", "[data-verdict]").get_attribute("textContent")
            assert words == f"{'called' if called else 'not called'}: {'right' if right else 'wrong'}"
        found = table_at(one, place)
        assert wrong == found.fp + found.fn
        set_to(driver, "cases-filter", "wrong")
        assert sum(card.is_displayed() for card in cards) == wrong
        set_to(driver, "cases-filter", "anomalous")
        assert sum(card.is_displayed() for card in cards) == one["positives"]
        set_to(driver, "cases-filter", "all")
    assert complaints(driver) == []


def test_slices_move_with_their_outline(driver, page):
    look(driver, page, LAPTOP)
    card = driver.find_element("css selector", "[data-truth=anomalous]")
    slider = card.find_element("css selector", "input[type=range]")
    here = "return [...arguments[0].querySelectorAll('.outline.here')].map(o => o.dataset.slice)"
    start = slider.get_attribute("value")
    assert driver.execute_script(here, card) == [start]
    script = "arguments[0].value = 0; arguments[0].dispatchEvent(new Event('input'))"
    driver.execute_script(script, slider)
    marked = [o.get_attribute("data-slice") for o in card.find_elements("css selector", ".outline")]
    assert driver.execute_script(here, card) == (["0"] if "0" in marked else [])
    set_to(driver, "cases-strength", 0)
    assert driver.execute_script("return getComputedStyle(document.documentElement).getPropertyValue('--heat')") == "0"
    driver.execute_script("document.getElementById('cases-outline').click()")
    assert not any(o.is_displayed() for o in card.find_elements("css selector", ".outline"))
    assert complaints(driver) == []


def test_the_ring_lies_on_the_curve(driver, page):
    look(driver, page, LAPTOP)
    one = callings(driver)[0]
    found = table_at(one, one["start"])
    ring = "return ['cx', 'cy'].map(n => Number(document.querySelector('[data-live=roc] circle.live').getAttribute(n)))"
    frame = "const f = document.querySelector('[data-live=roc] svg svg');"
    frame += "return ['width', 'height'].map(n => Number(f.getAttribute(n)))"
    width, height = driver.execute_script(frame)
    x, y = driver.execute_script(ring)
    assert x / width == pytest.approx(1 - found.specificity())
    assert (1 - y / height) * 1.02 == pytest.approx(found.recall())


@pytest.mark.parametrize("size", [LAPTOP, PHONE])
@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_its_window(driver, page, size, dark):
    look(driver, page, size, dark=dark)
    driver.execute_script("for (const d of document.querySelectorAll('details')) d.open = true")
    assert too_wide(driver) <= 0
    assert HOSTILE in driver.find_element("id", "cases").text
    assert driver.execute_script("return [...document.images].every(i => i.naturalWidth > 0)")
    assert complaints(driver) == []
