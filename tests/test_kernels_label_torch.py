"""The label's batched kernels: components, closing and filling, and the whole, against their definitions."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from phantoms import CASES, ellipsoid, field
from scipy import ndimage
from torch import Tensor

from synthanom.errors import SynthanomError
from synthanom.kernels import components, grey_reconstruct, soft_label
from synthanom.kernels.components import gpu as components_gpu
from synthanom.kernels.components import reference as components_reference
from synthanom.kernels.grey_reconstruct import gpu as reconstruct_gpu
from synthanom.kernels.grey_reconstruct import reference as reconstruct_reference
from synthanom.kernels.soft_label import gpu as label_gpu
from synthanom.kernels.soft_label import reference as label_reference
from synthanom.kernels.windows.grouping import similar
from synthanom.labels import FlippedGaussian

SEEDS = st.integers(0, 10**6)
SHAPES = {2: [(9, 21), (3, 3), (14, 6), (5, 17), (1, 8)], 3: [(5, 6, 11), (3, 3, 3), (9, 4, 5), (6, 9, 3), (2, 7, 1)]}


def volume(array: np.ndarray, dims: int) -> np.ndarray:
    """An array whose last axes are spatial, of pictures with an axis of length 1 before those."""
    return array if dims == 3 else array[..., None, :, :]


def stacked(arrays: list[np.ndarray], fill: float, more: int = 0) -> Tensor:
    """Boxes (..., Z, Y, X) of any sizes as one padded batch (N, ..., *P), `more` voxels larger than it must be."""
    sides = [max(a.shape[-3 + axis] for a in arrays) for axis in range(3)]
    sides = [n + (more if n > 1 else 0) for n in sides]
    out = np.full((len(arrays), *arrays[0].shape[:-3], *sides), fill, dtype=arrays[0].dtype)
    for k, a in enumerate(arrays):
        out[(k, ..., *(slice(0, n) for n in a.shape[-3:]))] = a
    return torch.from_numpy(out)


def sizes_of(arrays: list[np.ndarray]) -> Tensor:
    return torch.tensor([a.shape[-3:] for a in arrays])


def unpadded(batch: Tensor, arrays: list[np.ndarray]) -> list[np.ndarray]:
    """The boxes of a padded batch, in the sizes of `arrays`."""
    return [batch[k].numpy()[(..., *(slice(0, n) for n in a.shape[-3:]))] for k, a in enumerate(arrays)]


def spiral(side: int) -> np.ndarray:
    """A path of one voxel's width that winds to the middle between walls of one voxel: bool (side, side)."""
    out = np.zeros((side, side), bool)
    out[0] = True
    low, high, y, x = 0, side - 1, 0, side - 1
    while high - low >= 2:
        out[y : high + 1, x] = True
        out[high, low : x + 1] = True
        out[low + 2 : high + 1, low] = True
        out[low + 2, low : high - 1] = True
        y, x, low, high = low + 2, high - 2, low + 2, high - 2
    return out


def serpentine(legs: int, width: int, height: int, length: int) -> np.ndarray:
    """A corridor that runs left and right in turn, `width` voxels wide, `height` from leg to leg: bool."""
    out = np.zeros((height * legs, length), bool)
    for leg in range(legs):
        out[height * leg : height * leg + width, width:-width] = True
        side = slice(-2 * width, -width) if leg % 2 == 0 else slice(width, 2 * width)
        if leg + 1 < legs:
            out[height * leg : height * (leg + 1), side] = True
    return out


# ------------------------------------------------------------------ sweeps
def swept(level, floor):
    """The definition: along the last axis, forth and back."""
    out = level.copy()
    for order in (range(1, out.shape[-1]), range(out.shape[-1] - 2, -1, -1)):
        step = 1 if order.step == 1 else -1
        for x in order:
            out[..., x] = np.maximum(np.minimum(out[..., x], out[..., x - step]), floor[..., x])
    return out


@given(seed=SEEDS, axis=st.sampled_from([1, 2, 3]), count=st.integers(1, 40), whole=st.booleans())
@settings(max_examples=50, deadline=None)
def test_a_sweep_equals_its_definition(seed, axis, count, whole):
    rng = np.random.default_rng(seed)
    floor = rng.integers(0, 9, (2, 3, 2, count))
    level = floor + rng.integers(0, 9, floor.shape) * (rng.random(floor.shape) < 0.8)
    kind = np.int32 if whole else np.float32
    floor, level = floor.astype(kind), level.astype(kind)
    turned = [torch.from_numpy(np.moveaxis(a, 3, axis).copy()) for a in (level, floor)]
    reconstruct_gpu.sweep(turned[0], torch.empty_like(turned[0]), reconstruct_gpu.ridges(turned[1], axis), axis)
    np.testing.assert_array_equal(np.moveaxis(turned[0].numpy(), axis, 3), swept(level, floor))


# ------------------------------------------------------------------ closing and filling
def check_filled(arrays, dims, more=0, fill=0.0):
    """Close and fill boxes as one batch: equal to the definition, with nothing of the padding in or out."""
    boxes = [volume(a, dims) for a in arrays]
    batch = stacked(boxes, fill, more)
    kept = batch.clone()
    out = reconstruct_gpu.close_and_fill(batch, sizes_of(boxes), flat=dims == 2)
    assert out.dtype == torch.float32
    torch.testing.assert_close(batch, kept, rtol=0, atol=0, equal_nan=True)
    for mine, a in zip(unpadded(out, boxes), arrays, strict=True):
        expected = reconstruct_reference.close_and_fill(a).astype(np.float32)
        np.testing.assert_array_equal(mine.reshape(a.shape), expected)
        np.testing.assert_array_equal(grey_reconstruct.close_and_fill(a), expected)
    inside = stacked([np.ones(b.shape, bool) for b in boxes], False, more)
    assert (out[~inside] == 0).all()


@given(
    seed=SEEDS,
    dims=st.sampled_from([2, 3]),
    levels=st.sampled_from([0, 2, 5]),
    more=st.integers(0, 2),
    fill=st.sampled_from([np.nan, np.inf, -np.inf, 1e30, -1e30]),
)
@settings(max_examples=60, deadline=None)
def test_boxes_of_many_sizes_are_filled_at_once(seed, dims, levels, more, fill):
    rng = np.random.default_rng(seed)
    arrays = [rng.random(rng.integers(3, 12, dims)).astype(np.float32) for _ in range(4)]
    if levels:
        arrays = [np.round(a * levels) / np.float32(levels) for a in arrays]
    check_filled(arrays, dims, more, fill)


@pytest.mark.parametrize("fill", [np.nan, 1e30, -np.inf])
def test_padding_takes_no_part_in_the_reconstruction(fill):
    rng = np.random.default_rng(0)
    arrays = [rng.random(shape).astype(np.float32) for shape in SHAPES[3][:4]]
    size, inside = sizes_of(arrays), stacked([np.ones(a.shape, bool) for a in arrays], False, 2)
    out = reconstruct_gpu.reconstruct(stacked(arrays, fill, 2), size, flat=False)
    for mine, a in zip(unpadded(out, arrays), arrays, strict=True):
        alone = reconstruct_gpu.reconstruct(torch.from_numpy(a)[None], torch.tensor([a.shape]), flat=False)[0]
        np.testing.assert_array_equal(mine, alone.numpy())
        assert (mine >= a).all() and mine.max() <= a.max()
    assert torch.isinf(out[~inside]).all()


@given(seed=SEEDS, shape=st.sampled_from([(31, 26), (12, 9, 11)]), walls=st.floats(0.2, 0.8))
@settings(max_examples=30, deadline=None)
def test_mazes_reach_the_fixed_point(seed, shape, walls):
    rng = np.random.default_rng(seed)
    arrays = []
    for _ in range(2):
        coarse = rng.random(shape) < walls  # walls three voxels apart: the closing leaves corridors open
        maze = np.kron(coarse, np.ones((3,) * len(shape)))[tuple(slice(0, n) for n in shape)] > 0
        values = np.where(maze, rng.integers(6, 9, shape), rng.integers(0, 4, shape)).astype(np.float32)
        arrays.append(values - np.float32(3))
    check_filled(arrays, len(shape), 1, np.nan)


def test_corridors_drain_to_their_ends():
    corridor = serpentine(7, 4, 6, 46)
    values = np.where(np.pad(corridor, 4), 0.2, 1.0).astype(np.float32)
    values[:5, 8:12] = 0.2  # the way in, through the box's face
    wound = np.kron(np.pad(spiral(15), 1), np.ones((3, 3)))
    arrays = [values, values.T.copy(), np.where(wound > 0, 0.1, 0.9).astype(np.float32)]
    arrays[2][:4, 3:6] = 0.1
    check_filled(arrays, 2)
    out = reconstruct_gpu.close_and_fill_box(torch.from_numpy(values))
    assert out[-14, 20] == np.float32(0.2), "the far end drains through the whole corridor"


def test_a_straight_way_may_be_longer_than_most_sweeps_look():
    values = np.ones((3, 9, 200), np.float32)
    values[:, 3:6, 3:] = 0.5
    check_filled([values, values[:, :, ::-1].copy(), np.ones((3, 3, 3), np.float32)], 3)


def test_the_face_takes_tensors_and_refuses_small_ones():
    for shape in ((9, 12), (5, 6, 7)):
        values = np.random.default_rng(0).random(shape).astype(np.float32)
        tensor = torch.from_numpy(values.copy())
        out = grey_reconstruct.close_and_fill(tensor)
        np.testing.assert_array_equal(out.numpy(), grey_reconstruct.close_and_fill(values))
        np.testing.assert_array_equal(tensor.numpy(), values)
        turned = grey_reconstruct.close_and_fill(tensor.mT)  # not contiguous
        np.testing.assert_array_equal(turned.numpy(), grey_reconstruct.close_and_fill(values.swapaxes(-1, -2)))
    with pytest.raises(SynthanomError, match="at least 3"):
        grey_reconstruct.close_and_fill(torch.zeros(2, 5))


# ------------------------------------------------------------------ components
def check_components(masks, dims, more=0):
    """Number the components of masks as one batch: equal to the definition and the compiled twin."""
    boxes = [volume(m, dims) for m in masks]
    batch = stacked(boxes, False, more)
    kept = batch.clone()
    numbers, window, box = components_gpu.label(batch)
    assert numbers.dtype == torch.int32 and torch.equal(batch, kept) and not numbers[~batch].any()
    before = 0
    for k, (mine, mask) in enumerate(zip(unpadded(numbers, boxes), masks, strict=True)):
        expected, tight = components_reference.label(mask)
        np.testing.assert_array_equal(components.label(mask)[0], expected)
        np.testing.assert_array_equal(mine, volume(np.where(expected > 0, expected + before, 0), dims))
        rows = window == k
        assert rows.sum() == len(tight)
        np.testing.assert_array_equal(box[rows][:, :, 3 - dims :].numpy(), tight)
        if dims == 2:
            assert (box[rows][:, 0, 0] == 0).all() and (box[rows][:, 1, 0] == 1).all()
        before += len(tight)


@given(seed=SEEDS, dims=st.sampled_from([2, 3]), density=st.floats(0, 1), more=st.integers(0, 1))
@settings(max_examples=50, deadline=None)
def test_components_equal_their_reference(seed, dims, density, more):
    rng = np.random.default_rng(seed)
    check_components([rng.random(shape) < density for shape in SHAPES[dims]], dims, more)


def test_components_that_meet_late_are_one():
    comb = np.zeros((9, 40), bool)
    comb[:-1, ::2] = True
    comb[-1] = True  # twenty teeth, joined in the last row only
    winding = serpentine(9, 1, 2, 40)
    masks = [comb, comb[::-1], spiral(23), ~spiral(23), spiral(22)[::-1, ::-1], winding, winding[::-1, ::-1], winding.T]
    check_components([np.ascontiguousarray(m) for m in masks], 2)
    stack = np.zeros((7, *comb.shape), bool)  # layers joined at alternate ends
    stack[::2] = winding[:9]
    stack[1::4, 0, 1], stack[3::4, 0, 30] = True, True
    check_components([stack, stack.swapaxes(0, 1).copy(), stack[::-1, ::-1, ::-1].copy()], 3)
    path = torch.from_numpy(spiral(23))[None, None]
    assert components_gpu.label(path)[1].tolist() == [0], "the spiral is one path"


def test_nothing_marked_and_no_windows():
    for count in (0, 2):
        region = torch.zeros(count, 3, 4, 5, dtype=torch.bool)
        numbers, window, box = components_gpu.label(region)
        assert numbers.shape == region.shape and numbers.dtype == torch.int32 and not numbers.any()
        assert (len(window), tuple(box.shape)) == (0, (0, 2, 3))


def test_neighbouring_windows_do_not_join():
    full = np.ones((3, 4, 5), bool)
    check_components([full, full, full[:, :2], full], 3)
    check_components([full[0], full[0], full[0]], 2)


# ------------------------------------------------------------------ the whole label
def drawn_box(rng, shape, channels, smooth):
    """(before, after, region) of a box, the region's components many or few."""
    if smooth and min(shape) >= 4:
        region = ndimage.gaussian_filter(rng.standard_normal(shape), 1.0) > rng.uniform(-0.2, 0.2)
    else:
        region = rng.random(shape) < rng.random()
    before, after = rng.random((2, channels, *shape), dtype=np.float32)
    if smooth:  # a few plateaus, one of them unchanged
        after = before + np.float32(0.3) * np.round(2 * rng.random(after.shape, dtype=np.float32))
    return before, after, region


def check_labels(cases, dims, sigma=0.3, *, fill=True, padding=0.0, more=0):
    """Label boxes as one batch: equal to the definition and the compiled twin, and inputs stay as they were."""
    parts = [[volume(case[k], dims) for case in cases] for k in range(3)]
    batch = [stacked(parts[0], padding, more), stacked(parts[1], -padding, more), stacked(parts[2], False, more)]
    kept = [b.clone() for b in batch]
    label, peak = label_gpu.label_boxes(*batch, sigma, fill=fill, flat=dims == 2)
    assert label.dtype == torch.float32 and peak.dtype == torch.float32 and peak.shape == (len(cases),)
    for b, k in zip(batch, kept, strict=True):
        torch.testing.assert_close(b, k, rtol=0, atol=0, equal_nan=True)
    inside = stacked([np.ones(r.shape, bool) for r in parts[2]], False, more)
    assert (label[~inside] == 0).all()
    labels = unpadded(label, parts[2])
    for (before, after, region), mine, largest in zip(cases, labels, peak.tolist(), strict=True):
        for twin in (label_reference, soft_label):
            expected, top = twin.label_box(before, after, region, sigma, fill=fill)
            np.testing.assert_allclose(mine.reshape(region.shape), expected, rtol=0, atol=label_gpu.ERROR)
            assert largest == pytest.approx(top, abs=label_gpu.ERROR)
    return [a.reshape(case[2].shape) for a, case in zip(labels, cases, strict=True)]


@given(
    seed=SEEDS,
    dims=st.sampled_from([2, 3]),
    channels=st.sampled_from([1, 2]),
    fill=st.booleans(),
    padding=st.sampled_from([np.nan, np.inf, 1e38, 0.0]),
)
@example(seed=18018, dims=3, channels=2, fill=True, padding=np.nan)
@settings(max_examples=50, deadline=None)
def test_labels_of_a_batch_equal_their_reference(seed, dims, channels, fill, padding):
    rng = np.random.default_rng(seed)
    cases = [drawn_box(rng, shape, channels, bool(k % 2)) for k, shape in enumerate(SHAPES[dims])]
    together = check_labels(cases, dims, fill=fill, padding=padding, more=seed % 2)
    for case, mine in zip(cases, together, strict=True):
        np.testing.assert_array_equal(check_labels([case], dims, fill=fill)[0], mine)


@pytest.mark.parametrize("group", [1, 2000, 2**23])
@pytest.mark.parametrize(("shape", "channels"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_smooth_changes(shape, channels, group, monkeypatch):
    monkeypatch.setattr(label_gpu, "LARGEST_GROUP", group)
    monkeypatch.setattr(label_gpu, "GROUP_COST", group // 20)
    cases = []
    for seed in range(3):
        before = field(shape, channels, seed)
        after = before + 0.4 * field(shape, channels, seed + 10)
        region = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 1.5) > 0.05
        cases.append((before, after, region & (np.abs(after - before).max(axis=0) > 0.01)))
    check_labels(cases, len(shape), 0.2)


def changed(change: np.ndarray, region: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.zeros((1, *region.shape), np.float32), change[None].astype(np.float32), region


def test_components_do_not_mix():
    block = np.zeros((13, 13), bool)
    block[:, :3] = block[10:] = True  # an L, and beside it, one voxel away, a block in the L's box
    block[:9, 4:9] = True
    ring = np.zeros((15, 15), bool)
    ring[1:14, 1:14] = True
    ring[3:12, 3:12] = False  # in its hole another ring, in whose hole there are two voxels
    ring[4:11, 4:11] = True
    ring[6:9, 6:9] = False
    ring[7, 7:9] = False
    ring[7, 7] = True
    gap = np.zeros((14, 20), bool)  # U shapes that reach into each other's boxes
    gap[1:9, 1] = gap[1:9, 11] = gap[8, 1:12] = True
    gap[4:13, 6] = gap[4:13, 18] = gap[4, 6:19] = True
    gap[8, 5:8] = False
    small = np.zeros((9, 9), bool)
    small[0, :], small[2:4, 2:8], small[5:8, 5:8] = True, True, True
    masks = [block, ring, gap, small, np.ones((6, 7), bool), np.zeros((5, 5), bool)]
    rng = np.random.default_rng(0)
    cases = [changed(np.where(m, rng.uniform(0.1, 0.5, m.shape), 0.7), m) for m in masks]
    labels = check_labels(cases, 2, 0.2, padding=np.nan)
    assert labels[0][4, 3] == 0, "together they would close the gap"
    assert labels[5].max() == 0
    assert (labels[1][7, 8] > 0) and not ring[7, 8], "a hole within is filled"
    deep = [np.stack([m] * 5) for m in masks]
    deep[0][2] = deep[1][4] = False
    cases = [changed(np.where(m, rng.uniform(0.1, 0.5, m.shape), 0.7), m) for m in deep]
    check_labels(cases, 3, 0.2, padding=1e30)


def test_components_in_the_corner_of_a_window_are_filled_in_their_own_boxes():
    region = np.zeros((20, 20), bool)
    region[12:, 12:] = True
    region[14:18, 14:18] = False  # a hole near the window's far corner
    opening = region.copy()
    opening[14:18, 18:] = False  # a broad breach to the window's face: it drains
    crescent = ellipsoid((20, 20)) & ~ellipsoid((20, 20), 0.3)
    crescent[:, 12:] = False  # open to its own box's face, which is not the window's
    cases = [changed(0.4 * m, m) for m in (region, opening, crescent)]
    filled, drained, half = check_labels(cases, 2, 0.2, padding=np.nan, more=3)
    assert filled[15, 15] > 0.8 and drained[15, 16] == 0 and half[10, 9] == 0


def test_known_values_of_peak_and_label():
    before = torch.zeros(3, 2, 1, 4, 5)
    after = before.clone()
    after[0, 0, 0, 1, 1], after[0, 1, 0, 1, 1] = 0.3, -0.1  # mean over channels: one sigma
    after[1] = 2e-5
    region = torch.ones(3, 1, 4, 5, dtype=torch.bool)
    label, peak = label_gpu.label_boxes(before, after, region, 0.2, fill=False, flat=True)
    assert float(peak[0]) == pytest.approx(1 - np.exp(-0.5), rel=1e-6) and torch.count_nonzero(label[0]) == 1
    assert float(peak[1]) == pytest.approx(4e-10 / 0.08, rel=1e-5), "small changes keep their digits"
    assert peak[2] == 0 and not torch.signbit(label[2]).any()
    huge, _ = label_gpu.label_boxes(before, after + 1e38, region, 1e-3, flat=True)
    assert (huge == 1).all()


@given(seed=SEEDS, dims=st.sampled_from([2, 3]), density=st.floats(0.4, 0.9))
@example(seed=9, dims=2, density=0.6)  # here, it would differ
@example(seed=22, dims=3, density=0.4)
@settings(max_examples=15, deadline=None)
def test_a_component_filled_later_takes_nothing_from_one_filled_before(seed, dims, density):
    rng = np.random.default_rng(seed)
    cases = []
    for _ in range(3):
        region = rng.random((13, 15) if dims == 2 else (6, 7, 8)) < density
        cases.append(changed(rng.choice([0.05, 0.15, 0.6], region.shape), region))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(label_gpu, "LARGEST_GROUP", 1)  # each in a group of its own
        check_labels(cases, dims, 0.2)


def test_no_windows_and_numbers_that_are_none(monkeypatch):
    label, peak = label_gpu.label_boxes(
        torch.rand(0, 1, 4, 5, 6), torch.rand(0, 1, 4, 5, 6), torch.ones(0, 4, 5, 6, dtype=torch.bool), 0.2, flat=False
    )
    assert tuple(label.shape) == (0, 4, 5, 6) and tuple(peak.shape) == (0,)
    before, after = torch.rand(2, 2, 1, 1, 60, 70)
    region = torch.ones(2, 1, 60, 70, dtype=torch.bool)
    expected, _ = label_gpu.label_boxes(before, after, region, 0.2, flat=True)
    rounds = []
    monkeypatch.setattr(
        reconstruct_gpu, "sweep_all", lambda *a, sweep=reconstruct_gpu.sweep_all, **k: rounds.append(sweep(*a, **k))
    )
    after[0, 0, 0, 20, 30] = np.nan  # ends all the same, and the other window takes no harm
    label, peak = label_gpu.label_boxes(before, after, region, 0.2, flat=True)
    assert torch.equal(label[1], expected[1]) and peak[0].isnan()
    assert 0 < len(rounds) < 100


def test_one_large_component_does_not_pad_many_small_ones():
    sides = np.array([(3, 3, 3)] * 300 + [(60, 60, 60)] + [(3, 4, 3)] * 200)
    found = list(similar(sides, label_gpu.LARGEST_GROUP, label_gpu.GROUP_COST))
    assert sorted(itertools.chain(*(rows.tolist() for rows, _ in found))) == list(range(501))
    assert sum(np.prod(padded) * len(rows) for rows, padded in found) < 60**3 + label_gpu.GROUP_COST


# ------------------------------------------------------------------ the labeller
@pytest.mark.parametrize("fill", [True, False])
@pytest.mark.parametrize(("shape", "channels"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_the_labeller_takes_tensors(shape, channels, fill):
    before = field(shape, channels, 0)
    after = before + 0.4 * field(shape, channels, 1)
    region = ellipsoid(shape, 0.3) & (field(shape, 1, 2)[0] > -0.4)
    labeller = FlippedGaussian(fill=fill)
    expected = labeller(before, after, region)
    tensors = [torch.from_numpy(a.copy()) for a in (before, after, region)]
    out = labeller(*tensors)
    assert isinstance(out, Tensor) and out.dtype == torch.float32 and out.shape == region.shape
    np.testing.assert_allclose(out.numpy(), expected, rtol=0, atol=1e-6)
    for tensor, array in zip(tensors, (before, after, region), strict=True):
        np.testing.assert_array_equal(tensor.numpy(), array)
    after.flags.writeable = region.flags.writeable = False  # arrays beside a tensor, in any layout
    for mixed in (
        (tensors[0], after, region),
        (tensors[0], tensors[1].double().requires_grad_(), np.asfortranarray(region)),
    ):
        np.testing.assert_array_equal(labeller(*mixed).numpy(), out.numpy())
    np.testing.assert_array_equal(labeller(before, tensors[1], tensors[2]), expected)


def test_the_labeller_of_an_empty_region_and_of_wrong_tensors():
    image, mask = torch.rand(1, 12, 14), torch.zeros(12, 14, dtype=torch.bool)
    out = FlippedGaussian()(image, image + 1, mask)
    assert out.shape == mask.shape and out.dtype == torch.float32 and (out == 0).all()
    with pytest.raises(SynthanomError, match="one shape"):
        FlippedGaussian()(image, image[:, :, :-1], mask)
    with pytest.raises(SynthanomError, match="spatial shape"):
        FlippedGaussian()(image, image, mask[:, :-1])
    with pytest.raises(SynthanomError, match="bool"):
        FlippedGaussian()(image, image, mask.to(torch.uint8))
