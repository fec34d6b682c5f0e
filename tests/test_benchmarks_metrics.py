"""The benchmark of ranking metrics runs every way, says why it leaves one out, and writes its own part of the page."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
MARKED = "# Speed\n\n<!-- measured: metrics -->\nold\n<!-- end: metrics -->\n\nWhat is left.\n"


@pytest.fixture(scope="module")
def bench() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        before = set(sys.modules)
        yield importlib.import_module("metrics")
        for name in set(sys.modules) - before:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(FOLDER)):
                del sys.modules[name]


def cells(text):
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return rows[2:]


def test_table_has_a_line_per_way_and_keeps_the_rest_of_the_page(bench, monkeypatch, tmp_path, capsys):
    page = tmp_path / "speed.md"
    page.write_text(MARKED)
    monkeypatch.setattr(bench, "PAGE", page)
    sizes = ["--pixels", "3000", "--passes", "1", "--scores", "normal", "percent"]
    monkeypatch.setattr(sys, "argv", ["metrics.py", *sizes, "--write"])
    bench.main()
    text = page.read_text()
    assert text.startswith("# Speed\n") and text.endswith("\nWhat is left.\n") and "\nold\n" not in text
    assert capsys.readouterr().out.strip() in text
    rows = cells(text)
    ways = [*(("normal", way) for way in bench.WAYS), ("percent", "bins"), ("percent", "exact")]
    assert [tuple(row[1:3]) for row in rows] == ways
    for row in rows:
        assert row[0] == "0.003 million" and min(float(row[3]), float(row[4])) >= 0
        assert max(float(row[5]), float(row[6])) < (1e-12 if row[2] != "bins" else 1e-3)
    assert float(rows[3][5]) > 0  # the bins did answer


def test_scikit_learn_is_left_out_where_memory_is_short(bench, monkeypatch):
    monkeypatch.setattr(bench, "NEEDED", 2**50)
    assert bench.left_out("bins", 10) is None
    reason = bench.left_out("scikit-learn", 10)
    if not Path("/proc/meminfo").exists():
        pytest.skip("the system does not say how much memory is free")
    assert "GB were free" in reason
    monkeypatch.setattr(bench, "apart", lambda *_: {"seconds": 1.0, "mebibytes": 2.0, "ap": 0.5, "roc": 0.5})
    arguments = type("", (), {"passes": 1, "seed": 0})
    found = bench.compared(10, "normal", list(bench.WAYS), arguments)
    assert found[2][3] == reason and {len(row) for row in found} == {7}
    assert found[0][5] == "0.0e+00"  # against the exact answer


@pytest.mark.parametrize("kind", ["normal", "uniform", "sigmoid", "percent", "noise"])
def test_scores_are_what_their_names_say(bench, kind):
    scores, labels = bench.pixels(50_000, kind, 3)
    again, same = bench.pixels(50_000, kind, 3)
    assert np.array_equal(scores, again) and np.array_equal(labels, same)
    assert 0.01 < labels.mean() < 0.03
    highest = {"uniform": 1, "sigmoid": 1, "percent": 100, "noise": 1}.get(kind, np.inf)
    assert scores.dtype == np.float32 and scores.max() <= highest
    assert kind != "percent" or scores.max() > 90
    gap = scores[labels].mean() - scores[~labels].mean()
    assert abs(gap) < 0.05 if kind == "noise" else gap > 0.1


def test_answers_of_all_ways_agree(bench):
    made = bench.pixels(5_000, "normal", 0)
    exact, bins, oracle = (bench.answer(way, *made) for way in ("exact", "bins", "scikit-learn"))
    assert exact == pytest.approx(oracle, abs=1e-12) and bins == pytest.approx(oracle, abs=1e-4)
    assert bins != exact
