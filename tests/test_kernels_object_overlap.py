"""How much object a patch shows and where it lands: equal to the definition, also beyond the donor and at halves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthanom.kernels import object_overlap
from synthanom.kernels.object_overlap import reference


@given(
    dims=st.sampled_from([2, 3]),
    seed=st.integers(0, 10_000),
    halves=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_counts_equal_the_definition(dims, seed, halves):
    rng = np.random.default_rng(seed)
    donor = rng.random(rng.integers(1, 14, dims)) < 0.6
    box = rng.integers(1, 12, dims)
    mask, foreground = rng.random(box) < 0.7, rng.random(box) < 0.5
    scale, offset = rng.uniform(0.3, 3, dims), rng.uniform(-6, 12, dims)
    if halves:  # 0.5 shows voxel 0, 1.5 voxel 2
        scale, offset = np.round(2 * scale) / 2, np.round(2 * offset) / 2
    found = object_overlap.counts(donor, mask, foreground, scale, offset)
    assert found == reference.counts(donor, mask, foreground, scale, offset)


@pytest.mark.parametrize("dims", [2, 3])
def test_a_patch_that_stays_where_it_is(dims):
    shape = (5, 6, 7)[-dims:]
    rng = np.random.default_rng(dims)
    donor, mask, foreground = (rng.random(shape) < 0.5 for _ in range(3))
    found = object_overlap.counts(donor, mask, foreground, np.ones(dims), np.zeros(dims))
    assert found == ((donor & mask).sum(), (donor & mask & foreground).sum())
