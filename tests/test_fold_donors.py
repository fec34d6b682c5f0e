"""Donors of a fold: its own rows only, kept in memory up to a bound."""

import pytest
from phantoms import phantom

from synthanom.fold_donors import Kept, RecentlyUsed, Shortlist, texture_settings


class Counting(list):
    """A list of samples that counts how often each is asked for."""

    asked = 0

    def __getitem__(self, index):
        self.asked += 1
        return super().__getitem__(index)


def held(sample) -> int:
    return sample.image.nbytes + sample.foreground.nbytes


def test_recent_samples_are_kept_within_their_bound():
    samples = Counting([phantom((16, 16), 1, seed) for seed in range(4)])
    recent = RecentlyUsed(samples)
    assert [recent[i].id for i in (0, 1, 0, 1, 2)] == [f"phantom-{i}" for i in (0, 1, 0, 1, 2)]
    assert samples.asked == 3 and len(recent) == 4
    small, before = RecentlyUsed(samples, Kept(most=2 * held(samples[0]))), samples.asked
    for i in (0, 1, 2, 1, 2, 0):
        assert small[i].id == f"phantom-{i}"
    assert samples.asked - before == 4, "0 was dropped for 2 and asked for again"
    assert len(small.kept._samples) <= 2
    assert [s.id for s in recent[1:3]] == ["phantom-1", "phantom-2"]


@pytest.mark.parametrize(("shape", "expected"), [((512, 200), [256, 200]), ((160, 224, 40), [64, 64, 40])])
def test_textures_are_no_larger_than_needed(shape, expected):
    assert texture_settings(shape, 1, 1.0)["shape"] == expected


def test_one_memory_serves_several_sequences():
    first, second = (Counting([phantom((16, 16), 1, seed) for seed in range(3)]) for _ in range(2))
    kept = Kept(most=4 * held(first[0]))
    first.asked = 0
    a = RecentlyUsed(first, kept, [("own", i) for i in (7, 8, 9)])
    b = RecentlyUsed(second, kept, [("own", i) for i in (8, 9, 10)])
    assert a[1] is b[0] and a[2] is b[1] and second.asked == 0, "the same rows, read once"
    assert b[2].id == "phantom-2" and a[0].id == "phantom-0" and second.asked == 1
    row_8 = a[1]
    for i in (2, 0):  # and the rest after it, so that it is the longest unused
        assert a[i] is not None
    assert b[2] is not None and RecentlyUsed(second, kept, [("other", 8)])[0] is not row_8, "another data set's row"
    before = first.asked
    assert a[2].id == "phantom-2" and first.asked == before, "row 9 was kept"
    assert a[1].id == "phantom-1" and first.asked == before + 1, "row 8 was let go"


def test_a_shortlist_takes_one_image_of_each_of_some_subjects():
    subjects = [f"s{i // 2}" for i in range(20)]  # two images each
    rows = list(range(100, 120))
    lists = [Shortlist(seed=0, part=part, subjects=4).of(1, "intra_blend", rows, subjects) for part in range(30)]
    for chosen in lists:
        assert chosen == sorted(set(chosen)) and len({subjects[row - 100] for row in chosen}) == len(chosen) == 4
    assert {row for chosen in lists for row in chosen} == set(rows), "together they borrow from everybody"
    again = Shortlist(seed=0, part=3, subjects=4)
    assert again.of(1, "intra_blend", rows, subjects) == lists[3]
    others = [
        Shortlist(seed=1, part=3, subjects=4).of(1, "intra_blend", rows, subjects),
        again.of(2, "intra_blend", rows, subjects),
        again.of(1, "inter_blend", rows, subjects),
    ]
    assert all(other != lists[3] for other in others)
    assert Shortlist(seed=0, part=0, subjects=10).of(1, "intra_blend", rows, subjects) == rows
