"""Thresholds against brute force, the choice of a score, and what held-out subjects say."""

import tracemalloc
import weakref
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_dataset import TASKS, write_tiny

from synthanom.errors import SynthanomError
from synthanom.metrics import average_precision, f_beta, roc_auc
from synthanom.metrics.score_counts import KEPT, ScoreCounts
from synthanom.shards import DataSet
from synthanom.training import calibrate as calibrating
from synthanom.training.calibrate import CANDIDATES, calibrate, in_turn
from synthanom.training.checkpoint import Model, build_detector
from synthanom.training.config import CalibrationConfig, NetworkConfig
from synthanom.training.held_out import held_out_checks
from synthanom.training.rows import Pick
from synthanom.training.scored import Scored, halves_of
from synthanom.training.threshold_curves import threshold_curves
from synthanom.training.thresholds import best_f_beta_threshold, every_threshold, false_positive_threshold

PAIRS = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=40)


@settings(max_examples=80, deadline=None)
@given(PAIRS, st.sampled_from([0.5, 1.0, 1.1, 2.0]))
def test_no_cut_has_a_larger_f_beta(pairs, beta):
    scores = np.array([p[0] / 6 for p in pairs], dtype=np.float32)
    truth = np.array([p[1] for p in pairs])
    found = best_f_beta_threshold(scores, truth, beta)
    if not truth.any():
        assert np.isnan(found)
        return
    best = max(f_beta(scores >= t, truth, beta=beta) for t in scores)
    assert f_beta(scores >= found, truth, beta=beta) == pytest.approx(best)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=50), st.sampled_from([0.01, 0.05, 0.3, 0.5]))
def test_no_smaller_cut_keeps_the_false_positive_rate(values, rate):
    healthy = np.array(values, dtype=np.float32) / 10
    found = false_positive_threshold(healthy, rate)
    assert np.mean(healthy >= found) <= rate
    below = healthy[healthy < found]
    assert np.mean(healthy >= below.max()) > rate  # one step down and it is too many


def test_without_healthy_pictures_there_is_no_rate():
    assert np.isnan(false_positive_threshold(np.zeros(0), 0.05))


def pictures(subjects=40, *, seed=0, gap=2.0):
    """One healthy map and one of each of two tasks per subject; scores of anomalous voxels lie `gap` higher."""
    rng = np.random.default_rng(seed)
    tasks = (None, "sink", "source") * subjects
    names = tuple(f"p-{i // 3}" for i in range(3 * subjects))
    labels = np.zeros((len(tasks), 50), bool)
    labels[[task is not None for task in tasks], :10] = True
    return rng.standard_normal(labels.shape).astype(np.float32) + np.float32(gap) * labels, labels, tasks, names


def scored(subjects=40, *, kept=KEPT, **settings):
    maps, labels, tasks, names = pictures(subjects, **settings)
    halves, counts = halves_of(names), ScoreCounts(kept)
    for row, task in enumerate(tasks):
        counts.add(maps[row], labels[row], (task, halves[row]))
    samples = maps.max(axis=1)[:, None].astype(np.float64)
    return Scored(voxels=counts.finish(), samples=samples, tasks=tasks, subjects=names, halves=halves)


def checks_of(config, **settings):
    maps, labels, _, _ = pictures(**settings)
    return held_out_checks(scored(**settings), config, lambda: zip(maps, labels, strict=True))


def test_voxels_in_bins_give_the_thresholds_of_the_voxels_themselves():
    maps, labels, tasks, _ = pictures(300)
    healthy = np.array([task is None for task in tasks])
    config = CalibrationConfig()
    exact = {
        "pixel_false_positive_rate": false_positive_threshold(maps[healthy].ravel(), config.pixel_false_positive_rate),
        "pixel_f_beta": best_f_beta_threshold(maps.ravel(), labels.ravel(), config.beta),
    }
    found, binned = (every_threshold(scored(300, kept=kept), config) for kept in (KEPT, 5000))
    assert {name: found[name] for name in exact} == exact
    rates = [np.mean(maps[healthy] >= cuts["pixel_false_positive_rate"]) for cuts in (exact, binned)]
    assert rates[1] <= rates[0] <= 0.01 and rates[1] == pytest.approx(rates[0], abs=2e-4)
    best, other = (f_beta(maps >= cuts["pixel_f_beta"], labels, beta=config.beta) for cuts in (exact, binned))
    assert other == pytest.approx(best, abs=1e-3)


def test_curves_are_what_each_cut_gives():
    maps, labels, tasks, _ = pictures()
    ill = np.array([task is not None for task in tasks])
    found = threshold_curves(scored(), CalibrationConfig())
    for level, scores, truth, healthy in (
        ("sample", maps.max(axis=1), ill, maps.max(axis=1)[~ill]),
        ("pixel", maps.ravel(), labels.ravel(), maps[~ill].ravel()),
    ):
        curve = found[level]
        assert curve["cut"][0] == scores.min() and curve["cut"][-1] == scores.max() and len(curve["cut"]) > 60
        for cut, rate, figure in zip(*(curve[name] for name in ("cut", "false_positive_rate", "f_beta")), strict=True):
            assert rate == pytest.approx(np.mean(healthy >= cut))
            assert figure == pytest.approx(f_beta(scores >= cut, truth, beta=1.1))
    counts = ScoreCounts()
    counts.add(maps[~ill], labels[~ill], (None, 0))
    only = Scored(voxels=counts.finish(), samples=maps[~ill].max(axis=1)[:, None], tasks=tasks[::3],
                  subjects=tasks[::3], halves=(0,) * 40)  # fmt: skip
    assert threshold_curves(only, CalibrationConfig()) == {}


def test_all_thresholds_are_there_and_the_configured_ones_are_used():
    found = every_threshold(scored(), CalibrationConfig())
    assert found["sample"] == found["sample_false_positive_rate"] and found["pixel"] == found["pixel_f_beta"]
    other = every_threshold(scored(), CalibrationConfig(sample="f_beta", pixel="false_positive_rate"))
    assert other["sample"] == found["sample_f_beta"] and other["pixel"] == found["pixel_false_positive_rate"]
    strict = every_threshold(scored(), CalibrationConfig(false_positive_rate=0.01))
    assert strict["sample"] > found["sample"]
    maps, labels, tasks, names = (part[::3] for part in pictures())
    counts = ScoreCounts()
    counts.add(maps, labels, (None, 0))
    samples, halves = maps.max(axis=1)[:, None], halves_of(names)
    only_healthy = Scored(voxels=counts.finish(), samples=samples, tasks=tasks, subjects=names, halves=halves)
    assert set(every_threshold(only_healthy, CalibrationConfig())) == {
        "sample", "sample_false_positive_rate", "pixel_false_positive_rate",
    }  # fmt: skip


def test_held_out_rates_are_about_those_asked_for():
    checks = checks_of(CalibrationConfig(false_positive_rate=0.1), subjects=200)
    assert checks["subjects"] == 200
    rate = checks["sample_false_positive_rate"]["false_positive_rate"]
    assert rate["low"] < 0.1 < rate["high"] and rate["value"] == pytest.approx(0.1, abs=0.06)
    pixel = checks["pixel_false_positive_rate"]["false_positive_rate"]
    assert pixel["value"] == pytest.approx(0.01, abs=0.003) and pixel["low"] < pixel["value"] < pixel["high"]
    sensitivity = checks["pixel_f_beta"]["sensitivity"]
    assert 0.5 < sensitivity["low"] < sensitivity["high"] < 1


def test_held_out_subjects_show_what_the_same_subjects_hide():
    # scores that say nothing: cuts look better than chance on the pictures that they were chosen on
    blind = scored(subjects=12, gap=0.0, seed=3)
    cut = every_threshold(blind, CalibrationConfig(false_positive_rate=0.25))["sample"]
    assert np.mean(blind.score[~blind.anomalous] >= cut) <= 0.25
    rate = checks_of(CalibrationConfig(false_positive_rate=0.25), subjects=12, gap=0.0, seed=3)[
        "sample_false_positive_rate"
    ]
    assert rate["false_positive_rate"]["high"] - rate["false_positive_rate"]["low"] > 0.2


def test_one_subject_cannot_be_held_out():
    assert checks_of(CalibrationConfig(), subjects=1) is None


def test_halves_never_share_a_subject(monkeypatch):
    chosen_on = []
    original = every_threshold

    def recorded(given, config):
        chosen_on.append(set(given.subjects))
        return original(given, config)

    monkeypatch.setattr("synthanom.training.held_out.every_threshold", recorded)
    checks_of(CalibrationConfig(), subjects=9)
    assert {len(chosen) for chosen in chosen_on} == {4, 5} and not chosen_on[0] & chosen_on[1]


def test_the_papers_scores_are_tried_first():
    assert [(c.statistic, c.value, c.over) for c in CANDIDATES[:3]] == [
        ("top", 0.25, "image"), ("mean", None, "image"), ("percentile", 75.0, "image"),
    ]  # fmt: skip
    assert len(set(CANDIDATES)) == len(CANDIDATES) == 12


def test_many_distinct_scores_are_binned_too_and_none_is_lost(monkeypatch):
    monkeypatch.setattr("synthanom.metrics.score_counts.DISTINCT", 4000)
    counts, (maps, labels, tasks, _) = ScoreCounts(), pictures()
    for row, task in enumerate(tasks):
        counts.add(maps[row], labels[row], task)
    found = counts.finish()
    assert (found.lowest <= found.highest).all() and (found.highest[:-1] < found.lowest[1:]).all()
    assert (found.lowest < found.highest).any()  # not every score is a bin
    for task in (None, "sink", "source"):
        own = labels[[t == task for t in tasks]]
        assert found.groups[task].sum(axis=0).tolist() == [np.count_nonzero(~own), np.count_nonzero(own)]
    with pytest.raises(SynthanomError, match="at least one map"):
        ScoreCounts().finish()
    with pytest.raises(SynthanomError, match="one shape"):
        counts.add(maps, labels[:1], None)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    with DataSet.open(write_tiny(tmp_path_factory.mktemp("calibrate") / "data", shape=(48, 48))) as opened:
        yield opened


@pytest.fixture
def model(data):
    """One that calls bright voxels."""
    network = NetworkConfig(settings={"base": 2, "resolutions": 2})
    detector = build_detector(network, channels=1, shape=data.shape, positions=False, allow_import=False)
    return Model(detector=detector, card=SimpleNamespace(channels=1, shape=data.shape))


def picked(data, times):
    """Every subject healthy and with each task, so many times."""
    anomalous = [Pick(healthy=i, task=task, row=data.rows_of(task, i)[0]) for task in TASKS for i in range(10)]
    return times * [*(Pick(healthy=i) for i in range(10)), *anomalous]


def test_figures_are_those_of_all_maps_at_once(data, model, monkeypatch):
    shown = []

    def bright(model, image):
        found = image[0] / 4
        shown.append(found)
        return found

    monkeypatch.setattr(calibrating, "raw_score_map", bright)
    picks = picked(data, 1)
    found = calibrate(model, data, picks)
    pictures = [data.shown(p.task, p.row) if p.task else (data.healthy(p.healthy).image, None) for p in picks]
    maps = np.stack([np.clip(image[0] / 4, 0, 1) for image, _ in pictures])
    labels = np.stack([np.zeros(data.shape, bool) if label is None else label >= 0.5 for _, label in pictures])
    assert len(shown) == 2 * len(picks)
    assert found.figures["pixel_average_precision"] == pytest.approx(average_precision(maps.ravel(), labels.ravel()))
    assert found.figures["pixel_roc_auc"] == pytest.approx(roc_auc(maps.ravel(), labels.ravel()))
    of_sink = [number for number, pick in enumerate(picks) if pick.task in (None, "sink")]
    expected = average_precision(maps[of_sink].ravel(), labels[of_sink].ravel())
    assert found.figures["tasks"]["sink"]["pixel_average_precision"] == pytest.approx(expected)
    assert found.thresholds["pixel"] == best_f_beta_threshold(maps.ravel(), labels.ravel(), 1.1)
    # counted again, by hand, at the thresholds of the other half
    halves = np.array(halves_of([data.healthy_subjects[pick.healthy] for pick in picks]))
    called = np.zeros_like(labels)
    for half in (0, 1):
        other = halves != half
        called[~other] = maps[~other] >= best_f_beta_threshold(maps[other].ravel(), labels[other].ravel(), 1.1)
    sensitivity = found.held_out["pixel_f_beta"]["sensitivity"]["value"]
    assert sensitivity == pytest.approx(np.count_nonzero(called & labels) / np.count_nonzero(labels))


def test_one_map_is_in_memory_at_a_time(data, model, monkeypatch):
    monkeypatch.setattr("synthanom.training.held_out.DRAWS", 5)
    monkeypatch.setattr(calibrating, "ScoreCounts", lambda: ScoreCounts(kept=20_000))
    alive, most, scored_one = weakref.WeakSet(), [], calibrating._map

    class Map(np.ndarray):  # hashed by itself, so that a set can hold it
        __hash__ = object.__hash__

    def followed(*given):
        most.append(len(alive))
        found = [array.view(Map) for array in scored_one(*given)]
        for array in found:
            alive.add(array)
        return found

    monkeypatch.setattr(calibrating, "raw_score_map", lambda model, image: image[0] / 4)
    monkeypatch.setattr(calibrating, "_map", followed)
    calibrate(model, data, picked(data, 2))
    assert len(most) == 2 * 120 and max(most) <= 2  # map and labels of the picture before


def test_counts_take_no_more_memory_the_more_is_counted():
    rng = np.random.default_rng(0)
    counts = ScoreCounts(kept=20_000)
    held = []
    tracemalloc.start()
    for number in range(120):
        scores = rng.random((48, 48), dtype=np.float32)
        counts.add(scores, scores > 0.9, (None, number % 2))
        if number in (19, 119):  # bins are laid after nine
            held.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert held[1] - held[0] < 48 * 48  # bytes, of a hundred maps


def test_tasks_take_turns():
    picks = [Pick(healthy=i) for i in range(3)] + [Pick(healthy=i, task="sink", row=i) for i in range(2)]
    assert in_turn(picks) == [0, 3, 1, 4, 2]
