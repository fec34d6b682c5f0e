"""Cuts, differences, prevalence, trivial maps and the CRADL setup of whole evaluations."""

import json

import numpy as np
import pytest
from phantoms import ellipsoid, field
from sklearn import metrics as oracle

from synthanom.errors import SynthanomError
from synthanom.evaluation import Choices, counting, evaluate
from synthanom.evaluation.rows import CHANCE, MODEL, ORACLE, RANDOM
from synthanom.evaluation.scans import find_scans, read_scan
from synthanom.evaluation.setups import cradl, cradl_mask
from synthanom.evaluation.tables import comma_separated, markdown, tables_of
from synthanom.evaluation.trivial import TRIVIAL, area, box_area, deviation, intensity, position
from synthanom.evaluation.truth import Item, find_maps
from synthanom.metrics import PixelStore, RankingAccumulator, aupro, lesion_counts
from synthanom.pictures.png import grey_png
from synthanom.preprocess import default_pipeline
from synthanom.volumes import read, write_picture, write_volume

SHAPE = (6, 14, 16)
AFFINE = np.diag([1.0, 1.0, 2.0, 1.0])
COUNT = 8


def masks():
    found = [field(SHAPE, 1, k, smooth=1.5)[0] > 1.2 for k in range(COUNT)]
    return [mask if k % 2 else np.zeros(SHAPE, bool) for k, mask in enumerate(found)]


def scores(gain, seed):
    rng = np.random.default_rng(seed)
    return [(1 / (1 + np.exp(-rng.standard_normal(SHAPE) - gain * m))).astype(np.float32) for m in masks()]


def write(folder, arrays):
    folder.mkdir(parents=True, exist_ok=True)
    for k, values in enumerate(arrays):
        write_volume(folder / f"sub-{k // 2}_scan{k}.nii.gz", values, AFFINE)
    return folder


def predicted(folder, thresholds, values, **more):
    """Say of maps that synthanom predict wrote them."""
    names = [f"sub-{k // 2}_scan{k}" for k in range(COUNT)]
    about = {
        "kind": "synthanom-prediction", "format": 1, "finished": True, "thresholds": thresholds,
        "maps": {name: f"{name}.nii.gz" for name in names}, "models": [{"name": "m", "sha256": "0"}],
    }  # fmt: skip
    (folder / "predict.json").write_text(json.dumps(about | more))
    lines = [f"{name},{v.max():.9g}\n" for name, v in zip(names, values, strict=True)]
    (folder / "scores.csv").write_text("id,score\n" + "".join(lines))


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    root = tmp_path_factory.mktemp("case")
    write(root / "truth", masks())
    write(root / "maps", scores(1.5, 1))
    predicted(root / "maps", {"pixel": 0.75, "pixel_f1": 0.9, "sample": 0.97}, scores(1.5, 1))
    write(root / "other", scores(0.5, 2))
    head = ellipsoid(SHAPE)
    write(root / "images", [(field(SHAPE, 1, 90 + k)[0] + 20) * head for k in range(COUNT)])
    return root


@pytest.fixture(scope="module")
def found(case):
    return evaluate(case / "maps", case / "truth", baselines={"other": case / "other"}, images=case / "images")


def line(found, level, chosen, score="", maps=MODEL):
    (one,) = [r for r in found.cuts if (r.level, r.score, r.maps, r.chosen) == (level, score, maps, chosen)]
    return one


def flat():
    return np.concatenate([s.ravel() for s in scores(1.5, 1)]), np.concatenate([m.ravel() for m in masks()])


@pytest.mark.parametrize(("chosen", "cut"), [("stored", 0.75), ("f1", 0.9)])
def test_pixels_at_stored_cuts_are_those_of_scikit_learn(found, chosen, cut):
    values, truth = flat()
    called, row = values >= cut, line(found, "pixel", chosen)
    expected = {
        "dice": oracle.f1_score(truth, called),
        "f_beta": oracle.fbeta_score(truth, called, beta=1.1),
        "accuracy": oracle.accuracy_score(truth, called),
        "precision": oracle.precision_score(truth, called),
        "recall": oracle.recall_score(truth, called),
        "specificity": oracle.recall_score(~truth, ~called),
        "negative_predictive_value": oracle.precision_score(~truth, ~called),
    }
    assert {name: f.value for name, f in row.figures.items()} == pytest.approx(expected)
    assert all(f.low <= f.value <= f.high for f in row.figures.values()) and row.cut == cut


def test_the_oracle_is_the_best_cut_and_says_so(found):
    values, truth = flat()
    row = line(found, "pixel", ORACLE)
    best = max(
        oracle.fbeta_score(truth, values >= cut, beta=1.1) for cut in np.quantile(values, np.linspace(0.9, 1, 60))
    )
    assert row.figures["f_beta"].value >= best
    assert row.figures["f_beta"].value == pytest.approx(
        oracle.fbeta_score(truth, values >= np.float32(row.cut), beta=1.1)
    )
    assert {r.chosen for r in found.cuts if r.maps == "other"} == {ORACLE}


def test_samples_at_the_stored_cut(found):
    values, truth = np.array([s.max() for s in scores(1.5, 1)]), np.array([m.any() for m in masks()])
    row = line(found, "sample", "stored", "as the model aggregates")
    assert row.figures["recall"].value == oracle.recall_score(truth, values >= 0.97)
    assert row.figures["specificity"].value == oracle.recall_score(~truth, ~(values >= 0.97))
    assert not [r for r in found.cuts if r.level == "sample" and r.score == "mean" and r.chosen == "stored"]


def test_lesions_at_cuts(found):
    counts = [lesion_counts(s >= 0.9, m) for s, m in zip(scores(1.5, 1), masks(), strict=True)]
    row = line(found, "lesion", "f1")
    lesions, hit = sum(c.lesions for c in counts), sum(c.found for c in counts)
    called, right = sum(c.called for c in counts), sum(c.right for c in counts)
    assert row.figures["recall"].value == hit / lesions and row.figures["precision"].value == right / called
    p, r = right / called, hit / lesions
    assert row.figures["f_beta"].value == pytest.approx((1 + 1.21) * p * r / (1.21 * p + r))
    assert row.counts == {"lesions": lesions, "found": hit, "called": called, "right": right}
    best = line(found, "lesion", ORACLE)
    again = [lesion_counts(s >= np.float32(best.cut), m) for s, m in zip(scores(1.5, 1), masks(), strict=True)]
    assert best.counts["found"] == sum(c.found for c in again)


def test_chance_calls_as_often_as_the_model(found):
    _, truth = flat()
    row, ours = line(found, "pixel", CHANCE, maps=RANDOM), line(found, "pixel", ORACLE)
    share = (ours.counts["tp"] + ours.counts["fp"]) / truth.size
    assert row.figures["precision"].value == pytest.approx(truth.mean())
    assert row.figures["recall"].value == pytest.approx(share)
    assert row.figures["specificity"].value == pytest.approx(1 - share)
    assert line(found, "pixel", f"{CHANCE} at f1", maps=RANDOM).figures["precision"].value == pytest.approx(
        truth.mean()
    )


def test_aupro_stands_in_the_pixel_rows(found):
    rows = {r.maps: r.aupro for r in found.rows if r.level == "pixel" and not r.score}
    assert rows[MODEL].value == pytest.approx(aupro(scores(1.5, 1), masks()), abs=1e-12)
    assert rows["other"].value == pytest.approx(aupro(scores(0.5, 2), masks()), abs=1e-12)
    assert rows[RANDOM].value == 0.15 and rows[MODEL].low < rows[MODEL].value < rows[MODEL].high
    assert all(r.aupro is None for r in found.rows if r.level != "pixel")


def test_differences_are_paired(found, case):
    (pixel,) = [d for d in found.differences if (d.level, d.against, d.chosen) == ("pixel", "other", "")]
    ours, theirs = (next(r for r in found.rows if r.level == "pixel" and r.maps == m) for m in (MODEL, "other"))
    difference = pixel.figures["average_precision"]
    assert difference.value == pytest.approx(ours.average_precision.value - theirs.average_precision.value)
    assert difference.low > 0 and difference.draws == 1000
    # the same maps differ by nothing on every resample
    same = evaluate(case / "maps", case / "truth", baselines={"again": case / "maps"})
    for row in same.differences:
        assert all(f.value == f.low == f.high == 0 for f in row.figures.values() if f.draws)
    assert {d.level for d in same.differences} == {"sample", "slice", "pixel", "lesion"}
    at_cut = [d for d in same.differences if d.chosen == "f1"]
    assert {d.level for d in at_cut} == {"pixel", "lesion"} and "recall" in at_cut[0].figures


def test_prevalence_reweights(case):
    found = evaluate(case / "maps", case / "truth", choices=Choices(prevalence={"sample": 0.02, "pixel": 0.001}))
    row = line(found, "sample", "stored", "as the model aggregates")
    recall, specificity = row.figures["recall"].value, row.figures["specificity"].value
    ppv = recall * 0.02 / (recall * 0.02 + (1 - specificity) * 0.98)
    npv = specificity * 0.98 / (specificity * 0.98 + (1 - recall) * 0.02)
    assert row.figures["precision_at_prevalence"].value == pytest.approx(ppv)
    assert row.figures["negative_predictive_value_at_prevalence"].value == pytest.approx(npv)
    values, truth = flat()
    weight = np.where(truth, 1, truth.sum() / (~truth).sum() * 0.999 / 0.001)
    pixel = next(r for r in found.rows if r.level == "pixel" and r.maps == MODEL)
    expected = oracle.average_precision_score(truth, values, sample_weight=weight)
    assert pixel.at_prevalence.value == pytest.approx(expected, abs=2e-3)
    assert next(r for r in found.rows if r.level == "pixel" and r.maps == RANDOM).at_prevalence.value == 0.001
    assert next(r for r in found.rows if r.level == "slice").at_prevalence is None


def test_every_trivial_map_has_its_rows(found):
    for level in ("sample", "slice", "pixel"):
        assert set(TRIVIAL) <= {r.maps for r in found.rows if r.level == level}
    assert not [c for c in found.captions if "trivial" in c]


def test_maps_of_sixteen_bits_are_cut_where_the_model_says(tmp_path):
    """`synthanom predict` writes pictures' scores times 65535; stored cuts are in the model's own units."""
    values = [plane[3] for plane in scores(1.5, 1)]
    for folder in ("maps", "truth"):
        (tmp_path / folder).mkdir()
    names = [f"sub-{k // 2}_scan{k}" for k in range(COUNT)]
    for name, value, mask in zip(names, values, masks(), strict=True):
        (tmp_path / f"maps/{name}.png").write_bytes(grey_png(value))
        write_picture(tmp_path / f"truth/{name}.png", mask[3].astype(float))
    predicted(tmp_path / "maps", {"pixel": 0.75}, values, maps={name: f"{name}.png" for name in names})
    done = evaluate(tmp_path / "maps", tmp_path / "truth")
    row = line(done, "pixel", "stored")
    called, truth = (np.concatenate([a.ravel() for a in found]) for found in (values, [m[3] for m in masks()]))
    recall = oracle.recall_score(truth, called >= 0.75)
    assert row.cut == pytest.approx(0.75) and 0 < recall < 1
    assert row.figures["recall"].value == pytest.approx(recall, abs=1e-3)


def test_what_is_missing_is_said(case, tmp_path):
    plain = evaluate(case / "other", case / "truth")
    assert any("need the scans, --images" in c for c in plain.captions)
    assert any("no stored cuts: these maps come without any" in c for c in plain.captions)
    write(tmp_path / "mean", scores(1.5, 1))
    predicted(tmp_path / "mean", {}, scores(1.5, 1), models=[{"name": "a"}, {"name": "b"}])
    several = evaluate(tmp_path / "mean", case / "truth")
    assert any("the mean of several models has none" in c for c in several.captions)
    assert len(several.to_dict()["models"]) == 2


@pytest.mark.parametrize("bad", [{"pixel": "high"}, {"pixel": True}, {"pixel": float("inf")}])
def test_thresholds_that_are_no_numbers_are_refused(tmp_path, case, bad):
    write(tmp_path / "maps", scores(1.5, 1))
    predicted(tmp_path / "maps", bad, scores(1.5, 1))
    with pytest.raises(SynthanomError, match=r"predict\.json: thresholds must be numbers"):
        evaluate(tmp_path / "maps", case / "truth")


def test_trivial_maps_by_hand():
    inside = np.zeros((2, 4, 5), bool)
    inside[0, 1:3, 1:4] = True
    inside[0, 2, 2] = False
    image = np.full((1, 2, 4, 5), 7, np.float32)
    image[0, 0, 1, 1] = 17
    assert area(image, inside)[0] == pytest.approx(5 / 20) and (area(image, inside)[1] == 0).all()
    assert box_area(image, inside)[0] == pytest.approx(6 / 20) and (box_area(image, inside)[1] == 0).all()
    grey = intensity(image, inside)
    assert grey[0, 1, 1] == 17 and grey[1, 3, 3] == 7
    z = deviation(image, inside)  # 7, 7, 7, 7 and 17: mean 9, deviation 4
    assert z[0, 1, 1] == pytest.approx(2) and z[0, 1, 2] == pytest.approx(0.5) and z[1].max() == 0
    square = np.ones((5, 5), bool)
    middle = position(image[:, 0], square)
    assert middle[2, 2] == 1 and middle[0, 0] == pytest.approx(1 - 2 / 2.5) and middle[0, 0] == middle[4, 4]
    empty = np.zeros((5, 5), bool)
    for make in TRIVIAL.values():
        made = make(np.ones((2, 5, 5), np.float32), empty)
        assert made.dtype == np.float32 and np.ptp(made) == 0
        assert make(np.ones((2, 2, 4, 5), np.float32), inside).shape == inside.shape


def test_the_foreground_is_that_of_the_models_preprocessing(tmp_path):
    """A hole of 0 in a head belongs to the model's foreground, not to the voxels that are not 0."""
    head = ellipsoid((16, 16, 16))
    image = np.where(head, field((16,) * 3, 1, 0)[0] * 10 + 300, 0).astype(np.float32)
    image[7:9, 7:9, 7:9] = 0
    for name, values in (("maps", head * 0.5), ("images", image)):
        (tmp_path / name).mkdir()
        write_volume(tmp_path / name / "a.nii.gz", values.astype(np.float32), np.eye(4))
    item = Item(id="a", subject="a", anomalous=False, mask=None)

    def foreground():
        maps = find_maps("model", tmp_path / "maps")
        scans = find_scans(tmp_path / "images", maps)
        return read_scan(scans, maps, item, read(tmp_path / "maps/a.nii.gz"))[1]

    assert np.array_equal(foreground(), image != 0)
    steps = {"preprocessing": default_pipeline("volume").to_dict(), "thresholds": {}, "maps": {"a": "a.nii.gz"}}
    about = {"kind": "synthanom-prediction", "format": 1, "finished": True, "models": []}
    (tmp_path / "maps/predict.json").write_text(json.dumps(about | steps))
    (tmp_path / "maps/scores.csv").write_text("id,score\na,0.5\n")
    inside = foreground()
    assert inside[8, 8, 8] and not inside[0, 0, 0] and inside.mean() == pytest.approx(head.mean(), abs=0.1)


def test_cradl_by_hand():
    values = np.zeros((24, 194, 155), np.float32)
    values[10:14, 2:192] = np.arange(155)
    out = cradl(values)
    assert out.shape == (4, 128, 128) and out.dtype == np.float32
    # the middle 190 rows are full, and pixel centres of 129 of 155 columns lie at (k + 0.5) 155 / 129 - 0.5
    assert out[0, 0] == pytest.approx((np.arange(128) + 0.5) * 155 / 129 - 0.5, abs=1e-4)
    assert out[0, :, 7] == pytest.approx(out[0, 0, 7])
    small = cradl(np.ones((21, 100, 90), np.float32))  # zeros around
    assert small.shape == (1, 128, 128) and small[0, 0, 0] == 0 and small[0, 64, 64] == 1
    half = np.zeros((21, 190, 155), bool)
    half[:, :, 77:] = True
    assert cradl_mask(half).dtype == bool and 0.45 < cradl_mask(half).mean() < 0.55
    for bad in ((20, 30, 30), (30, 30)):
        with pytest.raises(SynthanomError, match="leave --setup out"):
            cradl(np.zeros(bad, np.float32))


def test_the_cradl_setup_is_evaluated_on_its_own_grid(tmp_path):
    for k in range(2):
        mask = np.zeros((23, 40, 38), bool)
        mask[9:14, 10:25, 12:30] = k
        for name, values in (("maps", mask * 0.7), ("truth", mask), ("images", mask + 1.0)):
            (tmp_path / name).mkdir(exist_ok=True)
            write_volume(tmp_path / name / f"a{k}.nii.gz", values.astype(np.float32), np.eye(4))
    where = {"images": tmp_path / "images", "choices": Choices(setup="cradl")}
    found = evaluate(tmp_path / "maps", tmp_path / "truth", **where)
    pixel = next(r for r in found.rows if r.level == "pixel")
    assert pixel.count == 2 * 3 * 128 * 128 and pixel.average_precision.value > 0.99
    # 15 x 18 voxels of 190 x 155
    assert pixel.positives / (3 * 129 * 129) == pytest.approx(15 * 18 / (190 * 155), rel=0.2)
    assert next(r for r in found.rows if r.level == "slice").count == 6
    assert "CRADL setup" in tables_of(found)["ranking"].title


def test_tables_hold_what_the_evaluation_holds(found):
    tables = tables_of(found)
    assert set(tables) == {"ranking", "cuts", "differences", "samples"}
    text = markdown(tables["ranking"])
    pixel = next(r for r in found.rows if r.level == "pixel" and r.maps == MODEL)
    shown = f"{100 * pixel.average_precision.value:.1f} [{100 * pixel.average_precision.low:.1f}, "
    assert shown in text and r"| \|z\| in the image |" in text and "random or constant" in text
    lines = comma_separated(tables["ranking"]).splitlines()
    assert lines[0].startswith("level,maps,score,AP,AP low,AP high,AUROC,") and len(lines) == len(found.rows) + 1
    row = next(x for x in lines if x.startswith("pixel,model,,")).split(",")
    assert float(row[3]) == pixel.average_precision.value and float(row[5]) == pixel.average_precision.high
    assert len(comma_separated(tables["samples"]).splitlines()) == COUNT + 1
    assert "oracle is the cut of the best F1.1 on this very truth" in markdown(tables["cuts"])
    json.dumps(found.to_dict(), allow_nan=False)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_pixels_are_counted_alike_by_any_number_of_threads(threads, monkeypatch):
    monkeypatch.setattr(counting, "THREADS", threads)
    pairs = list(zip(scores(1.5, 1), masks(), strict=True))
    with counting.PixelCounts({"a": 0.9, "b": 0.5}, 0.1) as counts:
        for k, (values, mask) in enumerate(pairs):
            counts.add(values, mask, str(k))
    for name, cut in (("a", 0.9), ("b", 0.5)):
        assert counts.at_cuts[name] == [counting.count_at_cut(s >= cut, m, 0.1) for s, m in pairs]
    ranking, store = RankingAccumulator(), PixelStore()
    for k, (values, mask) in enumerate(pairs):
        ranking.update(values, mask)
        store.add(values, mask, str(k))
    assert counts.ranking.average_precision() == ranking.average_precision()
    assert np.array_equal(counts.store.finish().counts_of(range(COUNT)), store.finish().counts)
    with counting.PixelCounts({}, 0.1) as counts, pytest.raises(SynthanomError, match="finite"):
        counts.add(np.full(SHAPE, np.nan, np.float32), masks()[0], "x")
