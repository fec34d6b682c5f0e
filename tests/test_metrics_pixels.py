"""Pixels in bins and counts per subject, against scikit-learn and plain resampling."""

import numpy as np
import pytest
from sklearn import metrics as oracle

from synthanom.errors import SynthanomError
from synthanom.metrics import (
    PixelStore,
    average_precision,
    batched_average_precision,
    batched_precision_of_pixels,
    bootstrap_interval,
    interval_of_draws,
    roc_auc,
    shuffled,
    subject_weights,
    tally_of_numbers,
    tally_of_pixels,
)
from synthanom.metrics.tallies import groups

KINDS = {
    "normal": lambda x: x,
    "offset": lambda x: 10 + x,
    "sigmoid": lambda x: 1 / (1 + np.exp(-4 * x)),
    "rounded": lambda x: np.round(x, 1),
    "constant": lambda x: 0 * x + 3,
}


def maps(kind, count=7, size=900, seed=0):
    rng = np.random.default_rng(seed)
    found = []
    for k in range(count):
        mask = rng.random(size + 3 * k) < 0.05
        scores = KINDS[kind](rng.standard_normal(mask.size) + 1.5 * mask).astype(np.float32)
        found.append((scores.reshape(3, -1), mask.reshape(3, -1)))
    return found


def stored(pairs, kept=2**22):
    store = PixelStore(kept)
    for k, (scores, mask) in enumerate(pairs):
        store.add(scores, mask, f"s{k // 2}")
    return store.finish()


def flat(pairs):
    return np.concatenate([s.ravel() for s, _ in pairs]), np.concatenate([m.ravel() for _, m in pairs])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("kept", [2**22, 2000, 0])
def test_bins_keep_order_masks_and_counts(kind, kept):
    pairs = maps(kind)
    found = stored(pairs, kept)
    scores, truth = flat(pairs)
    for k, (values, mask) in enumerate(pairs):
        assert np.array_equal(found.mask(k), mask)
        for cut in found.lowest[:: max(1, found.lowest.size // 9)]:
            assert np.array_equal(found.called(k, float(cut)), values >= cut)
    counts = found.counts
    assert counts.sum(axis=0).tolist() == [np.count_nonzero(~truth), np.count_nonzero(truth)]
    assert np.array_equal(counts, found.counts_of(range(3)) + found.counts_of([3, 4, 5, 6]))
    assert found.exact == (kept > 2000 or kind in ("rounded", "constant"))
    # what a bin calls one score is one score
    alone = found.lowest[found.tied]
    assert np.isin(alone, scores).all()
    tally, group = tally_of_pixels(found)
    assert tally.subjects == ("s0", "s1", "s2", "s3") and group.max() + 1 <= 1024
    one = np.ones((1, 4))
    assert tally.average_precision(one)[0] == pytest.approx(oracle.average_precision_score(truth, scores), abs=2e-3)
    assert tally.roc_auc(one)[0] == pytest.approx(oracle.roc_auc_score(truth, scores), abs=1e-3)
    if kind in ("rounded", "constant"):
        assert tally.average_precision(one)[0] == pytest.approx(
            oracle.average_precision_score(truth, scores), abs=1e-12
        )


@pytest.mark.parametrize("kind", KINDS)
def test_batches_of_bins_are_batches_of_scores(kind):
    pairs = maps(kind, count=7)
    expected = batched_average_precision(*zip(*pairs, strict=True), batch=3)
    exact = batched_precision_of_pixels(stored(pairs), batch=3)
    assert exact.repeats == pytest.approx(expected.repeats, abs=1e-12) and exact.deviation == expected.deviation
    close = batched_precision_of_pixels(stored(pairs, kept=1500), batch=3)
    assert close.repeats == pytest.approx(expected.repeats, abs=2e-3)  # a few thousand scores lay the bins


def test_batches_of_one_label_are_counted_as_ever():
    rng = np.random.default_rng(0)
    masks = [np.zeros((4, 4), bool), np.ones((4, 4), bool), np.zeros((4, 4), bool)]
    pairs = [(rng.random((4, 4), dtype=np.float32), mask) for mask in masks]
    expected = batched_average_precision(*zip(*pairs, strict=True), batch=1)
    assert batched_precision_of_pixels(stored(pairs), batch=1) == expected
    assert batched_precision_of_pixels(stored(pairs, kept=0), batch=1) == expected


def test_resamples_are_those_of_the_samples_themselves():
    """A tally weighted by how often subjects were drawn gives what the repeated samples give."""
    rng = np.random.default_rng(1)
    truth, subjects = rng.random(60) < 0.4, [f"s{k % 11}" for k in range(60)]
    scores = np.round(rng.standard_normal(60) + truth, 1)
    tally = tally_of_numbers(scores, truth, subjects)
    weights = subject_weights(11, rng=rng, draws=25)
    assert weights.shape == (25, 11) and (weights.sum(axis=1) == 11).all()
    for w, precision, area in zip(weights, tally.average_precision(weights), tally.roc_auc(weights), strict=True):
        chosen = np.concatenate(
            [
                np.tile(np.flatnonzero(np.array(subjects) == name), int(n))
                for name, n in zip(tally.subjects, w, strict=True)
            ]
        )
        assert precision == pytest.approx(average_precision(scores[chosen], truth[chosen]), abs=1e-12)
        assert area == pytest.approx(roc_auc(scores[chosen], truth[chosen]), abs=1e-12)


def test_undefined_resamples_are_nan_and_left_out():
    tally = tally_of_numbers(np.array([0.1, 0.9]), np.array([False, True]), ["a", "b"])
    weights = np.array([[2.0, 0], [0, 2], [1, 1]])
    assert np.array_equal(tally.average_precision(weights), [np.nan, 1, 1], equal_nan=True)
    assert np.array_equal(tally.roc_auc(weights), [np.nan, np.nan, 1], equal_nan=True)
    found = interval_of_draws(1.0, tally.roc_auc(weights))
    assert (found.value, found.low, found.high, found.draws) == (1, 1, 1, 1)
    assert np.isnan(interval_of_draws(0.0, np.array([np.nan])).low)


def test_precision_at_another_prevalence_is_that_of_repeated_negatives():
    rng = np.random.default_rng(2)
    truth = rng.random(40) < 0.5
    scores = rng.standard_normal(40) + truth
    tally = tally_of_numbers(scores, truth, [str(k) for k in range(40)])
    p, n = truth.sum(), (~truth).sum()
    often = np.where(truth, 1, 7)
    got = tally.average_precision(np.ones((1, 40)), prevalence=p / (p + 7 * n))
    assert got[0] == pytest.approx(oracle.average_precision_score(truth, scores, sample_weight=often))
    same = tally.average_precision(np.ones((1, 40)), prevalence=p / (p + n))
    assert same[0] == pytest.approx(average_precision(scores, truth))


def test_groups_are_few_in_order_and_split_where_it_matters():
    rng = np.random.default_rng(3)
    counts = np.stack([rng.integers(0, 50, 30000), rng.integers(0, 2, 30000)], axis=1)
    found = groups(counts, 1024)
    assert found[0] == 0 and found[-1] < 1024 and set(np.diff(found)) == {0, 1}
    positives = np.bincount(found, weights=counts[:, 1])
    assert positives.max() <= 2.1 * counts[:, 1].sum() / 511
    # the highest scores are hardly grouped
    assert found[-1] - found[-6] >= 5
    assert np.array_equal(groups(counts[:100], 1024), np.arange(100))


def test_intervals_cover_as_often_as_they_say():
    """150 cohorts of 40 subjects whose AUROC is known: 0.76. A sanity check with room for chance."""
    hits = old = 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        truth = np.arange(80) % 2 == 0
        scores, subjects = rng.standard_normal(80) + truth, [f"s{k // 2}" for k in range(80)]
        tally = tally_of_numbers(scores, truth, subjects)
        draws = tally.roc_auc(subject_weights(40, rng=rng, draws=200))
        found = interval_of_draws(roc_auc(scores, truth), draws)
        hits += found.low <= 0.7602 <= found.high
        if seed < 15:  # and as the older, plain way has it
            plain = bootstrap_interval(
                lambda c, s=scores, t=truth: roc_auc(s[c], t[c]), subjects, rng=np.random.default_rng(seed), draws=200
            )
            old += abs(plain.low - found.low) < 0.05 and abs(plain.high - found.high) < 0.05
    assert 131 <= hits <= 149 and old >= 13


def test_bad_pixels_are_refused():
    with pytest.raises(SynthanomError, match="at least one map"):
        PixelStore().finish()
    with pytest.raises(SynthanomError, match="one shape"):
        PixelStore().add(np.zeros((3, 4), np.float32), np.zeros((4, 3), bool), "a")
    with pytest.raises(SynthanomError, match="subjects"):
        subject_weights(0, rng=np.random.default_rng(0))


@pytest.mark.parametrize("kind", ["normal", "sigmoid", "offset"])
def test_many_scores_lay_fine_bins(kind, monkeypatch):
    pairs = maps(kind, count=12, size=30_000)
    expected = batched_average_precision(*zip(*pairs, strict=True), batch=6)
    found = stored(pairs, kept=150_000)
    assert not found.exact and found.bins[0].dtype == np.uint16
    few = batched_precision_of_pixels(found, batch=6)
    assert few.repeats == pytest.approx(expected.repeats, abs=3e-5)
    monkeypatch.setattr(shuffled, "LARGE", 0)  # every image is counted once
    assert batched_precision_of_pixels(found, batch=6) == few
