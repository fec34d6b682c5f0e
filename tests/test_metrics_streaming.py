"""Streaming average precision and area under the ROC curve against scikit-learn, and the promises of the bins."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from synthanom.errors import SynthanomError
from synthanom.metrics import RankingAccumulator, average_precision, roc_auc
from synthanom.metrics import exact_sort as sorting
from synthanom.metrics import streaming as streams
from synthanom.metrics.histogram import (
    BINS,
    HIGHEST_BIN,
    HIGHEST_KEY,
    LOWEST_BIN,
    LOWEST_KEY,
    SHIFT,
    key_of,
    ordered_keys,
    place,
)

LARGEST, TINY = np.finfo(np.float32).max, np.float32(1e-45)
FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)
# few values make ties; 1 and its next neighbours share a bin
NEAR = st.integers(1, 2**23).map(lambda units: 1 - units * 2.0**-24)
FEW = st.sampled_from([-LARGEST, -1.0, -TINY, -0.0, 0.0, TINY, 0.5, 1.0, 1.0000001, 1.0000002, LARGEST])


@st.composite
def scored(draw, elements=FINITE | FEW | NEAR):
    size = draw(st.integers(1, 60))
    return draw(hnp.arrays(np.float32, size, elements=elements)), draw(hnp.arrays(bool, size))


def by_scikit_learn(scores, labels):
    from sklearn.metrics import average_precision_score, roc_auc_score

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        precision = average_precision_score(labels, scores) if labels.any() else np.nan
        return precision, roc_auc_score(labels, scores) if labels.any() and not labels.all() else np.nan


def filled(scores, labels, **settings):
    made = RankingAccumulator(**settings)
    made.update(scores, labels)
    return made


def answers(made):
    return made.average_precision(), made.roc_auc()


def everything(made):
    return made.count, *answers(made), *made.average_precision_bounds(), *made.roc_auc_bounds()


@settings(max_examples=150, deadline=None)
@given(scored())
@example((np.array([0.0, -0.0], np.float32), np.array([True, False])))
def test_exact_equals_scikit_learn(pair):
    for kind in ({"exact": True}, {"exact": True, "kept": 0}, {}):
        assert answers(filled(*pair, **kind)) == pytest.approx(by_scikit_learn(*pair), abs=1e-12, nan_ok=True)


@settings(max_examples=80, deadline=None)
@given(scored())
@example((np.array([TINY, -TINY, 0.0], np.float32), np.array([True, False, True])))
@example((np.array([1.0, np.nextafter(np.float32(1), np.float32(0))], np.float32), np.array([True, False])))
@example((np.array([0.5, 0.50000006, 0.5000001, 0.49999997], np.float32), np.array([True, False, True, False])))
@example((np.array([0.75, 0.75000006, 0.74999994], np.float32), np.array([True, False, True])))
@example((np.array([0.625 + 2.0**-24, 0.625 + 2.0**-17 + 2.0**-23], np.float32), np.array([True, False])))
def test_bins_take_pairs_in_a_bin_for_halves_and_bounds_hold(pair):
    scores, labels = pair
    made = filled(scores, labels, kept=0)
    _, binned_roc = by_scikit_learn(binned(scores), labels)
    assert made.roc_auc() == pytest.approx(binned_roc, abs=1e-12, nan_ok=True)
    precision, roc = by_scikit_learn(scores, labels)
    for (low, high), here, true in (
        (made.average_precision_bounds(), made.average_precision(), precision),
        (made.roc_auc_bounds(), made.roc_auc(), roc),
    ):
        assert np.isnan(true) or (low - 1e-12 <= min(here, true) and max(here, true) <= high + 1e-12)


def binned(scores):
    """One value per bin, written without the keys: sizes rounded down to 16 bits, distances of [0.5, 1) from 1 up."""
    values = scores.astype(np.float64)
    near = (values >= 0.5) & (values < 1)
    sizes = np.where(near, 1 - values, np.abs(values))
    mantissa, exponent = np.frexp(sizes)
    unit = np.ldexp(1.0, np.maximum(exponent, -125) - 16)
    steps = np.ldexp(mantissa, exponent) / unit
    rounded = np.where(near, np.ceil(steps), np.floor(steps)) * unit
    # bins of negative scores lie one subnormal below the bin of zero
    return np.where(near, 1 - rounded, np.where(values < 0, -rounded - np.ldexp(1.0, -142), rounded))


@settings(max_examples=80, deadline=None)
@given(scored(st.floats(width=16, allow_nan=False, allow_infinity=False) | st.integers(0, 3).map(float)))
def test_bins_are_exact_on_scores_of_few_bits(pair):
    made = filled(*pair, kept=0)
    assert answers(made) == pytest.approx(by_scikit_learn(*pair), abs=1e-12, nan_ok=True)
    assert made.average_precision_bounds() == pytest.approx((made.average_precision(),) * 2, nan_ok=True)
    assert made.roc_auc_bounds() == pytest.approx((made.roc_auc(),) * 2, nan_ok=True)


@pytest.mark.parametrize("prevalence", [0.02, 0.3])
def test_bins_are_within_a_ten_millionth_on_normal_scores(prevalence):
    rng = np.random.default_rng(7)
    labels = rng.random(4_000_000) < prevalence
    scores = rng.normal(labels * 1.0).astype(np.float32)
    made = filled(scores, labels, kept=0)
    assert answers(made) == pytest.approx(by_scikit_learn(scores, labels), abs=1e-7, rel=0)
    assert answers(made) != answers(filled(scores, labels, exact=True))  # the bins did answer


@pytest.mark.parametrize("slope", [1, 4, 20])
def test_bins_are_within_a_ten_millionth_on_saturated_probabilities(slope):
    rng = np.random.default_rng(7)
    labels = rng.random(2_000_000) < 0.02
    scores = (1 / (1 + np.exp(-slope * rng.normal(labels * 1.0)))).astype(np.float32)
    made, exact = filled(scores, labels, kept=0), filled(scores, labels)
    assert answers(made) == pytest.approx(answers(exact), abs=2e-7 if slope == 1 else 1e-7, rel=0)
    assert answers(made) != answers(exact)


def test_bins_are_coarser_on_scores_saturated_elsewhere_and_the_bounds_say_so():
    rng = np.random.default_rng(7)
    labels = rng.random(1_000_000) < 0.02
    scores = (100 / (1 + np.exp(-2 * rng.normal(labels * 1.0)))).astype(np.float32)
    made, exact = filled(scores, labels, kept=0), filled(scores, labels)
    off = abs(made.average_precision() - exact.average_precision())
    low, high = made.average_precision_bounds()
    assert 1e-7 < off < 1e-4 and low < exact.average_precision() < high and high - low > off
    assert made.roc_auc() == pytest.approx(exact.roc_auc(), abs=1e-6)


def test_crowded_scores_show_in_the_bounds_and_exact_resolves_them():
    scores = np.array([1.0, 1.0000001, 1.0000002, 1.0000004], np.float32)
    labels = np.array([False, False, True, True])
    made = filled(scores, labels, kept=0)
    assert answers(made) == pytest.approx((0.6, 0.5))  # a third of the negatives above each positive's turn
    assert made.roc_auc_bounds() == (0.0, 1.0) and made.average_precision_bounds() == (1 / 3, 1.0)
    for kind in ({"exact": True}, {}):
        made = filled(scores, labels, **kind)
        assert everything(made) == (4, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)


def test_keys_are_in_the_order_of_the_scores():
    edges = np.array([-LARGEST, -1, -1e-38, -TINY, -0.0, 0.0, TINY, 1e-38, 1, 1.0000001, LARGEST], np.float32)
    keys = ordered_keys(edges)
    assert keys[0] == LOWEST_KEY and keys[-1] == HIGHEST_KEY and keys[4] == keys[5] == 0x80000000
    steps = np.diff(keys.astype(np.int64))
    assert (np.delete(steps, 4) > 0).all() and steps[4] == 0
    assert edges.tobytes() == np.array(edges).tobytes()
    assert [int(key_of(score)) for score in edges] == keys.tolist()


def places(scores):
    return [int(place(key)) for key in ordered_keys(np.asarray(scores, np.float32))]


def test_places_are_in_the_order_of_the_keys_and_no_two_scores_share_one():
    near = np.float32(1) - np.float32(2.0**-24) * np.arange(2**16 + 5, 0, -1).astype(np.float32)
    edges = [
        np.linspace(0.4999, 0.5001, 5000),
        near,
        np.linspace(1, 1.01, 5000),
        [-LARGEST, -1, -0.6, 0, TINY, LARGEST],
    ]
    scores = np.unique(np.concatenate(edges).astype(np.float32))
    found = places(scores)
    assert (np.diff(found) > 0).all()
    assert found[0] >> SHIFT == LOWEST_BIN and found[-1] >> SHIFT == HIGHEST_BIN == BINS - 1


def test_a_bin_begins_at_every_256th_number_and_just_below_1_at_every_one():
    last = np.float32(1) + np.float32(255 * 2.0**-23)
    bins = np.array(places([1, last, np.nextafter(last, np.float32(2))])) >> SHIFT
    assert np.diff(bins).tolist() == [0, 1]
    below = np.float32(1) - np.float32(2.0**-24) * np.arange(2**16, -1, -1).astype(np.float32)
    assert (np.diff(np.array(places(below)) >> SHIFT) > 0).all()


@pytest.mark.parametrize("kind", [{"exact": True}, {"kept": 0}, {"kept": 50}, {"kept": 90}, {}])
def test_pieces_merges_and_order_change_nothing(kind, tmp_path):
    rng = np.random.default_rng(3)
    scores, labels = rng.normal(size=100).astype(np.float32).round(1), rng.random(100) < 0.3
    whole = everything(filled(scores, labels, **kind))
    shuffled = rng.permutation(100)
    assert everything(filled(scores[shuffled], labels[shuffled], **kind)) == whole
    for cuts in ([1, 40], [60, 99], [95, 97]):
        parts = list(zip(np.split(scores, cuts), np.split(labels, cuts), strict=True))
        one = RankingAccumulator(**kind)
        merged = RankingAccumulator(**kind)
        for number, part in enumerate(parts):
            one.update(*part)
            one.roc_auc()  # asked in between, answers must not stick
            alone = filled(*part, **kind)
            np.savez_compressed(tmp_path / f"{number}.npz", **alone.to_arrays())
            with np.load(tmp_path / f"{number}.npz") as stored:
                merged.merge(RankingAccumulator.from_arrays(stored))
            before = everything(alone)
            alone.merge(filled(*parts[0], **kind))
            assert alone.count == before[0] + parts[0][0].size
        assert everything(one) == everything(merged) == whole


def test_merge_leaves_the_other_alone_and_takes_itself():
    scores, labels = np.arange(6, dtype=np.float32), np.array([0, 1, 0, 1, 1, 0])
    for kind in ({"exact": True}, {"kept": 0}, {"kept": 8}):
        made, other = filled(scores, labels, **kind), filled(scores[:2], labels[:2], **kind)
        before = everything(other)
        other.merge(made)
        assert everything(filled(scores[:2], labels[:2], **kind)) == before
        other.update(scores, labels)
        assert made.count == 6 and answers(made) == answers(filled(scores, labels, **kind))
        made.merge(made)
        twice = filled(np.tile(scores, 2), np.tile(labels, 2), **kind)
        assert everything(made) == everything(twice)
    with pytest.raises(SynthanomError, match="same settings"):
        made.merge(RankingAccumulator(exact=True))


@pytest.mark.parametrize("first", [0, 1])
def test_a_merge_sees_that_a_bin_holds_several_values(first):
    scores, labels = np.array([1.0, 1.0000001], np.float32), np.array([False, True])
    one, other = (filled(scores[i : i + 1], labels[i : i + 1], kept=0) for i in (first, 1 - first))
    one.merge(other)
    assert everything(one) == everything(filled(scores, labels, kept=0))
    assert one.roc_auc_bounds() == (0.0, 1.0)


def test_one_label_is_undefined():
    for kind in ({"exact": True}, {"kept": 0}):
        empty = RankingAccumulator(**kind)
        assert empty.count == 0 and np.isnan(everything(empty)[1:]).all()
        assert everything(RankingAccumulator.from_arrays(empty.to_arrays()))[0] == 0
        made = filled(np.array([1.0, 2.0]), np.array([0, 0]), **kind)
        assert np.isnan(answers(made)).all()
        made = filled(np.array([1.0, 2.0]), np.array([1, 1]), **kind)
        assert made.average_precision() == 1.0 and np.isnan(made.roc_auc())


@pytest.mark.parametrize(
    ("scores", "labels", "part"),
    [
        (np.zeros(0), np.zeros(0), "not be empty"),
        (np.zeros(2), np.zeros(3), "one shape"),
        (np.array([np.nan, 1]), np.zeros(2), "finite"),
        (np.array([-np.inf, 1], np.float32), np.zeros(2), "finite"),
        (np.array([1e39, 1]), np.zeros(2), "finite as float32, got 1 "),
        (np.zeros(2), np.array([0, 0.5]), "0 or 1"),
        (np.zeros(2), np.array([0, np.nan]), "0 or 1"),
        (np.zeros(2, complex), np.zeros(2), "real"),
    ],
)
def test_refused_updates_leave_no_trace(scores, labels, part, monkeypatch):
    monkeypatch.setattr(streams, "BLOCK", 1)  # the fault lies in a later block than good scores
    made = filled(np.array([1.0, 2.0]), np.array([0, 1]))
    with pytest.raises(SynthanomError, match=part):
        made.update(scores[::-1], labels[::-1])
    with pytest.raises(SynthanomError, match=part):
        made.update(scores, labels)
    assert everything(made) == (2, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)


def test_refused_settings():
    for kept in (-1, 1.5, True):
        with pytest.raises(SynthanomError, match="kept"):
            RankingAccumulator(kept=kept)


def test_small_blocks_change_nothing(monkeypatch):
    rng = np.random.default_rng(1)
    scores, labels = rng.normal(size=(9, 11)).round(1), (rng.random((9, 11)) < 0.5).astype(np.uint8)
    whole = [everything(filled(scores.T, labels.T, **kind)) for kind in ({"exact": True}, {"kept": 0}, {"kept": 30})]
    monkeypatch.setattr(streams, "BLOCK", 7)
    monkeypatch.setattr(sorting, "TERMS", 4)
    for kind, expected in zip(({"exact": True}, {"kept": 0}, {"kept": 30}), whole, strict=True):
        assert everything(filled(scores, labels, **kind)) == pytest.approx(expected, abs=1e-15)
    flat = scores.astype(np.float32).ravel(), labels.ravel()
    assert whole[0][1:3] == (average_precision(*flat), roc_auc(*flat))


def stored(**changed):
    made = filled(np.array([1.0, 2.0, 3.0]), np.array([0, 1, 1]), kept=changed.pop("of", 100))
    return made.to_arrays() | changed


@pytest.mark.parametrize(
    ("arrays", "part"),
    [
        ({}, "maybe bins"),
        (stored(more=np.zeros(1)), "maybe bins"),
        (stored(format=np.array(1)), "format 2"),
        (stored(exact=np.array(1)), "format 2"),
        (stored(kept=np.array(2.0)), "format 2"),
        (stored(kept=np.array([2])), "maybe bins"),
        (stored(kept=np.array(-1)), "kept"),
        (stored(kept=np.array(2)), "at most kept=2"),
        (stored(positives=np.array([9, 8], np.uint32)), "ascending"),
        (stored(positives=np.array([8, 9])), "ascending"),
        (stored(positives=np.array([8, LOWEST_KEY], np.uint32)), "finite"),
        (stored(negatives=np.array([HIGHEST_KEY + 1], np.uint32)), "finite"),
        (stored(of=0, kept=np.array(3)), "beyond kept=3"),
        (stored(of=0, exact=np.array(True)), "beyond kept"),
        (stored(of=0, bins=np.array([2**23, 2**23, 2**23 + 1], np.uint32)), "ascending"),
        (stored(of=0, bins=np.array([1, 2, 2**23], np.uint32)), "finite"),
        (stored(of=0, bins=np.array([2**23, 2**23 + 1, BINS], np.uint32)), "finite"),
        (stored(of=0, ends=np.zeros((2, 2), np.uint8)), "ends"),
        (stored(of=0, ends=np.array([[1, 0]] * 3, np.uint8)), "ends"),
        (stored(bins=np.zeros(1, np.uint32)), "maybe bins"),
        (stored(of=0, positives=np.zeros(2, np.uint64)), "one per bin"),
        (stored(of=0, negatives=np.zeros(3, np.int64)), "one per bin"),
        (stored(of=0, negatives=np.full(3, 2**63, np.uint64)), "2\\^62"),
    ],
)
def test_refused_files(arrays, part):
    with pytest.raises(SynthanomError, match=part):
        RankingAccumulator.from_arrays(arrays)


def test_counts_past_32_bits():
    many = 4_000_000_000
    arrays = stored(of=0)
    for name in ("positives", "negatives"):
        arrays[name] = arrays[name] * np.uint64(many)
    made = RankingAccumulator.from_arrays(arrays)
    assert made.count == 3 * many
    merged = RankingAccumulator.from_arrays(arrays)
    merged.merge(made)
    merged.update(np.array([3.0]), np.array([1]))
    assert merged.count == 6 * many + 1 and answers(merged) == pytest.approx((1.0, 1.0))
    assert merged.to_arrays()["positives"].tolist() == [0, 2 * many, 2 * many + 1]


def test_memory_of_bins_does_not_grow():
    code = """
import resource, numpy as np
from synthanom.metrics import RankingAccumulator
from synthanom.metrics.histogram import count
made, rng = RankingAccumulator(kept=2**20), np.random.default_rng(0)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
scores, labels = rng.random(2**20, dtype='f4'), rng.random(2**20) < 0.1
for turn in range(40):
    made.update(scores, labels)
    if turn == 2:
        made.roc_auc()
        early = peak()
made.roc_auc()
print(made.count == 40 * 2**20, peak() - early)
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    counted, grown = out.stdout.split()
    assert counted == "True" and int(grown) < 8192  # KiB; the keys of the scores would be 152 MiB
