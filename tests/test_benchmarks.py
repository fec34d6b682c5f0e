"""The benchmark compares like with like: baseline and synthanom make the same samples, and no step goes unseen."""

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from synthanom import tasks

FOLDER = Path(__file__).parents[1] / "benchmarks"
MODULES = ("baseline", "cases", "machine", "pages", "steps", "synthesis")
QUICK = ("quick 2d", "quick 3d", "quick two channels")


@pytest.fixture(scope="module")
def bench() -> Iterator[SimpleNamespace]:
    """The modules of benchmarks/, which find each other as neighbours, as scripts do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        yield SimpleNamespace(**{name: importlib.import_module(name) for name in MODULES})
        for name in MODULES:
            del sys.modules[name]


def work(bench, case, task):
    chosen = bench.cases.case_named(case)
    return bench.synthesis.Work(
        case=chosen, task=task, sample=bench.cases.picture(chosen), donors=bench.cases.donors(chosen)
    )


@pytest.mark.parametrize("task", tasks.TASKS)
@pytest.mark.parametrize("case", QUICK)
def test_baseline_and_synthanom_agree(bench, case, task):
    job = work(bench, case, task)
    for seed in range(12):
        result = job.ours(seed)
        picture, label = job.theirs(result)()
        bench.synthesis.check_equal(job, result, picture, label)
        assert (picture != job.sample.image).any() and label.max() > 0


def test_a_difference_stops_the_benchmark(bench):
    job = work(bench, "quick 2d", "sink")
    result = job.ours(0)
    picture, label = job.theirs(result)()
    with pytest.raises(AssertionError, match="must agree"):
        bench.synthesis.check_equal(job, result, picture, np.minimum(label + 0.002, 1))
    picture[0, 0, 0] += 0.1
    with pytest.raises(AssertionError, match="quick 2d, sink"):
        bench.synthesis.check_equal(job, result, picture, label)


def test_every_step_is_seen(bench):
    seen = set()
    for task in tasks.TASKS:
        job = work(bench, "quick 2d", task)
        shares = bench.steps.shares(lambda job=job: [job.ours(seed) for seed in range(3)], 2)
        assert sum(shares.values()) == pytest.approx(1)
        seen |= set(shares)
    assert seen == {step for _, _, step in bench.steps.FACES} | {bench.steps.REST}


def test_faces_are_put_back(bench):
    before = [vars(owner)[name] for owner, name, _ in bench.steps.FACES]
    with bench.steps.watched(bench.steps.Clock()):
        assert all(vars(o)[n] is not b for (o, n, _), b in zip(bench.steps.FACES, before, strict=True))
    assert all(vars(o)[n] is b for (o, n, _), b in zip(bench.steps.FACES, before, strict=True))


def test_a_step_does_not_count_what_it_calls(bench, monkeypatch):
    now = iter(range(100))
    monkeypatch.setattr(bench.steps.time, "perf_counter", lambda: next(now))
    clock = bench.steps.Clock()
    inner = clock.timed("inner", lambda: None)
    clock.timed("outer", lambda: [inner(), inner()])()
    assert clock.spent == {"inner": 2, "outer": 3}


def test_same_pictures_each_time(bench):
    case = bench.cases.case_named("quick 3d")
    first, again = bench.cases.picture(case), bench.cases.picture(case)
    assert first.sha256 == again.sha256
    assert first.image.shape == (1, *case.shape) and not first.image[:, ~first.foreground].any()
    subjects = [s.subject for donors in bench.cases.donors(case).values() for s in donors]
    assert len({*subjects, first.subject}) == 2 * bench.cases.DONORS + 1


def test_published_figures_cover_the_targets(bench):
    names = {case.name for case in bench.cases.CASES}
    assert set(bench.cases.PREDECESSOR) == set(bench.cases.TARGETS) <= names
    assert all(tuple(figures) == tasks.PAPER_TASKS for figures in bench.cases.PREDECESSOR.values())


def test_peak_memory_counts_what_a_call_frees_and_nothing_else(bench):
    def call() -> np.ndarray:
        np.ones(48 << 20, np.uint8)  # freed before the other is made: the larger of the two is what it took at most
        freed = np.ones(80 << 20, np.uint8)
        return freed[: 40 << 20].copy()

    np.ones(256 << 20, np.uint8)  # an earlier peak
    for count in ("peak_above", "_traced", *(["_resident"] if bench.machine.RESET.exists() else [])):
        assert 78 << 20 <= getattr(bench.machine, count)(call) <= 84 << 20


def test_page_is_written_with_a_row_per_case_and_task(bench, monkeypatch, tmp_path, capsys):
    page = tmp_path / "speed.md"
    page.write_text("# Speed\n\n<!-- measured: one thread -->\nold\n<!-- end: one thread -->\n\nWhat is left.\n")
    monkeypatch.setattr(bench.synthesis, "PAGE", page)
    monkeypatch.setattr(bench.synthesis, "memory_apart", lambda case, task: {"ours": 1.5, "baseline": 20.0})
    monkeypatch.setattr(sys, "argv", ["synthesis.py", "--quick", "--seeds", "2", "--write"])
    bench.synthesis.main()
    written = page.read_text()
    assert written.startswith("# Speed\n") and written.endswith("\nWhat is left.\n") and "\nold\n" not in written
    text = written.split(" -->\n")[1].removesuffix("<!-- end: one thread").strip()
    assert text in capsys.readouterr().out
    for title in ("Milliseconds per sample", "Share of each step"):
        lines = text.split(f"## {title}\n\n")[1].split("\n\n")[0].strip().splitlines()
        assert len(lines) == 2 + len(QUICK) * len(tasks.TASKS)
        assert len({line.count("|") for line in lines}) == 1
        assert [line.split(" | ")[1] for line in lines[2 : 2 + len(tasks.TASKS)]] == list(tasks.TASKS)


def test_a_page_without_the_marks_is_not_written(bench, tmp_path):
    page = tmp_path / "speed.md"
    page.write_text("# Speed\n\n<!-- measured: one thread -->\nold\n")
    with pytest.raises(ValueError, match="end: one thread"):
        bench.pages.put(page, "one thread", "new")
    assert page.read_text().endswith("old\n")


def test_memory_in_a_process_of_its_own():
    run = subprocess.run(
        [sys.executable, str(FOLDER / "synthesis.py"), "--memory", "quick 2d", "inter_blend"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    found = json.loads(run.stdout)
    assert list(found) == ["ours", "baseline"]
    assert all(0 < value < 50 for value in found.values())
