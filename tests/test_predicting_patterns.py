"""Contrasts and masks of new scans: told apart as the model's data set did, unless another pattern is given."""

import json
from pathlib import Path

import numpy as np
import pytest
from saved_models import SHOWS_INPUT, write_model
from test_predicting import xray

from synthanom.errors import SynthanomError
from synthanom.predicting import predict
from synthanom.preprocess import Foreground, MinusOneOne, Pipeline, ZScore, default_pipeline
from synthanom.volumes import read, write_picture


def with_patterns(pipeline, **patterns):
    """Preprocessing as a data set stores it that was built with --channels or --foreground."""
    return {"preprocessing": pipeline.to_dict() | patterns}


def scaled(path):
    """What a model shows that shows its input."""
    values = read(path).image[0]
    return np.clip(2 * (values - values.min()) / np.ptp(values) - 1, 0, 1)


def about(maps):
    return json.loads((maps / "predict.json").read_text())


def test_contrasts_keep_the_order_that_the_model_was_trained_with(tmp_path):
    """The stored pattern lists no words: by itself it would sort T1 first in any folder."""
    stored = {"pattern": r"_(T\d)\.png", "contrasts": ["T2", "T1"]}
    pipeline = Pipeline((MinusOneOne(),))
    kept = with_patterns(pipeline, channels=stored)
    model = write_model(tmp_path / "m", pipeline=pipeline, channels=2, network=SHOWS_INPUT, **kept)
    for k, name in enumerate(("p1_T1", "p1_T2", "p1_T3", "p2_T1", "p3_T3", "p4")):
        xray(tmp_path / f"raw/{name}.png", seed=k)
    for channels, maps in ((None, "own"), (r"_(T1|T2)\.p", "other order"), (r"p\d_(T\d)\.png", "subset")):
        if maps == "subset":
            for name in ("p1_T3", "p3_T3"):
                (tmp_path / f"raw/{name}.png").unlink()
        done = predict([model], tmp_path / "raw", tmp_path / maps, channels=channels, device="cpu", allow_import=True)
        assert list(done.scores) == ["p1"]
        assert (
            np.abs(read(tmp_path / maps / "p1.png").image[0] / 65535 - scaled(tmp_path / "raw/p1_T2.png")).max() < 2e-5
        )
        assert [(Path(path).name, "contrast T2 is missing" in why) for path, why in done.skipped] == [
            ("p2_T1.png", True)
        ]
        assert about(tmp_path / maps)["channels"] == stored | {"pattern": channels or stored["pattern"]}
        assert about(tmp_path / maps)["masks"] is None
    assert done.notes == (r"left out: 1 images that the pattern 'p\\d_(T\\d)\\.png' does not match, the first p4.png",)


def test_other_names_of_the_contrasts_are_taken_in_the_order_given(tmp_path):
    pipeline = Pipeline((MinusOneOne(),))
    kept = with_patterns(pipeline, channels={"pattern": "_(T2|T1)", "contrasts": ["T2", "T1"]})
    model = write_model(tmp_path / "m", pipeline=pipeline, channels=2, network=SHOWS_INPUT, **kept)
    for k, name in enumerate(("p1-one", "p1-two")):
        xray(tmp_path / f"raw/{name}.png", seed=k)
    with pytest.raises(SynthanomError, match=r"the model's --channels .*T2, T1, got no match among 2.*--channels"):
        predict([model], tmp_path / "raw", tmp_path / "maps", device="cpu", allow_import=True)
    with pytest.raises(SynthanomError, match="this is one file; name their folder"):
        predict([model], tmp_path / "raw/p1-one.png", tmp_path / "maps", device="cpu", allow_import=True)
    predict([model], tmp_path / "raw", tmp_path / "maps", channels="-(two|one)", device="cpu", allow_import=True)
    shown = read(tmp_path / "maps/p1.png").image[0] / 65535
    assert np.abs(shown - scaled(tmp_path / "raw/p1-two.png")).max() < 2e-5


def test_a_model_of_one_channel_picks_its_contrast_unless_told_otherwise(tmp_path):
    kept = with_patterns(default_pipeline("picture"), channels={"pattern": "_(T1)", "contrasts": ["T1"]})
    model = write_model(tmp_path / "m", **kept)
    for name in ("p1_T1", "p1_T2"):
        xray(tmp_path / f"raw/{name}.png")
    assert list(predict([model], tmp_path / "raw", tmp_path / "a", device="cpu").scores) == ["p1"]
    other = predict([model], tmp_path / "raw", tmp_path / "b", channels="_(T2)", device="cpu")
    assert list(other.scores) == ["p1"] and about(tmp_path / "b")["channels"]["contrasts"] == ["T2"]
    both = predict([model], tmp_path / "raw", tmp_path / "c", channels="none", device="cpu")
    assert list(both.scores) == ["p1_T1", "p1_T2"] and both.notes == () and about(tmp_path / "c")["channels"] is None
    named = predict([model], tmp_path / "raw/p1_T2.png", tmp_path / "d", device="cpu")
    assert list(named.scores) == ["p1_T2"]


@pytest.mark.parametrize(
    "patterns",
    [
        {"channels": "_(T1)"},
        {"channels": {"pattern": "_(T1)"}},
        {"channels": {"pattern": 7, "contrasts": ["T1"]}},
        {"channels": {"pattern": "_(T1)", "contrasts": ["T1", "T2"]}},
        {"channels": {"pattern": "_(T1)", "contrasts": [1]}},
        {"masks": ["*_mask.png"]},
        {"masks": {"pattern": ""}},
    ],
    ids=str,
)
def test_patterns_that_a_model_cannot_mean_are_refused(tmp_path, patterns):
    model = write_model(tmp_path / "m", **with_patterns(default_pipeline("picture"), **patterns))
    xray(tmp_path / "raw/p_T1.png")
    with pytest.raises(SynthanomError, match=f"the model's preprocessing must have .* in '{next(iter(patterns))}'"):
        predict([model], tmp_path / "raw", tmp_path / "maps", device="cpu")
    assert not (tmp_path / "maps").exists()


def masked_model(folder):
    """Shows its input, z-scored over the foreground: its map tells which foreground was taken."""
    pipeline = Pipeline((Foreground(rule="none"), ZScore()))
    kept = with_patterns(pipeline, masks={"pattern": "*_mask.png"})
    return write_model(folder, pipeline=pipeline, network=SHOWS_INPUT, **kept)


def zscored(path, mask=None):
    """The map that `masked_model` must give."""
    values = read(path).image[0].astype(np.float64)
    inside = values if mask is None else values[mask]
    return np.clip((values - inside.mean()) / inside.std(), 0, 1)


@pytest.fixture
def masked(tmp_path):
    """Two scans of which one has a mask; the mask."""
    mask = np.zeros((20, 26), bool)
    mask[4:9, 5:14] = True
    for k, name in enumerate(("a", "b")):
        xray(tmp_path / f"raw/{name}.png", seed=k)
    write_picture(tmp_path / "raw/a_mask.png", mask.astype(np.float32))
    return mask


def test_masks_beside_new_scans_are_their_foreground(tmp_path, masked):
    model = masked_model(tmp_path / "m")
    raw = tmp_path / "raw"

    def run(given, name, foreground=None):
        done = predict([model], given, tmp_path / name, foreground=foreground, device="cpu", allow_import=True)
        shown = {key: read(tmp_path / name / f"{key}.png").image[0] / 65535 for key in done.scores}
        return done, shown, about(tmp_path / name)

    done, shown, said = run(raw, "own")
    assert list(shown) == ["a", "b"] and done.skipped == ()
    assert np.abs(shown["a"] - zscored(raw / "a.png", masked)).max() < 1e-4
    assert np.abs(shown["b"] - zscored(raw / "b.png")).max() < 1e-4
    assert said["masks"] == {"pattern": "*_mask.png"} and said["without_mask"] == ["b"]
    assert done.notes == ("no mask '*_mask.png' for 1 of 2 scans, the first b: their foreground follows the rule none",)
    alone, shown, said = run(raw / "a.png", "alone")
    assert np.abs(shown["a"] - zscored(raw / "a.png", masked)).max() < 1e-4
    assert alone.notes == () and said["without_mask"] == []
    without, shown, said = run(raw, "without", "none")
    assert list(shown) == ["a", "b"] and without.notes == () and said["masks"] is None
    assert np.abs(shown["a"] - zscored(raw / "a.png")).max() < 1e-4
    (raw / "masks").mkdir()
    (raw / "a_mask.png").rename(raw / "masks/b.png")
    done, shown, said = run(raw, "elsewhere", "masks/*.png")
    assert list(shown) == ["a", "b"] and said["without_mask"] == ["a"]
    assert np.abs(shown["b"] - zscored(raw / "b.png", masked)).max() < 1e-4


def test_masks_are_never_scored(tmp_path, masked):
    """Not even where no scan is left, or the mask is all that is named."""
    model = masked_model(tmp_path / "m")
    raw = tmp_path / "raw"

    def refused(given, foreground, words):
        with pytest.raises(SynthanomError, match=words):
            predict([model], given, tmp_path / "maps", foreground=foreground, device="cpu", allow_import=True)
        assert not (tmp_path / "maps").exists()

    refused(raw / "a_mask.png", None, "only files that the pattern of masks")
    refused(raw, "*.png", "would be masks|only files that")
    refused(raw, "*_brain.png", "got no file matched")
    for name in ("a", "b"):
        (raw / f"{name}.png").unlink()
    refused(raw, None, "only files that the pattern of masks")
    refused(raw, "none", "only files that the pattern of masks")


def test_a_mask_that_does_not_fit_skips_its_scan(tmp_path, masked):
    model = masked_model(tmp_path / "m")
    write_picture(tmp_path / "raw/a_mask.png", np.ones((20, 20), np.float32))
    write_picture(tmp_path / "raw/b_mask.png", np.zeros((20, 26), np.float32))
    xray(tmp_path / "raw/c.png")
    done = predict([model], tmp_path / "raw", tmp_path / "maps", device="cpu", allow_import=True)
    assert list(done.scores) == ["c"] and about(tmp_path / "maps")["without_mask"] == ["c"]
    first, second = (why for _, why in done.skipped)
    assert "a_mask.png must lie on the grid of" in first and "b_mask.png: a foreground mask must mark" in second
