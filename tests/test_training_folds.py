"""Pairing of tasks and folds: the worked examples, the counts, and what is refused."""

import pytest

from synthanom.errors import SynthanomError
from synthanom.tasks import PAPER_TASKS
from synthanom.training.folds import check_folds, choose_run, run_count, runs

TASKS = PAPER_TASKS


def test_worked_example_two_training_tasks():
    run = choose_run(TASKS, 2, 0)
    assert run.train_tasks == TASKS[:2] and run.validation_tasks == TASKS[2:]
    assert run.train_folds == (2, 3, 4) and run.validation_folds == (0, 1)


def test_worked_example_three_training_tasks():
    run = choose_run(TASKS, 3, 0)
    assert run.train_tasks == TASKS[:3] and run.validation_tasks == TASKS[3:]
    assert run.train_folds == (0, 1, 2) and run.validation_folds == (3, 4)


def test_one_training_task_trains_on_four_folds():
    for number, run in enumerate(runs(TASKS, 1)):
        assert run.train_tasks == (TASKS[number],) and run.number == number
        assert run.validation_folds == (number,)
        assert run.train_folds == tuple(f for f in range(5) if f != number)


def test_thirty_models_lexicographic_and_never_overlapping():
    every = [run for count in range(1, 5) for run in runs(TASKS, count)]
    assert [len(runs(TASKS, count)) for count in range(1, 5)] == [5, 10, 10, 5]
    assert len(every) == run_count(5) == 30
    for run in every:
        assert set(run.train_tasks) | set(run.validation_tasks) == set(TASKS)
        assert not set(run.train_tasks) & set(run.validation_tasks)
        assert sorted(run.train_folds + run.validation_folds) == [0, 1, 2, 3, 4]
        assert len(run.train_folds) > len(run.validation_folds)
    order = [[TASKS.index(t) for t in run.train_tasks] for run in runs(TASKS, 2)]
    assert order == sorted(order) and order[:3] == [[0, 1], [0, 2], [0, 3]]


def test_as_many_tasks_on_both_sides():
    run = choose_run(TASKS[:4], 2, 0)
    assert run.train_folds == (2, 3) and run.validation_folds == (0, 1)


def test_full_pairing_is_independent_of_tasks():
    found = runs(TASKS, 2, pairing="full")
    assert len(found) == 50 and run_count(5, pairing="full") == 150
    assert [r.validation_folds for r in found[:5]] == [(0,), (1,), (2,), (3,), (4,)]
    assert {r.train_tasks for r in found[:5]} == {TASKS[:2]} and found[5].train_tasks == (TASKS[0], TASKS[2])
    assert all(r.train_folds == tuple(f for f in range(5) if f not in r.validation_folds) for r in found)


@pytest.mark.parametrize(
    ("tasks", "count", "number", "part"),
    [
        (TASKS[:1], 1, 0, "at least 2 tasks"),
        (TASKS, 0, 0, "1 to 4"),
        (TASKS, 5, 0, "1 to 4"),
        (TASKS, 1, 5, "0 to 4"),
        (TASKS, 2, -1, "0 to 9"),
    ],
)
def test_refused(tasks, count, number, part):
    with pytest.raises(SynthanomError, match=part):
        choose_run(tasks, count, number)


@pytest.mark.parametrize(
    ("folds", "part"),
    [
        ({"a": 0, "b": 1}, "2 folds and 5 tasks"),
        ({"a": 0, "b": 1, "c": 2, "d": 4}, "got none in fold 3"),
        ({f"s{i}": i for i in range(6)}, "6 folds and 5 tasks"),
        ({}, "got none"),
    ],
)
def test_folds_must_match_tasks(folds, part):
    with pytest.raises(SynthanomError, match=part):
        check_folds(TASKS, folds)
