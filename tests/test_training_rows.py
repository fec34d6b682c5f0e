"""Which pictures an epoch shows, and that readers in any number of processes show the same."""

import gc
import multiprocessing
import threading
import time
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import torch
from tiny_dataset import TASKS, tiny_row, tiny_sample, write_tiny

from synthanom.errors import SynthanomError
from synthanom.shards import DataSet, check
from synthanom.training.batches import THREAD_NAME, Reader, StoredPictures, make_loader, read_batch
from synthanom.training.folds import choose_run
from synthanom.training.rows import Pick, index_rows, training_picks, validation_picks

SKIPPED = (("sink", 1, 0), ("sink", 1, 1), ("intra_blend", 2, 0), ("sink", 0, 0), ("source", 0, 0), ("source", 0, 1))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    with DataSet.open(write_tiny(tmp_path_factory.mktemp("rows") / "data", variants=3, skip=SKIPPED)) as opened:
        yield opened


def fold_of(data, healthy):
    return data.folds[data.healthy_subjects[healthy]]


def test_the_tiny_data_set_is_sound(data):
    assert check(data.folder) == []


def test_validation_is_variant_zero_of_each_task_and_each_healthy_row(data):
    run = choose_run(TASKS, 1, 0)
    picks = validation_picks(index_rows(data, run), run)
    assert [p.healthy for p in picks if p.task is None] == [0, 5]
    assert [(p.task, p.healthy) for p in picks if p.task] == [(t, i) for t in TASKS[1:] for i in (0, 5)]
    variants = {(p.task, p.healthy): data.anomaly(p.task, p.row).variant for p in picks if p.task}
    assert variants.pop(("sink", 0)) == 1 and variants.pop(("source", 0)) == 2  # the lowest that could be made
    assert set(variants.values()) == {0}
    assert not any(p.flip for p in picks)


def test_training_shows_each_row_once_with_a_training_task_of_its_own(data):
    run = choose_run(TASKS, 3, 0)
    index = index_rows(data, run)
    for epoch in range(4):
        picks = training_picks(index, run, epoch=epoch, seed=0, flip=0.5)
        assert sorted(p.healthy for p in picks) == sorted(i for i in range(10) if fold_of(data, i) in run.train_folds)
        for pick in picks:
            assert pick.task in run.train_tasks
            assert data.anomaly(pick.task, pick.row).healthy_index == pick.healthy


def test_no_picture_is_on_both_sides(data):
    for count in range(1, 5):
        for number in range(len(TASKS) if count in (1, 4) else 10):
            run = choose_run(TASKS, count, number)
            index = index_rows(data, run)
            train = training_picks(index, run, epoch=0, seed=0, flip=0)
            validation = validation_picks(index, run)
            assert not {p.healthy for p in train} & {p.healthy for p in validation}
            assert not {p.task for p in train} & {p.task for p in validation}


def test_variants_take_turns_and_tasks_are_drawn_per_epoch(data):
    run = choose_run(TASKS, 4, 0)
    index = index_rows(data, run)
    epochs = [{p.healthy: p for p in training_picks(index, run, epoch=e, seed=0, flip=0)} for e in range(120)]
    tasks = Counter(picks[3].task for picks in epochs)
    assert set(tasks) == set(run.train_tasks) and max(tasks.values()) < 50
    single = choose_run(TASKS, 1, 2)
    index = index_rows(data, single)
    rows = [training_picks(index, single, epoch=e, seed=0, flip=0) for e in range(6)]
    shown = [data.anomaly(p.task, p.row).variant for picks in rows for p in picks if p.healthy == 3]
    assert shown[:3] == shown[3:] and sorted(shown[:3]) == [0, 1, 2]
    assert [(b - a) % 3 for a, b in pairwise(shown)] == [1] * 5


def test_a_row_without_the_drawn_task_takes_another(data):
    run = choose_run(TASKS, 2, 7)  # sink and source
    assert run.train_tasks == ("sink", "source")
    stored = index_rows(data, run)
    only = {"sink": dict.fromkeys(stored.train, ()), "source": stored.rows["source"]}
    index = type(stored)(ids=stored.ids, train=stored.train, validation=stored.validation, rows=only)
    picks = training_picks(index, run, epoch=0, seed=0, flip=0)
    assert {p.task for p in picks} == {"source"}
    assert len(picks) == sum(bool(only["source"][i]) for i in stored.train)


def test_epochs_and_seeds_differ_and_repeat(data):
    run = choose_run(TASKS, 2, 0)
    index = index_rows(data, run)
    first = training_picks(index, run, epoch=3, seed=0, flip=0.5)
    assert first == training_picks(index, run, epoch=3, seed=0, flip=0.5)
    assert [p.healthy for p in first] != [p.healthy for p in training_picks(index, run, epoch=4, seed=0, flip=0.5)]
    assert [p.healthy for p in first] != [p.healthy for p in training_picks(index, run, epoch=3, seed=1, flip=0.5)]
    many = [p.flip for e in range(60) for p in training_picks(index, run, epoch=e, seed=0, flip=0.25)]
    assert 0.18 < np.mean(many) < 0.32
    assert not any(p.flip for p in training_picks(index, run, epoch=0, seed=0, flip=0.0))


def test_pictures_are_those_stored_and_mirrored_ones_are_mirrored(data):
    source = StoredPictures(data=data)
    samples = [tiny_sample(i) for i in range(10)]
    row = data.rows_of("source", 4)[1]
    expected = tiny_row(samples, 4, TASKS.index("source"), 1).boxes[0]
    plain, mirrored, healthy = (
        read_batch(source, [pick])
        for pick in (
            Pick(healthy=4, task="source", row=row),
            Pick(healthy=4, task="source", row=row, flip=True),
            Pick(healthy=4, flip=True),
        )
    )
    inside = (slice(None), *(slice(c, c + s) for c, s in zip(expected.corner, expected.size, strict=True)))
    assert np.array_equal(plain.images[0].numpy()[inside], expected.values)
    assert float(plain.labels.max()) == np.float32(0.9) and plain.labels.shape == (1, 16, 16)
    assert torch.equal(mirrored.images, plain.images.flip(-1)) and torch.equal(mirrored.labels, plain.labels.flip(-1))
    assert np.array_equal(healthy.images[0].numpy(), samples[4].image[..., ::-1]) and not healthy.labels.any()


def test_workers_do_not_change_the_batches(data):
    run = choose_run(TASKS, 1, 0)
    index = index_rows(data, run)
    picks = training_picks(index, run, epoch=1, seed=0, flip=0.5)
    source = StoredPictures(data=data)
    none = list(make_loader(source, picks, batch_size=3, workers=0))
    two = list(make_loader(source, picks, batch_size=3, workers=2))
    assert [len(b.images) for b in none] == [3, 3, 2]
    for a, b in zip(none, two, strict=True):
        assert torch.equal(a.images, b.images) and torch.equal(a.labels, b.labels)


def test_processes_stay_from_epoch_to_epoch_and_sequences_follow_each_other(data):
    picks = [[Pick(healthy=i)] for i in range(6)]
    reader = Reader(StoredPictures(data=data), 2)
    first = iter(reader.batches(picks))
    shown = [next(first) for _ in picks]  # not asked for the end, as a trainer that knows the length
    started = {process.pid for process in multiprocessing.active_children()}
    assert len(started) == 2
    second = iter(reader.batches(picks[::-1]))
    again = [next(second)]
    assert {process.pid for process in multiprocessing.active_children()} == started
    assert next(first, None) is None  # the other sequence loses nothing to it
    again += second
    assert all(torch.equal(a.images, b.images) for a, b in zip(shown, again[::-1], strict=True))
    reader.close()
    del first, second
    gc.collect()
    assert not multiprocessing.active_children()


def test_without_processes_a_thread_reads_one_batch_ahead(data):
    asked, stored = [], StoredPictures(data=data)

    class Noted:
        def picture(self, pick):
            asked.append((pick.healthy, threading.current_thread().name.startswith(THREAD_NAME)))
            return stored.picture(pick)

    batches = iter(Reader(Noted(), 0).batches([[Pick(healthy=i)] for i in range(4)]))
    next(batches)
    wait_for(lambda: len(asked) == 2)
    next(batches)
    wait_for(lambda: len(asked) == 3)
    batches.close()
    assert [number for number, _ in asked] == [0, 1, 2] and all(apart for _, apart in asked)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(THREAD_NAME)]


def wait_for(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_nothing_to_train_or_validate_on_is_refused(tmp_path):
    with DataSet.open(write_tiny(tmp_path / "none", variants=0)) as empty:
        run = choose_run(TASKS, 1, 0)
        index = index_rows(empty, run)
        with pytest.raises(SynthanomError, match="--variants 1 or more"):
            training_picks(index, run, epoch=0, seed=0, flip=0)
        with pytest.raises(SynthanomError, match="--variants 1 or more"):
            validation_picks(index, run)
        assert len(training_picks(index, run, epoch=0, seed=0, flip=0, live=True)) == 8
    folds = {f"p-{i}": i for i in range(1, 5)} | {"p-0": 1, "of-no-row": 0}
    gap = DataSet.open(write_tiny(tmp_path / "gap", subjects=5, folds=folds))
    with gap, pytest.raises(SynthanomError, match="to validate on in the folds"):
        index_rows(gap, choose_run(TASKS, 1, 0))
    stray = DataSet.open(write_tiny(tmp_path / "stray", subjects=5, folds={"p-0": 0}))
    with stray, pytest.raises(SynthanomError, match="every subject needs a fold"):
        index_rows(stray, choose_run(TASKS, 1, 0))
