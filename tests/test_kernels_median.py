"""The median of balls: equal to the definition and to scipy, also for ties, thin arrays and negative values."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from synthanom.kernels import ball_median
from synthanom.kernels.ball_median import reference


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


@pytest.mark.parametrize(("dims", "radius", "count"), [(2, 5, 81), (3, 2, 33), (3, 7, 1419), (2, 1, 5)])
def test_rows_make_a_ball(dims, radius, count):
    assert (2 * ball_median.rows_of(dims, radius)[:, 2] + 1).sum() == count
