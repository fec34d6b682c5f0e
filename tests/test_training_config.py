"""Configurations: the paper's numbers, strict reading, the learning rate."""

from pathlib import Path

import pytest

from synthanom.errors import SynthanomError
from synthanom.training.config import OptimiserConfig, load_config, parse_config, resolutions_for
from synthanom.training.schedule import rate_factor

BRAIN, XRAY = (80, 112, 80), (256, 256)


def test_defaults_are_the_papers():
    brain, xray = load_config(None, BRAIN), load_config(None, XRAY)
    assert (brain.optimiser.learning_rate, brain.batch_size, brain.flip) == (1e-3, 8, 0.5)
    assert (xray.optimiser.learning_rate, xray.batch_size, xray.flip) == (5e-3, 50, 0.0)
    assert brain.network.settings == {"base": 32, "resolutions": 5}
    assert xray.network.settings == {"base": 32, "resolutions": 7}
    for config in (brain, xray):
        assert (config.epochs, config.patience_steps, config.positions) == (2000, 5000, True)
        assert config.optimiser.weight_decay == 0 and config.optimiser.warmup_steps == 100


@pytest.mark.parametrize(
    ("shape", "most", "expected"), [((80, 112, 80), 5, 5), ((256, 256), 7, 7), ((40, 48, 40), 5, 4), ((12, 64), 7, 2)]
)
def test_resolutions_leave_four_voxels_a_side(shape, most, expected):
    assert resolutions_for(shape, most) == expected


def test_learning_rate_over_the_steps():
    settings = OptimiserConfig()
    assert rate_factor(0, settings) == 0.01
    assert rate_factor(50, settings) == pytest.approx(0.505)
    assert rate_factor(100, settings) == 1.0
    assert rate_factor(8100, settings) == pytest.approx(0.1, rel=1e-6)  # a factor 10 in 8000 steps
    assert rate_factor(100_000, settings) == 0.05
    assert rate_factor(0, OptimiserConfig(warmup_steps=0)) == 1.0


def test_a_file_changes_only_what_it_names(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("network:\n  settings: {base: 8}\noptimiser: {decay: 0.99}\nepochs: 7\n")
    config = load_config(path, BRAIN, {"epochs": 9, "seed": None})
    assert config.network.settings == {"base": 8, "resolutions": 5} and config.network.name == "unet"
    assert config.optimiser.decay == 0.99 and config.optimiser.learning_rate == 1e-3
    assert config.epochs == 9 and config.seed == 0
    path.write_text("network: unet\n")
    assert load_config(path, BRAIN).network.settings == {"base": 32, "resolutions": 5}
    path.write_text("network: torch.nn:Conv3d\n")
    assert load_config(path, BRAIN).network.settings == {}
    path.write_text("")
    assert load_config(path, BRAIN) == load_config(None, BRAIN)


def test_a_written_configuration_reads_back_the_same():
    config = load_config(None, BRAIN, {"seed": 4})
    assert parse_config(config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("epoch: 3", "unknown setting epoch; did you mean epochs?"),
        ("optimiser: {learning_rat: 0.1}", "did you mean optimiser.learning_rate?"),
        ("network: {settings: {basis: 8}}", "did you mean network.settings.base?"),
        ("network: {nam: unet}", "did you mean network.name?"),
        ("zzz: 1", "known are detector, network"),
        ("epochs: three", "epochs: .*got 'three'"),
        ("epochs: 3.5", "epochs: "),
        ("epochs: true", "epochs: "),
        ("optimiser: {learning_rate: 1e-3}", "1.0e-3"),
        ("batch_size: 0", "batch_size: .*greater than or equal to 1, got 0"),
        ("flip: 2", "flip: "),
        ("aggregation: {statistic: top, value: 3.0}", r"\(0, 1\]"),
        ("aggregation: {statistic: median}", "aggregation.statistic"),
        ("- 1", "key: value"),
        ("a: [", "readable YAML"),
        ("network: 3", "network: "),
    ],
)
def test_refused_in_one_line(tmp_path, text, part):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(SynthanomError, match=part) as caught:
        load_config(path, BRAIN)
    assert str(path) in str(caught.value)


def test_missing_and_foreign_files(tmp_path):
    with pytest.raises(SynthanomError, match="readable YAML"):
        load_config(tmp_path / "none.yaml", BRAIN)
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SynthanomError, match="readable YAML"):
        load_config(tmp_path / "b.yaml", BRAIN)
    (tmp_path / "p.yaml").write_text("a: !!python/object/apply:os.getcwd []")
    with pytest.raises(SynthanomError, match="readable YAML"):
        load_config(tmp_path / "p.yaml", BRAIN)


def test_every_configuration_in_the_repository_is_valid():
    found = sorted((Path(__file__).parents[1] / "configs").glob("*.yaml"))
    assert found
    for path in found:
        load_config(path, (40, 48, 40))
