"""The median of balls: equal to the definition and to scipy, also for ties, thin arrays and negative values."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from synthanom.kernels import ball_median
from synthanom.kernels.ball_median import lanes, reference
from synthanom.kernels.compiled import njit


def by_scipy(values, radius):
    grid = np.ogrid[(slice(-radius, radius + 1),) * values.ndim]
    return ndimage.median_filter(values, footprint=sum(axis**2 for axis in grid) <= radius**2, mode="constant")


@pytest.mark.parametrize(("shape", "radius"), [((5, 9), 2), ((1, 4), 3), ((12, 7), 5), ((4, 1, 6), 2), ((5, 4, 6), 1)])
def test_median_equals_the_definition(shape, radius):
    values = np.random.default_rng(radius).standard_normal(shape)
    np.testing.assert_array_equal(ball_median.filtered(values, radius), reference.filtered(values, radius))


@given(
    shape=st.one_of(st.tuples(*[st.integers(1, 40)] * 2), st.tuples(*[st.integers(1, 12)] * 3)),
    radius=st.integers(1, 7),
    seed=st.integers(0, 1000),
    digits=st.sampled_from([0, 1, 15]),
)
@settings(max_examples=60, deadline=None)
def test_median_equals_scipys(shape, radius, seed, digits):
    values = np.round(np.random.default_rng(seed).standard_normal(shape), digits) + 0.25 * (seed % 3)
    before = values.copy()
    np.testing.assert_array_equal(ball_median.filtered(values, radius), by_scipy(values, radius))
    np.testing.assert_array_equal(values, before)


def test_a_single_voxel_is_taken_away_and_a_plain_stays():
    values = np.zeros((21, 21))
    values[10, 10] = 5.0
    assert not ball_median.filtered(values, 1).any()
    values[...] = 2.0
    found = ball_median.filtered(values, 3)
    assert (found[3:-3, 3:-3] == 2).all() and found[0, 0] == 0  # beyond the corner most of the ball is 0


@pytest.mark.parametrize(("shape", "radius", "count"), [((30, 40), 5, 81), ((9, 8, 7), 2, 33), ((15, 15, 15), 7, 1419)])
def test_steps_make_a_ball(shape, radius, count):
    steps = ball_median.steps_of(shape, radius)
    middle = np.ravel_multi_index([n // 2 for n in shape], shape)
    places = np.stack(np.unravel_index(middle + steps, shape), axis=1)
    assert len(set(steps.tolist())) == count and steps.tolist() == sorted(steps)
    assert (((places - [n // 2 for n in shape]) ** 2).sum(axis=1) <= radius**2).all()


def test_more_voxels_than_a_short_integer_counts():
    values = np.random.default_rng(0).standard_normal((200, 170))
    np.testing.assert_array_equal(ball_median.filtered(values, 1), by_scipy(values, 1))


@njit()
def _compiled(ranks, steps, limits, count):
    lanes.count_below(ranks, 60, steps, limits, count)


@pytest.mark.parametrize("kind", [np.int16, np.int32])
def test_counts_in_vectors_equal_the_plain_ones(kind):
    rng = np.random.default_rng(1)
    ranks = rng.integers(0, 1000, 400).astype(kind)
    steps, limits = np.array([-50, -3, 0, 3, 50]), rng.integers(0, 1000, lanes.LANES).astype(kind)
    counts = np.empty((2, lanes.LANES), kind)
    _compiled(ranks, steps, limits, counts[0])
    lanes.count_below(ranks, 60, steps, limits, counts[1])
    np.testing.assert_array_equal(counts[0], counts[1])
    assert counts.max() == len(steps)
