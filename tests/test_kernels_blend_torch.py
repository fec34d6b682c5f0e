"""Poisson blending and smooth change in batches of padded windows, against their reference and compiled twins."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from phantoms import field

from synthanom.errors import SynthanomError
from synthanom.kernels import poisson, smooth_change
from synthanom.kernels.poisson import gpu as poisson_gpu
from synthanom.kernels.poisson import reference as poisson_reference
from synthanom.kernels.smooth_change import gpu as change_gpu
from synthanom.kernels.smooth_change import reference as change_reference
from synthanom.kernels.windows import gpu as windows_gpu

SEEDS = st.integers(0, 10**6)
DIMS = st.sampled_from([2, 3])
JUNK = st.sampled_from([np.nan, 1e30, -np.inf])
BOTH = pytest.mark.parametrize("dims", [2, 3])


def sides(rng, dims, low, high):
    return tuple(int(n) for n in rng.integers(low, high, dims))


def as_box(values, dims):
    """An array (..., *box) with an axis of length 1 before two spatial ones."""
    return values if dims == 3 else values[..., None, :, :]


def windows(boxes, padded, fill, dims):
    """Boxes (..., *box) of different sizes as one tensor (N, ..., *padded), `fill` in the padding."""
    whole = [as_box(b, dims) for b in boxes]
    out = np.full((len(boxes), *whole[0].shape[:-3], *padded), fill, whole[0].dtype)
    for window, b in zip(out, whole, strict=True):
        window[..., : b.shape[-3], : b.shape[-2], : b.shape[-1]] = b
    return torch.from_numpy(out)


def unpadded(out, boxes, dims):
    """What each box holds of windows (N, C, *padded)."""
    for window, b in zip(out.numpy(), boxes, strict=True):
        size = as_box(b, dims).shape[-3:]
        part = window[..., : size[0], : size[1], : size[2]]
        yield part if dims == 3 else part[..., 0, :, :]


class Batch:
    """Boxes to be blended, of random sizes, and their windows."""

    def __init__(self, seed, dims, channels=1, *, count=4, low=3, high=12, fill=np.nan):
        rng = np.random.default_rng(seed)
        self.dims = dims
        sizes = [sides(rng, dims, low, high) for _ in range(count)]
        self.target = [rng.standard_normal((channels, *s)).astype(np.float32) for s in sizes]
        self.donor = [rng.standard_normal((channels, *s)).astype(np.float32) for s in sizes]
        self.region = [rng.random(s) < 0.7 for s in sizes]
        self.mixed = rng.random(count) < 0.5
        self.mixed[:2] = True, False
        self.limits = [np.sort(rng.standard_normal((2, channels)), axis=0) for _ in sizes]
        self.padded = tuple(as_box(np.empty([max(n) + 2 for n in zip(*sizes, strict=True)]), dims).shape)
        self.size = torch.tensor([as_box(r, dims).shape for r in self.region])
        self.fill = fill

    def blend(self, *, limits=False):
        return poisson_gpu.blend_boxes(
            windows(self.target, self.padded, self.fill, self.dims),
            windows(self.donor, self.padded, self.fill, self.dims),
            windows(self.region, self.padded, True, self.dims),
            self.size,
            flat=self.dims == 2,
            mixed=torch.from_numpy(self.mixed),
            limits=torch.from_numpy(np.stack(self.limits)) if limits else None,
        )

    def items(self):
        return zip(self.target, self.donor, self.region, self.mixed.tolist(), strict=True)


# ------------------------------------------------------------------ Poisson blending
@given(seed=SEEDS, dims=DIMS, channels=st.sampled_from([1, 2]), fill=JUNK)
@settings(max_examples=12, deadline=None)
def test_blending_a_batch_equals_the_references_one_by_one(seed, dims, channels, fill):
    batch = Batch(seed, dims, channels, high=9, fill=fill)
    outs = list(unpadded(batch.blend(), batch.region, dims))
    for out, (target, donor, region, mixed) in zip(outs, batch.items(), strict=True):
        expected = poisson_reference.blend(target, donor, region, (0,) * dims, mixed=mixed)
        np.testing.assert_allclose(out, expected, atol=5e-6)


@given(seed=SEEDS, dims=DIMS, channels=st.sampled_from([1, 2, 3]))
@settings(max_examples=12, deadline=None)
def test_blending_a_batch_equals_the_compiled_twin(seed, dims, channels):
    batch = Batch(seed, dims, channels, low=1, high=30)
    outs = list(unpadded(batch.blend(limits=True), batch.region, dims))
    for out, (target, donor, region, mixed), limits in zip(outs, batch.items(), batch.limits, strict=True):
        expected = poisson.blend_box(target, donor, region, mixed=mixed, limits=limits)
        np.testing.assert_allclose(out, expected, atol=1e-5)


@BOTH
def test_a_batch_equals_its_boxes_one_by_one(dims):
    batch = Batch(3, dims, 2, high=25)
    outs = list(unpadded(batch.blend(), batch.region, dims))
    for out, (target, donor, region, mixed) in zip(outs, batch.items(), strict=True):
        tensors = [torch.from_numpy(a.copy()) for a in (target, donor, region)]
        alone = poisson.blend(*tensors, (0,) * dims, mixed=mixed)
        np.testing.assert_allclose(out, alone.numpy(), atol=1e-5)


@BOTH
@pytest.mark.parametrize("fill", [np.nan, 1e30])
def test_faces_and_padding_stay_as_they_are(dims, fill):
    batch = Batch(5, dims, 2, fill=fill)
    target = windows(batch.target, batch.padded, fill, dims).numpy()
    out = batch.blend(limits=True).numpy()
    for n, region in enumerate(batch.region):
        kept = np.ones(batch.padded, bool)
        kept[tuple(slice(0, 1) if dims == 2 and a == 0 else slice(1, s - 1) for a, s in enumerate(batch.size[n]))] = (
            False
        )
        np.testing.assert_array_equal(out[n][:, kept], target[n][:, kept])
        assert (out[n][:, ~kept] != target[n][:, ~kept]).any(), "the inner voxels did change"
        assert region.any()


@BOTH
def test_a_wide_range_of_sizes_in_one_batch(dims):
    # sides odd and even, the longest 60 times the shortest; a product's padding must be exactly 0
    shapes = [(3, 3, 60), (21, 34, 5), (4, 3, 3), (12, 12, 12)] if dims == 3 else [(3, 90), (64, 5), (3, 3), (31, 32)]
    batch = Batch(0, dims)
    target = [field(s, 1, k, smooth=1) for k, s in enumerate(shapes)]
    donor = [field(s, 1, k + 9, smooth=1) for k, s in enumerate(shapes)]
    region = [np.ones(s, bool) for s in shapes]
    padded = tuple(as_box(np.empty([max(n) for n in zip(*shapes, strict=True)]), dims).shape)
    out = poisson_gpu.blend_boxes(
        *(windows(a, padded, np.nan, dims) for a in (target, donor)),
        windows(region, padded, True, dims),
        torch.tensor([as_box(r, dims).shape for r in region]),
        flat=dims == 2,
        mixed=torch.from_numpy(batch.mixed),
    )
    for one, t, d, r, m in zip(unpadded(out, region, dims), target, donor, region, batch.mixed.tolist(), strict=True):
        expected = poisson_reference.blend(t, d, r, (0,) * dims, mixed=m)
        np.testing.assert_allclose(one, expected, atol=1e-5 * max(1, np.ptp(t)))


@given(seed=SEEDS, dims=DIMS)
@settings(max_examples=15, deadline=None)
def test_the_discrete_equation_holds_to_rounding(seed, dims):
    batch = Batch(seed, dims, count=3, high=20)
    outs = list(unpadded(batch.blend(), batch.region, dims))
    for out, (target, donor, region, mixed) in zip(outs, batch.items(), strict=True):
        inner = (slice(1, -1),) * dims
        mask = np.zeros_like(region)
        mask[inner] = region[inner]
        residual = np.zeros(region.shape)
        for axis in range(dims):
            low, high = (
                tuple(part if a == axis else slice(None) for a in range(dims))
                for part in (slice(0, -1), slice(1, None))
            )
            g, d = (np.diff(a[0].astype(float), axis=axis) for a in (target, donor))
            v = np.where(mask[low] & ~(mixed & (np.abs(g) >= np.abs(d))), d, g)
            excess = np.diff(out[0].astype(float), axis=axis) - v
            residual[low] += excess
            residual[high] -= excess
        assert np.abs(residual[inner]).max(initial=0.0) < 2e-5


@BOTH
def test_ties_keep_the_targets_gradient_item_by_item(dims):
    shape = (14,) * dims
    target = field(shape, 2, 0)
    both = torch.from_numpy(as_box(np.stack([target, target]), dims))
    out = poisson_gpu.blend_boxes(
        both,
        -both,
        torch.ones((2, *both.shape[2:]), dtype=torch.bool),
        torch.tensor([both.shape[2:]] * 2),
        flat=dims == 2,
        mixed=torch.tensor([True, False]),
    )
    np.testing.assert_array_equal(out[0].numpy(), both[0].numpy())
    assert (out[1] - both[1]).abs().max() > 0.1


@pytest.mark.parametrize("closer", [0, 1])
def test_gradients_that_only_float64_tells_apart_are_chosen_as_by_the_compiled_twin(closer):
    # 1 + 2^-25 and 1 + 2^-24 both round to 1 in float32; the signs differ, so a wrong choice would show
    small = np.float32([[2**-25, 2**-24], [2**-24, 2**-25]])[closer]
    target, donor = np.zeros((1, 5, 5), np.float32), np.zeros((1, 5, 5), np.float32)
    target[0, :, 2], target[0, :, 3:] = -small[0], 1
    donor[0, :, 2], donor[0, :, 3:] = small[1], -1
    region = np.ones((5, 5), bool)
    expected = poisson.blend(target, donor, region, (0, 0))
    np.testing.assert_allclose(expected, poisson_reference.blend(target, donor, region, (0, 0)), atol=1e-6)
    out = poisson.blend(*(torch.from_numpy(a.copy()) for a in (target, donor, region)), (0, 0))
    np.testing.assert_allclose(out.numpy(), expected, atol=1e-6)
    assert (np.abs(expected - target).max() > 0.1) == (closer == 0)


def test_a_constant_added_to_the_donor_changes_nothing():
    target = torch.from_numpy(field((20, 22), 1, 0))
    region = torch.ones((20, 22), dtype=torch.bool)
    out = poisson.blend(target, target + 3000, region, (0, 0), mixed=False)
    rounded = poisson.blend_box(target.numpy(), (target + 3000).numpy(), region.numpy(), mixed=False)
    np.testing.assert_allclose(out.numpy(), rounded, atol=5e-6)


@BOTH
def test_boxes_without_inner_voxels_stay(dims):
    batch = Batch(1, dims, 2, low=1, high=3)
    target = windows(batch.target, batch.padded, np.nan, dims)
    np.testing.assert_array_equal(batch.blend(limits=True).numpy(), target.numpy())
    picture = torch.from_numpy(field((16,) * dims, 2))
    for box in ((1, 5, 4), (2, 2, 2), (5, 2, 9)):
        patch = torch.from_numpy(field(box[:dims], 2, 3, smooth=0.5))
        out = poisson.blend(picture, patch, torch.ones(box[:dims], dtype=torch.bool), (3,) * dims)
        np.testing.assert_array_equal(out.numpy(), picture.numpy())


def test_no_boxes_at_all():
    none = torch.zeros((0, 2, 1, 6, 7))
    empty = torch.zeros((0, 1, 6, 7), dtype=torch.bool)
    size = torch.zeros((0, 3), dtype=torch.int64)
    assert poisson_gpu.blend_boxes(none, none, empty, size, flat=True, mixed=size[:, 0] > 0).shape == none.shape
    assert change_gpu.squared_depth(empty, 3, flat=True).shape == empty.shape


@BOTH
def test_inner_voxels_are_clipped_per_item_and_channel(dims):
    batch = Batch(8, dims, 2, high=10)
    free, out = (list(unpadded(batch.blend(limits=on), batch.region, dims)) for on in (False, True))
    inner = (slice(1, -1),) * dims
    for one, other, limits in zip(free, out, batch.limits, strict=True):
        for c in range(2):
            low, high = limits[:, c].astype(np.float32)
            np.testing.assert_array_equal(other[c][inner], one[c][inner].clip(low, high))
            assert (other[c][inner] == low).any() or (other[c][inner] == high).any()
            np.testing.assert_array_equal(other[c][0], one[c][0])


@given(seed=SEEDS, dims=DIMS, channels=st.sampled_from([1, 2, 3]), fill=JUNK)
@settings(max_examples=25, deadline=None)
def test_changed_voxels_are_those_of_the_compiled_twin(seed, dims, channels, fill):
    batch = Batch(seed, dims, channels, low=1, fill=fill)
    rng = np.random.default_rng(seed)
    after, threshold = [], rng.uniform(0.0005, 0.002, len(batch.target))
    for n, target in enumerate(batch.target):
        step = rng.choice([0.0, threshold[n], 2 * threshold[n]], target.shape)
        after.append((target + step * rng.choice([-1, 1], target.shape)).astype(np.float32))
    threshold[0] = np.abs(after[0].astype(float) - batch.target[0]).mean(axis=0).max()  # not exceeded by itself
    region = [r & (rng.random(r.shape) < 0.2) for r in batch.region]
    out = poisson_gpu.changed(
        *(windows(a, batch.padded, fill, dims) for a in (batch.target, after)),
        windows(region, batch.padded, True, dims),
        windows_gpu.inside(batch.size, batch.padded),
        torch.from_numpy(threshold),
    )
    assert out.sum() == sum(int(part.sum()) for part in unpadded(out, region, dims)), "nothing in the padding"
    for n, part in enumerate(unpadded(out, region, dims)):
        expected = poisson.changed(batch.target[n], after[n], region[n], threshold[n])
        np.testing.assert_array_equal(part, expected)


def test_products_keep_their_precision_where_the_device_rounds_them(monkeypatch):
    product = torch.matmul

    def blended():
        return Batch(0, 3, fill=0.0).blend()

    exact = blended()

    def rounding(one, other):  # as a device does that takes TF32
        return product(windows_gpu.split(one)[0], windows_gpu.split(other)[0])

    monkeypatch.setattr(torch, "matmul", rounding)
    assert (blended() - exact).abs().max() > 1e-4, "it shows"
    monkeypatch.setattr(windows_gpu, "tf32_allowed", lambda device: True)
    assert (blended() - exact).abs().max() < 5e-6


def test_the_setting_of_tf32_is_read_by_either_name(monkeypatch):
    cuda = torch.device("cuda")
    for setting, allowed in (
        (SimpleNamespace(fp32_precision="tf32"), True),
        (SimpleNamespace(fp32_precision="ieee"), False),
        (SimpleNamespace(fp32_precision="none"), False),
        (SimpleNamespace(allow_tf32=True), True),
        (SimpleNamespace(allow_tf32=False), False),
    ):
        monkeypatch.setattr(torch.backends.cuda, "matmul", setting)
        assert windows_gpu.tf32_allowed(cuda) is allowed and not windows_gpu.tf32_allowed(torch.device("cpu"))


def test_autocast_does_not_reach_the_products():
    batch = Batch(4, 3, 2)
    plain = batch.blend()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        np.testing.assert_array_equal(batch.blend().numpy(), plain.numpy())


# ------------------------------------------------------------------ smooth change
@given(seed=SEEDS, dims=DIMS, reach=st.sampled_from([1, 2, 3, 5, 9, 40]))
@settings(max_examples=40, deadline=None)
def test_depths_of_any_mask_are_exact_up_to_the_reach(seed, dims, reach):
    rng = np.random.default_rng(seed)
    masks = [rng.random(sides(rng, dims, 1, 14 if dims == 2 else 9)) < rng.uniform(0.4, 1.0) for _ in range(3)]
    masks.append(np.ones_like(masks[0]))
    padded = tuple(as_box(np.empty([max(n) for n in zip(*(m.shape for m in masks), strict=True)]), dims).shape)
    region = windows(masks, padded, False, dims)
    out = change_gpu.squared_depth(region, reach, flat=dims == 2)
    assert out.dtype == torch.int32 and out.shape == region.shape
    limits = torch.from_numpy(rng.uniform(0.3, 1.0, 4) * reach)
    deepest = change_gpu.largest_depth(out, limits)
    for n, (part, mask) in enumerate(zip(unpadded(out, masks, dims), masks, strict=True)):
        expected = np.rint(change_reference.depth(mask) ** 2).astype(int)
        exact = expected <= reach**2
        np.testing.assert_array_equal(part[exact], expected[exact])
        assert (part[~exact] >= reach**2).all()
        assert deepest[n].item() == smooth_change.largest_depth(mask, limit=limits[n].item())


@BOTH
def test_deep_regions_need_more_than_one_round_of_shifts_and_wide_numbers(dims):
    for side, reach in ((81, 39), (81, 40), (291, 140)) if dims == 2 else ((35, 16), (39, 20)):
        mask = np.ones((side,) * dims, bool)
        mask[(side // 3,) * dims] = False
        out = change_gpu.squared_depth(torch.from_numpy(as_box(mask, dims)[None]), reach, flat=dims == 2)
        expected = smooth_change.squared_depth(mask)
        np.testing.assert_array_equal(
            np.minimum(out.numpy().reshape(mask.shape), reach**2), expected.clip(max=reach**2)
        )


def test_one_layer_of_a_volume_is_no_picture():
    region = torch.ones((1, 1, 9, 9), dtype=torch.bool)
    assert change_gpu.squared_depth(region, 9, flat=False).max() == 1
    assert change_gpu.squared_depth(region, 9, flat=True).max() == 25


@given(seed=SEEDS, dims=DIMS, channels=st.sampled_from([1, 2]), fill=JUNK)
@settings(max_examples=20, deadline=None)
def test_ramps_of_a_batch_equal_the_compiled_twins_and_the_references(seed, dims, channels, fill):
    batch = Batch(seed, dims, channels, low=1, high=9, fill=fill)
    rng = np.random.default_rng(seed)
    ramp = rng.choice([1e-300, 0.4, 1.0, 2.3, 4.0, 50.0, 1e300], 4)
    change = rng.standard_normal((4, channels))
    region = windows(batch.region, batch.padded, False, dims)
    squared = change_gpu.squared_depth(region, 50, flat=dims == 2)
    values = windows(batch.target, batch.padded, fill, dims)
    limits = torch.from_numpy(np.stack(batch.limits))
    out = change_gpu.add_ramp(values, squared, torch.from_numpy(ramp), torch.from_numpy(change), limits)
    kept = ~region.unsqueeze(1).expand_as(values).numpy()
    np.testing.assert_array_equal(out.numpy()[kept], values.numpy()[kept])
    for n, part in enumerate(unpadded(out, batch.region, dims)):
        target, mask = batch.target[n], batch.region[n]
        expected = smooth_change.change_box(target, mask, float(ramp[n]), change[n], batch.limits[n])
        np.testing.assert_allclose(part, expected, atol=1e-6)
        expected = change_reference.apply(target, mask, (0,) * dims, ramp[n], change[n], batch.limits[n])
        np.testing.assert_allclose(part, expected, atol=1e-6)


def test_a_slab_is_the_closed_form_on_a_tensor():
    image = torch.zeros((1, 12, 20))
    out = smooth_change.apply(image, torch.ones((12, 9), dtype=torch.bool), (0, 5), 3.0, [0.6], limits=[[-1], [1]])
    one, other = (torch.minimum(torch.arange(1, n + 1), torch.arange(n, 0, -1)) for n in (9, 12))
    depth = torch.minimum(one[None], other[:, None])
    np.testing.assert_allclose(out[0, :, 5:14], 0.6 * (depth / 3).clamp(max=1), atol=1e-6)
    assert (out[0, :, :5] == 0).all() and (out[0, :, 14:] == 0).all()


# ------------------------------------------------------------------ faces
@BOTH
def test_faces_take_tensors_arrays_and_sequences(dims):
    shape, box, corner = (22, 18, 20)[:dims], (9, 8, 11)[:dims], (5, 4, 6)[:dims]
    image, patch = field(shape, 2, 0), field(box, 2, 4, smooth=1)
    mask = np.ones(box, bool)
    mask[(slice(0, 3),) * dims] = False
    change, limits = [0.7, -0.9], [[-1.0, -1.5], [1.0, 1.5]]
    tensor, region = torch.from_numpy(image.copy()), torch.from_numpy(mask.copy())
    for wide in (tensor, tensor.double(), tensor.clone().requires_grad_()):
        own = torch.from_numpy(patch.copy()).to(wide.dtype).requires_grad_(wide.requires_grad)
        out = poisson.blend(wide, own, region, torch.tensor(corner))
        assert out.dtype == torch.float32 and not out.requires_grad and out.device == wide.device
        np.testing.assert_allclose(out.numpy(), poisson.blend(image, patch, mask, corner), atol=3e-6)
        outside = np.ones(shape, bool)
        outside[tuple(slice(c + 1, c + n - 1) for c, n in zip(corner, box, strict=True))] = False
        np.testing.assert_array_equal(out.numpy()[:, outside], image[:, outside])
        for kind in (list, np.array, torch.tensor, lambda v: torch.tensor(v, dtype=torch.float32)):
            for bounds in (None, limits):
                own = None if bounds is None else kind(bounds)
                out = smooth_change.apply(wide, region, np.array(corner), 2.5, kind(change), own)
                assert out.dtype == torch.float32 and not out.requires_grad
                expected = smooth_change.apply(image, mask, corner, 2.5, change, bounds)
                np.testing.assert_allclose(out.numpy(), expected, atol=1e-6)
                assert (expected != image).any()
    patch.flags.writeable = mask.flags.writeable = False  # arrays beside a tensor, and not even writeable ones
    out = poisson.blend(tensor, patch[:, ::-1], mask[::-1], corner)
    np.testing.assert_allclose(out, poisson.blend(image, patch[:, ::-1], mask[::-1], corner), atol=3e-6)
    assert isinstance(smooth_change.apply(tensor, mask, corner, 2.0, change), torch.Tensor)


def test_tensors_meet_the_same_errors_as_arrays():
    image, mask = field((16, 16)), np.ones((5, 5), bool)

    def blend(target, donor, region, corner=(3, 3)):
        return lambda of: poisson.blend(of(target), of(donor), of(region), corner)

    def apply(target, region, corner=(3, 3), ramp=2.0, change=(0.5,), limits=None):
        return lambda of: smooth_change.apply(of(target), of(region), corner, ramp, change, limits)

    calls = [
        blend(image, field((5, 6)), mask),
        blend(image, field((5, 5), 2), mask),
        blend(image, field((5, 5)), mask, (13, 3)),
        blend(image, field((5, 5)), mask, (-1, 3)),
        blend(image, field((5, 5)), mask.astype(np.float32)),
        blend(image[0], field((5, 5)), mask),
        blend(image.astype(np.float16), field((5, 5)), mask),
        apply(image, mask, (13, 3)),
        apply(image, mask.astype(np.uint8)),
        apply(image[0], mask),
        apply(image.astype(np.int32), mask),
        apply(image, mask, ramp=0.0),
        apply(image, mask, ramp=np.nan),
        apply(image, mask, ramp=np.inf),
        apply(image, mask, change=(1.0, 2.0)),
        apply(image, mask, limits=[[1.0, 2.0], [3.0, 4.0]]),
        apply(image, mask, limits=[0.0, 1.0]),
    ]
    for call in calls:
        words = []
        for of in (np.ascontiguousarray, lambda a: torch.from_numpy(np.ascontiguousarray(a))):
            with pytest.raises(SynthanomError) as caught:
                call(of)
            words.append(str(caught.value))
        assert words[0] == words[1]
    with pytest.raises(SynthanomError, match="numpy array or a torch tensor"):
        poisson.blend(torch.from_numpy(image), [[1.0]], torch.from_numpy(mask), (3, 3))


@BOTH
def test_inputs_are_never_written(dims):
    batch = Batch(6, dims, 2, fill=0.0)
    tensors = [windows(a, batch.padded, 0, dims) for a in (batch.target, batch.donor, batch.region)]
    numbers = [
        batch.size,
        torch.from_numpy(batch.mixed),
        torch.from_numpy(np.stack(batch.limits)),
        torch.tensor([0.5, 1.5, 2.5, 30.0], dtype=torch.float64),
        torch.ones((4, 2), dtype=torch.float64),
        change_gpu.squared_depth(tensors[2], 5, flat=dims == 2),
        windows_gpu.inside(batch.size, batch.padded),
    ]
    kept = [t.clone() for t in (*tensors, *numbers)]
    target, donor, region = tensors
    size, mixed, limits, ramp, change, squared, inside = numbers
    poisson_gpu.blend_boxes(target, donor, region, size, flat=dims == 2, mixed=mixed, limits=limits)
    poisson_gpu.changed(target, donor, region, inside, ramp)
    change_gpu.squared_depth(region, 4, flat=dims == 2)
    change_gpu.largest_depth(squared, ramp)
    change_gpu.add_ramp(target, squared, ramp, change, limits)
    corner = (0,) * dims
    own = [t[0] if dims == 3 else t[0].squeeze(-3) for t in tensors]
    poisson.blend(*own, corner)
    smooth_change.apply(own[0], own[2], corner, 2.0, change[0], limits[0])
    for now, before in zip((*tensors, *numbers), kept, strict=True):
        assert torch.equal(now, before)
