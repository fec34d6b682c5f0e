"""The segmentation detector: its loss, its maps, its position channels, and that it learns."""

import numpy as np
import pytest
import torch

from synthanom.detectors.multitask import MultiTask
from synthanom.networks.positioned import PositionedNetwork, input_channels
from synthanom.networks.positions import position_channels
from synthanom.networks.unet import UNet
from synthanom.training.batches import TrainingBatch


class Recorder(torch.nn.Module):
    """Returns its first channel and remembers what it saw."""

    def forward(self, x):
        self.seen = x
        return x[:, :1]


def test_loss_is_the_mean_squared_error_and_bce_is_only_watched():
    detector = MultiTask(network=torch.nn.Conv2d(1, 1, 1, bias=False))
    detector.module.weight.data.fill_(2.0)
    images = torch.tensor([[[[0.1, 0.5]]], [[[0.0, 1.0]]]])
    labels = torch.tensor([[[0.0, 1.0]], [[0.5, 1.0]]])
    losses = detector.loss(TrainingBatch(images, labels))
    scores = np.array([0.2, 1.0, 0.0, 2.0])
    truth = labels.numpy().ravel()
    assert float(losses.total.detach()) == pytest.approx(np.mean((scores - truth) ** 2))
    p = np.clip(scores, 1e-6, 1 - 1e-6)
    expected = -np.mean(truth * np.log(p) + (1 - truth) * np.log1p(-p))
    assert float(losses.watched["bce"]) == pytest.approx(expected, rel=1e-3)
    assert losses.total.requires_grad and not losses.watched["bce"].requires_grad


@pytest.mark.parametrize("shape", [(8, 10), (6, 8, 10)])
def test_positions_come_after_the_image_and_follow_its_shape(shape):
    recorder = Recorder()
    network = PositionedNetwork(recorder, shape)
    for other in (shape, tuple(s + 3 for s in shape)):
        images = torch.randn(2, 2, *other)
        network(images)
        assert recorder.seen.shape[1] == input_channels(2, len(shape), positions=True)
        assert torch.equal(recorder.seen[:, :2], images)
        for row in recorder.seen:
            assert np.array_equal(row[2:].numpy(), position_channels(other))
    assert network.state_dict() == {}  # the channels are computed, not stored
    assert input_channels(2, 3, positions=False) == 2


def test_score_map_has_no_channel_axis():
    detector = MultiTask(network=UNet(dims=2, in_channels=1, base=2, resolutions=2))
    assert detector.score_map(torch.randn(3, 1, 12, 13)).shape == (3, 12, 13)


def test_a_few_steps_learn_an_easy_label():
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.standard_normal((4, 1, 16, 16)).astype(np.float32))
    labels = (images[:, 0] > 1).float()
    detector = MultiTask(network=UNet(dims=2, in_channels=1, base=8, resolutions=2))
    optimiser = torch.optim.AdamW(detector.module.parameters(), lr=1e-2, weight_decay=0.0)
    for _ in range(60):
        loss = detector.loss(TrainingBatch(images, labels)).total
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.05 < float(labels.var())
