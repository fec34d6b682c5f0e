"""The flipped Gaussian, its filling, and its boxes."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from phantoms import CASES, ellipsoid, field
from scipy import ndimage

from synthanom.errors import SynthanomError
from synthanom.kernels import components, flipped_exponential, soft_label
from synthanom.kernels.components import reference as components_reference
from synthanom.kernels.flipped_exponential import reference as exponential_reference
from synthanom.kernels.grey_reconstruct import reference as reconstruct_reference
from synthanom.kernels.soft_label import reference as label_reference
from synthanom.labels import FlippedGaussian, bounding_box, fill_components, merge_boxes

MASKS = st.tuples(st.integers(0, 10**6), st.sampled_from([(9, 21), (1, 8), (7, 1), (5, 6, 11)]), st.floats(0, 1))


def drawn_mask(drawn):
    """A random mask, a view of a larger one, so that it is not contiguous."""
    seed, shape, density = drawn
    larger = np.random.default_rng(seed).random(tuple(n + 3 for n in shape)) < density
    return larger[tuple(slice(1, 1 + n) for n in shape)]


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


@given(drawn=MASKS, channels=st.sampled_from([1, 3]), fill=st.booleans(), smooth=st.booleans())
@example(drawn=(18018, (5, 6, 11), 0.375), channels=3, fill=True, smooth=True)  # one component's hole holds another
@settings(max_examples=40, deadline=None)
def test_label_of_a_box_equals_its_reference(drawn, channels, fill, smooth):
    region = drawn_mask(drawn)
    rng = np.random.default_rng(drawn[0] + 1)
    before, after = rng.random((2, channels, *(n + 2 for n in region.shape)), dtype=np.float32)
    if smooth:  # a few plateaus, one of them unchanged
        after = before + np.float32(0.3) * np.round(2 * rng.random(after.shape, dtype=np.float32))
    box = (slice(None), *(slice(1, 1 + n) for n in region.shape))
    label, peak = soft_label.label_box(before[box], after[box], region, 0.3, fill=fill)
    expected, largest = label_reference.label_box(before[box], after[box], region, 0.3, fill=fill)
    assert label.dtype == np.float32
    np.testing.assert_allclose(label, expected, atol=1e-6)
    assert peak == pytest.approx(largest, abs=1e-6)
    assert (label >= soft_label.label_box(before[box], after[box], region, 0.3, fill=False)[0]).all()


def test_a_component_within_another_takes_no_part_in_its_filling():
    region = np.zeros((13, 13), bool)
    region[:, :3] = region[10:] = True  # an L, and beside it, one voxel away, a block in the L's box
    region[:9, 4:9] = True
    change = np.where(region, 0.2, 0.5).astype(np.float32)[None]
    label, _ = soft_label.label_box(np.zeros_like(change), change, region, 0.2)
    expected, _ = label_reference.label_box(np.zeros_like(change), change, region, 0.2)
    np.testing.assert_allclose(label, expected, atol=1e-6)
    assert label[4, 3] == 0, "together they would close the gap"
    pointwise = label_reference.label_box(np.zeros_like(change), change, region, 0.2, fill=False)[0].astype(np.float32)
    np.testing.assert_array_equal(fill_components(pointwise, region), label)


def test_any_array_will_do():
    before, region = field((12, 14), 2), ellipsoid((12, 14))
    after = before + field((12, 14), 2, 1)
    expected = FlippedGaussian()(before, after, region)
    kept = before.copy(), after.copy(), region.copy()
    for array in (before, after, region):
        array.flags.writeable = False
    for first, last, mask in (
        (before, after, region),
        (np.asfortranarray(before), after, np.asfortranarray(region)),
        (before[:, ::-1], after[:, ::-1], region[::-1]),
        (before.astype(np.float64), after.astype(np.float64), region),
    ):
        out = FlippedGaussian()(first, last, mask)
        np.testing.assert_array_equal(out if first.strides[1] > 0 else out[::-1], expected)
    for array, same in zip((before, after, region), kept, strict=True):
        np.testing.assert_array_equal(array, same)


def test_flipped_exponential_equals_its_reference():
    u = np.concatenate([[0.0], np.logspace(-300, -9, 100), np.logspace(-9, np.log10(18), 1000)])
    out = flipped_exponential.flipped_exponential(u)
    np.testing.assert_allclose(out, exponential_reference.flipped_exponential(u), rtol=1e-14, atol=0)
    assert (np.diff(out) >= 0).all()
    far = flipped_exponential.flipped_exponential(np.array([17.9, 18.0, 500.0, 1e300]))
    assert (far <= 1).all() and (far[1:].astype(np.float32) == 1).all()
    assert flipped_exponential.flipped_exponential(np.array([np.log(2)]))[0] == pytest.approx(0.5, rel=1e-14)


@given(drawn=MASKS)
@settings(max_examples=60, deadline=None)
def test_components_equal_their_reference_and_scipy(drawn):
    region = drawn_mask(drawn)
    numbers, boxes = components.label(region)
    expected, tight = components_reference.label(region)
    np.testing.assert_array_equal(numbers, expected)
    np.testing.assert_array_equal(boxes, tight)
    theirs, count = ndimage.label(region)
    assert count == len(boxes)
    assert len(np.unique(np.stack([numbers, theirs]).reshape(2, -1), axis=1).T) == count + (not region.all())
    found = bounding_box(region)
    if count == 0:
        assert found is None
    else:
        assert found == (tuple(tight[:, 0].min(0)), tuple(tight[:, 1].max(0) - tight[:, 0].min(0)))


@given(drawn=MASKS)
@settings(max_examples=40, deadline=None)
def test_covered_voxels_of_components_equal_their_reference(drawn):
    region = drawn_mask(drawn)
    by = np.random.default_rng(0).random(region.shape) < 0.5
    found, expected = components.covered(region, by), components_reference.covered(region, by)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(components.covered(region, by[..., ::-1])[1].sum(), (region & by[..., ::-1]).sum())


def test_components_that_meet_late_are_one():
    comb = np.zeros((9, 40), bool)
    comb[:-1, ::2] = True
    comb[-1] = True  # twenty teeth, joined in the last row only
    spiral = np.ones((9, 9), bool)
    spiral[1, :8] = spiral[1:8, 7] = spiral[7, 1:8] = spiral[3:8, 1] = spiral[3, 1:6] = False
    for mask in (comb, spiral, np.stack([comb, comb[::-1]])):
        numbers, boxes = components.label(mask)
        np.testing.assert_array_equal(numbers, mask)
        np.testing.assert_array_equal(boxes[0], [(0,) * mask.ndim, mask.shape])


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
