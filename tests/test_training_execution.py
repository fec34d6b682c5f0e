"""Memory layout and compiling: the same losses within rounding, the same checkpoints, one line without a compiler."""

import pytest
import torch
from tiny_dataset import write_tiny
from torch._inductor import config as inductor

from synthanom.errors import SynthanomError
from synthanom.shards import DataSet
from synthanom.training.checkpoint import build_detector, load_model
from synthanom.training.config import NetworkConfig, parse_config
from synthanom.training.execution import channels_last, lay_out
from synthanom.training.predict import raw_score_map
from synthanom.training.run import train

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = {
    "network": {"name": "unet", "settings": {"base": 2, "resolutions": 2}},
    "optimiser": {"learning_rate": 0.02, "warmup_steps": 2, "decay": 0.99},
    "batch_size": 3,
    "epochs": 2,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    with DataSet.open(write_tiny(tmp_path_factory.mktemp("execution") / "data")) as opened:
        yield opened


@pytest.fixture(scope="module")
def plain(data, tmp_path_factory):
    return trained(data, tmp_path_factory.mktemp("plain") / "run")


def trained(data, out, **changes):
    return train(data, out, config=parse_config({**SMALL, **changes}))


def state(outcome):
    return torch.load(outcome.folder / "last/resume.ckpt", weights_only=True)


def test_channels_last_is_the_same_within_rounding_and_its_weights_are_interchangeable(data, plain, tmp_path):
    laid_out = trained(data, tmp_path / "run", channels_last=True)
    same_but_for_rounding(plain, laid_out, data)
    kept = state(laid_out)["state_dict"]["module.network.encoder.0.1.0.weight"]
    assert kept.is_contiguous(memory_format=torch.channels_last) and not kept.is_contiguous()


@pytest.mark.parametrize("dims", [2, 3])
def test_the_layout_changes_no_value(dims):
    detector = build_detector(
        NetworkConfig(settings={"base": 4, "resolutions": 2}),
        channels=2,
        shape=(16,) * dims,
        positions=True,
        allow_import=False,
    )
    before = {name: value.clone() for name, value in detector.module.state_dict().items()}
    images = torch.randn((2, 2, *(16,) * dims), generator=torch.Generator().manual_seed(0))
    expected = detector.score_map(images)
    lay_out(detector.module)
    weights = [value for value in detector.module.parameters() if value.ndim == dims + 2]
    assert all(value.stride(1) == 1 for value in weights if value.shape[1] > 1)
    assert all(torch.equal(value, before[name]) for name, value in detector.module.state_dict().items())
    moved = channels_last(images)
    assert moved.stride(1) == 1 and torch.equal(moved, images)
    torch.testing.assert_close(detector.score_map(moved), expected)


def test_compiled_is_what_trains_and_no_name_changes(data, plain, tmp_path, monkeypatch):
    compiled = []

    def stand_in(function, **settings):
        compiled.append((function.__name__, settings))
        return lambda *given: (compiled.append("step"), function(*given))[1]

    monkeypatch.setattr("synthanom.training.run.check_compiler", lambda device: compiled.append(device))
    monkeypatch.setattr(torch, "compile", stand_in)
    outcome = trained(data, tmp_path / "run", compile=True)
    # two epochs of three batches; every shape for itself, so that a continuation does the same arithmetic
    assert compiled == ["cpu", ("loss", {"dynamic": False}), *["step"] * 6]
    same_but_for_rounding(plain, outcome, data)


@pytest.mark.slow
def test_really_compiled(data, plain, tmp_path):
    outcome = trained(data, tmp_path / "run", compile=True, channels_last=True)
    same_but_for_rounding(plain, outcome, data)
    # interrupted after an epoch, it ends with the same weights
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("synthanom.training.run._finish", lambda *_: pytest.fail("must be interrupted"))
        patch.setattr("synthanom.training.keeper.Keeper._line", stop_once())
        with pytest.raises(KeyboardInterrupt):
            train(
                data,
                tmp_path / "again",
                config=parse_config({**SMALL, "compile": True, "channels_last": True}),
                report=lambda line: None,
            )
    torch.compiler.reset()
    again = trained(data, tmp_path / "again", compile=True, channels_last=True)
    first, second = state(outcome)["state_dict"], state(again)["state_dict"]
    assert all(torch.equal(first[name], second[name]) for name in first)


def stop_once():
    def line(keeper, trainer):
        raise KeyboardInterrupt

    return line


def test_without_a_compiler_it_is_one_line_before_any_work(data, tmp_path, monkeypatch):
    monkeypatch.setattr(inductor.cpp, "cxx", ("/nowhere/c++",))
    with pytest.raises(SynthanomError, match=r"compile: true needs a C\+\+ compiler.*leave compile out") as caught:
        trained(data, tmp_path / "run", compile=True)
    assert "\n" not in str(caught.value) and not (tmp_path / "run").exists()


def same_but_for_rounding(plain, other, data):
    """Losses, names and shapes, and the maps of the model that is kept."""
    assert other.best_loss == pytest.approx(plain.best_loss, rel=1e-4)
    first, second = state(plain)["state_dict"], state(other)["state_dict"]
    assert {k: v.shape for k, v in first.items()} == {k: v.shape for k, v in second.items()}
    image = data.healthy(0).image
    one, two = (raw_score_map(load_model(outcome.folder), image) for outcome in (plain, other))
    assert two == pytest.approx(one, abs=1e-3) and abs(one).max() > 0.01
