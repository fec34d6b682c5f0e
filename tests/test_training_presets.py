"""The settings in configs/ against the figures of the paper, which are typed in here once more."""

from pathlib import Path

import pytest
import torch
import yaml

from synthanom.errors import SynthanomError
from synthanom.networks.unet import MOST_FEATURES
from synthanom.training.checkpoint import build_detector
from synthanom.training.config import TrainingConfig, load_config
from synthanom.training.presets import config_file, presets
from synthanom.training.schedule import rate_factor

CONFIGS = Path(__file__).parents[1] / "configs"
SCHEDULE = {
    "warmup_steps": 100,
    "warmup_start": 0.01,
    "decay": 0.9997122182804811,
    "floor": 1 / 20,
    "weight_decay": 0.0,
}
BOTH = {"positions": True, "epochs": 2000, "patience_steps": 5000, "validate_every": 1, "pairing": "crossed"}
PAPER = {
    "brain": {
        **BOTH,
        "network": {"name": "unet", "settings": {"base": 32, "resolutions": 5}},
        "optimiser": {**SCHEDULE, "learning_rate": 1e-3},
        "batch_size": 8,
        "flip": 0.5,
    },
    "chest_xray": {
        **BOTH,
        "network": {"name": "unet", "settings": {"base": 32, "resolutions": 7}},
        "optimiser": {**SCHEDULE, "learning_rate": 5e-3},
        "batch_size": 50,
        "flip": 0.0,
    },
}
SHAPES = {"brain": (80, 112, 80), "chest_xray": (256, 256)}
PARAMETERS = {"brain": 13_889_600, "chest_xray": 29_124_704}
MOST = {"brain": 320, "chest_xray": 512}


def built(config, shape):
    """The detector for images of one channel."""
    return build_detector(config.network, channels=1, shape=shape, positions=config.positions, allow_import=False)


@pytest.mark.parametrize("name", PAPER)
def test_every_number_is_the_papers(name):
    # the file itself, not what defaults would make of it
    assert yaml.safe_load((CONFIGS / f"{name}.yaml").read_text()) == PAPER[name]
    config = load_config(CONFIGS / f"{name}.yaml", SHAPES[name])
    assert config.detector == "multitask" and config.precision == "32-true" and not config.live
    assert config == load_config(None, SHAPES[name])  # the defaults are the same settings


@pytest.mark.parametrize("name", PAPER)
def test_the_network_has_as_many_parameters_as_the_released_one(name):
    config = load_config(CONFIGS / f"{name}.yaml", SHAPES[name])
    shape = SHAPES[name]
    with torch.device("meta"):
        detector = built(config, shape)
    assert sum(p.numel() for p in detector.module.parameters()) == PARAMETERS[name]
    assert MOST_FEATURES[len(shape)] == MOST[name]


@pytest.mark.parametrize("name", PAPER)
def test_the_learning_rate_at_its_turns(name):
    settings = load_config(CONFIGS / f"{name}.yaml", SHAPES[name]).optimiser
    first = {"brain": 1e-3, "chest_xray": 5e-3}[name]
    rates = [first * rate_factor(step, settings) for step in (0, 100, 8100, 20_000)]
    assert rates == pytest.approx([first / 100, first, first / 10, first / 20], rel=1e-6)


def test_small_machines_get_less_than_a_million_parameters():
    config = load_config(CONFIGS / "cpu_small.yaml", (96, 96))
    detector = built(config, (96, 96))
    assert sum(p.numel() for p in detector.module.parameters()) < 1_000_000
    assert config.pairing == TrainingConfig().pairing


def test_a_configuration_goes_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert set(presets()) == {path.stem for path in CONFIGS.glob("*.yaml")}
    assert config_file(Path("cpu_small")) == CONFIGS / "cpu_small.yaml"
    assert config_file(Path("mine.yaml")) == Path("mine.yaml")  # missing: said by whoever reads it
    (tmp_path / "brain").write_text("epochs: 3\n")
    assert config_file(Path("brain")) == Path("brain")  # a file comes before a name
    with pytest.raises(SynthanomError, match="did you mean cpu_small") as refused:
        config_file(Path("cpu_smal"))
    assert str(refused.value).startswith("--config cpu_smal: must be a YAML file or one of brain, chest_xray,")
