"""Dealing subjects into folds."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthanom.errors import SynthanomError
from synthanom.folds import deal


@given(st.sets(st.text(max_size=8), min_size=6, max_size=40), st.integers(1, 6), st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_folds_are_balanced_and_independent_of_order(subjects, folds, seed):
    dealt = deal(sorted(subjects), folds, seed)
    sizes = [list(dealt.values()).count(f) for f in range(folds)]
    assert set(dealt) == subjects and max(sizes) - min(sizes) <= 1
    assert deal(sorted(subjects, reverse=True) * 2, folds, seed) == dealt


def test_dealing_is_what_it_always_was():
    names = [f"sub-{i:02d}" for i in range(10)]
    assert deal(names, 5, 0) == EXPECTED
    assert deal(names, 5, 1) != EXPECTED


def test_too_few_subjects_are_refused_with_the_way_out():
    with pytest.raises(SynthanomError, match="--subjects"):
        deal(["a", "b"], 5, 0)
    with pytest.raises(SynthanomError, match="at least 1"):
        deal(["a", "b"], 0, 0)


EXPECTED = {
    "sub-05": 0,
    "sub-03": 1,
    "sub-00": 2,
    "sub-09": 3,
    "sub-08": 4,
    "sub-04": 0,
    "sub-02": 1,
    "sub-01": 2,
    "sub-07": 3,
    "sub-06": 4,
}
