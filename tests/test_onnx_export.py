"""Models as ONNX: the same maps in onnxruntime, with all that is needed to use them in the file."""

import json

import numpy as np
import pytest
import torch
from saved_models import SHOWS_INPUT, write_model
from typer.testing import CliRunner

from synthanom import onnx_export
from synthanom.cli.commands import app
from synthanom.errors import MissingExtra, SynthanomError
from synthanom.networks.positions import position_channels
from synthanom.onnx_export import TabledPositions, export_model
from synthanom.training.checkpoint import load_model

onnx = pytest.importorskip("onnx", reason="needs the extra `onnx`")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra `onnx`")


@pytest.mark.parametrize("shape", [(40, 52), (12, 20, 16)])
def test_tables_give_the_position_channels(shape):
    tabled = TabledPositions(torch.nn.Identity(), shape)
    found = tabled(torch.zeros((2, 1, *shape)))[:, 1:].numpy()
    assert np.abs(found - position_channels(shape)).max() < 2e-6
    assert sum(b.numel() for b in tabled.buffers()) < 100 * sum(shape)


@pytest.mark.parametrize("shape", [(96, 100), (32, 32, 36)])
def test_the_file_gives_the_models_maps(tmp_path, shape):
    folder = write_model(tmp_path / "m", shape=shape)
    model = load_model(folder)
    path = tmp_path / "model.onnx"
    words = ["export-model", str(folder), "--out", str(path)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0 and "within" in done.output, done.output
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for count in (1, 3):
        images = np.random.default_rng(1).standard_normal((count, 1, *shape)).astype(np.float32)
        with torch.inference_mode():
            expected = model.detector.score_map(torch.from_numpy(images)).numpy()
        found = session.run(["score_map"], {"image": images})[0]
        assert found.shape == (count, *shape)
        assert np.abs(found - expected).max() < 1e-4 < expected.std()
    said = json.loads(session.get_modelmeta().custom_metadata_map["synthanom"])
    assert said["preprocessing"] == model.card.preprocessing and said["thresholds"] == {"pixel": 0.5}
    assert said["aggregation"] == model.card.aggregation.model_dump() and said["input_shape"] == [1, *shape]
    content = path.read_bytes()
    assert b"unet.py" not in content and b"site-packages" not in content  # no paths of the exporter
    assert len(content) < position_channels(shape).nbytes / 2  # computed in the network
    if len(shape) == 2:
        assert CliRunner().invoke(app, words).exit_code == 0  # over its own file
        assert path.read_bytes() == content


def test_a_foreign_network_is_exported_when_allowed(tmp_path):
    folder = write_model(tmp_path / "m", network=SHOWS_INPUT)
    words = ["export-model", str(folder), "--out", str(tmp_path / "m.onnx"), "--shape", "20,24"]
    assert "foreign code" in str(CliRunner().invoke(app, words).exception)
    done = CliRunner().invoke(app, [*words, "--allow-import"])
    assert done.exit_code == 0 and "(batch, 1 x 20 x 24)" in done.output


def test_maps_that_differ_are_refused(tmp_path, monkeypatch):
    model = load_model(write_model(tmp_path / "m", network=SHOWS_INPUT), allow_import=True)
    real = onnx_export._exported

    def other(module, card, shape):
        with torch.no_grad():
            module.module.gain += 1e-3
            content = real(module, card, shape)
            module.module.gain -= 1e-3
        return content

    monkeypatch.setattr(onnx_export, "_exported", other)
    with pytest.raises(SynthanomError, match=r"must be within 0.0001 of torch's, got 0.00"):
        export_model(model, tmp_path / "m.onnx")
    assert not (tmp_path / "m.onnx").exists()


def test_bad_targets_and_shapes_are_refused(tmp_path, monkeypatch):
    folder = write_model(tmp_path / "m")
    (tmp_path / "mine.onnx").write_bytes(b"my own")
    for out, more, words in (
        ("model.pt", (), "end the name in .onnx"),
        ("no/m.onnx", (), "folder must exist"),
        ("mine.onnx", (), "not written over"),
        ("m.onnx", ("--shape", "20"), "--shape must be 2 numbers"),
        ("m.onnx", ("--shape", "20,x"), "--shape must be numbers"),
    ):
        done = CliRunner().invoke(app, ["export-model", str(folder), "--out", str(tmp_path / out), *more])
        assert isinstance(done.exception, SynthanomError) and words in str(done.exception)
    assert (tmp_path / "mine.onnx").read_bytes() == b"my own"
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    with pytest.raises(MissingExtra, match=r'onnxscript; pip install "synthanom\[onnx\]"'):
        export_model(load_model(folder), tmp_path / "m.onnx")
