"""Rates and times left: honest over the last while, whatever the wall clock does."""

import time

import pytest

from synthanom import pace as module
from synthanom.pace import Pace, clock, rate_text


@pytest.fixture
def now(monkeypatch):
    """A clock to set; the wall clock jumps at every look."""
    moment = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: moment[0])
    walls = iter(range(10**9, 0, -(10**6)))
    monkeypatch.setattr(time, "time", lambda: next(walls))
    return moment


def test_nothing_is_foretold_before_anything_passed(now):
    pace = Pace(10)
    now[0] += 5
    assert (pace.rate, pace.left, str(pace)) == (None, None, "0/10  0:05")


def test_rate_is_that_of_the_last_while(now):
    pace = Pace(1000, "rows")
    for seconds, count in ((1.0, 100), (0.5, 200)):  # slow at first, then twice as fast
        for _ in range(count):
            now[0] += seconds
            pace.passed()
    assert pace.rate == pytest.approx(2.0, rel=0.02)
    assert pace.left == pytest.approx(350, rel=0.02)
    assert str(pace) == "300/1000 rows  2 per s  3:20, 5:50 left"
    assert pace.overall == "1.5 per s"


def test_slow_items_have_a_rate_too_and_it_falls_while_nothing_passes(now):
    pace = Pace(100)
    for _ in range(20):
        now[0] += 40
        pace.passed()
    assert "40 s each" in str(pace)
    now[0] += 39  # the next is not overdue
    assert pace.rate == pytest.approx(1 / 40)
    now[0] += 1000
    assert pace.rate < 1 / 100


def test_fast_items_are_counted_in_little_memory(now):
    pace = Pace(10**6)
    for _ in range(10**5):
        now[0] += 1e-3
        pace.passed()
    assert pace.rate == pytest.approx(1000, rel=0.01) and len(pace._seen) < 400


def test_nothing_is_left_at_the_end(now):
    pace = Pace(2)
    now[0] += 1
    pace.passed(2)
    assert str(pace) == "2/2  2 per s  0:01"
    pace.passed()  # more than foretold
    assert pace.left == 0


def test_words():
    assert [rate_text(rate) for rate in (2345.6, 12.345, 1, 0.5, 0.0002)] == [
        "2346 per s", "12.3 per s", "1 per s", "2 s each", "5000 s each",
    ]  # fmt: skip
    assert [clock(seconds) for seconds in (0.4, 59.6, 3599, 3600, 90061)] == [
        "0:00", "1:00", "59:59", "1:00:00", "25:01:01",
    ]  # fmt: skip
