"""Several runs and seeds: their commands, the spread of their figures, how similar tasks are."""

import csv
import json
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_dataset import TASKS, write_tiny
from typer.testing import CliRunner

from synthanom.errors import SynthanomError
from synthanom.training.cli import app
from synthanom.training.commands import places
from synthanom.training.summary import Trained, find_trained, similarity_table, summary_table

pytestmark = pytest.mark.usefixtures("one_thread")

CONFIG = "network: {settings: {base: 2, resolutions: 2}}\nbatch_size: 8\nepochs: 1\n"


def answer(*arguments):
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("series")
    write_tiny(folder / "data")
    (folder / "c.yaml").write_text(CONFIG)
    return folder


@pytest.fixture(scope="module")
def two_seeds(place):
    given = ("--train-tasks", 1, "--all", "--seeds", 2, "--seed", 4, "--config", place / "c.yaml", "--device", "cpu")
    answer(place / "data", "--out", place / "runs", *given)
    return place / "runs"


def test_every_seed_has_a_folder_of_its_own(two_seeds):
    expected = {f"seed-{seed}/tasks-1-run-{run}" for seed in (4, 5) for run in range(5)}
    assert {str(p.parent.parent.relative_to(two_seeds)) for p in two_seeds.glob("*/*/best/model.json")} == expected
    for run in range(5):
        one, other = two_seeds.glob(f"*/tasks-1-run-{run}/best/model.safetensors")
        assert one.read_bytes() != other.read_bytes()
    assert json.loads((two_seeds / "seed-5/tasks-1-run-0/best/model.json").read_text())["training"]["seed"] == 5


def read(path: Path):
    return list(csv.DictReader(path.open()))


def test_the_tables_are_those_of_the_models(two_seeds):
    rows = read(two_seeds / "summary.csv")
    assert [(r["run"], r["models"]) for r in rows] == [*((str(i), "2") for i in range(5)), ("all", "10")]
    cards = [json.loads(p.read_text()) for p in two_seeds.glob("*/tasks-1-run-2/best/model.json")]
    losses = [card["training"]["loss"] for card in cards]
    assert float(rows[2]["loss"]) == pytest.approx(sum(losses) / 2, abs=1e-5)
    assert float(rows[2]["loss sd"]) == pytest.approx(abs(losses[0] - losses[1]) / 2**0.5, abs=1e-5)
    likeness = read(two_seeds / "similarity.csv")
    assert len(likeness) == 10 and likeness[0]["figure"] == "sample_average_precision"
    for row in likeness:
        assert row[row["trained on"]] == ""  # a task is not validated on itself
        assert all(0 <= float(row[task]) <= 1 for task in TASKS if task != row["trained on"])
    sink = next(r for r in likeness if (r["figure"], r["trained on"]) == ("pixel_average_precision", "sink"))
    found = [card["training"]["validation"]["tasks"]["source"]["pixel_average_precision"] for card in cards]
    assert float(sink["source"]) == pytest.approx(sum(found) / 2, abs=1e-5)
    page = (two_seeds / "similarity.md").read_text()
    assert page.startswith("Trained on the task of a line") and f"| {sink['source']} same |" in page


def test_summaries_of_runs_that_a_scheduler_trained(place, two_seeds):
    before = (two_seeds / "summary.csv").read_bytes()
    (two_seeds / "summary.csv").unlink()
    done = answer(place / "data", "--summarise", "--out", two_seeds)
    assert done.output.split() == [
        str(two_seeds / name) for name in ("summary.csv", "summary.md", "similarity.csv", "similarity.md")
    ]
    assert (two_seeds / "summary.csv").read_bytes() == before
    (place / "empty").mkdir(exist_ok=True)
    with pytest.raises(SynthanomError, match="must hold finished runs"):
        find_trained(place / "empty")
    with pytest.raises(SynthanomError, match="must be a folder"):
        find_trained(place / "nowhere")


def test_several_seeds_of_one_run_lie_beside_each_other(place):
    lines = answer(place / "data", "--list", "--run", 3, "--seeds", 3, "--out", "out").stdout.splitlines()
    words = [shlex.split(line) for line in lines]
    assert [w[w.index("--out") + 1] for w in words] == ["out/seed-0", "out/seed-1", "out/seed-2"]
    assert [w[w.index("--seed") + 1] for w in words] == ["0", "1", "2"] and all("--seeds" not in w for w in words)


def test_the_full_pairing_of_one_task_runs_once_per_fold(place):
    done = answer(place / "data", "--list", "--train-tasks", 1, "--pairing", "full", "--json")
    runs = json.loads(done.stdout)["runs"]
    assert len(runs) == 25 and {r["train_tasks"][0] for r in runs} == set(TASKS)
    assert [r["validation_folds"] for r in runs[:5]] == [[fold] for fold in range(5)]
    assert all(len(r["train_folds"]) == 4 and "--pairing full" in r["command"] for r in runs)


def trained(**changes):
    given = Trained(
        detector="multitask", training_tasks=1, run=0, seed=0, train_tasks=("sink",), loss=0.5, dataset="d",
        validation={"sample_roc_auc": 0.75, "tasks": {"source": {"pixel_average_precision": 0.25}}},
    )  # fmt: skip
    return replace(given, **changes)


def test_one_model_has_no_spread_and_missing_figures_stay_empty():
    columns, rows = summary_table([trained()])
    row = dict(zip(columns, rows[0], strict=True))
    assert (row["loss"], row["loss sd"], row["sample_roc_auc"], row["pixel_roc_auc"]) == ("0.50000", "", "0.75000", "")
    assert similarity_table([trained(training_tasks=2)])[1] == []
    columns, rows = similarity_table([trained(), trained(seed=1, validation={"tasks": {}})])
    assert columns == ["figure", "detector", "trained on", "kind", "sink", "source"]
    assert rows[0] == ["sample_average_precision", "multitask", "sink", "deform", "", ""]
    assert rows[1] == ["pixel_average_precision", "multitask", "sink", "deform", "", "0.25000"]


def test_runs_at_once_are_commands_of_their_own(place):
    given = ("--run", 1, "--seeds", 2, "--jobs", 2, "--config", place / "c.yaml", "--device", "cpu", "--json")
    done = answer(place / "data", "--out", place / "at-once", *given)
    found = json.loads(done.stdout)
    assert sorted(run["seed"] for run in found["runs"]) == [0, 1] and all(run["trained"] for run in found["runs"])
    assert [Path(p).name for p in found["tables"]] == ["summary.csv", "summary.md", "similarity.csv", "similarity.md"]
    # one that cannot go on does not stop the others, and is named
    (place / "at-once/seed-0/last/finished.json").unlink()
    (place / "at-once/seed-0/last/resume.ckpt").write_text("no state")
    with pytest.raises(SynthanomError, match=r"1 of 2 runs failed, the first with: .*resume\.ckpt: must be"):
        answer(place / "data", "--out", place / "at-once", *given)


def test_a_run_has_one_way_to_several_gpus(place):
    with pytest.raises(SynthanomError, match="use one of them"):
        answer(place / "data", "--all", "--out", place / "x", "--jobs", 2, "--devices", 2)


def test_places_of_a_series():
    found = places(Path("o"), [(1, 0), (4, 2)], seed=7, seeds=2)
    assert [(p.seed, str(p.folder)) for p in found] == [
        (7, "o/seed-7/tasks-1-run-0"), (7, "o/seed-7/tasks-4-run-2"),
        (8, "o/seed-8/tasks-1-run-0"), (8, "o/seed-8/tasks-4-run-2"),
    ]  # fmt: skip
    assert [str(p.folder) for p in places(Path("o"), [(1, 0)], seed=0, seeds=1, single=True)] == ["o"]
