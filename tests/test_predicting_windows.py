"""`synthanom predict` on images that do not fit: windows, mirrors, and what is said about them."""

import csv
import json
import weakref

import numpy as np
import pytest
import torch
from saved_models import SHOWS_INPUT, write_model
from test_predicting import brain, xray
from typer.testing import CliRunner

from synthanom.cli.commands import app
from synthanom.cli.scoring import asked_scoring
from synthanom.detectors.multitask import MultiTask
from synthanom.detectors.scoring import Scoring
from synthanom.errors import SynthanomError
from synthanom.predicting import predict
from synthanom.preprocess import MinusOneOne, Pipeline, default_pipeline
from synthanom.training.checkpoint import load_model
from synthanom.training.predict import raw_score_map
from synthanom.volumes import read


def test_large_scans_go_in_windows_and_say_so(tmp_path):
    """A network that shows its input looks no farther than a voxel: windows give the same map."""
    model = write_model(tmp_path / "m", pipeline=Pipeline((MinusOneOne(),)), network=SHOWS_INPUT)
    xray(tmp_path / "raw/large.png", shape=(200, 150))
    xray(tmp_path / "raw/small.png")
    settings = {"allow_import": True, "device": "cpu"}
    whole = predict([model], tmp_path / "raw", tmp_path / "whole", **settings)
    assert whole.notes == ()
    done = predict([model], tmp_path / "raw", tmp_path / "cut", scoring=Scoring(window=(64, 96)), **settings)
    assert done.notes == ("scored in windows: 1 scans, the first large in 64 x 96 voxels",)
    about = json.loads((tmp_path / "cut/predict.json").read_text())
    assert about["windows"] == {"large": [64, 96]} and about["scoring"] == {"window": [64, 96], "mirror": False}
    for name in ("large", "small"):
        one, other = (read(tmp_path / f"{k}/{name}.png").image for k in ("whole", "cut"))
        assert np.abs(one - other).max() <= 1
        assert done.scores[name] == pytest.approx(whole.scores[name], abs=1e-6)


def test_too_little_memory_means_windows_and_far_too_little_is_refused(tmp_path):
    models = [write_model(tmp_path / f"m{seed}", shape=(14, 18, 16), seed=seed) for seed in range(2)]
    brain(tmp_path / "raw/s.nii.gz", shape=(40, 30, 30))
    runner = CliRunner()

    def command(*options):
        words = ["predict", *map(str, models), "--input", str(tmp_path / "raw"), "--out", str(tmp_path / "maps")]
        return runner.invoke(app, [*words, "--device", "cpu", *options])

    cut = command("--memory", "0.01")
    assert cut.exit_code == 0 and "scored in windows in 0.01 GiB (--memory): 1 scans" in cut.output
    found = read(tmp_path / "maps/s.nii.gz").image
    whole = command()
    assert whole.exit_code == 0 and "windows" not in whole.output
    expected = read(tmp_path / "maps/s.nii.gz").image
    assert found.shape == expected.shape and np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.9
    refused = command("--memory", "0.00001")
    assert isinstance(refused.exception, SynthanomError) and "smallest window" in str(refused.exception)
    wrong = command("--window", "64,64")
    assert "must have 3 sides" in str(wrong.exception)


def test_the_mirror_is_for_ensembles_too(tmp_path):
    models = [write_model(tmp_path / f"m{seed}", seed=seed) for seed in range(2)]
    xray(tmp_path / "x.png", shape=(20, 26))
    for name, scoring in (("plain", Scoring()), ("mirror", Scoring(mirror=True))):
        predict(models, tmp_path / "x.png", tmp_path / name, device="cpu", scoring=scoring)
    plain, found = (read(tmp_path / f"{name}/x.png").image[0] / 65535 for name in ("plain", "mirror"))
    prepared = default_pipeline("picture").prepare(read(tmp_path / "x.png"))
    turned = np.ascontiguousarray(prepared.image[..., ::-1])
    maps = []
    for folder in models:
        model = load_model(folder)
        maps += [raw_score_map(model, prepared.image), raw_score_map(model, turned)[:, ::-1]]
    assert np.abs(found - np.clip(np.mean(maps, axis=0), 0, 1)).max() < 2e-5 < np.abs(found - plain).max()


def test_options_are_read():
    assert asked_scoring("cpu", 2.0, "96,128", mirror=True) == Scoring(
        memory=2 * 1024**3, window=(96, 128), mirror=True
    )
    assert asked_scoring("cpu", None, "whole", mirror=False).window == "whole"
    default = asked_scoring("cpu", None, None, mirror=False)
    assert default.memory is None or default.memory > 10**6
    for memory, window in ((0.0, None), (float("nan"), None), (1.0, "a,b"), (1.0, "64,"), (1.0, "0,64")):
        with pytest.raises(SynthanomError, match=r"--(memory|window) must be"):
            asked_scoring("cpu", memory, window, mirror=False)


@pytest.mark.parametrize("fails", [1, 2], ids=["first model", "second model"])
def test_a_scan_that_memory_runs_out_for_is_skipped_and_the_rest_goes_on(tmp_path, monkeypatch, fails):
    """The allocation really fails, on the scan of 40 columns; what was held by then is free for those that follow."""
    runs = [write_model(tmp_path / f"m{seed}", pipeline=Pipeline((MinusOneOne(),)), seed=seed) for seed in range(2)]
    for name, columns in (("a", 26), ("b", 40), ("c", 26)):
        xray(tmp_path / f"raw/{name}.png", shape=(20, columns))
    score, calls, held = MultiTask.score_map, [], []

    def hungry(self, images, *place):
        assert not any(one() is not None for one in held), "still held"
        calls.append(images.shape[-1])
        if images.shape[-1] == 40 and calls.count(40) == fails:
            large = torch.zeros(5)
            held.append(weakref.ref(large))
            torch.empty(2**60, dtype=torch.uint8)
        return score(self, images, *place)

    monkeypatch.setattr(MultiTask, "score_map", hungry)
    words = ["predict", *map(str, runs), "--input", str(tmp_path / "raw"), "--out", str(tmp_path / "maps")]
    done = CliRunner().invoke(app, [*words, "--device", "cpu", "--window", "whole"])
    assert done.exit_code == 3 and len(held) == 1
    assert calls == ([26, 40, 26, 26, 26] if fails == 1 else [26, 40, 26, 26, 40, 26])
    with (tmp_path / "maps/skipped.csv").open(newline="") as file:
        (skipped,) = csv.DictReader(file)
    assert skipped["path"].endswith("raw/b.png")
    assert skipped["reason"].startswith("memory must suffice for 20 x 40 voxels at a time")
    about = json.loads((tmp_path / "maps/predict.json").read_text())
    assert about["finished"] and sorted(about["maps"]) == ["a", "c"] and about["windows"] == {}
    monkeypatch.undo()
    plain = predict(runs, tmp_path / "raw", tmp_path / "plain", device="cpu")
    for name in "ac":
        assert np.array_equal(read(tmp_path / f"maps/{name}.png").image, read(tmp_path / f"plain/{name}.png").image)
    assert list(plain.scores) == ["a", "b", "c"]
