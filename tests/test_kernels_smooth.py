"""Periodic Gaussian smoothing against its reference twin, scipy, a closed form and its properties; and the textures."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from synthanom.kernels import periodic_gaussian
from synthanom.kernels.periodic_gaussian import half_weights, reference
from synthanom.textures import TextureDonors

SHAPES = [(12, 13), (5, 40), (4, 5, 6), (3, 9, 35)]  # some narrower than the weights reach, one wider than a block
SIGMAS = [0.1, 1.0, 2.5, 8.0]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("sigma", SIGMAS)
def test_smoothing_has_the_bytes_of_its_reference_and_of_scipy(shape, sigma):
    image = np.random.default_rng(1).standard_normal(shape)
    before = image.copy()
    found = periodic_gaussian.smooth(image, sigma)
    np.testing.assert_array_equal(found, reference.smooth(image, half_weights(sigma)))
    np.testing.assert_array_equal(found, ndimage.gaussian_filter(image, sigma, mode="wrap"))
    np.testing.assert_array_equal(image, before)


def test_a_point_becomes_the_product_of_the_weights():
    image = np.zeros((21, 23, 25))
    image[10, 11, 12] = 1
    weights = half_weights(2.0)
    line = np.concatenate([weights[:0:-1], weights])
    assert line.sum() == pytest.approx(1) and len(line) == 17
    expected = np.zeros(image.shape)
    expected[2:19, 3:20, 4:21] = line[:, None, None] * line[:, None] * line
    np.testing.assert_allclose(periodic_gaussian.smooth(image, 2.0), expected, atol=1e-16)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(SHAPES), st.floats(0.5, 6))
def test_smoothing_keeps_the_mean_and_follows_a_shift(seed, shape, sigma):
    image = np.random.default_rng(seed).standard_normal(shape)
    found = periodic_gaussian.smooth(image, sigma)
    assert found.mean() == pytest.approx(image.mean(), abs=1e-12)
    shifted = periodic_gaussian.smooth(np.roll(image, 3, -1), sigma)
    np.testing.assert_allclose(shifted, np.roll(found, 3, -1), atol=1e-12)


def test_textures_are_told_apart_by_number_and_scaled_as_asked():
    textures = TextureDonors(shape=(24, 26), channels=2, deviation=0.5, total=3, start=4)
    assert [sample.id for sample in textures[:]] == ["texture-4", "texture-5", "texture-6"]
    assert len({sample.sha256 for sample in textures}) == 3
    assert textures[1].sha256 == TextureDonors(shape=(24, 26), channels=2, deviation=0.5, start=5)[0].sha256
    for sample in textures:
        np.testing.assert_allclose(sample.image.mean(axis=(1, 2)), 0, atol=1e-6)
        np.testing.assert_allclose(sample.image.std(axis=(1, 2)), 0.5, atol=1e-6)
    with pytest.raises(IndexError, match="texture 3 of 3"):
        textures[3]


def test_a_texture_is_the_weighted_sum_of_smoothed_noise():
    """Data sets name textures by digest: they must not change."""
    rng = np.random.Generator(np.random.Philox(key=9))
    total = np.zeros((20, 30))
    for sigma in (1.0, 2.0, 4.0, 8.0):
        layer = ndimage.gaussian_filter(rng.standard_normal((20, 30)), sigma, mode="wrap")
        total += rng.random() * sigma * layer / layer.std()
    expected = ((total - total.mean()) / total.std())[None].astype(np.float32)
    np.testing.assert_array_equal(TextureDonors(shape=(20, 30), start=7)[2].image, expected)


@pytest.mark.parametrize(("shape", "sigma"), [((12, 17), (0.7, 2.0)), ((9, 12, 14), (0.4, 1.0, 2.3))])
def test_smoothing_along_each_axis_equals_scipys(shape, sigma):
    image = np.random.default_rng(3).standard_normal(shape)
    expected = ndimage.gaussian_filter(image, sigma, mode="wrap")
    np.testing.assert_array_equal(periodic_gaussian.smooth(image, sigma), expected)
