"""No run validates a further task on a kind that it was trained on, unless that is allowed; the paper's five may."""

import csv
import json
import shlex
from itertools import combinations

import pytest
import yaml
from running import TRAIN, ran
from test_training_series import trained
from tiny_dataset import write_tiny

from synthanom.errors import SynthanomError
from synthanom.tasks import PAPER_TASKS, TASKS
from synthanom.training.folds import choose_run, runs
from synthanom.training.kinds import check_kinds, kinds_of, refused_pairs, same_kind_pairs
from synthanom.training.summary import kinds_shown, similarity_table

CONFIG = "network: {settings: {base: 2, resolutions: 2}}\nbatch_size: 8\nepochs: 1\n"
MIXED = ("sink", "cutpaste", "smooth_intensity", "fpi")  # cutpaste and fpi are both of kind blend


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kinds")
    write_tiny(folder / "data", tasks=MIXED, subjects=8, variants=1)
    (folder / "c.yaml").write_text(CONFIG)
    return folder


def trains(place, *arguments):
    return ran(TRAIN, "data", "--config", "c.yaml", *arguments, cwd=place)


def test_kinds_of_the_paper_are_reported_and_never_refused():
    run = choose_run(PAPER_TASKS, 1, 0)
    assert same_kind_pairs(run, kinds_of(PAPER_TASKS)) == (("intra_blend", "inter_blend"),)
    for count in range(1, 5):
        check_kinds(runs(PAPER_TASKS, count), kinds_of(PAPER_TASKS))


@pytest.mark.parametrize("further", sorted(set(TASKS) - set(PAPER_TASKS)))
def test_a_further_task_is_refused_exactly_where_its_kind_is_on_both_sides(further):
    names = (*PAPER_TASKS, further)
    kinds = kinds_of(names)
    for run in (run for count in range(1, 6) for run in runs(names, count)):
        sides = (run.train_tasks, run.validation_tasks)
        (own,) = (side for side in sides if further in side)
        (other,) = (side for side in sides if further not in side)
        shared = kinds[further] in {kinds[task] for task in other}
        assert further in own and bool(refused_pairs(run, kinds)) == shared
        assert refused_pairs(run, kinds, allow_same_kind=True) == ()


def test_an_unknown_task_is_of_a_kind_of_its_own():
    check_kinds(runs(("sink", "from_a_newer_version", "nsa"), 1), kinds_of(("sink", "from_a_newer_version", "nsa")))


def test_every_refused_run_is_named_at_once_and_the_line_stays_short():
    found = runs(("sink", "fpi", "nsa", "cutout"), 1)
    with pytest.raises(SynthanomError, match=r"2 of 4 runs .*\(blend: fpi, nsa\).*: with 1 training task 1-2; "):
        check_kinds(found, kinds_of(TASKS))
    ten = tuple(TASKS)[:10]
    with pytest.raises(SynthanomError, match=r"^992 of 1022 runs ") as caught:
        check_kinds([run for count in range(1, 10) for run in runs(ten, count)], kinds_of(ten))
    assert "with 9 training tasks 0, 2-4, 8-9;" in str(caught.value)
    assert len(str(caught.value)) < 2500 and "\n" not in str(caught.value)


def test_a_refused_run_writes_nothing_and_names_the_tasks_the_kind_and_the_ways_out(place):
    done = trains(place, "--run", 1, "--out", "refused")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    for words in ("trains on cutpaste and validates on fpi", "kind 'blend'", "--list", "--tasks", "--allow-same-kind"):
        assert words in done.stderr
    assert not (place / "refused").exists()


@pytest.mark.parametrize("further", [(), ("--jobs", 2), ("--scheduler", "tcp://127.0.0.1:1")], ids=str)
def test_all_is_refused_before_the_first_run(place, further):
    done = trains(place, "--all", "--out", "all", *further)
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    expected = {
        count: [run.number for run in runs(MIXED, count) if len({"cutpaste", "fpi"} & set(run.train_tasks)) == 1]
        for count in (1, 2, 3)
    }
    assert expected == {1: [1, 3], 2: [0, 2, 3, 5], 3: [0, 2]}
    assert "with 1 training task 1, 3, with 2 training tasks 0, 2-3, 5, with 3 training tasks 0, 2;" in done.stderr
    assert not (place / "all").exists()


def test_the_list_has_commands_of_what_may_be_trained_and_marks_the_others(place):
    done = trains(place, "--list", "--train-tasks", 1)
    assert done.returncode == 0
    words = [shlex.split(line) for line in done.stdout.splitlines()]
    assert [w[w.index("--run") + 1] for w in words] == ["0", "2"]
    assert "\trefused: cutpaste=fpi\n" in done.stderr and "\trefused: fpi=cutpaste\n" in done.stderr
    found = json.loads(trains(place, "--list", "--train-tasks", 1, "--json").stdout)["runs"]
    assert [(run["run"], run["refused"], run["command"] is None) for run in found] == [
        (0, False, False), (1, True, True), (2, False, False), (3, True, True),
    ]  # fmt: skip
    assert found[1]["same_kind"] == [["cutpaste", "fpi"]] and found[1]["train_tasks"] == ["cutpaste"]
    assert trains(place, "--list", "--run", 1).returncode == 2


def test_allowed_runs_are_trained_and_say_so_everywhere(place):
    done = trains(place, "--list", "--train-tasks", 1, "--allow-same-kind", "--out", "allowed")
    lines = done.stdout.splitlines()
    assert len(lines) == 4 and all("--allow-same-kind" in shlex.split(line) for line in lines)
    assert "refused" not in done.stderr and "\tcutpaste=fpi\n" in done.stderr
    done = ran(TRAIN, *shlex.split(lines[1])[1:], "--device", "cpu", cwd=place)
    assert done.returncode == 0, done.stderr
    out = place / "allowed/tasks-1-run-1"
    assert yaml.safe_load((out / "config.yaml").read_text())["allow_same_kind"] is True
    folds = json.loads((out / "folds.json").read_text())
    assert folds["same_kind_on_both_sides"] == [["cutpaste", "fpi"]]
    assert folds["kinds"] == {task: TASKS[task].kind for task in MIXED}
    assert "of one kind on both sides: cutpaste and fpi" in (out / "logs/train.log").read_text()
    done = ran(TRAIN, "data", "--summarise", "--out", "allowed", cwd=place)
    assert done.returncode == 0, done.stderr
    (row, _) = csv.DictReader((place / "allowed/similarity.csv").open())
    assert (row["trained on"], row["kind"]) == ("cutpaste", "blend") and float(row["fpi"]) >= 0
    page = (place / "allowed/similarity.md").read_text()
    assert "| fpi (blend) |" in page and f"| {row['fpi']} same |" in page and f"| {row['sink']} |" in page


def test_similarity_shows_one_kind_where_there_is_one():
    figures = {"source": {"pixel_average_precision": 0.5}, "nsa": {"pixel_average_precision": 0.25}}
    columns, rows = kinds_shown(*similarity_table([trained(validation={"tasks": figures})]))
    assert columns[3:] == ["kind", "nsa (blend)", "sink (deform)", "source (deform)"]
    assert rows[1][2:] == ["sink", "deform", "0.25000", "", "0.50000 same"]


def test_two_tasks_of_one_kind_share_it_by_name():
    for one, other in combinations(TASKS.values(), 2):
        assert (one.kind == other.kind) == (one.kind.strip().lower() == other.kind.strip().lower())
