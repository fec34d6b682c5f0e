"""Organic regions and convex hulls: their definitions, their places, and every task that takes them."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phantoms import ellipsoid, phantom
from scipy import ndimage
from scipy.spatial import Delaunay

from synthanom import replay, synthesise, synthesise_batch, tasks
from synthanom.batched.making import can_make
from synthanom.errors import NoPlace, SynthanomError
from synthanom.free_forms import _largest_part, hull, organic, overlaps, place
from synthanom.geometry import Geometry
from synthanom.labels import FlippedGaussian
from synthanom.recipe import Recipe
from synthanom.regions import ShapeSettings, draw_geometry
from synthanom.streams import stream
from synthanom.tasks import TASKS

FREE = ("organic", "hull")
LABELLER = FlippedGaussian()
SIMPLE = [name for name, task in TASKS.items() if type(task().shape) is ShapeSettings]
RAYS = ("sink", "source")


def drawn_geometry(seed, shape):
    return draw_geometry(np.random.default_rng(seed), shape, ShapeSettings())


def around(geometry, reach):
    """The voxels of a geometry around the middle of a box."""
    return geometry.at(reach).mask([2 * r + 1 for r in reach])


@given(seed=st.integers(0, 10**6), shape=st.sampled_from([(60, 48), (26, 24, 28), (12, 12), (12, 12, 12)]))
@settings(max_examples=40, deadline=None)
def test_organic_regions_are_one_part_within_the_drawn_ellipsoid(seed, shape):
    geometry = dataclasses.replace(drawn_geometry(seed, shape), kind="ellipsoid")
    mask = organic(np.random.default_rng(seed), geometry)
    assert mask.any() and ndimage.label(mask)[1] == 1
    inner = mask[(slice(1, -1),) * mask.ndim]
    assert inner.sum() == mask.sum()
    for axis in range(mask.ndim):  # the box is tight
        assert inner.any(axis=tuple(a for a in range(mask.ndim) if a != axis))[[0, -1]].all()
    whole = around(geometry, [n // 2 + 1 for n in shape])
    fits = overlaps(whole, mask)
    assert fits.max() == mask.sum()


def test_organic_regions_follow_their_definition():
    geometry = Geometry("ellipsoid", (31, 21), np.array([[0.9, 0.3], [-0.2, 1.0]]), (0, 0))
    from synthanom.kernels.region_mask import half_extent

    for seed in range(10):
        reach = np.floor(half_extent("ellipsoid", geometry.size, geometry.matrix)).astype(int)
        noise = np.random.default_rng(seed).standard_normal(2 * reach + 1)
        sigma = 0.1 * np.sqrt(np.prod(2 * reach + 1))
        noise = ndimage.gaussian_filter(noise, sigma, mode="wrap")
        noise = (noise - noise.mean()) / noise.std()
        marked = np.zeros(noise.shape, bool)
        for voxel in np.ndindex(noise.shape):
            own = np.linalg.solve(geometry.matrix, np.array(voxel) - reach)
            rho2 = ((own / (np.array(geometry.size) / 2)) ** 2).sum()
            marked[voxel] = rho2 <= 1 and noise[voxel] > 4 * rho2 - 3
        numbers, count = ndimage.label(marked)
        largest = 1 + np.argmax(ndimage.sum_labels(marked, numbers, range(1, count + 1)))
        expected = np.pad(numbers == largest, 1)
        found = organic(np.random.default_rng(seed), geometry)
        box = ndimage.find_objects(expected.astype(int))[0]
        np.testing.assert_array_equal(found[1:-1, 1:-1], expected[box])


@given(seed=st.integers(0, 10**6), shape=st.sampled_from([(60, 48), (26, 24, 28), (12, 12)]))
@settings(max_examples=30, deadline=None)
def test_hulls_hold_both_shapes_and_are_convex(seed, shape):
    cuboid = dataclasses.replace(drawn_geometry(seed, shape), kind="cuboid")
    ball = dataclasses.replace(drawn_geometry(seed + 1, shape), kind="ellipsoid")
    mask = hull(cuboid, ball)
    reach = [n // 2 + 1 for n in shape]
    both = around(cuboid, reach) | around(ball, reach)
    # by symmetry the middle of the box is the shapes' centre
    whole = np.zeros(both.shape, bool)
    start = [r - (n - 1) // 2 for r, n in zip(reach, mask.shape, strict=True)]
    whole[tuple(slice(s, s + n) for s, n in zip(start, mask.shape, strict=True))] = mask
    assert not (both & ~whole).any()
    assert (whole != np.flip(whole)).sum() <= 2  # a voxel on a face, to the last bit
    voxels = np.argwhere(whole)
    if np.linalg.matrix_rank(voxels - voxels[0]) == len(shape):
        inside = Delaunay(voxels).find_simplex(np.argwhere(np.ones(whole.shape, bool))).reshape(whole.shape) >= 0
        assert (inside & ~whole).sum() <= 0.02 * whole.sum() + 2  # the ellipsoid is a polygon, but for its own voxels


def test_the_hull_of_a_long_box_and_a_disc_is_known():
    # a segment of 81 x 1 and a disc of radius 20: the disc, and two triangles with tangents to the disc
    cuboid = Geometry("cuboid", (1, 81), np.eye(2), (0, 0))
    disc = Geometry("ellipsoid", (40, 40), np.eye(2), (0, 0))
    angle = np.arccos(20 / 40.5)
    area = 20**2 * (np.pi - 2 * angle) + 2 * 20 * np.sqrt(40.5**2 - 20**2)
    assert hull(cuboid, disc).sum() == pytest.approx(area, rel=0.02)
    ball = Geometry("ellipsoid", (30, 30, 30), np.eye(3), (0, 0, 0))
    within = Geometry("cuboid", (9, 9, 9), np.eye(3), (0, 0, 0))
    np.testing.assert_array_equal(hull(within, ball)[1:-1, 1:-1, 1:-1], around(ball, [15] * 3))
    box = Geometry("cuboid", (9, 7, 5), np.eye(3), (0, 0, 0))
    dot = Geometry("ellipsoid", (1, 1, 1), np.eye(3), (0, 0, 0))
    np.testing.assert_array_equal(hull(box, dot), np.pad(np.ones((9, 7, 5), bool), 1))


@given(seed=st.integers(0, 10**6), shape=st.sampled_from([(24, 20), (14, 13, 16)]))
@settings(max_examples=20, deadline=None)
def test_overlaps_are_counted_exactly(seed, shape):
    rng = np.random.default_rng(seed)
    allowed, mask = rng.random(shape) < 0.5, rng.random([n // 3 for n in shape]) < 0.6
    found = overlaps(allowed, mask)
    for corner in np.ndindex(found.shape):
        box = tuple(slice(c, c + n) for c, n in zip(corner, mask.shape, strict=True))
        assert found[corner] == (allowed[box] & mask).sum()


def test_places_are_uniform_whichever_way_they_are_found():
    mask = np.pad(np.array([[True, False, True], [True, True, True]]), 1)
    allowed = np.zeros((14, 14), bool)
    allowed[1:5, 1:5] = True
    allowed[9:12, 8:13] = True
    good = 2 * overlaps(allowed, mask) >= mask.sum()
    for proposals in (0, 4):
        rng, tally = np.random.default_rng(3), np.zeros(good.shape, int)
        for _ in range(3000):
            tally[place(rng, mask, allowed, proposals)] += 1
        assert (tally[~good] == 0).all()
        expected = 3000 / good.sum()
        freedom = good.sum() - 1
        assert ((tally[good] - expected) ** 2 / expected).sum() < freedom + 5 * np.sqrt(2 * freedom)
    assert place(np.random.default_rng(0), mask, np.zeros((14, 14), bool), 4) is None
    assert place(np.random.default_rng(0), np.ones((15, 3), bool), np.ones((14, 14), bool), 4) is None


@pytest.mark.parametrize("form", FREE)
@pytest.mark.parametrize("shape", [(40, 48), (24, 20, 26), (12, 12)])
def test_free_regions_lie_half_in_the_foreground_and_within(form, shape):
    foreground, half = ellipsoid(shape, 0.4), np.zeros(shape, bool)
    half[: shape[0] // 2 + 1] = True
    for seed in range(20):
        region = ShapeSettings(form=form).draw(np.random.default_rng(seed), foreground, half)
        assert region.geometry is None
        assert 2 * (region.mask & (foreground & half)[region.slices]).sum() >= region.count
        assert all(c >= 0 and c + n <= s for c, n, s in zip(region.corner, region.size, shape, strict=True))
        assert all(n <= 0.8 * s + 4 for n, s in zip(region.size, shape, strict=True))
    scattered = np.zeros((64, 64), bool)
    scattered[::16, ::16] = True
    with pytest.raises(NoPlace, match="none of 50 shapes"):
        ShapeSettings(form=form, smallest=0.3).draw(np.random.default_rng(0), scattered)


@pytest.mark.parametrize("name", [name for name in SIMPLE if name not in RAYS])
@pytest.mark.parametrize("form", FREE)
@pytest.mark.parametrize("shape", [(40, 48), (24, 20, 26)])
def test_tasks_with_free_regions_replay_from_json(name, form, shape):
    samples = [phantom(shape, 2, seed) for seed in range(3)]
    task = TASKS[name].from_dict({"shape": {"form": form}})
    for number in range(3):
        rng = stream(0, "free", name, number)
        result = synthesise(samples[0], task, LABELLER, rng=rng, donors=samples)
        recipe = Recipe.from_dict(json.loads(json.dumps(result.recipe.to_dict())))
        assert {a["region"]["kind"] for a in recipe.to_dict()["anomalies"]} == {"mask"}
        again = replay(samples[0], recipe, LABELLER, donors=samples)
        np.testing.assert_array_equal(again.image, result.image)
        np.testing.assert_array_equal(again.label, result.label)


@pytest.mark.parametrize("name", RAYS)
@pytest.mark.parametrize("form", FREE)
def test_tasks_that_follow_rays_refuse_free_regions_when_they_are_set(name, form):
    with pytest.raises(SynthanomError, match=f"{name} follows rays .* ShapeSettings"):
        TASKS[name](shape=ShapeSettings(form=form))
    with pytest.raises(SynthanomError, match="follows rays"):
        TASKS[name].from_dict({"shape": {"form": form}})
    with pytest.raises(SynthanomError, match="follows rays"):
        TASKS[name](shape=tasks.PerlinTexture().shape)
    with pytest.raises(SynthanomError, match="form must be one of simple, organic, hull, got 'round'"):
        TASKS[name].from_dict({"shape": {"form": "round"}})


def test_settings_are_stored_as_before_unless_the_form_is_another():
    assert list(tasks.SmoothIntensity().to_dict()["shape"]) == [
        "smallest", "largest", "offset", "gamma_shape", "gamma_scale", "shear"
    ]  # fmt: skip
    task = tasks.SmoothIntensity(shape=ShapeSettings(form="hull", shear=0.1))
    assert task.to_dict()["shape"]["form"] == "hull"
    assert tasks.SmoothIntensity.from_dict(json.loads(json.dumps(task.to_dict()))) == task


@pytest.mark.parametrize("form", FREE)
def test_batches_with_free_regions_are_made_by_samples(form):
    import torch

    task = tasks.SmoothIntensity(shape=ShapeSettings(form=form))
    assert not can_make([task], LABELLER) and can_make([tasks.SmoothIntensity()], LABELLER)
    samples = [phantom((32, 28), 1, seed) for seed in range(2)]
    batch = synthesise_batch(
        torch.from_numpy(np.stack([s.image for s in samples])),
        torch.from_numpy(np.stack([s.foreground for s in samples])),
        task,
        LABELLER,
        rng=[stream(1, s.id, "free", 0) for s in samples],
        ids=[s.id for s in samples],
        way="batched",
    )
    for k, sample in enumerate(samples):
        alone = synthesise(sample, task, LABELLER, rng=stream(1, sample.id, "free", 0))
        np.testing.assert_array_equal(batch.images[k].numpy(), alone.image)
        assert batch.recipes[k] == alone.recipe


def test_only_the_largest_part_stays():
    marked = np.zeros((9, 9), bool)
    marked[1, 1:3] = marked[3:6, 3:6] = marked[7, 7] = True
    expected = np.zeros((9, 9), bool)
    expected[3:6, 3:6] = True
    np.testing.assert_array_equal(_largest_part(marked), expected)
