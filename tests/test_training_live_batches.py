"""Live pictures made by whole batches, one ahead: those of the loader, whatever the timing, and no thread left."""

import signal
import threading
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny_dataset import TASKS, write_tiny

from synthanom.batched.making import Made, make_batch
from synthanom.errors import NoPlace, SynthanomError
from synthanom.labels import FlippedGaussian
from synthanom.shards import DataSet
from synthanom.synthesis import synthesise
from synthanom.training import live_batches
from synthanom.training.batches import TrainingBatch, make_loader
from synthanom.training.config import parse_config
from synthanom.training.fitting import Fitting, makes_batches_on
from synthanom.training.folds import choose_run
from synthanom.training.live import live_pictures
from synthanom.training.live_batches import THREAD_NAME, LiveBatches, LiveMaker, Ready, handed_over
from synthanom.training.rows import Pick, index_rows, training_picks
from synthanom.training.run import train

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
IMAGE_TOLERANCE = 1e-3  # of the image's range
LABEL_TOLERANCE = 5e-3


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert running() == []


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    with DataSet.open(write_tiny(tmp_path_factory.mktemp("live") / "data", shape=(32, 32), variants=1)) as opened:
        yield opened


def running():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(THREAD_NAME)]


def live(data, tasks, number, epoch=0, flip=0.5):
    """A source and the picks of an epoch."""
    run = choose_run(TASKS, tasks, number)
    picks = training_picks(index_rows(data, run), run, epoch=epoch, seed=3, flip=flip, live=True)
    return live_pictures(data, run, seed=3), picks


def made(maker, picks, size=3):
    return list(LiveBatches(maker=maker, picks=picks, batch_size=size))


def same(first, second):
    return len(first) == len(second) and all(
        torch.equal(a.images, b.images) and torch.equal(a.labels, b.labels) for a, b in zip(first, second, strict=True)
    )


def agree(found, expected):
    """Whether batches are equal but for the rounding of two ways to make them."""
    assert [tuple(b.images.shape) for b in found] == [tuple(b.images.shape) for b in expected]
    for a, b in zip(found, expected, strict=True):
        assert a.images.dtype == a.labels.dtype == torch.float32
        for k in range(len(b.images)):
            size = float(b.images[k].max() - b.images[k].min())
            if float((a.images[k] - b.images[k]).abs().max()) > IMAGE_TOLERANCE * size:
                return False
            if float((a.labels[k] - b.labels[k]).abs().max()) > LABEL_TOLERANCE:
                return False
    return True


@pytest.mark.parametrize("number", [0, 2])
def test_batches_are_those_of_the_loader(data, number):
    source, picks = live(data, 4, number)
    assert {p.flip for p in picks} == {True, False}
    batches = LiveBatches(maker=LiveMaker(source, CPU), picks=picks, batch_size=3)
    expected = list(make_loader(source, picks, batch_size=3, workers=0))
    found = list(batches)
    assert len(batches) == len(found) == len(expected)
    assert agree(found, expected)
    healthy = make_loader(source, [Pick(healthy=p.healthy, flip=p.flip) for p in picks], batch_size=3, workers=0)
    assert all(bool((a.images != b.images).any()) for a, b in zip(found, healthy, strict=True))


@pytest.mark.parametrize("task", TASKS)
def test_every_task_is_made_as_by_the_loader(data, task):
    source, _ = live(data, 4, 4 if task in choose_run(TASKS, 4, 4).train_tasks else 2)
    rows = [i for i, fold in enumerate(source.folds) if fold in source.donors]
    picks = [Pick(healthy=i, task=task, epoch=2, flip=i % 2 == 0) for i in rows]
    assert agree(made(LiveMaker(source, CPU), picks, 4), list(make_loader(source, picks, batch_size=4, workers=0)))


def test_volumes_are_made_as_by_the_loader(tmp_path):
    with DataSet.open(write_tiny(tmp_path / "data", subjects=10, variants=1, shape=(14, 16, 18))) as data:
        source, picks = live(data, 4, 0)
        assert agree(made(LiveMaker(source, CPU), picks), list(make_loader(source, picks, batch_size=3, workers=0)))


def test_anomalies_lie_on_the_foreground_as_by_the_loader(data, monkeypatch):
    half = np.zeros(data.shape, dtype=np.bool_)
    half[:, :16] = True
    healthy = data.healthy
    monkeypatch.setattr(data, "healthy", lambda index: replace(healthy(index), foreground=half))
    source, picks = live(data, 1, 2)
    assert agree(made(LiveMaker(source, CPU), picks), list(make_loader(source, picks, batch_size=3, workers=0)))


def test_batches_are_the_same_again_and_after_a_restart(data):
    source, first = live(data, 4, 0)
    _, second = live(data, 4, 0, epoch=1)
    maker = LiveMaker(source, CPU)
    batches = LiveBatches(maker=maker, picks=first, batch_size=3)
    once = list(batches)
    following = made(maker, second)
    assert same(once, list(batches)) and not same(once, following)
    assert same(following, made(LiveMaker(live(data, 4, 0)[0], CPU), second))


def test_stored_and_healthy_pictures_lie_between_the_made_ones(data):
    source, _ = live(data, 1, 2)
    row = data.rows_of("source", 3)[0]
    picks = [
        Pick(healthy=2, flip=True),
        Pick(healthy=4, task="sink", epoch=5, flip=True),
        Pick(healthy=3, task="source", row=row, flip=True),
        Pick(healthy=4, task="sink", row=data.rows_of("sink", 4)[0]),
    ]
    found, expected = made(LiveMaker(source, CPU), picks, 4), list(make_loader(source, picks, batch_size=4, workers=0))
    assert agree(found, expected)
    for k in (0, 2, 3):
        assert torch.equal(found[0].images[k], expected[0].images[k])
        assert torch.equal(found[0].labels[k], expected[0].labels[k])


def test_only_the_own_folds_donors_are_given(data, monkeypatch):
    given = []

    def recorded(inputs, *rest, **options):
        given.extend(zip(inputs.subjects, inputs.donors, strict=True))
        return make_batch(inputs, *rest, **options)

    monkeypatch.setattr(live_batches, "make_batch", recorded)
    source, picks = live(data, 4, 4)
    maker = LiveMaker(source, CPU)
    made(maker, picks)
    sets = len(maker.pool.sets)
    made(maker, live(data, 4, 4, epoch=1)[1])
    assert len(given) == 2 * len(picks)
    for subject, donors in given:
        own = donors["intra_blend"]
        assert {data.folds[own.subject(i)] for i in range(len(own))} == {data.folds[subject]}
    assert 0 < sets <= len(maker.pool.sets) <= 2 * len(source.donors)  # one per fold and blending task, for good


def test_a_picture_that_cannot_be_made_is_made_by_the_next_task(data, monkeypatch):
    def refusing(sample, task, labeller, **rest):
        if task.name == "sink":
            raise NoPlace("nowhere")
        return synthesise(sample, task, labeller, **rest)

    def failing(inputs, *rest, keep_failed):
        batch = make_batch(inputs, *rest, keep_failed=keep_failed).batch
        return Made(batch=batch, failed={k: NoPlace("nowhere") for k, t in enumerate(inputs.tasks) if t.name == "sink"})

    monkeypatch.setattr("synthanom.mixture.synthesise", refusing)
    monkeypatch.setattr(live_batches, "make_batch", failing)
    source, _ = live(data, 2, 7)
    assert [task.name for task in source.tasks] == ["sink", "source"]
    picks = [Pick(healthy=2), Pick(healthy=5, task="source"), Pick(healthy=1, task="sink", flip=True)]
    picks.append(Pick(healthy=6, task="source"))
    (found,), (expected,) = made(LiveMaker(source, CPU), picks, 4), make_loader(source, picks, batch_size=4, workers=0)
    assert agree([found], [expected])
    assert torch.equal(found.images[2], expected.images[2]) and torch.equal(found.labels[2], expected.labels[2])
    assert bool(found.labels[2].any())


def test_rows_that_no_task_suits_are_shown_healthy(data):
    source, picks = live(data, 2, 7)
    blind = replace(source, labeller=FlippedGaussian(sigma=1e9))
    for batch, part in zip(made(LiveMaker(blind, CPU), picks[:4], 2), (picks[:2], picks[2:4]), strict=True):
        assert not batch.labels.any()
        for image, pick in zip(batch.images, part, strict=True):
            healthy = data.healthy(pick.healthy).image
            assert np.array_equal(image.numpy(), healthy[..., ::-1] if pick.flip else healthy)


def test_tasks_without_a_batched_form_are_made_one_by_one(data, monkeypatch):
    source, picks = live(data, 2, 7)
    asked = []

    def recorded(inputs, *rest, **options):
        asked.extend(task.name for task in inputs.tasks)
        return make_batch(inputs, *rest, **options)

    monkeypatch.setattr(live_batches, "make_batch", recorded)
    expected = list(make_loader(source, picks, batch_size=3, workers=0))
    for known in ({"source"}, set()):
        monkeypatch.setattr(live_batches, "can_make", lambda tasks, labeller, known=known: tasks[0].name in known)
        asked.clear()
        found = made(LiveMaker(source, CPU), picks)
        assert agree(found, expected) and set(asked) == known
    assert same(found, expected)  # by `LivePictures.picture` alone


@pytest.mark.parametrize("kept", [0, 2, 100])
def test_rows_are_kept_as_long_as_there_is_room(data, monkeypatch, kept):
    source, picks = live(data, 1, 2)
    expected = made(LiveMaker(source, CPU), picks)
    sample = data.healthy(0)
    size = sample.image.nbytes + sample.foreground.nbytes
    maker = LiveMaker(source, CPU, kept_bytes=kept * size + size // 2)
    read = []
    healthy = data.healthy
    monkeypatch.setattr(data, "healthy", lambda index: read.append(index) or healthy(index))
    assert same(made(maker, picks), expected) and sorted(read) == sorted(p.healthy for p in picks)
    assert len(maker.rows) == min(kept, len(picks))
    read.clear()
    assert same(made(maker, picks), expected)
    assert len(read) == len(picks) - len(maker.rows)


class Stub:
    """Makes batches that hold their first pick's row; does what it is told for each."""

    def __init__(self, **told):
        self.told = {int(k[1:]): v for k, v in told.items()}
        self.begun = []

    def make(self, picks):
        number = picks[0].healthy
        self.begun.append(number)
        self.told.get(number, lambda: None)()
        return Ready(TrainingBatch(torch.full((1,), float(number)), torch.zeros(1)), None)


def numbered(stub, count):
    return LiveBatches(maker=stub, picks=[Pick(healthy=i) for i in range(count)], batch_size=1)


def test_one_batch_is_made_ahead_and_no_more():
    reached, third = threading.Event(), threading.Event()
    stub = Stub(b1=reached.set, b2=third.set)
    batches = iter(numbered(stub, 4))
    assert stub.begun == []
    assert float(next(batches).images) == 0
    assert reached.wait(20)  # while this thread has the first batch
    assert not third.wait(0.2) and stub.begun == [0, 1]
    assert [float(b.images) for b in batches] == [1, 2, 3]
    assert stub.begun == [0, 1, 2, 3]


def test_the_thread_ends_with_the_last_batch_though_the_end_is_not_asked_for():
    batches = iter(numbered(Stub(), 2))
    next(batches), next(batches)
    assert running() == []
    assert list(numbered(Stub(), 0)) == []


def test_leaving_early_leaves_no_thread(data):
    for _ in LiveBatches(maker=LiveMaker(*live(data, 1, 2)[:1], CPU), picks=live(data, 1, 2)[1], batch_size=2):
        break
    assert running() == []
    stub = Stub()
    with pytest.raises(ZeroDivisionError):
        for _ in numbered(stub, 5):
            raise ZeroDivisionError
    assert running() == [] and len(stub.begun) <= 2


def test_an_error_surfaces_once_and_in_its_turn():
    def fail():
        raise SynthanomError("row 1 is damaged")

    batches = iter(numbered(Stub(b1=fail), 3))
    assert float(next(batches).images) == 0
    with pytest.raises(SynthanomError, match="row 1 is damaged"):
        next(batches)
    assert running() == [] and list(batches) == []


def test_on_a_gpu_all_work_is_queued_on_the_makers_own_stream(data, monkeypatch):
    told = []

    @contextmanager
    def chosen(stream):
        told.append(("begin", stream is own))
        yield
        told.append("end")

    own = SimpleNamespace(record_event=lambda: told.append("event") or "event")
    make = live_batches.make_batch
    monkeypatch.setattr(live_batches, "_side_stream", lambda device: own)
    monkeypatch.setattr(torch.cuda, "stream", chosen)
    monkeypatch.setattr(live_batches, "make_batch", lambda *a, **k: told.append("made") or make(*a, **k))
    source, picks = live(data, 1, 2)
    ready = LiveMaker(source, CPU).make(picks[:2])
    assert ready.made == "event" and told == [("begin", True), "made", "event", "end"]


def test_a_batch_made_on_a_stream_of_its_own_is_waited_for(monkeypatch):
    told = []
    stream = SimpleNamespace(wait_event=lambda event: told.append(event))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: stream)
    tensors = [SimpleNamespace(device=CPU, record_stream=lambda s, k=k: told.append((k, s is stream))) for k in "ab"]
    batch = TrainingBatch(*tensors)
    assert handed_over(Ready(batch, "event")) is batch
    assert told == ["event", ("a", True), ("b", True)]


def test_gpus_make_batches_and_cpus_do_not():
    assert makes_batches_on(torch.device("cuda", 0)) and not makes_batches_on(CPU)


def configured(**changes):
    return parse_config(
        {
            "network": {"name": "unet", "settings": {"base": 2, "resolutions": 2}},
            "optimiser": {"learning_rate": 0.02, "warmup_steps": 2, "decay": 0.99},
            "batch_size": 3,
            "epochs": 2,
            "flip": 0.5,
            "live": True,
            **changes,
        }
    )


def weights(out):
    return torch.load(out / "last/resume.ckpt", weights_only=True)["state_dict"]


@pytest.mark.parametrize("step", [1, 4])
def test_a_run_that_was_interrupted_ends_with_the_same_weights(data, tmp_path, monkeypatch, step):
    begun, makers = [], set()
    original, make = Fitting.training_step, LiveMaker.make

    def counted(self, picks):
        makers.add(self)
        begun.append([(pick.epoch, pick.healthy) for pick in picks])
        return make(self, picks)

    def interrupted(self, batch, number):
        if self.global_step == step:
            signal.raise_signal(signal.SIGINT)
        return original(self, batch, number)

    monkeypatch.setattr("synthanom.training.fitting.makes_batches_on", lambda device: True)
    monkeypatch.setattr(LiveMaker, "make", counted)
    train(data, tmp_path / "straight", config=configured(), run=1)
    shown = [pick for part in begun for pick in part]
    assert [len(part) for part in begun] == [3, 3, 2] * 2 and len(makers) == 1
    assert len(set(shown)) == len(shown) and [epoch for epoch, _ in shown] == [0] * 8 + [1] * 8
    with monkeypatch.context() as patch:
        patch.setattr(Fitting, "training_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(data, tmp_path / "broken", config=configured(), run=1)
    assert running() == []
    train(data, tmp_path / "broken", config=configured(), run=1)
    straight, broken = weights(tmp_path / "straight"), weights(tmp_path / "broken")
    assert all(torch.equal(straight[k], broken[k]) for k in straight)
    best = "best/model.safetensors"
    assert (tmp_path / "straight" / best).read_bytes() == (tmp_path / "broken" / best).read_bytes()


def test_a_run_on_a_cpu_reads_by_the_loader(data, tmp_path, monkeypatch):
    def refused(self):
        raise AssertionError

    monkeypatch.setattr(LiveBatches, "__iter__", refused)
    train(data, tmp_path / "live", config=configured(epochs=1), run=2, device="cpu")
    monkeypatch.setattr("synthanom.training.fitting.makes_batches_on", lambda device: True)
    train(data, tmp_path / "stored", config=configured(epochs=1, live=False), run=2, device="cpu")
