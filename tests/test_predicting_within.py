"""--within: scores count inside boxes or masks only, on each scan's own grid."""

import json

import numpy as np
import pytest
from saved_models import SHOWS_INPUT, write_model
from test_predicting import LAS, brain, xray

from synthanom.errors import SynthanomError
from synthanom.metrics import Aggregation
from synthanom.predicting import predict
from synthanom.predicting.within import asked_within, score_within
from synthanom.preprocess import MinusOneOne, Pipeline, default_pipeline
from synthanom.training.config import AggregationConfig
from synthanom.volumes import read, write_volume

SETTINGS = {"allow_import": True, "device": "cpu"}


def shows_input(folder, **changes):
    return write_model(folder, pipeline=Pipeline((MinusOneOne(),)), network=SHOWS_INPUT, **changes)


def table(path, *rows, columns="id,y0,y1,x0,x1"):
    path.write_text("\n".join((columns, *rows)) + "\n")
    return str(path)


def test_boxes_cut_the_map_and_the_score(tmp_path):
    mean = AggregationConfig(statistic="mean", value=None)
    model = shows_input(tmp_path / "m", aggregation=mean)
    for k in range(2):
        xray(tmp_path / f"raw/x{k}.png", seed=k)
    boxes = table(tmp_path / "boxes.csv", "x0,2,9,10,20", "x0,5,12,15,26", "x1,0,20,0,26")
    whole = predict([model], tmp_path / "raw", tmp_path / "whole", **SETTINGS)
    done = predict([model], tmp_path / "raw", tmp_path / "maps", within=boxes, **SETTINGS)
    inside = np.zeros((20, 26), bool)
    inside[2:9, 10:20] = inside[5:12, 15:26] = True
    one, cut = (read(tmp_path / f"{name}/x0.png").image[0] for name in ("whole", "maps"))
    assert np.array_equal(cut, np.where(inside, one, 0)) and cut[~inside].max() == 0 < one[~inside].max()
    assert done.scores["x0"] == pytest.approx(one[inside].mean() / 65535, abs=1e-5)
    image = read(tmp_path / "raw/x1.png").image[0]
    scaled = 2 * (image - image.min()) / np.ptp(image) - 1
    assert done.scores["x1"] == pytest.approx(np.clip(scaled, 0, 1).mean(), abs=1e-5)
    about = json.loads((tmp_path / "maps/predict.json").read_text())["within"]
    assert about["boxes"] == "boxes.csv" and len(about["sha256"]) == 64
    assert json.loads((tmp_path / "whole/predict.json").read_text())["within"] is None
    assert set(whole.scores) == set(done.scores)


def test_masks_lie_beside_turned_and_resampled_volumes(tmp_path):
    """The region is on the scan's grid, whatever preprocessing does to it."""
    pipeline = Pipeline((*default_pipeline("volume", spacing=1.7).steps[:2], MinusOneOne()))
    model = write_model(tmp_path / "m", pipeline=pipeline, shape=(16, 16, 16), network=SHOWS_INPUT)
    brain(tmp_path / "raw/a.nii.gz", shape=(24, 28, 26))
    brain(tmp_path / "raw/b.nii.gz", shape=(24, 28, 26), seed=1)
    inside = np.zeros((24, 28, 26), bool)
    inside[4:9, 10:20, 13:] = True
    write_volume(tmp_path / "raw/a_lobe.nii.gz", inside, LAS)
    whole = predict([model], tmp_path / "raw/a.nii.gz", tmp_path / "whole", **SETTINGS)
    done = predict([model], tmp_path / "raw", tmp_path / "maps", within="*_lobe.nii.gz", **SETTINGS)
    one, cut = (read(tmp_path / f"{name}/a.nii.gz").image[0] for name in ("whole", "maps"))
    assert np.array_equal(cut, np.where(inside, one, 0)) and cut.max() > 0
    top = np.sort(one[inside])[-round(0.25 * inside.sum()) :].mean()
    assert done.scores == {"a": pytest.approx(top, rel=1e-4)} and done.scores["a"] != whole.scores["a"]
    assert len(done.skipped) == 1 and "a mask that matches --within" in done.skipped[0][1]
    alone = predict([model], tmp_path / "raw/a.nii.gz", tmp_path / "alone", within="*_lobe.nii.gz", **SETTINGS)
    assert alone.scores == done.scores


def test_areas_of_the_aggregation_are_cut():
    values = np.arange(24, dtype=np.float32).reshape(4, 6) / 24
    foreground, inside = np.zeros((4, 6), bool), np.zeros((4, 6), bool)
    foreground[1, 1] = foreground[2, 4] = True
    inside[1:, 2:] = True
    means = {
        over: score_within(Aggregation(statistic="mean", value=None, over=over), values, inside, foreground)
        for over in ("image", "foreground", "box")
    }
    assert means["image"] == pytest.approx(values[1:, 2:].mean())
    assert means["foreground"] == pytest.approx(values[2, 4])
    assert means["box"] == pytest.approx(values[1:3, 2:5].mean())
    with pytest.raises(SynthanomError, match="nothing of what --within marks lies in the foreground"):
        score_within(Aggregation(statistic="max", value=None, over="foreground"), values, inside, ~inside)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (("y7,0,4,0,4",), r"ids must be those of the scans .*'x0'.*first 'y7'"),
        (("x0,4,4,0,4",), "line 2: a box must be"),
        (("x0,0,4,0,4", "x1,-1,4,0,4"), "line 3: a box must be"),
        (("x0,0,4,0",), "line 2: a box must be"),
        (("x0,0,4,0,four",), "line 2: a box must be"),
        ((), "at least one box"),
    ],
)
def test_bad_boxes_are_refused_before_any_work(tmp_path, rows, words):
    model = shows_input(tmp_path / "m")
    for k in range(2):
        xray(tmp_path / f"raw/x{k}.png", seed=k)
    with pytest.raises(SynthanomError, match=words):
        predict([model], tmp_path / "raw", tmp_path / "maps", within=table(tmp_path / "b.csv", *rows), **SETTINGS)
    assert not (tmp_path / "maps").exists()


def test_unfit_boxes_skip_their_scan(tmp_path):
    model = shows_input(tmp_path / "m")
    for k in range(2):
        xray(tmp_path / f"raw/x{k}.png", seed=k)
    for text, words in (
        (table(tmp_path / "c.csv", "x0,0,4", columns="id,x0,x1"), "columns must be id,y0,y1,x0,x1"),
        (str(tmp_path / "nowhere.csv"), "readable table"),
        ("*_lung.png", "got no file matched"),
        ("x*.png", "only files that --within"),
    ):
        with pytest.raises(SynthanomError, match=words):
            predict([model], tmp_path / "raw", tmp_path / "maps", within=text, **SETTINGS)
    outside = table(tmp_path / "d.csv", "x0,0,21,0,4", "x1,0,4,0,4")
    done = predict([model], tmp_path / "raw", tmp_path / "maps", within=outside, **SETTINGS)
    assert list(done.scores) == ["x1"] and "must lie inside the scan, (20, 26) voxels" in done.skipped[0][1]
    missing = table(tmp_path / "e.csv", "x1,0,4,0,4")
    done = predict([model], tmp_path / "raw", tmp_path / "maps", within=missing, **SETTINGS)
    assert list(done.scores) == ["x1"] and "has no box of 'x0'" in done.skipped[0][1]
    assert not (tmp_path / "maps/x0.png").exists()


def test_a_region_that_the_model_does_not_see_skips_its_scan(tmp_path):
    """Cropping to the foreground leaves the corner out."""
    pipeline = default_pipeline("volume", (14, 14, 14))
    model = write_model(tmp_path / "m", pipeline=pipeline, shape=(14, 14, 14))
    for name in ("a", "b"):
        brain(tmp_path / f"raw/{name}.nii.gz", shape=(24, 24, 24))
    rows = ("a,0,3,0,3,0,3", "b,8,14,8,14,8,14")
    boxes = table(tmp_path / "b.csv", *rows, columns="id,z0,z1,y0,y1,x0,x1")
    done = predict([model], tmp_path / "raw", tmp_path / "maps", within=boxes, device="cpu")
    assert list(done.scores) == ["b"] and "nothing of what --within marks" in done.skipped[0][1]


def test_a_table_may_come_from_a_spreadsheet(tmp_path):
    (tmp_path / "b.csv").write_bytes(b"\xef\xbb\xbfid,y0,y1,x0,x1\r\np/1,0,4,0,4\r\n\r\n")
    assert list(asked_within(str(tmp_path / "b.csv"), 2).table.boxes) == ["p/1"]
