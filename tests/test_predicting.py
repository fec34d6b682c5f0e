"""Scans in, maps out: on the scan's own grid, nothing half-written, nothing of others overwritten."""

import csv
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from phantoms import ellipsoid, field
from saved_models import SHOWS_INPUT, write_model

from synthanom.errors import SynthanomError
from synthanom.predicting import filling, predict
from synthanom.preprocess import MinusOneOne, Pipeline, default_pipeline
from synthanom.training.config import AggregationConfig
from synthanom.training.predict import score_map
from synthanom.volumes import read, write_picture, write_volume

LAS = np.array([[-2.0, 0, 0, 30], [0, 1.5, 0, -20], [0, 0, 1.0, -10], [0, 0, 0, 1]])


def brain(path, shape=(14, 18, 16), seed=0, affine=LAS):
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = ellipsoid(shape)
    write_volume(path, (np.where(mask, 200 + 30 * field(shape, seed=seed)[0], 0)).astype(np.float32), affine)
    return path


def xray(path, shape=(20, 26), seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    values = field(shape, seed=seed)[0]
    write_picture(path, (values - values.min()) / np.ptp(values))
    return path


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_maps_lie_on_the_scans_own_grid(tmp_path):
    """The network shows its input, so the map must be the scan, scaled as preprocessing did, voxel for voxel."""
    pipeline = Pipeline((*default_pipeline("volume").steps[:2], MinusOneOne()))  # canonical, foreground
    model = write_model(tmp_path / "model", pipeline=pipeline, shape=(14, 18, 16), network=SHOWS_INPUT)
    oblique = LAS.copy()
    oblique[:3, :3] = LAS[:3, :3] @ np.array([[0, 0, -1], [1, 0, 0], [0, 1, 0]])
    for name, affine in (("a/las", LAS), ("b/turned", oblique)):
        brain(tmp_path / f"raw/{name}.nii.gz", affine=affine)
    done = predict([model], tmp_path / "raw", tmp_path / "maps", allow_import=True, device="cpu")
    assert list(done.scores) == ["a/las", "b/turned"] and done.skipped == ()
    for name in done.scores:
        scan, found = nib.load(tmp_path / f"raw/{name}.nii.gz"), nib.load(tmp_path / f"maps/{name}.nii.gz")
        assert found.shape == scan.shape and np.allclose(found.affine, scan.affine, atol=1e-5)
        values = scan.get_fdata()
        expected = np.clip(2 * (values - values.min()) / np.ptp(values) - 1, 0, 1)
        assert np.allclose(found.get_fdata(), expected, atol=1e-5) and expected.max() == 1


def test_resampled_and_cropped_volumes_come_back(tmp_path):
    pipeline = default_pipeline("volume", (16, 16, 16), 1.6)
    model = write_model(tmp_path / "model", pipeline=pipeline, shape=(16, 16, 16))
    scan = brain(tmp_path / "raw/s.nii.gz")
    predict([model], scan, tmp_path / "maps", device="cpu")
    found, stored = read(tmp_path / "maps/s.nii.gz"), read(scan)
    assert found.image.shape == stored.image.shape and np.allclose(found.affine, stored.affine, atol=1e-5)
    prepared = pipeline.prepare(stored)
    expected = np.clip(pipeline.restore(score_map([model], prepared.image, device="cpu"), prepared), 0, 1)
    assert np.allclose(found.image[0], expected, atol=1e-6) and found.image.max() > 0


def test_pictures_get_png_maps_of_sixteen_bits(tmp_path):
    pipeline = default_pipeline("picture", (16, 16))
    model = write_model(tmp_path / "model", pipeline=pipeline)
    xray(tmp_path / "raw/x.png")
    done = predict([model], tmp_path / "raw", tmp_path / "maps", device="cpu")
    volume = read(tmp_path / "raw/x.png")
    prepared = pipeline.prepare(volume)
    scores = score_map([model], prepared.image, device="cpu")
    expected = np.clip(pipeline.restore(scores, prepared), 0, 1)
    assert np.abs(read(tmp_path / "maps/x.png").image[0] / 65535 - expected).max() < 1e-5
    top = np.sort(scores.ravel())[-64:].mean()
    assert done.scores["x"] == pytest.approx(float(top), abs=1e-6)
    assert rows(tmp_path / "maps/scores.csv") == [{"id": "x", "score": repr(done.scores["x"])}]


def test_an_ensemble_is_the_mean(tmp_path):
    models = [
        write_model(tmp_path / f"m{k}", pipeline=Pipeline((MinusOneOne(),)), network=SHOWS_INPUT.model_copy(
            update={"settings": {"gain": gain}}))
        for k, gain in enumerate((0.25, 0.75))
    ]  # fmt: skip
    xray(tmp_path / "x.png")
    predict(models, tmp_path / "x.png", tmp_path / "maps", allow_import=True, device="cpu")
    image = read(tmp_path / "x.png").image[0]
    expected = np.clip(0.5 * (2 * (image - image.min()) / np.ptp(image) - 1), 0, 1)
    assert np.abs(read(tmp_path / "maps/x.png").image[0] / 65535 - expected).max() < 2e-5
    about = json.loads((tmp_path / "maps/predict.json").read_text())
    assert [m["name"] for m in about["models"]] == ["m0", "m1"] and about["finished"] and about["thresholds"] == {}


def test_what_cannot_be_scored_is_listed(tmp_path):
    model = write_model(tmp_path / "model", shape=(14, 18, 16))
    raw = tmp_path / "raw"
    brain(raw / "good.nii.gz")
    cut = brain(raw / "truncated.nii.gz").read_bytes()
    (raw / "truncated.nii.gz").write_bytes(cut[: len(cut) // 2])
    write_volume(raw / "constant.nii.gz", np.full((14, 18, 16), 7, np.float32), LAS)
    hole = np.array(read(raw / "good.nii.gz").image[0])
    hole[3, 3, 3] = np.nan
    write_volume(raw / "nan.nii.gz", hole, LAS)
    write_volume(raw / "small.nii.gz", field((6, 18, 16))[0], LAS)
    xray(raw / "flat.png")
    done = predict([model], raw, tmp_path / "maps", device="cpu")
    assert list(done.scores) == ["good"]
    reasons = {row["path"].rsplit("/", 1)[-1]: row["reason"] for row in rows(tmp_path / "maps/skipped.csv")}
    assert sorted(reasons) == ["constant.nii.gz", "flat.png", "nan.nii.gz", "small.nii.gz", "truncated.nii.gz"]
    assert "constant" in reasons["constant.nii.gz"] and "NaN" in reasons["nan.nii.gz"]
    assert "in 3D, got 1 in 2D" in reasons["flat.png"] and "at least 12" in reasons["small.nii.gz"]
    left = {p.name for p in (tmp_path / "maps").iterdir()}
    assert left == {"good.nii.gz", "scores.csv", "skipped.csv", "predict.json"}


def test_nothing_scored_is_refused_and_not_finished(tmp_path):
    model = write_model(tmp_path / "model", shape=(14, 18, 16))
    xray(tmp_path / "raw/flat.png")
    with pytest.raises(SynthanomError, match=r"none of 1 scans could be scored.*flat\.png"):
        predict([model], tmp_path / "raw", tmp_path / "maps", device="cpu")
    assert json.loads((tmp_path / "maps/predict.json").read_text())["finished"] is False


def test_the_same_command_again_gives_the_same_bytes(tmp_path):
    model = write_model(tmp_path / "model")
    for k in range(3):
        xray(tmp_path / f"raw/x{k}.png", seed=k)

    def everything():
        return {p.name: p.read_bytes() for p in sorted((tmp_path / "maps").rglob("*")) if p.is_file()}

    predict([model], tmp_path / "raw", tmp_path / "maps", device="cpu")
    before = everything()
    predict([model], tmp_path / "raw", tmp_path / "maps", device="cpu")
    assert everything() == before and len(before) == 6
    (tmp_path / "raw/x1.png").unlink()
    predict([model], tmp_path / "raw", tmp_path / "maps", device="cpu")
    assert "x1.png" not in everything() and len(everything()) == 5  # a map without its scan would be evaluated


def test_portions_do_not_change_the_maps(tmp_path, monkeypatch):
    model = write_model(tmp_path / "model")
    for k in range(3):
        xray(tmp_path / f"raw/x{k}.png", seed=k)
    (tmp_path / "raw/x9.png").write_bytes(b"no picture")  # counts as passed, though nothing is computed
    seen = []

    def track(title, items, total):
        items = list(items)
        seen.append((len(items), total))
        return iter(items)

    predict([model, model], tmp_path / "raw", tmp_path / "one", device="cpu", track=track)
    monkeypatch.setattr(filling, "HELD_BYTES", 1)
    predict([model, model], tmp_path / "raw", tmp_path / "many", device="cpu", track=track)
    assert seen == [(8, 8), (8, 8)]
    for k in range(3):
        assert (tmp_path / f"one/x{k}.png").read_bytes() == (tmp_path / f"many/x{k}.png").read_bytes()


def test_a_crash_leaves_no_half_written_name(tmp_path, monkeypatch):
    model = write_model(tmp_path / "model")
    for k in range(2):
        xray(tmp_path / f"raw/x{k}.png", seed=k)
    monkeypatch.setattr(filling, "HELD_BYTES", 1)
    real = filling.grey_png
    calls = []

    def failing(values):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(values)

    monkeypatch.setattr(filling, "grey_png", failing)
    with pytest.raises(KeyboardInterrupt):
        predict([model], tmp_path / "raw", tmp_path / "maps", device="cpu")
    assert sorted(p.name for p in (tmp_path / "maps").iterdir()) == ["predict.json", "x0.png"]
    assert json.loads((tmp_path / "maps/predict.json").read_text())["finished"] is False
    monkeypatch.setattr(filling, "grey_png", real)
    assert len(predict([model], tmp_path / "raw", tmp_path / "maps", device="cpu").scores) == 2


def test_several_contrasts_become_channels_in_the_order_of_the_pattern(tmp_path):
    pipeline = Pipeline((MinusOneOne(),))
    model = write_model(tmp_path / "m", pipeline=pipeline, channels=2, network=SHOWS_INPUT)
    for case in ("p1", "p2"):
        for k, contrast in enumerate(("T2", "T1")):
            xray(tmp_path / f"raw/{case}_{contrast}.png", seed=k)
    xray(tmp_path / "raw/p3_T2.png")
    with pytest.raises(SynthanomError, match=r"2 contrasts as channels.*--channels"):
        predict([model], tmp_path / "raw", tmp_path / "maps", device="cpu", allow_import=True)
    done = predict(
        [model], tmp_path / "raw", tmp_path / "maps", channels=r"_(T2|T1)\.png", device="cpu", allow_import=True
    )
    assert list(done.scores) == ["p1", "p2"] and "contrast T1 is missing" in done.skipped[0][1]
    shown = read(tmp_path / "maps/p1.png").image[0] / 65535
    first = read(tmp_path / "raw/p1_T2.png").image[0]
    assert np.abs(shown - np.clip(2 * (first - first.min()) / np.ptp(first) - 1, 0, 1)).max() < 2e-5
    with pytest.raises(SynthanomError, match="must find 2 contrasts"):
        predict([model], tmp_path / "raw", tmp_path / "other", channels=r"_(T2)\.png", device="cpu", allow_import=True)


def test_a_pattern_picks_files_for_a_model_of_one_channel(tmp_path):
    model = write_model(tmp_path / "m")
    xray(tmp_path / "raw/a/T1.png")
    xray(tmp_path / "raw/a/mask.png")
    done = predict([model], tmp_path / "raw", tmp_path / "maps", channels="/(T1)", device="cpu")
    assert list(done.scores) == ["a"]  # the id that a data set gives the case
    assert done.notes == ("left out: 1 images that the pattern '/(T1)' does not match, the first a/mask.png",)


def test_refusals_before_any_work(tmp_path):
    model = write_model(tmp_path / "m")
    xray(tmp_path / "raw/x.png")
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("mine")
    for given, out, words in (
        (tmp_path / "raw", other, "holds something else"),
        (tmp_path / "raw", tmp_path / "raw/maps", "must not be written into"),
        (tmp_path / "raw", other / "thesis.txt", "this is a file"),
        (tmp_path / "nowhere", tmp_path / "maps", "no such file"),
        (other, tmp_path / "maps", "no image"),
        (other / "thesis.txt", tmp_path / "maps", "not recognised"),
    ):
        with pytest.raises(SynthanomError, match=words):
            predict([model], given, out, device="cpu")
    assert [p.name for p in other.iterdir()] == ["thesis.txt"] and not (tmp_path / "raw/maps").exists()
    predict([model], tmp_path / "raw", tmp_path / "maps", device="cpu")
    for changed, words in (({"seed": 1}, "other models"), ({"channels": 2}, "same input")):
        second = write_model(tmp_path / f"m{words[:4]}", **changed)
        runs = [second] if words == "other models" else [model, second]
        with pytest.raises(SynthanomError, match=words):
            predict(runs, tmp_path / "raw", tmp_path / "maps", device="cpu")


def test_an_ensemble_aggregates_as_most_of_its_models_do(tmp_path):
    xray(tmp_path / "raw/x.png")
    ways = [AggregationConfig(statistic=name, value=None) for name in ("mean", "max", "max")]
    models = [write_model(tmp_path / f"m{k}", aggregation=way) for k, way in enumerate(ways)]
    for runs, statistic in ((models, "max"), (models[:2], "mean"), (models[1::-1], "max")):
        out = tmp_path / f"maps-{len(runs)}-{statistic}"
        done = predict(runs, tmp_path / "raw", out, device="cpu")
        assert json.loads((out / "predict.json").read_text())["aggregation"]["statistic"] == statistic
        found = read(out / "x.png").image[0] / 65535
        assert done.scores["x"] == pytest.approx(getattr(np, statistic)(found), abs=1e-3)


@pytest.mark.parametrize(("shift", "called"), [(-1e-6, "1"), (1e-6, "0")])
def test_the_models_threshold_for_whole_images_makes_the_call(tmp_path, shift, called):
    xray(tmp_path / "raw/x.png")
    score = predict([write_model(tmp_path / "m")], tmp_path / "raw", tmp_path / "first", device="cpu").scores["x"]
    model = write_model(tmp_path / "n", thresholds={"pixel": 0.5, "sample": score + shift})
    predict([model], tmp_path / "raw", tmp_path / "maps", device="cpu")
    assert rows(tmp_path / "maps/scores.csv") == [{"id": "x", "score": repr(score), "anomalous": called}]


def test_a_dicom_image_gets_a_map_with_its_affine(tmp_path):
    from pydicom.data import get_testdata_file

    scan = Path(str(get_testdata_file("MR_small.dcm", download=False)))
    model = write_model(tmp_path / "m")
    predict([model], scan, tmp_path / "maps", device="cpu")
    found, stored = read(tmp_path / "maps/MR_small.nii.gz"), read(scan)
    assert found.image.shape == stored.image.shape == (1, 64, 64)
    assert stored.affine is not None and np.allclose(found.affine, stored.affine, atol=1e-5)
