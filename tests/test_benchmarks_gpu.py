"""The benchmark of batches compares every sample, counts what it says, and writes its own part of the page only."""

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

FOLDER = Path(__file__).parents[1] / "benchmarks"
MARKED = "# Speed\n\n<!-- measured: batches -->\nold\n<!-- end: batches -->\n\nWhat is left.\n"


@pytest.fixture(scope="module")
def bench() -> Iterator[SimpleNamespace]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        before = set(sys.modules)
        yield SimpleNamespace(**{name: importlib.import_module(name) for name in ("gpu", "counting", "cases")})
        for name in set(sys.modules) - before:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(FOLDER)):
                del sys.modules[name]


def work(bench, case="quick 2d", size=5):
    return bench.gpu.Work(case=bench.cases.case_named(case), size=size, device=torch.device("cpu"))


def test_a_quick_run_measures_checks_and_counts():
    command = [sys.executable, str(FOLDER / "gpu.py"), "--quick", "--json", "--device", "cpu"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    found = json.loads(done.stdout)
    assert [row["case"] for row in found["rows"]] == ["quick 2d", "quick 3d", "quick two channels"]
    for row, count in zip(found["rows"], found["counted"], strict=True):
        assert row["checked"] == row["size"] == 5 and row["ties"] <= 1 and row["rate"] > 0 and row["ms"] > 0
        parts = [row["shares"][name] for name in ("draw", "place", "blend", "deform", "intensity", "label")]
        assert min(parts) > 0 and sum(row["shares"].values()) == pytest.approx(1, abs=0.02)
        assert count["calls"] > 500 and count["bytes"] > 10**6 and count["flops"] > 0 and count["looks"] < 20


def test_a_wrong_picture_stops_it(bench, monkeypatch):
    job = work(bench)
    make = bench.gpu.Work.make

    def off(self, draw):
        batch = make(self, draw)
        batch.labels[2] += 0.01  # sample 2 is a sink: no tie can excuse it
        return batch

    assert bench.gpu.check(job) <= 1
    monkeypatch.setattr(bench.gpu.Work, "make", off)
    with pytest.raises(AssertionError, match="sample 2"):
        bench.gpu.check(job)


def test_what_is_counted(bench):
    a, b = torch.ones((4, 8, 16)), torch.ones((4, 16, 8))
    with bench.counting.Counting() as counter:
        c = torch.bmm(a, b)
        c.view(4, 64)[1:].add_(1)
        taken = a.flatten()[torch.tensor([1, 2, 3])]
        bool((taken > 0).all())
    asked = counter.demand
    assert asked.flops == 2 * 4 * 8 * 8 * 16 and asked.looks == 1
    product, addition = 4 * (2 * 512 + 256), 2 * 4 * 192  # read and written
    assert product + addition < asked.bytes < product + addition + 200
    expanded = torch.ones(1, 1).expand(100, 100)
    assert bench.counting.stored(expanded) == 4
    parts = replace(asked, calls=10, bytes=4_000, flops=600).seconds(1e-6, 2e9, 3e9)
    assert parts == pytest.approx({"calls": 1e-5, "bytes": 2e-6, "flops": 2e-7})


def test_it_writes_its_own_part_of_the_page(bench, monkeypatch, tmp_path, capsys):
    page = tmp_path / "speed.md"
    page.write_text(MARKED)
    monkeypatch.setattr(bench.gpu, "PAGE", page)
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--quick", "--case", "quick 2d", "--size", "3", "--write"])
    bench.gpu.main()
    text = page.read_text()
    assert "-->\nold\n" not in text and "What is left." in text and "| quick 2d | 3 |" in text
    assert "one H200 would need" in text and "| quick 2d | 3 |" in capsys.readouterr().out
