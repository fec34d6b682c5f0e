"""Reports on maps: their numbers are those of the evaluation, their text is text, their size is bounded."""

import json
import re

import numpy as np
import pytest
from scored_maps import HOSTILE, PLANE, STORED, masks, rename, reported, scores, text_of, write_maps
from sklearn import metrics as oracle

from synthanom.evaluation import evaluate
from synthanom.evaluation.rows import MODEL, SampleScore
from synthanom.evaluation.tables import interval_text
from synthanom.report import bands, calling, cases
from synthanom.report.bands import curve_bands
from synthanom.report.calling import callings
from synthanom.report.case_pictures import _path
from synthanom.report.cases import MOST, shown_places, shrunk

COUNT = 12


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    return write_maps(tmp_path_factory.mktemp("volumes"))


@pytest.fixture(scope="module")
def flat_case(tmp_path_factory):
    return write_maps(tmp_path_factory.mktemp("pictures"), shape=PLANE)


def stored_callings(html):
    found = re.search(r'<script type="application/json" id="calling-data">(.*?)</script>', html, re.S)
    return json.loads(found[1])


def test_its_numbers_are_those_of_the_evaluation(run, case, tmp_path):
    given = ("--truth", case / "truth", "--images", case / "images", "--prevalence", "0.1")
    html, page = reported(run, case / "maps", *given, out=tmp_path / "r.html")
    status, out, _ = run("evaluate", case / "maps", *given, "--json")
    assert status == 0
    numbers = json.loads(out)
    found = evaluate(case / "maps", case / "truth", images=case / "images")
    text = text_of(page)
    for row in found.rows:
        assert interval_text(row.average_precision) in text and interval_text(row.roc_auc) in text
    made = {(one["level"], one["score"]): one for one in stored_callings(html)}
    rows = [row for row in numbers["cuts"] if row["maps"] == MODEL and row["level"] != "lesion"]
    assert {(row["level"], row["score"]) for row in rows} == set(made)
    for row in rows:
        one = made[row["level"], row["score"]]
        place = one["chosen"][row["chosen"]]
        assert one["cuts"][place] == row["cut"]
        assert (one["tp"][place], one["fp"][place]) == (row["counts"]["tp"], row["counts"]["fp"])
        assert one["positives"] - one["tp"][place] == row["counts"]["fn"]
        assert one["negatives"] - one["fp"][place] == row["counts"]["tn"]
    first = stored_callings(html)[0]
    assert (first["level"], first["score"], first["cards"]) == ("sample", "as the model aggregates", True)
    assert first["cuts"][first["start"]] == STORED["sample"]


def test_every_cut_counts_as_scikit_learn_does(case):
    made = {(one.level, one.score): one for one in callings(evaluate(case / "maps", case / "truth"))}
    values = np.concatenate([s.ravel() for s in scores(COUNT, (9, 14, 16))])
    truth = np.concatenate([m.ravel() for m in masks(COUNT, (9, 14, 16))])
    pixels = made["pixel", ""]
    for place in np.linspace(0, len(pixels.cuts) - 2, 25).astype(int):
        tn, fp, fn, tp = oracle.confusion_matrix(truth, values >= np.float32(pixels.cuts[place])).ravel()
        assert (pixels.tp[place], pixels.fp[place]) == (tp, fp)
        assert (pixels.positives, pixels.negatives) == (tp + fn, tn + fp)
    images = made["sample", "as the model aggregates"]
    assert len(images.cuts) == COUNT + 2 + 1 and images.cuts[-1] is None and images.tp[-1] == images.fp[-1] == 0
    assert list(images.cuts[:-1]) == sorted(images.cuts[:-1])


def test_many_cuts_are_thinned_and_the_chosen_ones_stay(case, monkeypatch):
    monkeypatch.setattr(calling, "MOST_CUTS", 20)
    for one in callings(evaluate(case / "maps", case / "truth")):
        assert len(one.cuts) <= 20 + 4 and {"oracle"} <= set(one.chosen)


def test_bands_are_quantiles_of_weighted_curves(monkeypatch):
    rng = np.random.default_rng(3)
    samples = [
        SampleScore(id=f"{k}", subject=f"s{k // 3}", anomalous=bool(k % 2), scores={"w": round(float(v) + k % 2, 1)})
        for k, v in enumerate(rng.standard_normal(60))
    ]
    weights = rng.multinomial(20, np.full(20, 1 / 20), size=7).astype(float)
    monkeypatch.setattr(bands, "resamples", lambda subjects, seed: weights)
    found = curve_bands(samples, "w", 0)
    values = np.array([s.scores["w"] for s in samples])
    truth = np.array([s.anomalous for s in samples])
    names = sorted({s.subject for s in samples})
    grid = np.linspace(0, 1, 101)
    roc, precision = [], []
    for drawn in weights:
        weight = np.array([drawn[names.index(s.subject)] for s in samples])
        false, true, _ = oracle.roc_curve(truth, values, sample_weight=weight, drop_intermediate=False)
        roc.append(np.interp(grid, false, true))
        p, r, _ = oracle.precision_recall_curve(truth, values, sample_weight=weight)
        # from the lowest cut up: the last one that reaches a recall
        precision.append([p[np.flatnonzero(r >= max(wanted, 1e-9) - 1e-12)[-1]] for wanted in grid])
    for name, lines in (("roc", roc), ("precision-recall", precision)):
        low, high = np.quantile(lines, [0.025, 0.975], axis=0)
        np.testing.assert_allclose(found[name].low, low, atol=1e-9)
        np.testing.assert_allclose(found[name].high, high, atol=1e-9)


def test_which_cases_are_shown():
    assert shown_places(60, 0) == list(range(60))
    found = shown_places(1000, 0)
    third = MOST // 3
    assert len(found) == MOST == len(set(found)) and found == sorted(found)
    assert found[:third] == list(range(third)) and found[-third:] == list(range(1000 - third, 1000))
    assert shown_places(1000, 0) == found != shown_places(1000, 1)
    assert len(shown_places(61, 0)) == 60


def test_planes_shrink_to_means_of_blocks():
    plane = np.arange(35, dtype=np.float32).reshape(5, 7)
    found = shrunk(plane, 2)
    assert found.shape == (3, 4) and found[0, 0] == plane[:2, :2].mean() and found[2, 3] == plane[4, 6]
    assert shrunk(plane, 1) is not None and np.array_equal(shrunk(plane, 1), plane)


def test_outlines_run_along_the_edges_of_what_is_marked():
    points = np.array([[float(v) for v in pair.split()] for pair in _path(np.ones((4, 6), bool))[1:-1].split("L")])
    assert points.min() == 0 and points[:, 0].max() == 6 and points[:, 1].max() == 4
    one = np.zeros((5, 5), bool)
    one[2, 3] = True
    points = np.array([[float(v) for v in pair.split()] for pair in _path(one)[1:-1].split("L")])
    assert points.mean(axis=0) == pytest.approx([3.5, 2.5])


def test_cards_are_sorted_and_show_the_best_slice(run, case, tmp_path):
    given = ("--truth", case / "truth", "--images", case / "images")
    html, page = reported(run, case / "maps", *given, out=tmp_path / "r.html")
    cards = page.named("article")
    values = [float(card["data-case"]) for card in cards]
    assert len(cards) == COUNT and values == sorted(values, reverse=True)
    assert sorted(card["data-truth"] for card in cards) == ["anomalous"] * 6 + ["healthy"] * 6
    assert len(page.named("img")) == 2 * COUNT and all(i["src"].startswith("data:image/png") for i in page.named("img"))
    sliders = [found for found in page.named("input") if "data-numbers" in found]
    assert len(sliders) == COUNT and sliders[0]["data-numbers"] == "1 2 3 4 5 6 7 8 9"
    # the first card of an anomalous case begins at the slice with most of the truth; X, Y and Z are flipped for viewing
    order = sorted(range(COUNT), key=lambda k: -scores(COUNT, (9, 14, 16))[k].max())
    place = next(n for n, k in enumerate(order) if k % 2)
    most = int(np.argmax(masks(COUNT, (9, 14, 16))[order[place]].sum(axis=(1, 2))))
    assert int(sliders[place]["value"]) == most
    assert html.count('class="outline') == sum(int(m.any(axis=(1, 2)).sum()) for m in masks(COUNT, (9, 14, 16)))


def test_pictures_have_one_plane_and_no_slider(run, flat_case, tmp_path):
    _, page = reported(run, flat_case / "maps", "--truth", flat_case / "truth", out=tmp_path / "r.html")
    assert len(page.named("img")) == COUNT  # without scans the maps alone
    assert not [found for found in page.named("input") if "data-numbers" in found]
    assert "come with --images" in text_of(page)


def test_without_truth_it_shows_scores_and_cases(run, case, tmp_path):
    html, page = reported(run, case / "maps", "--images", case / "images", out=tmp_path / "r.html")
    assert 'id="calling-data"' not in html and "Nothing is known of who is ill" in text_of(page)
    assert len(page.named("article")) == COUNT and not [card for card in page.named("article") if "data-truth" in card]
    assert "score at least 0.982, the stored cut" in text_of(page)
    assert 'class="outline' not in html


def test_text_from_data_stays_text(run, case, tmp_path):
    root = write_maps(tmp_path / "hostile")
    rename(root, "sub-00_scan00", HOSTILE)
    given = ("--labels", root / "labels.csv", "--truth", root / "truth")
    html, page = reported(run, root / "maps", *given, out=tmp_path / "r.html")
    assert "<script>alert" not in html
    assert text_of(page).count(HOSTILE) >= 3  # the id, the model, the input
    assert [picture for picture in page.named("img") if HOSTILE in picture["alt"]]


def test_it_is_one_file_that_loads_nothing_and_is_the_same_again(run, case, tmp_path):
    given = ("--truth", case / "truth", "--images", case / "images")
    html, _ = reported(run, case / "maps", *given, out=tmp_path / "r.html")
    again, _ = reported(run, case / "maps", *given, out=tmp_path / "r.html")
    assert again == html
    assert "http:" not in html.replace("http://www.w3.org", "") and "https:" not in html


def test_many_large_cases_stay_small(run, tmp_path, monkeypatch):
    monkeypatch.setattr("synthanom.report.maps.ALLOWED", 400_000)
    root = write_maps(tmp_path / "many", count=70, shape=(96, 400))
    given = ("--truth", root / "truth", "--images", root / "images")
    html, page = reported(run, root / "maps", *given, out=tmp_path / "r.html")
    assert len(page.named("article")) == MOST and "60 of 70 cases have pictures" in text_of(page)
    assert sum(len(i["src"]) for i in page.named("img")) < 800_000 and len(html) < 1_200_000


@pytest.mark.parametrize(
    ("change", "options", "word"),
    [
        (lambda root: None, ("--truth", "nothing"), "does not exist"),
        (lambda root: (root / "truth" / "sub-00_scan00.nii.gz").unlink(), ("--truth", "truth"), "no mask or label"),
        (lambda root: (root / "maps" / "scores.csv").unlink(), (), "scores.csv"),
        (lambda root: (root / "maps" / "scores.csv").write_text("id,score\nsub-00_scan00,high\n"), (), "needs a score"),
        (lambda root: (root / "maps" / "sub-00_scan00.nii.gz").unlink(), (), "must be there"),
        (lambda root: None, ("--truth", "truth", "--images", "truth/sub-00_scan01.nii.gz"), "holds no image"),
        (lambda root: None, ("--truth", "truth", "--run", "truth"), "folds.json"),
        (lambda root: None, ("--prevalence", "2"), "0.02 is 2 %"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(run, tmp_path, change, options, word):
    root = write_maps(tmp_path / "c", count=4)
    change(root)
    given = [str(root / o) if o.startswith(("truth", "nothing")) else o for o in options]
    out = tmp_path / "r.html"
    status, text, err = run("report", root / "maps", "--out", out, *given)
    assert status == 2 and text == "" and len(err.strip().splitlines()) == 1 and word in err, err
    assert not out.exists() and "Traceback" not in err


def test_folders_that_are_nothing_are_refused(run, case, tmp_path):
    for path, word in ((tmp_path, "data set"), (case / "images", "--truth"), (tmp_path / "none", "no such path")):
        status, text, err = run("report", path, "--out", tmp_path / "r.html")
        assert status == 2 and text == "" and word in err and len(err.strip().splitlines()) == 1, err


def test_slices_are_spread_with_the_best_among_them():
    found = cases._spread_slices(100, 37, 12)
    assert 37 in found and found[0] == 0 and found[-1] == 99 and len(found) <= 12
    assert cases._spread_slices(5, 1, 12) == [0, 1, 2, 3, 4]
