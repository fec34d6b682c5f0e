"""Regions, places and inner boundaries of many shapes at once: the same voxels as the compiled twins find."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from synthanom.arrays import inverse_matrix
from synthanom.kernels import inner_boundary
from synthanom.kernels.inner_boundary import reference as boundary_reference
from synthanom.kernels.inner_boundary.gpu import edges, mean_distance
from synthanom.kernels.placement import reference as placement_reference
from synthanom.kernels.placement.gpu import first_good, overlaps, running_counts
from synthanom.kernels.region_mask.gpu import largest_coordinates, masks, nth_marked
from synthanom.kernels.windows.gpu import Canvas, cut, inside, places, strictly_inside
from synthanom.regions import ShapeSettings, draw_geometry

SHAPES = st.sampled_from([(40, 48), (20, 26, 24)])
SEEDS = st.integers(0, 2**32 - 1)


def drawn(seed, shape, count=5):
    """Shapes at the origin, their windows' common sides, and the batched masks over windows about the middle."""
    rng = np.random.default_rng(seed)
    flat = len(shape) == 2
    geometries = [draw_geometry(rng, shape, ShapeSettings()) for _ in range(count)]
    padded = (1 if flat else 2 * shape[0] + 1, 2 * shape[-2] + 1, 2 * shape[-1] + 1)
    half, inverse = np.full((count, 3), 0.5), np.tile(np.eye(3), (count, 1, 1))
    first = 1 if flat else 0
    for i, g in enumerate(geometries):
        half[i, first:] = np.array(g.size) / 2
        inverse[i, first:, first:] = inverse_matrix(g.matrix)
    start = -torch.tensor([n // 2 for n in padded]).expand(count, 3)
    ellipsoid = torch.tensor([g.kind == "ellipsoid" for g in geometries])
    return geometries, padded, masks(ellipsoid, torch.tensor(half), torch.tensor(inverse), start, padded)


@given(seed=SEEDS, shape=SHAPES)
@settings(max_examples=25, deadline=None)
def test_masks_hold_the_voxels_of_the_compiled_twin(seed, shape):
    geometries, padded, found = drawn(seed, shape)
    corner, size = [-(n // 2) for n in padded][3 - len(shape) :], padded[3 - len(shape) :]
    for geometry, mask in zip(geometries, found, strict=True):
        np.testing.assert_array_equal(mask.numpy().reshape(size), geometry.mask_in_box(corner, size))


@given(seed=SEEDS, shape=SHAPES)
@settings(max_examples=15, deadline=None)
def test_reach_is_that_of_the_tight_box(seed, shape):
    _, padded, found = drawn(seed, shape)
    reach = largest_coordinates(found).numpy()
    for mask, far in zip(found.numpy(), reach, strict=True):
        places = np.argwhere(mask) - np.array([n // 2 for n in padded])
        np.testing.assert_array_equal(far, places.max(axis=0))
        np.testing.assert_array_equal(-far, places.min(axis=0))


@given(seed=SEEDS)
@settings(max_examples=15, deadline=None)
def test_nth_marked_counts_in_c_order(seed):
    rng = np.random.default_rng(seed)
    mask = rng.random((4, 5, 6, 7)) < 0.3
    mask[:, 2, 3, 4] = True
    n = np.array([rng.integers(m.sum()) for m in mask])
    found = nth_marked(torch.from_numpy(mask), torch.from_numpy(n)).numpy()
    np.testing.assert_array_equal(found, [np.argwhere(m)[k] for m, k in zip(mask, n, strict=True)])


@given(seed=SEEDS, shape=SHAPES)
@settings(max_examples=15, deadline=None)
def test_overlaps_are_the_counts_of_the_definition(seed, shape):
    rng = np.random.default_rng(seed)
    flat = len(shape) == 2
    allowed = rng.random((2, *shape)) < 0.6
    box = (5, 7) if flat else (3, 5, 7)
    mask = np.zeros((3, 1 if flat else 4, 6, 9), bool)  # windows larger than their boxes
    for m in mask:
        low = rng.integers(0, 5, m.shape[:2])
        high = low + rng.integers(0, 3, m.shape[:2])
        place = np.arange(9)
        m[:] = (place >= low[..., None]) & (place < high[..., None])
        m[box[0] if not flat else 1 :], m[:, box[-2] :], m[:, :, box[-1] :] = False, False, False
        m[0, 0, 0] |= not m.any()
    room = np.array([n - b + 1 for n, b in zip(shape, box, strict=True)])
    starts = np.zeros((3, 8, 3), dtype=np.int64)
    starts[:, :, 3 - len(shape) :] = rng.integers(0, room, (3, 8, len(shape)))
    starts[:, 0, 3 - len(shape) :] = room - 1  # the window leaves the image, the box does not
    item = np.array([0, 1, 0])
    volumes = torch.from_numpy(allowed.reshape(2, *(1,) * flat, *shape))
    before = running_counts(volumes)
    found = overlaps(before, torch.from_numpy(item), torch.from_numpy(mask), torch.from_numpy(starts))
    chosen, good = first_good(before, torch.from_numpy(item), torch.from_numpy(mask), torch.from_numpy(starts))
    for i in range(3):
        own = mask[i][tuple(slice(0, b) for b in ((1, *box) if flat else box))].reshape(box)
        counts = placement_reference.overlap_counts(allowed[item[i]], own)
        expected = [counts[tuple(s[3 - len(shape) :])] for s in starts[i]]
        np.testing.assert_array_equal(found[i].numpy(), expected)
        enough = 2 * np.array(expected) >= own.sum()
        assert bool(good[i]) == enough.any() and int(chosen[i]) == (enough.argmax() if enough.any() else 0)


@given(seed=SEEDS, flat=st.booleans())
@settings(max_examples=25, deadline=None)
def test_distances_to_the_inner_boundary(seed, flat):
    rng = np.random.default_rng(seed)
    regions = rng.random((3, 1 if flat else 5, 6, 7)) < 0.8
    regions[:, 0, 2, 3] = True
    regions[0, ..., 5:] = False  # padding
    centre = np.stack([np.zeros(3) if flat else rng.integers(0, 5, 3), rng.integers(0, 6, 3), rng.integers(0, 7, 3)], 1)
    found = mean_distance(torch.from_numpy(regions), torch.from_numpy(centre), flat=flat).numpy()
    for region, place, distance in zip(regions, centre, found, strict=True):
        own, at = (region[0], place[1:]) if flat else (region, place)
        assert distance == pytest.approx(boundary_reference.mean_distance(own, at), rel=1e-12)
        assert distance == pytest.approx(inner_boundary.mean_distance(own, at), rel=1e-12)


def test_an_empty_region_has_no_distance_and_no_edge():
    nothing = torch.zeros((1, 3, 4, 5), dtype=torch.bool)
    assert not edges(nothing, flat=False).any()
    assert torch.isnan(mean_distance(nothing, torch.zeros((1, 3)), flat=False)).all()


def test_windows_repeat_the_border_and_only_boxes_are_put_back():
    images = torch.arange(2 * 2 * 3 * 4 * 5, dtype=torch.float32).view(2, 2, 3, 4, 5)
    item, start, padded = torch.tensor([1, 0]), torch.tensor([[-1, 2, 3], [0, 0, 0]]), (3, 3, 4)
    found = cut(images, item, start, padded).numpy()
    for n, (i, corner) in enumerate(zip(item.tolist(), start.tolist(), strict=True)):
        index = [np.clip(np.arange(p) + c, 0, s - 1) for p, c, s in zip(padded, corner, (3, 4, 5), strict=True)]
        np.testing.assert_array_equal(found[n], images[i].numpy()[(slice(None), *np.ix_(*index))])
    canvas = Canvas(images)
    everywhere = torch.ones((2, *padded), dtype=torch.bool)
    place = places(images[:, :1].shape, item, start, everywhere)
    np.testing.assert_array_equal(canvas.at(place)[0, :, 1, 0, 0], images[1, :, 0, 2, 3])
    canvas.put(place, torch.full((2, 2, *padded), -1.0))
    expected = images.numpy().copy()
    expected[1, :, :2, 2:, 3:] = -1.0
    expected[0, :, :3, :3, :4] = -1.0
    np.testing.assert_array_equal(canvas.images.numpy(), expected)
    assert images[0, 0, 0, 0, 1] == 1, "the images themselves are not written"


def test_boxes_and_their_faces():
    size = torch.tensor([[1, 3, 4], [1, 2, 5]])
    box, inner = inside(size, (1, 4, 5)).numpy(), strictly_inside(size, (1, 4, 5), flat=True).numpy()
    assert box.sum(axis=(1, 2, 3)).tolist() == [12, 10] and inner.sum(axis=(1, 2, 3)).tolist() == [2, 0]
    assert strictly_inside(size, (1, 4, 5), flat=False).sum() == 0
