"""Mixtures: one task per picture, drawn by name; what does not suit goes to the next task; healthy shares."""

import copy
import pickle
from collections import Counter

import numpy as np
import pytest
from phantoms import phantom

from synthanom import AnomalyDataset, Mixture, SynthanomError, synthesise, tasks
from synthanom.datasets import SharedEpoch
from synthanom.errors import NothingVisible
from synthanom.labels import FlippedGaussian
from synthanom.mixture import as_mixture
from synthanom.recipe import SynthesisOptions
from synthanom.streams import stream

SAMPLES = [phantom((24, 28), 1, seed) for seed in range(4)]
TWO = [tasks.Sink(), tasks.SmoothIntensity()]


def never_visible(sample, task, *arguments, **settings):
    if task.name == "sink":
        raise NothingVisible("not here")
    return synthesise(sample, task, *arguments, **settings)


def test_a_picture_is_that_of_its_tasks_stream():
    mixture = Mixture(tasks=TWO, options=SynthesisOptions(max_anomalies=2))
    for draw in range(4):
        made = mixture.make(SAMPLES[0], seed=3, draw=draw)
        task = mixture.order(SAMPLES[0].id, seed=3, draw=draw)[0]
        expected = synthesise(
            SAMPLES[0],
            task,
            FlippedGaussian(),
            rng=stream(3, SAMPLES[0].id, task.name, draw),
            max_anomalies=2,
        )
        assert np.array_equal(made.image, expected.image) and made.recipe == expected.recipe


def test_tasks_and_healthy_pictures_are_drawn_as_often_as_asked():
    mixture = Mixture(tasks=TWO, probability=0.7)
    orders = [mixture.order(f"case-{i}", seed=0, draw=0) for i in range(1000)]
    counts = Counter(order[0].name if order else "healthy" for order in orders)
    assert abs(counts["healthy"] - 300) < 60 and abs(counts["sink"] - 350) < 60
    assert all({task.name for task in order} == {"sink", "smooth_intensity"} for order in orders if order)
    assert orders != [mixture.order(f"case-{i}", seed=0, draw=1) for i in range(1000)]
    assert Mixture(tasks=TWO, probability=0).make(SAMPLES[0], seed=0, draw=0) is None


def test_what_does_not_suit_goes_to_the_next_task(monkeypatch):
    monkeypatch.setattr("synthanom.mixture.synthesise", never_visible)
    draws = [Mixture(tasks=TWO).make(SAMPLES[0], seed=0, draw=draw) for draw in range(8)]
    assert {anomaly.task for made in draws for anomaly in made.recipe.anomalies} == {"smooth_intensity"}


def test_what_no_task_suits_raises_or_stays_healthy(monkeypatch):
    monkeypatch.setattr("synthanom.mixture.synthesise", never_visible)
    with pytest.raises(NothingVisible, match="not here"):
        Mixture(tasks=[tasks.Sink()]).make(SAMPLES[0], seed=0, draw=0)
    assert Mixture(tasks=[tasks.Sink()], otherwise="healthy").make(SAMPLES[0], seed=0, draw=0) is None


def test_errors_of_settings_are_raised_in_any_case():
    with pytest.raises(SynthanomError, match="needs donors"):
        Mixture(tasks=[tasks.IntraBlend()], otherwise="healthy").make(SAMPLES[0], seed=0, draw=0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tasks": []}, "needs tasks"),
        ({"tasks": ["sink"]}, "needs tasks"),
        ({"tasks": TWO, "probability": 1.5}, "probability"),
        ({"tasks": TWO, "otherwise": "skip"}, "otherwise"),
    ],
)
def test_senseless_settings_are_refused(settings, message):
    with pytest.raises(SynthanomError, match=message):
        Mixture(**settings)


def test_copies_share_donors_and_pickles_do_not_change_pictures():
    mixture = Mixture(tasks=[tasks.IntraBlend()], donors=SAMPLES)
    assert copy.deepcopy(mixture) is mixture and copy.copy(mixture) is mixture
    assert as_mixture(mixture) is mixture and as_mixture(tasks.Sink()).tasks == (tasks.Sink(),)
    again = pickle.loads(pickle.dumps(mixture))
    first, second = (m.make(SAMPLES[0], seed=1, draw=2) for m in (mixture, again))
    assert np.array_equal(first.image, second.image)
    assert "Sample" not in repr(mixture)


def test_a_dataset_takes_a_mixture():
    data = AnomalyDataset(SAMPLES, Mixture(tasks=TWO, probability=0.5), seed=1)
    texts = []
    for epoch in range(4):
        data.set_epoch(epoch)
        for k, sample in enumerate(SAMPLES):
            image, label, recipe = data[k]
            made = data.mixture.make(sample, seed=1, draw=f"epoch-{epoch}")
            texts.append(recipe)
            if made is None:
                assert recipe == "" and np.array_equal(image.numpy(), sample.image) and not label.any()
            else:
                assert np.array_equal(image.numpy(), made.image) and recipe == made.recipe.to_json().decode()
    assert "" in texts and len(set(texts)) > 4
    with pytest.raises(SynthanomError, match="Mixture"):
        AnomalyDataset(SAMPLES, Mixture(tasks=TWO), FlippedGaussian(), seed=1)


def test_copies_of_an_epoch_are_the_same_epoch():
    epoch = SharedEpoch()
    copied = copy.deepcopy(epoch)
    epoch.set(5)
    assert copied.number == 5 and copied.draw == "epoch-5"
