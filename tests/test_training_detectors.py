"""Two detectors behind one interface: the same commands, folders and reports; what each is shown is its own affair."""

import json

import numpy as np
import pytest
import torch
from tiny_dataset import TASKS, write_tiny

from synthanom.detectors.autoencoder import HALF, Autoencoder
from synthanom.detectors.needs import NEEDS, needs_of
from synthanom.detectors.registry import DETECTORS, detector_class
from synthanom.errors import SynthanomError
from synthanom.networks.autoencoder import ConvolutionalAutoencoder
from synthanom.shards import DataSet
from synthanom.training.batches import TrainingBatch
from synthanom.training.checkpoint import load_model, read_card
from synthanom.training.config import load_config, parse_config
from synthanom.training.fitting import Fitting
from synthanom.training.folds import choose_run
from synthanom.training.predict import score_map
from synthanom.training.rows import index_rows, training_picks
from synthanom.training.run import train

pytestmark = pytest.mark.usefixtures("one_thread")

AUTOENCODER = {
    "detector": "autoencoder",
    "network": {"name": "autoencoder", "settings": {"base": 4, "resolutions": 3, "latent": 4}},
    "positions": False,
    "optimiser": {"learning_rate": 0.01, "warmup_steps": 2, "decay": 0.99},
    "batch_size": 4,
    "epochs": 2,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    with DataSet.open(write_tiny(tmp_path_factory.mktemp("detectors") / "data")) as opened:
        yield opened


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("autoencoder") / "run"
    seen = []
    original = Fitting.training_step

    def recorded(self, batch, number):
        seen.append(batch.labels.clone())
        return original(self, batch, number)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Fitting, "training_step", recorded)
        train(data, out, config=parse_config(AUTOENCODER))
    return out, seen


def test_every_detector_says_what_it_needs():
    assert set(DETECTORS) == set(NEEDS)
    for name in NEEDS:
        assert detector_class(name).needs == needs_of(name)
    with pytest.raises(SynthanomError, match="one of multitask, autoencoder, got 'segmentation'"):
        detector_class("segmentation")


def test_the_error_of_a_reconstruction_is_the_score():
    class Flat(torch.nn.Module):
        def forward(self, x):
            return torch.zeros_like(x)

    detector = Autoencoder(network=Flat())
    images = torch.tensor([[[[0.0, HALF, 10.0]], [[0.0, HALF, 0.0]]]])
    assert detector.score_map(images)[0].numpy() == pytest.approx(np.array([[0.0, 0.5, 50 / 50.04]]), rel=1e-5)
    losses = detector.loss(TrainingBatch(images, torch.ones(1, 1, 3)))
    assert float(losses.total) == pytest.approx((2 * HALF**2 + 100) / 6)
    assert torch.equal(losses.scores, detector.score_map(images))


@pytest.mark.parametrize("shape", [(16, 22), (12, 9, 14)])
def test_nothing_goes_around_the_bottleneck(shape):
    torch.manual_seed(0)
    network = ConvolutionalAutoencoder(dims=len(shape), in_channels=1, base=2, resolutions=3, latent=3)
    images = torch.randn(2, 1, *shape)
    assert network(images).shape == images.shape
    assert network.bottleneck(images).shape[:2] == (2, 3)
    with torch.no_grad():
        network.narrow.weight.zero_()  # with nothing in the bottleneck every image looks alike
        made = network(images)
    assert torch.allclose(made[0], made[1])


def test_it_sees_healthy_pictures_only(trained):
    _, seen = trained
    assert len(seen) == 4 and all(float(labels.abs().max()) == 0 for labels in seen)


def test_its_validation_loss_is_that_of_healthy_pictures(trained, data):
    out, _ = trained
    card = read_card(out)
    model = load_model(out)
    images = np.stack([data.healthy(i).image for i in (0, 5)])  # fold 0
    with torch.no_grad():
        expected = float(model.detector.loss(TrainingBatch(torch.tensor(images), torch.zeros(2, 16, 16))).total)
    assert card.training["loss"] == pytest.approx(expected, rel=1e-4)


def test_its_folder_and_card_have_what_every_run_has(trained, data):
    out, _ = trained
    card = json.loads((out / "best/model.json").read_text())
    assert card["detector"] == "autoencoder" and {"pixel", "sample"} <= set(card["thresholds"])
    assert set(card["training"]["validation"]["tasks"]) == set(TASKS[1:])
    assert (out / "pictures/validation.png").stat().st_size > 0
    found = score_map([out], data.healthy(0).image, device="cpu")
    assert found.shape == (16, 16) and found.min() >= 0 and found.max() < 1


def test_healthy_picks_come_once_each_and_are_mirrored_alike(data):
    run = choose_run(TASKS, 1, 0)
    index = index_rows(data, run)
    healthy = training_picks(index, run, epoch=3, seed=1, flip=0.5, shown="healthy")
    anomalous = training_picks(index, run, epoch=3, seed=1, flip=0.5)
    assert [(p.healthy, p.flip) for p in healthy] == [(p.healthy, p.flip) for p in anomalous]
    assert all(p.task is None and p.row is None for p in healthy)


def test_defaults_are_of_the_unets_size():
    plain, ours = load_config(None, (256, 256), {"detector": "autoencoder"}), load_config(None, (256, 256))
    assert plain.network.name == "autoencoder" and plain.network.settings == ours.network.settings
    assert not plain.positions and plain.optimiser == ours.optimiser and plain.batch_size == ours.batch_size


def test_a_network_that_could_copy_is_refused():
    with pytest.raises(SynthanomError, match="bottleneck, got unet"):
        parse_config({**AUTOENCODER, "network": "unet"})
    with pytest.raises(SynthanomError, match=r"detector: .*got 'gan'"):
        load_config(None, (16, 16), {"detector": "gan"})


def test_the_detectors_earlier_name_is_read(data, tmp_path):
    assert parse_config({"detector": "segmentation"}).detector == "multitask"
    small = {"network": {"settings": {"base": 2, "resolutions": 2}}, "epochs": 1}
    out = tmp_path / "run"
    train(data, out, config=parse_config(small))
    card = json.loads((out / "best/model.json").read_text())
    (out / "best/model.json").write_text(json.dumps({**card, "detector": "segmentation"}))
    assert load_model(out).card.detector == "multitask"
    # a run folder of that time: another name, and settings that did not exist
    text = (out / "config.yaml").read_text().replace("detector: multitask", "detector: segmentation")
    kept = [line for line in text.splitlines() if not line.startswith(("select_by", "anisotropy"))]
    (out / "config.yaml").write_text("\n".join(kept))
    assert not train(data, out, config=parse_config(small)).trained


def test_average_precision_can_decide(data, tmp_path):
    small = {"network": {"settings": {"base": 4, "resolutions": 2}}, "epochs": 4, "batch_size": 4}
    lines = []
    outcome = train(
        data, tmp_path / "run", config=parse_config({**small, "select_by": "average_precision"}), report=lines.append
    )
    found = [float(line.split("AP ")[1].split(" ")[0]) for line in lines]
    assert outcome.best_epoch == int(np.argmax(found))
    card = read_card(tmp_path / "run")
    assert card.training["average_precision"] == pytest.approx(max(found), abs=1e-5)
    assert card.training["validation"]["pixel_average_precision"] == pytest.approx(max(found), abs=1e-3)
