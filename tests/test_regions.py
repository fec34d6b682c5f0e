"""Shapes, their placement, and the strength of a deformation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phantoms import ellipsoid

from synthanom.errors import NoPlace, SynthanomError, UnsuitableRegion
from synthanom.kernels import inner_boundary, placement
from synthanom.kernels.inner_boundary import reference as boundary_reference
from synthanom.kernels.placement import reference as placement_reference
from synthanom.kernels.region_mask import half_extent, tight_mask
from synthanom.kernels.region_mask import reference as region_reference
from synthanom.regions import (
    Geometry,
    Region,
    ShapeSettings,
    bend_factor,
    draw,
    draw_geometry,
    mean_boundary_distance,
    place,
)

SETTINGS = ShapeSettings()


def drawn_geometry(seed: int, shape: tuple[int, ...]) -> Geometry:
    rng = np.random.default_rng(seed)
    geometry = draw_geometry(rng, shape, SETTINGS)
    return geometry.at([float(n // 2) for n in shape])


@given(seed=st.integers(0, 10**6), shape=st.sampled_from([(30, 24), (16, 14, 18), (12, 12), (12, 12, 12)]))
@settings(max_examples=40, deadline=None)
def test_mask_equals_its_definition(seed, shape):
    g = drawn_geometry(seed, shape)
    expected = region_reference.mask(g.kind, g.size, g.matrix, g.position, ([0] * len(shape), shape))
    # a point on the surface to the last bit may fall on either side of it
    assert np.count_nonzero(g.mask(shape) != expected) <= 1


@given(seed=st.integers(0, 10**6), shape=st.sampled_from([(60, 48), (26, 24, 28)]))
@settings(max_examples=40, deadline=None)
def test_half_extent_bounds_the_mask_tightly(seed, shape):
    g = drawn_geometry(seed, shape)
    reach = half_extent(g.kind, g.size, g.matrix)
    marked = np.argwhere(g.mask([4 * n for n in shape])) - np.array(g.position)
    assert (np.abs(marked) <= reach + 1e-9).all()
    surface = np.array(
        [
            np.abs(g.matrix[a] * np.array(g.size) / 2).sum()
            if g.kind == "cuboid"
            else np.linalg.norm(g.matrix[a] * np.array(g.size) / 2)
            for a in range(len(shape))
        ]
    )
    np.testing.assert_allclose(reach, surface, rtol=1e-12)


def test_ball_and_box_hold_the_volume_of_their_formulas():
    ball = Geometry("ellipsoid", (30, 24, 20), np.eye(3), (20.0, 20.0, 20.0)).mask((41, 41, 41)).sum()
    assert ball == pytest.approx(np.pi / 6 * 30 * 24 * 20, rel=0.02)
    assert Geometry("cuboid", (5, 7), np.eye(2), (10.0, 10.0)).mask((21, 21)).sum() == 5 * 7
    assert Geometry("cuboid", (4, 6), np.eye(2), (10.0, 10.0)).mask((21, 21)).sum() == 5 * 7  # faces included


@pytest.mark.parametrize("angle", [0.0, 0.3, 0.7, np.pi / 4, 1.2])
def test_a_rotated_ellipse_keeps_its_area(angle):
    # semi-axes 30 and 15 cover 1,414 pixels at any angle; axes that are not perpendicular covered up to 14,651
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    area = Geometry("ellipsoid", (60, 30), turn, (64.0, 64.0)).mask((129, 129)).sum()
    assert area == pytest.approx(np.pi * 30 * 15, rel=0.01)


@pytest.mark.parametrize("shape", [(64, 48), (40, 30, 36), (12, 12), (12, 12, 12)])
def test_drawn_shapes_respect_their_bounds(shape):
    kinds = set()
    for seed in range(300):
        g = draw_geometry(np.random.default_rng(seed), shape, SETTINGS)
        kinds.add(g.kind)
        low, high = np.maximum(np.rint(0.06 * np.array(shape)), 1), np.rint(0.8 * np.array(shape))
        assert (np.array(g.size) >= low).all() and (np.array(g.size) <= high).all()
        corners = np.abs(g.matrix * ((np.array(g.size) - 1) / 2)[None]).sum(axis=1)
        assert (corners <= high / 2 + 1).all()
        assert np.linalg.matrix_rank(g.matrix) == len(shape)
    assert kinds == {"ellipsoid", "cuboid"}


def test_drawn_sizes_follow_the_stated_distribution():
    rng = np.random.default_rng(0)
    sizes = np.array([draw_geometry(rng, (1000, 1000), SETTINGS).size for _ in range(4000)]) / 1000
    expected = np.clip(0.03 + np.random.default_rng(1).gamma(2.0, 0.1, 200_000), 0.06, 0.8)
    for q in (0.1, 0.5, 0.9):
        assert np.quantile(sizes, q) == pytest.approx(np.quantile(expected, q), rel=0.05)


@pytest.mark.parametrize("shape", [(40, 48), (24, 20, 26)])
def test_regions_lie_half_in_the_foreground_with_an_empty_margin(shape):
    foreground = ellipsoid(shape, 0.3)
    for seed in range(60):
        region = draw(np.random.default_rng(seed), foreground, SETTINGS)
        whole = np.zeros(shape, bool)
        whole[region.slices] = region.mask
        assert all(c >= 0 and c + n <= s for c, n, s in zip(region.corner, region.size, shape, strict=True))
        np.testing.assert_array_equal(whole, region.geometry.mask(shape))
        assert 2 * (whole & foreground).sum() >= region.count
        inner = region.mask[(slice(1, -1),) * len(shape)]
        assert inner.sum() == region.count
        for axis in range(len(shape)):  # the box is tight
            others = tuple(a for a in range(len(shape)) if a != axis)
            assert inner.any(axis=others)[[0, -1]].all()
        assert all(p == int(p) for p in region.geometry.position)


def test_place_is_uniform_over_the_good_positions():
    # a 3 x 3 square, foreground with 2 islands: every allowed position comes up equally often, whichever way is taken
    shape = Geometry("cuboid", (2, 2), np.eye(2), (0.0, 0.0))
    allowed = np.zeros((14, 14), bool)
    allowed[1:5, 1:5] = True
    allowed[9:12, 8:13] = True
    mask = np.pad(np.ones((3, 3), bool), 1)
    good = placement_reference.good_positions(allowed, mask)
    rng = np.random.default_rng(3)
    tally = np.zeros(good.shape, int)
    trials = 6000
    for _ in range(trials):
        tally[place(rng, shape, allowed).corner] += 1
    assert (tally[~good] == 0).all()
    expected = trials / good.sum()
    chi2 = ((tally[good] - expected) ** 2 / expected).sum()
    freedom = good.sum() - 1
    assert chi2 < freedom + 5 * np.sqrt(2 * freedom)


def test_the_exact_count_finds_what_proposals_miss():
    allowed = np.zeros((60, 60), bool)
    allowed[31, 17] = True  # one voxel: 32 proposals for a single pixel almost surely miss it
    for seed in range(20):
        region = place(np.random.default_rng(seed), Geometry("cuboid", (1, 1), np.eye(2), (0.0, 0.0)), allowed)
        assert region is not None and region.geometry.position == (31.0, 17.0)


@given(
    seed=st.integers(0, 10**6),
    shape=st.sampled_from([(24, 20), (14, 13, 16), (12, 40)]),
    share=st.sampled_from([0.02, 0.4, 0.97]),
)
@settings(max_examples=40, deadline=None)
def test_good_positions_equal_their_definition(seed, shape, share):
    rng = np.random.default_rng(seed)
    allowed = rng.random(shape) < share
    mask = Region.from_geometry(drawn_geometry(seed, shape), shape).mask
    expected = placement_reference.good_positions(allowed, mask)
    np.testing.assert_array_equal(placement.good_positions(allowed, mask), expected)


@pytest.mark.parametrize(
    ("mask", "words"), [(np.array([[True, False, True]]), "one run"), (np.ones((9, 9), bool), "must fit")]
)
def test_good_positions_refuse_what_they_cannot_count(mask, words):
    with pytest.raises(SynthanomError, match=words):
        placement.good_positions(np.ones((8, 8), bool), mask)


@pytest.mark.parametrize("shape", [(48, 40), (20, 18, 22)])
def test_thin_small_and_scattered_foregrounds_find_a_place(shape):
    thin, small, scattered = (np.zeros(shape, bool) for _ in range(3))
    thin[..., shape[-1] // 2] = True
    small[tuple(slice(n // 2, n // 2 + 3) for n in shape)] = True
    scattered[(slice(1, None, 4),) * len(shape)] = True
    dots = ShapeSettings(smallest=0.02, offset=0.0, gamma_scale=0.01)
    for allowed in (thin, small, scattered):
        for seed in range(10):
            region = draw(np.random.default_rng(seed), allowed, dots)
            assert 2 * (region.mask & allowed[region.slices]).sum() >= region.count


@given(seed=st.integers(0, 10**6), shape=st.sampled_from([(24, 20), (14, 13, 16), (1, 5, 7)]))
@settings(max_examples=40, deadline=None)
def test_boundary_distance_equals_its_definition(seed, shape):
    rng = np.random.default_rng(seed)
    region = rng.random(shape) < rng.choice([0.3, 0.9, 1.0])
    centre = rng.uniform(0, shape)
    expected = boundary_reference.mean_distance(region, centre)
    assert inner_boundary.mean_distance(region, centre) == pytest.approx(expected, rel=1e-12, nan_ok=True)


@given(seed=st.integers(0, 10**6), shape=st.sampled_from([(30, 24), (16, 14, 18)]))
@settings(max_examples=60, deadline=None)
def test_tight_mask_is_the_mask_in_its_box(seed, shape):
    rng = np.random.default_rng(seed)
    g = draw_geometry(rng, shape, SETTINGS).at(rng.uniform(-4, np.array(shape) + 4))
    found = tight_mask(g.kind, g.size, g.matrix, g.position, shape, margin=1)
    whole = region_reference.mask(g.kind, g.size, g.matrix, g.position, ([0] * len(shape), shape))
    if found is None:
        assert not whole.any()
        return
    again = np.zeros(shape, bool)
    box = tuple(slice(c, c + n) for c, n in zip(found[0], found[1].shape, strict=True))
    again[box] = found[1]
    np.testing.assert_array_equal(again, whole)
    for axis, side in enumerate(shape):  # tight but for one voxel, where the image has it
        filled = np.flatnonzero(whole.any(axis=tuple(a for a in range(len(shape)) if a != axis)))
        assert (box[axis].start, box[axis].stop) == (max(filled[0] - 1, 0), min(filled[-1] + 2, side))


def test_a_foreground_too_scattered_raises_instead_of_looping():
    scattered = np.zeros((64, 64), bool)
    scattered[::16, ::16] = True
    with pytest.raises(NoPlace, match="none of 50 shapes"):
        draw(np.random.default_rng(0), scattered, ShapeSettings(smallest=0.3))


def test_within_is_respected():
    foreground = np.ones((40, 40), bool)
    left = np.zeros((40, 40), bool)
    left[:, :20] = True
    for seed in range(40):
        region = draw(np.random.default_rng(seed), foreground, SETTINGS, within=left)
        assert 2 * (region.mask & left[region.slices]).sum() >= region.count


@given(seed=st.integers(0, 10**6), shape=st.sampled_from([(30, 24), (16, 14, 18)]))
@settings(max_examples=30, deadline=None)
def test_regions_survive_json(seed, shape):
    region = draw(np.random.default_rng(seed), np.ones(shape, bool), SETTINGS)
    again = Region.from_dict(region.to_dict(), shape)
    assert again.geometry == region.geometry and again.corner == region.corner
    np.testing.assert_array_equal(again.mask, region.mask)
    free = Region(None, region.corner, region.mask ^ (np.random.default_rng(seed).random(region.size) < 0.2))
    back = Region.from_dict(free.to_dict(), shape)
    assert back.geometry is None
    np.testing.assert_array_equal(back.mask, free.mask)


def test_from_mask_keeps_the_voxels():
    mask = np.zeros((20, 20), bool)
    mask[0:3, 5:9] = True
    region = Region.from_mask(mask)
    whole = np.zeros_like(mask)
    whole[region.slices] = region.mask
    np.testing.assert_array_equal(whole, mask)
    assert region.corner == (0, 4) and region.size == (4, 6)
    with pytest.raises(UnsuitableRegion):
        Region.from_mask(np.zeros((20, 20), bool))


def test_bend_factor_of_a_ball_is_the_closed_form():
    radius, push = 12.0, 3.0
    ball = Geometry("ellipsoid", (24, 24, 24), np.eye(3), (14.0, 14.0, 14.0)).mask((29, 29, 29))
    e = mean_boundary_distance(ball, (14.0, 14.0, 14.0))
    assert radius - 1 < e <= radius
    a, b = e / 2 - push / np.sqrt(2), e / 2 + push / np.sqrt(2)
    factor = bend_factor(ball, (14, 14, 14), push)
    assert factor == pytest.approx(np.log(a / e) / np.log(b / e)) and factor > 1


def test_bend_factor_refuses_what_used_to_give_nan():
    dot = np.ones((1, 1), bool)
    with pytest.raises(SynthanomError, match="push"):
        bend_factor(dot, (0, 0), 0.5)
    with pytest.raises(SynthanomError, match="push"):
        bend_factor(np.ones((9, 9), bool), (4, 4), 100.0)


@pytest.mark.parametrize(
    "bad",
    [
        {"smallest": 0.0},
        {"smallest": 0.5, "largest": 0.4},
        {"largest": 0.9},
        {"gamma_scale": -1.0},
        {"shear": -0.1},
    ],
)
def test_shape_settings_are_checked(bad):
    with pytest.raises(SynthanomError):
        ShapeSettings(**bad)


@pytest.mark.parametrize(
    "bad",
    [
        ("pyramid", (3, 3), np.eye(2), (0.0, 0.0)),
        ("cuboid", (3, 3), np.eye(3), (0.0, 0.0)),
        ("cuboid", (0, 3), np.eye(2), (0.0, 0.0)),
        ("cuboid", (3, 3), np.eye(2) * np.nan, (0.0, 0.0)),
        ("cuboid", (3,), np.eye(1), (0.0,)),
    ],
)
def test_bad_geometries_are_refused(bad):
    with pytest.raises(SynthanomError):
        Geometry(*bad)
