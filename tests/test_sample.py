"""Sample: the only cast, and what it refuses."""

import warnings

import numpy as np
import pytest
from phantoms import field, phantom

from synthanom import Sample, SynthanomError
from synthanom.errors import NormalisationWarning


def test_cast_makes_read_only_contiguous_float32_of_its_own():
    image = np.asfortranarray(field((20, 24), 2).astype(np.float64))
    sample = Sample.from_array(image, id="a")
    assert sample.image.dtype == np.float32
    assert sample.image.flags.c_contiguous and not sample.image.flags.writeable
    kept = sample.image.copy()
    image[:] = 7
    np.testing.assert_array_equal(sample.image, kept)


def test_defaults():
    sample = Sample.from_array(field((20, 24)), id="case-1")
    assert sample.foreground.all() and sample.foreground.shape == (20, 24)
    assert sample.subject == "case-1" and sample.spacing is None and sample.affine is None


def test_spacing_follows_the_affine_in_axis_order():
    affine = np.diag([1.0, 2.0, 3.0, 1.0])  # x, y, z
    sample = Sample.from_array(field((14, 16, 18)), affine=affine)
    assert sample.spacing == (3.0, 2.0, 1.0)  # z, y, x


def test_limits_and_digest():
    sample = phantom((20, 24), 2)
    np.testing.assert_array_equal(sample.limits[0], sample.image.min(axis=(1, 2)))
    np.testing.assert_array_equal(sample.limits[1], sample.image.max(axis=(1, 2)))
    changed = sample.image.copy()
    changed[0, 3, 3] += 1
    other = Sample.from_array(changed, sample.foreground, id=sample.id)
    smaller = sample.foreground.copy()
    smaller[10, 12] = False
    masked = Sample.from_array(sample.image, smaller, id=sample.id)
    assert len({sample.sha256, other.sha256, masked.sha256}) == 3
    assert Sample.from_array(sample.image, sample.foreground, id="another name").sha256 == sample.sha256


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((20, 20)), "image[None]"),
        (np.zeros((160, 20, 20)), "image[None]"),
        (np.zeros((1, 1, 20, 20, 20)), "(C, Z, Y, X)"),
        (np.zeros((1, 11, 20)), "at least 12"),
        (np.full((1, 20, 20), np.nan), "finite"),
        (np.full((1, 20, 20), np.inf), "finite"),
        (np.full((1, 20, 20), 1e300), "finite"),
        (np.zeros((1, 20, 20), complex), "real"),
        (np.zeros((1, 20, 20), "U1"), "real"),
        (np.zeros((0, 20, 20)), "at least 12"),
        (np.zeros((1, 12, 65536)), "at most 65535"),
    ],
)
def test_bad_images_are_refused_with_the_way_out(image, words):
    with pytest.raises(SynthanomError) as caught:
        Sample.from_array(image, id="scan-7")
    assert words in str(caught.value) and "scan-7" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"foreground": np.zeros((20, 20), bool)}, "at least one voxel"),
        ({"foreground": np.ones((20, 21), bool)}, "spatial shape"),
        ({"foreground": np.ones((20, 20))}, "bool"),
        ({"spacing": (1.0,)}, "spacing"),
        ({"spacing": (1.0, -1.0)}, "spacing"),
        ({"affine": np.eye(3)}, "affine"),
        ({"channels": 2}, "2 channels"),
    ],
)
def test_bad_companions_are_refused(settings, words):
    with pytest.raises(SynthanomError, match=words):
        Sample.from_array(field((20, 20)), **settings)


def test_many_channels_are_taken_on_request_only():
    image = field((12, 12), 9)
    with pytest.raises(SynthanomError, match="channels=9"):
        Sample.from_array(image)
    assert Sample.from_array(image, channels=9).image.shape == (9, 12, 12)


@pytest.mark.parametrize("factor", [0.01, 100.0])
def test_unnormalised_images_warn_and_name_the_remedy(factor):
    with pytest.warns(NormalisationWarning, match="z-score"):
        Sample.from_array(field((20, 20)) * factor)


def test_normalised_images_do_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Sample.from_array(field((20, 20))).unusual_scale() is None
