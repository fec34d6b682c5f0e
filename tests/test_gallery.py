"""The gallery: its page is the one that the script writes, its pictures are there, small and told apart."""

import itertools
import re
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def gallery():
    pytest.importorskip("nilearn", reason="needs the extra `examples`")
    sys.path.insert(0, str(ROOT / "examples"))
    try:
        import gallery
    finally:
        sys.path.pop(0)
    return gallery


def test_the_page_is_what_the_script_writes(gallery, tmp_path):
    gallery.write(tmp_path / "one", spacing=3)
    assert (tmp_path / "one" / "gallery.md").read_text() == (ROOT / "docs" / "gallery.md").read_text()
    made = sorted(path.name for path in (tmp_path / "one" / "gallery").iterdir())
    assert made == sorted(path.name for path in (ROOT / "docs" / "gallery").iterdir())
    gallery.write(tmp_path / "two", spacing=3)
    for name in made:
        assert (tmp_path / "one/gallery" / name).read_bytes() == (tmp_path / "two/gallery" / name).read_bytes(), name


def test_pictures_are_small_and_shown():
    pictures = list((ROOT / "docs" / "gallery").glob("*.png"))
    assert sum(path.stat().st_size for path in pictures) < 600_000
    shown = {
        name
        for page in (ROOT / "docs").glob("*.md")
        for name in re.findall(r"\(gallery/(\S+?\.png)\)", page.read_text())
    }
    assert shown == {path.name for path in pictures}


def test_every_setting_makes_a_difference(gallery):
    at = gallery.scene()
    for strip in gallery.strips(at):
        made = [label if strip.labels else picture for picture, label in strip.made.values()]
        for one, other in itertools.pairwise(made):
            assert not np.array_equal(one, other), strip.name
        assert all(np.any(picture != at.sample.image[0]) for picture, _ in strip.made.values())


def test_larger_settings_change_more(gallery):
    at = gallery.scene()
    strips = {strip.name: list(strip.made.values()) for strip in gallery.strips(at)}
    for name in ("size", "smooth_intensity-scale", "inter_blend-deviation"):
        change = [np.abs(picture - at.sample.image[0]).sum() for picture, _ in strips[name]]
        assert change == sorted(change), name
    sums = [label.sum() for _, label in strips["label-sigma"]]
    assert sums == sorted(sums, reverse=True)
