"""Donors of a fold: its own rows only, kept in memory up to a bound."""

import pytest
from phantoms import phantom

from synthanom import fold_donors
from synthanom.fold_donors import RecentlyUsed, texture_settings


class Counting(list):
    """A list of samples that counts how often each is asked for."""

    asked = 0

    def __getitem__(self, index):
        self.asked += 1
        return super().__getitem__(index)


def test_recent_samples_are_kept_within_their_bound(monkeypatch):
    samples = Counting([phantom((16, 16), 1, seed) for seed in range(4)])
    recent = RecentlyUsed(samples)
    assert [recent[i].id for i in (0, 1, 0, 1, 2)] == [f"phantom-{i}" for i in (0, 1, 0, 1, 2)]
    assert samples.asked == 3 and len(recent) == 4
    monkeypatch.setattr(fold_donors, "KEPT_BYTES", 2 * samples[0].image.nbytes)
    small, before = RecentlyUsed(samples), samples.asked
    for i in (0, 1, 2, 1, 2, 0):
        assert small[i].id == f"phantom-{i}"
    assert samples.asked - before == 4, "0 was dropped for 2 and asked for again"
    assert len(small._kept) <= 2
    assert [s.id for s in recent[1:3]] == ["phantom-1", "phantom-2"]


@pytest.mark.parametrize(("shape", "expected"), [((512, 200), [256, 200]), ((160, 224, 40), [64, 64, 40])])
def test_textures_are_no_larger_than_needed(shape, expected):
    assert texture_settings(shape, 1, 1.0)["shape"] == expected
