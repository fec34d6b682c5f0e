"""The example that asks which anomalies teach most: what is taught, that it is taught once, and what the table says."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from building import build
from phantoms import phantom
from test_chest_xray_example import raw as made_radiographs

from synthanom.tasks import PAPER_TASKS, TASKS

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"

raw = made_radiographs
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def example(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import teach_net
    import teach_sets
    import which_tasks

    return which_tasks, teach_net, teach_sets


@pytest.fixture
def phantoms(example, monkeypatch):
    """The part of the brains, with small phantoms in their place: every second unseen one has a bright square."""
    _, _, sets = example
    healthy = [phantom((16, 20), seed=i, name=f"p-{i}") for i in range(5)]
    images = np.stack([phantom((16, 20), seed=50 + i).image for i in range(8)])
    images[1::2, :, 4:8, 4:8] += 4
    made = []

    def make(raw, out, quick):
        made.append((raw, out, quick))
        test = sets.TestImages(
            images=images, foregrounds=np.ones((8, 16, 20), bool), anomalous=np.arange(8) % 2 == 1,
            patients=tuple(f"q-{i}" for i in range(8)),
        )  # fmt: skip
        return sets.Teaching(healthy=healthy, test=test)

    part = sets.Part(title="phantoms", steps=3, batch=2, resolutions=2, score=sets.PARTS["cxr"].score, make=make)
    monkeypatch.setitem(sets.PARTS, "brains", part)
    return made


def run(which, monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["which_tasks.py", *map(str, words)])
    which.main()


def test_every_task_and_the_mixtures_are_lessons(example):
    _, net, _ = example
    found = net.lessons()
    assert set(TASKS) < set(found) and all(found[name] == (name,) for name in TASKS)
    assert found["paper"] == PAPER_TASKS and found["all"] == tuple(TASKS) and found["untrained"] == ()
    kinds = [TASKS[name].kind for name in found["kinds"]]
    assert sorted(kinds) == sorted({task.kind for task in TASKS.values()})


def test_every_task_teaches_and_borrows_as_it_must(example, phantoms):
    _, net, sets = example
    teaching = sets.PARTS["brains"].make(None, Path(), True)
    for name in TASKS:
        pictures = net.shown(net.Lesson(tasks=(name,), seed=1, steps=1), teaching)
        found = [next(pictures) for _ in range(5)]
        assert any(label.max() > 0 for _, label in found), name
        assert all(image.shape == (1, 16, 20) and label.shape == (16, 20) for image, label in found)


def test_a_net_is_taught_once_and_only_measured_lines_are_written(example, phantoms, monkeypatch, tmp_path, capsys):
    which, _, _ = example
    page = tmp_path / "results.md"
    page.write_text("a\n<!-- measured: which tasks, brains -->\nold\n<!-- end: which tasks, brains -->\nb\n")
    monkeypatch.setattr(which, "PAGE", page)
    words = ("--out", tmp_path / "out", "--part", "brains", "--tasks", "untrained", "sink", "paper", "--seeds", 2)
    run(which, monkeypatch, *words, "--write")
    assert len(phantoms) == 1, "what a part is made of is read once"
    found = {str(p.relative_to(tmp_path / "out/brains")): p.read_bytes() for p in tmp_path.rglob("seed-*.json")}
    assert set(found) == {
        f"3-steps/{lesson}/seed-{seed}.json" for lesson in ("untrained", "sink", "paper") for seed in (0, 1)
    }
    lines = page.read_text().splitlines()
    assert lines[0] == "a" and lines[-1] == "b" and "old" not in lines
    rows = [line.split("|")[1].strip() for line in lines if line.startswith("| ")]
    assert rows == ["taught by", "---", "random or constant", "untrained", "sink", "paper"]
    assert "| sink | deform | 2 | " in page.read_text() and "| paper | mixture of 5 | 2 | " in page.read_text()
    # again: nothing is taught, not even read; what was lost is taught anew, to the same scores
    (tmp_path / "out/brains/3-steps/sink/seed-1.json").unlink()
    run(which, monkeypatch, *words, "--tasks", "paper")
    assert len(phantoms) == 1
    run(which, monkeypatch, *words)
    again = json.loads((tmp_path / "out/brains/3-steps/sink/seed-1.json").read_text())
    before = json.loads(found["3-steps/sink/seed-1.json"])
    np.testing.assert_allclose(again["scores"], before["scores"], rtol=1e-4, atol=1e-6)
    # another budget is another table
    run(which, monkeypatch, *words, "--budget", 1, "--tasks", "sink", "--seeds", 1)
    assert (tmp_path / "out/brains/1-steps/sink/seed-0.json").exists()
    assert "| sink | deform | 1 |" in (tmp_path / "out/which-tasks.md").read_text()


def test_an_untrained_net_is_where_all_of_its_seed_begin(example, phantoms):
    import torch

    _, net, sets = example
    part = sets.PARTS["brains"]
    teaching = part.make(None, Path(), True)
    lessons = [net.Lesson(tasks=tasks, seed=1, steps=2) for tasks in ((), ("sink",))]
    start, other = (net.drawn(lesson, teaching, part).state_dict() for lesson in lessons)
    kept, learnt = (net.taught(lesson, teaching, part).state_dict() for lesson in lessons)
    assert all(torch.equal(start[key], other[key]) and torch.equal(start[key], kept[key]) for key in start)
    assert not all(torch.equal(start[key], learnt[key]) for key in start)


def test_seeds_and_tasks_make_other_nets(example, phantoms):
    _, net, sets = example
    part = sets.PARTS["brains"]
    teaching = part.make(None, Path(), True)

    def scores(task, seed):
        return net.scores_of(net.taught(net.Lesson(tasks=(task,), seed=seed, steps=4), teaching, part), teaching, part)

    one = scores("sink", 0)
    assert one.shape == (8,) and not np.array_equal(one, scores("sink", 1))
    assert not np.array_equal(one, scores("smooth_intensity", 0))
    np.testing.assert_allclose(one, scores("sink", 0), rtol=1e-4, atol=1e-6)


def test_radiographs_are_built_and_read(example, raw, monkeypatch, tmp_path):
    _, _, sets = example

    def built(name, kind, *words):
        assert name == "build-dataset"
        done = build(*words, command=kind)
        assert done.status == 0, done.err

    monkeypatch.setattr(sets, "command", built)
    teaching = sets.PARTS["cxr"].make(raw, tmp_path / "cxr", True)
    assert len(teaching.healthy) == 30 and teaching.healthy[0].shape == (16, 16)
    assert teaching.test.images.shape == (24, 1, 16, 16) and teaching.test.anomalous.sum() == 16
    assert len(set(teaching.test.patients)) == 8 + 8
    assert teaching.test.images.min() >= -1.001 and teaching.test.images.max() <= 1.001


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--tasks", "sinc"), "did you mean sink"),
        (("--seeds", "0"), "at least 1"),
        (("--part", "cxr"), "--raw"),
    ],
)
def test_refused_in_a_line(example, monkeypatch, tmp_path, words, told):
    which, _, _ = example
    with pytest.raises(SystemExit, match=told):
        run(which, monkeypatch, "--out", tmp_path / "out", *words)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_whole_example_on_both_sets(raw, tmp_path):
    words = ["--raw", str(raw), "--out", str(tmp_path / "out"), "--quick", "--seeds", "1"]
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "which_tasks.py"), *words], capture_output=True, text=True, timeout=1800
    )
    assert done.returncode == 0, done.stdout + done.stderr
    page = (tmp_path / "out/which-tasks.md").read_text()
    assert page.count("\n| sink | deform | 1 | ") == 2 and page.count("\n| all | mixture of ") == 2
