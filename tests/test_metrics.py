"""Ranking, overlap, aggregation and intervals against scikit-learn, closed forms and golden results."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthanom.errors import SynthanomError
from synthanom.metrics import (
    SAMPLE_SCORES,
    Aggregation,
    RankingAccumulator,
    anomalous_slices,
    average_precision,
    batched_average_precision,
    bootstrap_interval,
    dice,
    f_beta,
    roc_auc,
)

GOLDEN = Path(__file__).parents[1].parent / "shared" / "golden" / "metrics.npz"
# scores on a coarse grid make ties, which is where naive implementations differ
TIED = st.lists(st.tuples(st.integers(-4, 4), st.booleans()), min_size=1, max_size=60)


@settings(max_examples=150, deadline=None)
@given(TIED)
def test_ranking_equals_scikit_learn(pairs):
    from sklearn.metrics import average_precision_score, roc_auc_score

    scores = np.array([p[0] / 4 for p in pairs], dtype=np.float32)
    labels = np.array([p[1] for p in pairs])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if labels.any():
            assert average_precision(scores, labels) == pytest.approx(
                average_precision_score(labels, scores), abs=1e-12
            )
        if labels.any() and not labels.all():
            assert roc_auc(scores, labels) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


def test_ranking_closed_forms():
    assert average_precision([0.9, 0.8, 0.7], [1, 0, 1]) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision(np.zeros(8), [1, 0, 0, 0, 1, 0, 0, 0]) == 0.25  # a constant score: the prevalence
    assert roc_auc(np.zeros(8), [1, 0, 0, 0, 1, 0, 0, 0]) == 0.5
    assert roc_auc([3, 2, 1], [True, False, False]) == 1.0
    assert roc_auc([3, 2, 1], [False, False, True]) == 0.0


def test_ranking_undefined_is_nan():
    assert np.isnan(average_precision([1, 2], [0, 0]))
    assert average_precision([1, 2], [1, 1]) == 1.0
    assert np.isnan(roc_auc([1, 2], [0, 0])) and np.isnan(roc_auc([1, 2], [1, 1]))


@pytest.mark.parametrize(
    ("scores", "labels", "part"),
    [
        ([], [], "not empty"),
        ([1, 2], [1], "one length"),
        ([[1, 2]], [[0, 1]], "flat"),
        ([np.nan, 1], [0, 1], "finite"),
        ([1, 2], [0, 0.5], "0 or 1"),
    ],
)
def test_ranking_refuses(scores, labels, part):
    for metric in (average_precision, roc_auc):
        with pytest.raises(SynthanomError, match=part):
            metric(scores, labels)


def test_many_pixels_do_not_overflow():
    labels = np.arange(200_000) % 2 == 0
    assert roc_auc(labels.astype(np.float32), labels) == 1.0
    assert roc_auc(np.zeros(200_000, np.float32), labels) == 0.5


@pytest.fixture(scope="module")
def golden():
    if not GOLDEN.exists():
        pytest.skip("the golden arrays are not beside this checkout")
    with np.load(GOLDEN) as z:
        return {k.removeprefix("00/"): z[k] for k in z.files}


def test_golden_pixels_and_batches(golden):
    for suffix in ("", "2d"):
        labels, preds = golden[f"labels{suffix}"], golden[f"preds{suffix}"]
        expected = json.loads(str(golden[f"result{suffix}"]))
        pixel = expected["average_precision_score"]["pixel_wise"]
        assert average_precision(preds.ravel(), labels.ravel()) == pytest.approx(pixel["Over entire dset"], abs=1e-9)
        found = batched_average_precision(list(preds), list(labels))
        batches = pixel["In batches of 20"]
        assert found.repeats == pytest.approx(batches["ap_repeats"], abs=1e-9)
        assert found.mean == pytest.approx(batches["ap_mean"], abs=1e-9)
        assert found.deviation == pytest.approx(batches["ap_std"], abs=1e-9)
        roc = expected["roc_auc_score"]["pixel_wise"]["Over entire dset"]
        assert roc_auc(preds.ravel(), labels.ravel()) == pytest.approx(roc, abs=1e-9)


def test_golden_slices_and_samples(golden):
    # mean and 75th percentile; the released program's "top quarter" repeats its mean, ours is a top quarter
    slices = np.concatenate([anomalous_slices(v) for v in golden["labels"]])
    samples = golden["labels2d"].any(axis=(1, 2))
    for maps, truth, result, level in (
        (golden["preds"].reshape(-1, 16, 16), slices, "result", "slice_wise"),
        (golden["preds2d"], samples, "result2d", "sample_wise"),
    ):
        expected = json.loads(str(golden[result]))
        for name, aggregation in zip(("mean", "75_percentile"), SAMPLE_SCORES, strict=False):
            scores = [aggregation(m) for m in maps]
            assert average_precision(scores, truth) == pytest.approx(expected["average_precision_score"][level][name])
            assert roc_auc(scores, truth) == pytest.approx(expected["roc_auc_score"][level][name])


def test_batches_without_anomaly_are_left_out():
    maps = [np.array([0.1, 0.9])] * 3
    assert batched_average_precision(maps, [np.array([0, 1]), np.array([0, 0]), np.array([0, 0])], batch=1).mean == 1.0
    assert np.isnan(batched_average_precision(maps, [np.array([0, 0])] * 3).mean)
    with pytest.raises(SynthanomError, match="as many maps as masks"):
        batched_average_precision(maps, [np.array([0, 1])])


def test_overlap():
    found, truth = np.array([True, True, False, False]), np.array([True, False, True, True])
    assert dice(found, truth) == pytest.approx(2 / 5)
    assert f_beta(found, truth, beta=2.0) == pytest.approx(5 / (5 + 4 * 2 + 1))
    assert dice(truth, truth) == 1.0 and np.isnan(dice(np.zeros(3, bool), np.zeros(3, bool)))
    for bad in ((np.array([0, 1]), np.array([True, True])), (found, truth[:3])):
        with pytest.raises(SynthanomError):
            dice(*bad)
    with pytest.raises(SynthanomError, match="beta"):
        f_beta(found, truth, beta=0)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40), st.floats(0.2, 4))
def test_f_beta_equals_scikit_learn(pairs, beta):
    from sklearn.metrics import fbeta_score

    found, truth = np.array(pairs).T
    expected = fbeta_score(truth, found, beta=beta, zero_division=np.nan)
    assert f_beta(found, truth, beta=beta) == pytest.approx(expected, nan_ok=True)


def test_aggregation_statistics_and_areas():
    values = np.arange(16, dtype=np.float32).reshape(4, 4)
    foreground = np.zeros((4, 4), bool)
    foreground[1, 1] = foreground[2, 3] = True
    assert Aggregation(statistic="mean", value=None)(values) == 7.5
    assert Aggregation(statistic="max", value=None, over="foreground")(values, foreground) == 11
    assert Aggregation(statistic="max", value=None, over="box")(values, foreground) == 11
    assert Aggregation(statistic="mean", value=None, over="foreground")(values, foreground) == 8
    assert Aggregation(statistic="mean", value=None, over="box")(values, foreground) == 8
    assert Aggregation(statistic="percentile", value=75)(values) == np.percentile(values, 75)
    assert Aggregation(statistic="top", value=0.25)(values) == np.mean([12, 13, 14, 15])
    assert Aggregation(statistic="top", value=1e-6)(values) == 15  # at least one value


def test_aggregation_round_trip_and_refusals():
    for aggregation in (*SAMPLE_SCORES, Aggregation(statistic="max", value=None, over="box")):
        assert Aggregation.from_dict(json.loads(json.dumps(aggregation.to_dict()))) == aggregation
    for bad in (
        {"statistic": "median", "value": None, "over": "image"},
        {"statistic": "mean", "value": 0.5, "over": "image"},
        {"statistic": "top", "value": 0, "over": "image"},
        {"statistic": "top", "value": None, "over": "image"},
        {"statistic": "percentile", "value": 101, "over": "image"},
        {"statistic": "mean", "value": None, "over": "head"},
        {"statistic": "mean", "value": None},
    ):
        with pytest.raises(SynthanomError):
            Aggregation.from_dict(bad)
    with pytest.raises(SynthanomError, match="needs a foreground"):
        Aggregation(over="foreground")(np.zeros((3, 3)), None)


def test_slices_need_more_than_the_fraction():
    labels = np.zeros((3, 128, 128), bool)
    labels[1, 0, :5] = True
    labels[2, 0, :6] = True
    assert anomalous_slices(labels).tolist() == [False, False, True]


def test_streaming_equals_the_whole():
    rng = np.random.default_rng(0)
    maps, masks = rng.random((4, 3, 5, 6), dtype=np.float32), rng.random((4, 3, 5, 6)) < 0.2
    stream = RankingAccumulator()
    assert np.isnan(stream.average_precision()) and np.isnan(stream.roc_auc())
    for m, t in zip(maps, masks, strict=True):
        stream.update(m, t)
        m[:] = 0  # a caller may reuse its buffer
    again = np.random.default_rng(0).random((4, 3, 5, 6), dtype=np.float32)
    assert stream.count == masks.size
    assert stream.average_precision() == average_precision(again.ravel(), masks.ravel())
    assert stream.roc_auc() == roc_auc(again.ravel(), masks.ravel())
    with pytest.raises(SynthanomError):
        stream.update(maps[0], masks[0, 0])


def test_bootstrap_goes_by_subject():
    subjects = ["a"] * 50 + ["b"] * 50
    values = np.array([0.0] * 50 + [1.0] * 50)
    found = bootstrap_interval(lambda i: float(values[i].mean()), subjects, rng=np.random.default_rng(0), draws=200)
    assert (found.value, found.low, found.high, found.draws) == (0.5, 0.0, 1.0, 200)  # two subjects know very little
    alone = bootstrap_interval(
        lambda i: float(values[i].mean()), [str(i) for i in range(100)], rng=np.random.default_rng(0), draws=200
    )
    assert 0.38 < alone.low < 0.45 and 0.55 < alone.high < 0.62
    again = bootstrap_interval(lambda i: float(values[i].mean()), subjects, rng=np.random.default_rng(0), draws=200)
    assert again == found


def test_bootstrap_skips_undefined_resamples():
    labels = np.array([True, False])
    found = bootstrap_interval(
        lambda i: roc_auc(i.astype(float), labels[i]), ["p", "q"], rng=np.random.default_rng(1), draws=100
    )
    assert found.value == 0.0 and 20 < found.draws < 80 and found.high == 0.0
    with pytest.raises(SynthanomError, match="needs samples"):
        bootstrap_interval(lambda i: 0.0, [], rng=np.random.default_rng(0))
