"""The benchmark of threads and processes makes the same samples each way, and writes its own part of the page only."""

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from synthanom import tasks

FOLDER = Path(__file__).parents[1] / "benchmarks"
MARKED = "# Speed\n\n<!-- measured: threads -->\nold\n<!-- end: threads -->\n\nWhat is left.\n"


@pytest.fixture(scope="module")
def threads() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        before = set(sys.modules)
        yield importlib.import_module("threads")
        for name in set(sys.modules) - before:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(FOLDER)):
                del sys.modules[name]


def test_quick_run_measures_every_way():
    command = [sys.executable, str(FOLDER / "threads.py"), "--quick", "--seeds", "1", "--passes", "2", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    (row,) = json.loads(done.stdout)
    assert row["case"] == "quick 2d" and row["samples"] == len(tasks.TASKS)
    assert list(row["rates"]) == ["one thread", "two threads", "two processes"]
    assert all(len(rates) == 2 and min(rates) > 0 for rates in row["spread"].values())


def test_every_way_makes_every_sample_and_passes_take_turns(threads, monkeypatch):
    made: list = []
    orders: list = []
    monkeypatch.setattr(threads, "begin", lambda name: None)
    monkeypatch.setattr(threads, "make", made.append)
    monkeypatch.setattr(threads, "ProcessPoolExecutor", lambda workers, *_, **__: threads.ThreadPoolExecutor(workers))
    clock = threads.seconds

    def seconds(run, jobs):
        made.clear()
        spent = clock(run, jobs)
        orders.append((type(run).__name__, sorted(made)))
        return spent

    monkeypatch.setattr(threads, "seconds", seconds)
    case = threads.cases.case_named("quick 2d")
    threads.measure(case, 3, 2)
    jobs = sorted((task, seed) for task in tasks.TASKS for seed in range(3))
    assert [name for name, _ in orders] == 3 * ["function", "ThreadPoolExecutor", "ThreadPoolExecutor"]
    assert all(done == jobs for _, done in orders)


def test_page_gets_a_line_per_case_and_keeps_the_rest(threads, monkeypatch, tmp_path, capsys):
    page = tmp_path / "speed.md"
    page.write_text(MARKED)
    rates = {"one thread": 100.0, "two threads": 180.0, "two processes": 150.0}
    row = {"case": "quick 2d", "shape": (40, 48), "samples": 5, "rates": rates}
    monkeypatch.setattr(threads, "PAGE", page)
    monkeypatch.setattr(threads, "measure", lambda case, seeds, passes: row)
    monkeypatch.setattr(sys, "argv", ["threads.py", "--quick", "--write"])
    threads.main()
    text = page.read_text()
    assert text.startswith("# Speed\n") and text.endswith("\nWhat is left.\n") and "\nold\n" not in text
    assert "| quick 2d | 40 x 48 | 5 | 100 | 180 | 1.80 | 150 | 1.50 |" in text
    assert capsys.readouterr().out.strip() in text
