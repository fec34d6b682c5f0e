"""The torch Dataset: seeded by epoch and sample, the same under any number and kind of workers."""

import json

import pytest
import torch
from phantoms import phantom
from torch.utils.data import DataLoader

from synthanom import AnomalyDataset, Recipe, SynthanomError, replay, synthesise, tasks
from synthanom.labels import FlippedGaussian
from synthanom.streams import stream


def dataset() -> AnomalyDataset:
    samples = [phantom((24, 28), 1, seed) for seed in range(5)]
    return AnomalyDataset(samples, tasks.IntraBlend(), seed=3, donors=samples)


def test_items_are_synthesise_with_the_epochs_stream():
    data = dataset()
    data.set_epoch(4)
    image, label, recipe = data[2]
    sample = data.samples[2]
    expected = synthesise(
        sample, data.task, FlippedGaussian(), rng=stream(3, sample.id, "intra_blend", "epoch-4"), donors=data.samples
    )
    assert torch.equal(image, torch.from_numpy(expected.image)) and torch.equal(label, torch.from_numpy(expected.label))
    again = replay(sample, Recipe.from_dict(json.loads(recipe)), FlippedGaussian(), donors=data.samples)
    assert torch.equal(image, torch.from_numpy(again.image))


def test_epochs_differ_and_come_back():
    data = dataset()
    first = data[0][0].clone()
    data.set_epoch(1)
    assert not torch.equal(data[0][0], first)
    data.set_epoch(0)
    assert torch.equal(data[0][0], first)


@pytest.mark.parametrize("context", ["fork", "spawn", "forkserver"])
def test_workers_change_nothing_and_see_later_epochs(context):
    data = dataset()
    loader = DataLoader(
        data, batch_size=2, num_workers=2, persistent_workers=True, multiprocessing_context=context, shuffle=False
    )
    for epoch in (0, 1):
        data.set_epoch(epoch)
        images = torch.cat([batch[0] for batch in loader])
        expected = torch.stack([data[i][0] for i in range(len(data))])
        assert torch.equal(images, expected)


def test_samples_that_share_an_id_are_refused():
    twice = [phantom((24, 24), 1, 0), phantom((24, 24), 1, 0)]
    with pytest.raises(SynthanomError, match="phantom-0"):
        AnomalyDataset(twice, tasks.Sink(), seed=0)
