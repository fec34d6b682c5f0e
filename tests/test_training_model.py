"""The model files and what predicts from them: round trips, refusals, ensembles, thresholds."""

import json

import numpy as np
import pytest
import torch
from lively import lively

from synthanom.errors import SynthanomError
from synthanom.training.checkpoint import (
    ModelCard,
    build_detector,
    load_model,
    model_folder,
    read_card,
    save_model,
    versions,
)
from synthanom.training.config import AggregationConfig, NetworkConfig
from synthanom.training.predict import raw_score_map, score_map, score_maps

UNET = NetworkConfig(name="unet", settings={"base": 2, "resolutions": 2})


def write_model(folder, seed=0, network=UNET, **changes):
    torch.manual_seed(seed)
    detector = build_detector(network, channels=1, shape=(16, 16), positions=True, allow_import=True)
    card = ModelCard(
        detector="multitask",
        network=network,
        positions=True,
        channels=1,
        shape=(16, 16),
        preprocessing={"format": 1, "steps": []},
        aggregation=AggregationConfig(),
        thresholds={"pixel": 0.5},
        training={"epoch": 3},
        versions=versions(),
        weights_sha256="0" * 64,
    ).model_copy(update=changes)
    folder.mkdir(parents=True, exist_ok=True)
    save_model(folder, lively(detector.module), card)
    return detector


def image(seed=0, shape=(16, 16)):
    return np.random.default_rng(seed).standard_normal((1, *shape)).astype(np.float32)


def test_round_trip_scores_the_same(tmp_path):
    detector = write_model(tmp_path / "run/best")
    model = load_model(tmp_path / "run")  # a run folder means its best model
    assert sorted(p.name for p in (tmp_path / "run/best").iterdir()) == ["model.json", "model.safetensors"]
    with torch.inference_mode():
        expected = detector.score_map(torch.from_numpy(image())[None])[0].numpy()
    assert np.array_equal(raw_score_map(model, image()), expected)
    assert model.card == read_card(tmp_path / "run/best") and model.card.sample_score().value == 0.25
    assert not model.detector.module.training


def test_loading_leaves_the_random_state_alone(tmp_path):
    write_model(tmp_path)
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    load_model(tmp_path)
    assert torch.equal(torch.rand(2), expected)


def test_other_sizes_can_be_scored(tmp_path):
    write_model(tmp_path)
    found = score_map([tmp_path], image(shape=(21, 30)), device="cpu")
    assert found.shape == (21, 30)


def test_an_ensemble_is_the_clipped_mean_of_unclipped_maps(tmp_path):
    folders = [tmp_path / str(i) for i in range(3)]
    for i, folder in enumerate(folders):
        write_model(folder, seed=i)
    pictures = [image(0), image(1)]
    raw = [[raw_score_map(load_model(f), p) for f in folders] for p in pictures]
    assert min(r.min() for r in raw[0]) < 0 and max(r.max() for r in raw[0]) > 1  # clipping first would differ
    counted = []
    found = score_maps(folders, pictures, device="cpu", done=counted.append)
    for maps, result in zip(raw, found, strict=True):
        assert result == pytest.approx(np.clip(np.mean(maps, axis=0), 0, 1), abs=1e-6)
        assert result.dtype == np.float32
    assert counted == [1, 2, 3, 4, 5, 6]


def test_models_that_do_not_fit_together_are_refused(tmp_path):
    write_model(tmp_path / "a")
    write_model(tmp_path / "b", preprocessing={"format": 1, "steps": [{"name": "zscore"}]})
    with pytest.raises(SynthanomError, match="same input"):
        score_maps([tmp_path / "a", tmp_path / "b"], [image()], device="cpu")
    with pytest.raises(SynthanomError, match="at least one run"):
        score_maps([], [image()])


def test_images_that_do_not_suit_are_refused(tmp_path):
    write_model(tmp_path)
    model = load_model(tmp_path)
    for bad in (np.zeros((2, 16, 16), np.float32), np.zeros((1, 16, 16, 16), np.float32), np.zeros((16, 16), "f4")):
        with pytest.raises(SynthanomError):
            raw_score_map(model, bad)


def test_a_foreign_network_runs_only_when_allowed(tmp_path):
    network = NetworkConfig(name="tiny_dataset:DropoutNetwork", settings={"width": 3})
    write_model(tmp_path, network=network)
    with pytest.raises(SynthanomError, match="allow_import=True"):
        load_model(tmp_path)
    model = load_model(tmp_path, allow_import=True)
    assert np.array_equal(raw_score_map(model, image()), raw_score_map(model, image()))  # dropout is off


def test_damage_is_refused_naming_the_file(tmp_path):
    write_model(tmp_path)
    weights, card = tmp_path / "model.safetensors", tmp_path / "model.json"
    good_weights, good_card = weights.read_bytes(), json.loads(card.read_text())
    flipped = bytearray(good_weights)
    flipped[-5] ^= 1
    weights.write_bytes(bytes(flipped))
    with pytest.raises(SynthanomError, match=r"model\.safetensors: its digest"):
        load_model(tmp_path)
    weights.write_bytes(good_weights)

    def refused(part, **changes):
        card.write_text(json.dumps({**good_card, **changes}))
        with pytest.raises(SynthanomError, match=part) as caught:
            load_model(tmp_path)
        assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)

    refused("upgrade with pip", format=2)
    refused("kind", kind="other")
    refused("channels", channels=0)
    refused("extra", surprise=1)
    refused("weights of the network", network={"name": "unet", "settings": {"base": 3, "resolutions": 2}})
    refused("shape", shape="16")
    card.write_text("{")
    with pytest.raises(SynthanomError, match=r"model\.json: must be readable JSON"):
        load_model(tmp_path)
    card.write_text("[1]")
    with pytest.raises(SynthanomError, match=r"model\.json"):
        load_model(tmp_path)
    card.unlink()
    with pytest.raises(SynthanomError, match="got neither"):
        model_folder(tmp_path)


def test_a_full_disk_leaves_the_old_model(tmp_path, monkeypatch):
    write_model(tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(SynthanomError, match="No space left"):
        write_model(tmp_path, seed=1)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
