"""Figures at a cut, AUPRO and lesions: scikit-learn, closed forms and brute force."""

import numpy as np
import pytest
from phantoms import field
from sklearn import metrics as oracle

from synthanom.errors import SynthanomError
from synthanom.kernels.components.reference import label
from synthanom.metrics import (
    Confusion,
    PixelStore,
    aupro,
    best_cut,
    confusion,
    confusions_of_counts,
    f_beta,
    lesion_counts,
    region_tally,
    tally_of_pixels,
)

NAMES = ("precision", "recall", "specificity", "negative_predictive_value", "accuracy")


@pytest.fixture
def numbers():
    rng = np.random.default_rng(0)
    truth = rng.random(200) < 0.3
    return np.round(rng.standard_normal(200) + truth, 1), truth


def test_figures_at_a_cut_are_those_of_scikit_learn(numbers):
    scores, truth = numbers
    called = scores >= 0.6
    found = confusion(scores, truth, 0.6)
    assert found.precision() == oracle.precision_score(truth, called)
    assert found.recall() == oracle.recall_score(truth, called)
    assert found.specificity() == oracle.recall_score(~truth, ~called)
    assert found.negative_predictive_value() == oracle.precision_score(~truth, ~called)
    assert found.accuracy() == oracle.accuracy_score(truth, called)
    assert found.f_beta(1.1) == pytest.approx(oracle.fbeta_score(truth, called, beta=1.1))
    assert found.f_beta(1.1) == pytest.approx(f_beta(called, truth, beta=1.1))


def test_every_cut_at_once_and_the_best(numbers):
    scores, truth = numbers
    lowest, place = np.unique(scores, return_inverse=True)
    counts = np.zeros((lowest.size, 2), int)
    np.add.at(counts, (place, truth.astype(int)), 1)
    every = confusions_of_counts(counts)
    for b, cut in enumerate(lowest):
        one = confusion(scores, truth, cut)
        assert (every.tp[b], every.fp[b], every.fn[b], every.tn[b]) == (one.tp, one.fp, one.fn, one.tn)
    best = best_cut(lowest, counts, 1.1)
    figures = [oracle.fbeta_score(truth, scores >= cut, beta=1.1) for cut in lowest]
    assert oracle.fbeta_score(truth, scores >= best, beta=1.1) == max(figures)
    assert np.isnan(best_cut(lowest, counts * [1, 0], 1.0))
    # equally good: the highest
    assert best_cut(np.array([0.0, 1, 2]), np.array([[0, 1], [0, 0], [0, 1]])[::-1], 1.0) == 0.0
    assert best_cut(np.array([0.0, 1, 2]), np.array([[1, 0], [0, 0], [0, 1]]), 1.0) == 2.0


def test_prevalence_moves_what_depends_on_it_only():
    """By Bayes' rule: sensitivity 0.9, specificity 0.8, one in a hundred ill."""
    found = Confusion(tp=90, fn=10, fp=20, tn=80).at_prevalence(0.01)
    assert found.recall() == pytest.approx(0.9) and found.specificity() == pytest.approx(0.8)
    assert found.precision() == pytest.approx(0.9 * 0.01 / (0.9 * 0.01 + 0.2 * 0.99))
    assert found.negative_predictive_value() == pytest.approx(0.8 * 0.99 / (0.8 * 0.99 + 0.1 * 0.01))
    assert found.accuracy() == pytest.approx(0.01 * 0.9 + 0.99 * 0.8)
    with pytest.raises(SynthanomError, match=r"0\.02 is 2 %"):
        Confusion(tp=1, fn=1, fp=1, tn=1).at_prevalence(2.0)
    assert np.isnan(Confusion(tp=1, fn=0, fp=0, tn=0).at_prevalence(0.5).precision())


def test_figures_that_divide_by_nothing_are_undefined():
    none = Confusion(tp=0, fp=0, fn=3, tn=4)
    assert np.isnan(none.precision()) and none.recall() == 0 and none.f_beta(1) == 0
    assert all(np.isnan(getattr(Confusion(tp=0, fp=0, fn=0, tn=0), name)()) for name in NAMES)


def brute_aupro(scores, masks, limit):
    """The definition: every distinct score as a threshold, straight lines between, cut at the limit."""
    regions = []
    for k, mask in enumerate(masks):
        numbered, boxes = label(mask)
        regions += [(k, numbered == i + 1) for i in range(len(boxes))]
    every, outside = np.concatenate([s.ravel() for s in scores]), ~np.concatenate([m.ravel() for m in masks])
    rates, shares = [0.0], [0.0]
    for cut in np.unique(every)[::-1]:
        rates.append((every[outside] >= cut).mean())
        shares.append(np.mean([(scores[k][region] >= cut).mean() for k, region in regions]))
    fine = np.linspace(0, limit, 200001)
    return np.trapezoid(np.interp(fine, rates, shares), fine) / limit


@pytest.mark.parametrize("shape", [(14, 15), (5, 8, 9)])
@pytest.mark.parametrize("limit", [0.3, 0.05, 1.0])
def test_aupro_is_its_definition(shape, limit):
    masks = [field(shape, 1, k)[0] > 1.1 for k in range(4)]
    rng = np.random.default_rng(0)
    scores = [(np.round(rng.standard_normal(shape), 2) + m).astype(np.float32) for m in masks]
    assert aupro(scores, masks, limit=limit) == pytest.approx(brute_aupro(scores, masks, limit), abs=3e-5)
    # and of subjects, from groups of bins
    store = PixelStore(kept=0)
    for k, (s, m) in enumerate(zip(scores, masks, strict=True)):
        store.add(s, m, f"s{k}")
    pixels = store.finish()
    per_subject, group = tally_of_pixels(pixels)
    tally = region_tally(pixels, group, per_subject.negatives)
    weights = np.array([[1.0, 1, 1, 1], [2, 0, 0, 1]])
    repeated = [scores[k] for k in (0, 0, 3)], [masks[k] for k in (0, 0, 3)]
    expected = [aupro(scores, masks, limit=limit), aupro(*repeated, limit=limit)]
    assert tally.aupro(weights, limit) == pytest.approx(expected, abs=1e-3)


def test_aupro_in_closed_form():
    mask = np.zeros((10, 10), bool)
    mask[0, 0], mask[5:8, 5:8] = True, True
    assert aupro([mask.astype(np.float32)], [mask]) == pytest.approx(1)
    assert aupro([1 - mask.astype(np.float32)], [mask]) == 0
    # a constant map: the straight line from (0, 0) to (1, 1) up to 0.3
    assert aupro([np.ones((10, 10), np.float32)], [mask]) == pytest.approx(0.15)
    # the small region counts as much as the large one
    only_small = np.zeros((10, 10), np.float32)
    only_small[0, 0] = 1
    # one half at once, then a line from (0, 0.5) to (1, 1)
    assert aupro([only_small], [mask]) == pytest.approx(0.5 + 0.15 / 2)
    empty = np.zeros((4, 4), bool)
    assert np.isnan(aupro([np.ones((4, 4), np.float32)], [empty]))
    assert np.isnan(aupro([np.ones((4, 4), np.float32)], [~empty]))
    with pytest.raises(SynthanomError, match="limit"):
        aupro([only_small], [mask], limit=0)


def test_lesions_by_hand():
    truth, called = np.zeros((12, 12), bool), np.zeros((12, 12), bool)
    truth[0:4, 0:5] = True  # 20 pixels, 2 of them called: found at 0.1
    called[0, 0:2] = True
    truth[8:12, 0:5] = True  # 20 pixels, 1 called: missed at 0.1, found at 0.05
    called[8, 0] = True
    truth[0, 11] = True  # missed
    called[6, 8:12] = True  # wrong
    found = lesion_counts(called, truth)
    assert (found.lesions, found.found, found.called, found.right) == (3, 1, 3, 2)
    assert lesion_counts(called, truth, overlap=0.05).found == 2
    # a part that spills over: 3 of its 40 pixels lie in a lesion
    spilt = np.zeros((12, 12), bool)
    spilt[0:4, 2:12] = True
    narrow = np.zeros((12, 12), bool)
    narrow[0, 0:5] = True
    found = lesion_counts(spilt, narrow)
    assert (found.found, found.right) == (1, 0)
    nothing = lesion_counts(np.zeros((3, 3), bool), np.zeros((3, 3), bool))
    assert (nothing.lesions, nothing.found, nothing.called, nothing.right) == (0, 0, 0, 0)
    # diagonal neighbours are two lesions, as everywhere
    assert lesion_counts(np.eye(3, dtype=bool), np.eye(3, dtype=bool)).lesions == 3
    for bad in ({"overlap": 0.0}, {"overlap": 1.1}):
        with pytest.raises(SynthanomError, match="overlap"):
            lesion_counts(called, truth, **bad)


@pytest.mark.parametrize("seed", range(5))
def test_lesions_against_numbered_components(seed):
    truth, called = field((9, 14, 13), 1, seed)[0] > 1, field((9, 14, 13), 1, seed + 50)[0] > 0.8
    numbered, boxes = label(truth)
    found = sum((called[numbered == i + 1]).mean() >= 0.1 for i in range(len(boxes)))
    parts, part_boxes = label(called)
    right = sum((truth[parts == i + 1]).mean() >= 0.1 for i in range(len(part_boxes)))
    got = lesion_counts(called, truth)
    assert (got.lesions, got.found, got.called, got.right) == (len(boxes), found, len(part_boxes), right)
    assert got.found > 0
