"""Thresholds against brute force, the choice of a score, and what held-out subjects say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthanom.metrics import f_beta
from synthanom.training.calibrate import CANDIDATES
from synthanom.training.config import CalibrationConfig
from synthanom.training.held_out import held_out_checks
from synthanom.training.scored import Scored
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


def scored(subjects=40, *, seed=0, gap=2.0):
    """One healthy picture and one of each of two tasks per subject; scores of anomalous ones lie `gap` higher."""
    rng = np.random.default_rng(seed)
    tasks = (None, "sink", "source") * subjects
    names = tuple(f"p-{i // 3}" for i in range(3 * subjects))
    labels = np.zeros((len(tasks), 50), bool)
    labels[[task is not None for task in tasks], :10] = True
    maps = rng.standard_normal(labels.shape) + gap * labels
    return Scored(maps=maps, labels=labels, samples=maps.max(axis=1)[:, None], tasks=tasks, subjects=names)


def test_all_thresholds_are_there_and_the_configured_ones_are_used():
    found = every_threshold(scored(), CalibrationConfig())
    assert found["sample"] == found["sample_false_positive_rate"] and found["pixel"] == found["pixel_f_beta"]
    other = every_threshold(scored(), CalibrationConfig(sample="f_beta", pixel="false_positive_rate"))
    assert other["sample"] == found["sample_f_beta"] and other["pixel"] == found["pixel_false_positive_rate"]
    strict = every_threshold(scored(), CalibrationConfig(false_positive_rate=0.01))
    assert strict["sample"] > found["sample"]
    given = scored()
    only_healthy = given.taken(np.flatnonzero(~given.anomalous))
    assert set(every_threshold(only_healthy, CalibrationConfig())) == {
        "sample", "sample_false_positive_rate", "pixel_false_positive_rate",
    }  # fmt: skip


def test_held_out_rates_are_about_those_asked_for():
    checks = held_out_checks(scored(subjects=200), CalibrationConfig(false_positive_rate=0.1))
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
    rate = held_out_checks(blind, CalibrationConfig(false_positive_rate=0.25))["sample_false_positive_rate"]
    assert rate["false_positive_rate"]["high"] - rate["false_positive_rate"]["low"] > 0.2


def test_one_subject_cannot_be_held_out():
    assert held_out_checks(scored(subjects=1), CalibrationConfig()) is None


def test_halves_never_share_a_subject(monkeypatch):
    chosen_on = []
    original = every_threshold

    def recorded(given, config):
        chosen_on.append(set(given.subjects))
        return original(given, config)

    monkeypatch.setattr("synthanom.training.held_out.every_threshold", recorded)
    held_out_checks(scored(subjects=9), CalibrationConfig())
    assert len(chosen_on) == 2 and not chosen_on[0] & chosen_on[1] and len(chosen_on[0] | chosen_on[1]) == 9


def test_the_papers_scores_are_tried_first():
    assert [(c.statistic, c.value, c.over) for c in CANDIDATES[:3]] == [
        ("top", 0.25, "image"), ("mean", None, "image"), ("percentile", 75.0, "image"),
    ]  # fmt: skip
    assert len(set(CANDIDATES)) == len(CANDIDATES) == 12
