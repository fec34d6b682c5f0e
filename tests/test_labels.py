"""The flipped Gaussian, its filling, and its boxes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phantoms import CASES, ellipsoid, field
from scipy import ndimage

from synthanom.errors import SynthanomError
from synthanom.kernels.grey_reconstruct import reference as reconstruct_reference
from synthanom.labels import FlippedGaussian, bounding_box, merge_boxes


def label_by_definition(before, after, region, sigma):
    d = np.abs(after.astype(float) - before).mean(axis=0) * region
    y = 1 - np.exp(-(d**2) / (2 * sigma**2))
    out = y.copy()
    components, count = ndimage.label(region)
    for number in range(1, count + 1):
        own = components == number
        box = ndimage.find_objects(own.astype(int))[0]
        if min(s.stop - s.start for s in box) >= 3:
            filled = reconstruct_reference.close_and_fill(np.where(own, y, 0)[box])
            out[box] = np.maximum(out[box], filled)
    return y, out


@pytest.mark.parametrize(("shape", "channels"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_label_equals_its_definition(shape, channels):
    before = field(shape, channels, 0)
    after = before + 0.4 * field(shape, channels, 1)
    region = ndimage.gaussian_filter(np.random.default_rng(2).standard_normal(shape), 1.5) > 0.05
    pointwise, filled = label_by_definition(before, after, region, 0.2)
    out = FlippedGaussian()(before, after, region)
    assert out.dtype == np.float32 and out.min() >= 0 and out.max() <= 1
    np.testing.assert_allclose(out, filled, atol=1e-6)
    np.testing.assert_allclose(FlippedGaussian(fill=False)(before, after, region), pointwise, atol=1e-6)


def test_known_values():
    before = np.zeros((1, 12, 12), np.float32)
    after = before.copy()
    after[0, 4, 4] = 0.2  # one sigma
    region = np.zeros((12, 12), bool)
    region[4, 4] = True
    out = FlippedGaussian(sigma=0.2)(before, after, region)
    assert out[4, 4] == pytest.approx(1 - np.exp(-0.5), rel=1e-6)
    assert np.count_nonzero(out) == 1
    assert FlippedGaussian()(before, before, region).max() == 0
    assert FlippedGaussian()(before, after, ~region).max() == 0  # outside the region nothing counts


def test_channels_are_averaged_before_the_gaussian():
    before = np.zeros((2, 12, 12), np.float32)
    after = before.copy()
    after[0, 5, 5], after[1, 5, 5] = 0.3, -0.1
    region = ellipsoid((12, 12))
    assert FlippedGaussian(fill=False)(before, after, region)[5, 5] == pytest.approx(1 - np.exp(-0.5), rel=1e-5)


def test_small_changes_keep_their_digits():
    before = np.zeros((1, 12, 12), np.float32)
    after = np.full_like(before, 1e-5)
    label = FlippedGaussian(fill=False)(before, after, np.ones((12, 12), bool))
    assert label[0, 0] == pytest.approx(1e-10 / 0.08, rel=1e-4)


def test_holes_are_filled_but_components_do_not_mix():
    before = np.zeros((1, 24, 24), np.float32)
    after = before.copy()
    region = np.zeros((24, 24), bool)
    region[2:13, 2:13] = True
    after[0, 2:13, 2:13] = 1
    after[0, 6:9, 6:9] = 0  # a hole in the first component
    region[16:18, 16:22] = True  # a flat component: a side under 3, left as it is
    after[0, 16, 16:22] = 0.2
    out = FlippedGaussian()(before, after, region)
    assert (out[6:9, 6:9] > 0.99).all()
    assert (out[17, 16:22] == 0).all()


def test_boxes():
    mask = np.zeros((9, 10), bool)
    assert bounding_box(mask) is None
    mask[3:5, 7] = True
    assert bounding_box(mask) == ((3, 7), (2, 1))
    chain = [((0, 0), (3, 3)), ((6, 6), (3, 3)), ((2, 2), (2, 2)), ((3, 3), (4, 4))]
    assert merge_boxes(chain) == [((0, 0), (9, 9))]
    apart = [((5, 0), (2, 2)), ((0, 0), (5, 2))]
    assert merge_boxes(apart) == [((0, 0), (5, 2)), ((5, 0), (2, 2))]


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(1, 6), st.integers(1, 6)), max_size=6))
@settings(max_examples=60, deadline=None)
def test_merged_boxes_are_disjoint_and_cover(rows):
    boxes = [((a, b), (n, m)) for a, b, n, m in rows]
    canvas = np.zeros((40, 40), int)
    for (a, b), (n, m) in merge_boxes(boxes):
        canvas[a : a + n, b : b + m] += 1
    assert canvas.max(initial=0) <= 1
    for (a, b), (n, m) in boxes:
        assert (canvas[a : a + n, b : b + m] == 1).all()


@pytest.mark.parametrize("bad", [{"sigma": 0.0}, {"sigma": np.nan}, {"visible": 1.0}, {"visible": -0.1}])
def test_settings_are_checked(bad):
    with pytest.raises(SynthanomError):
        FlippedGaussian(**bad)


def test_shapes_are_checked():
    image = field((12, 14))
    with pytest.raises(SynthanomError, match="one shape"):
        FlippedGaussian()(image, image[:, :, :-1], np.ones((12, 14), bool))
    with pytest.raises(SynthanomError, match="region"):
        FlippedGaussian()(image, image, np.ones((12, 13), bool))
