"""Every kernel against its reference twin, a closed form, a property, and the torch path."""

import itertools

import numba
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from phantoms import CASES, field
from scipy import fft, ndimage
from skimage.morphology import reconstruction

from synthanom.arrays import inverse_matrix
from synthanom.errors import SynthanomError
from synthanom.kernels import affine_patch, cubic_spline, grey_reconstruct, poisson, radial_warp, smooth_change
from synthanom.kernels.affine_patch import reference as affine_reference
from synthanom.kernels.cubic_spline import cpu as spline_cpu
from synthanom.kernels.cubic_spline import lanes
from synthanom.kernels.cubic_spline import reference as spline_reference
from synthanom.kernels.grey_reconstruct import reference as reconstruct_reference
from synthanom.kernels.poisson import blocks, sines
from synthanom.kernels.poisson import reference as poisson_reference
from synthanom.kernels.radial_warp import reference as warp_reference
from synthanom.kernels.radial_warp.powers import raise_row
from synthanom.kernels.smooth_change import reference as change_reference
from synthanom.regions import Geometry, Region, ShapeSettings, draw

SHAPES = pytest.mark.parametrize(("shape", "channels"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
SMALL = st.sampled_from([(18, 16), (14, 12, 13)])
SEEDS = st.integers(0, 10**6)


def region_in(shape, seed) -> Region:
    return draw(np.random.default_rng(seed), np.ones(shape, bool), ShapeSettings())


def roomy_region(shape, seed) -> Region:
    """A region whose box has inner voxels and that is at least a few voxels deep."""
    return next(r for s in range(100) if min((r := region_in(shape, seed + s)).size) >= 6)


# ------------------------------------------------------------------ Poisson blending
@SHAPES
@pytest.mark.parametrize("mixed", [True, False])
def test_poisson_equals_its_reference(shape, channels, mixed):
    target = field(shape, channels, 1)
    for seed in range(3):
        region = roomy_region(shape, 10 * seed)
        donor = field(region.size, channels, seed + 5, smooth=1)
        out = poisson.blend(target, donor, region.mask, region.corner, mixed=mixed)
        expected = poisson_reference.blend(target, donor, region.mask, region.corner, mixed=mixed)
        assert out.dtype == np.float32
        np.testing.assert_allclose(out, expected, atol=1e-5 * np.ptp(target))
        outside = np.ones(shape, bool)
        outside[tuple(slice(s.start + 1, s.stop - 1) for s in region.slices)] = False
        np.testing.assert_array_equal(out[:, outside], target[:, outside])


@given(seed=SEEDS, shape=SMALL, mixed=st.booleans())
@settings(max_examples=20, deadline=None)
def test_poisson_solves_the_discrete_equation(seed, shape, mixed):
    rng = np.random.default_rng(seed)
    box = tuple(int(n) for n in rng.integers(3, min(shape) + 1, len(shape)))
    target, donor = rng.standard_normal((1, *box)), rng.standard_normal((1, *box))
    region = rng.random(box) < 0.6
    out = poisson.blend(target, donor, region, (0,) * len(box), mixed=mixed)[0].astype(np.float64)
    inner = (slice(1, -1),) * region.ndim
    mask = np.zeros_like(region)
    mask[inner] = region[inner]
    residual = np.zeros(box)
    for axis in range(len(box)):
        g, d = (
            np.diff(target[0].astype(np.float32).astype(float), axis=axis),
            np.diff(donor[0].astype(np.float32).astype(float), axis=axis),
        )
        lower = mask[tuple(slice(0, -1) if a == axis else slice(None) for a in range(len(box)))]
        v = np.where(lower & ~(mixed & (np.abs(g) >= np.abs(d))), d, g)
        excess = np.diff(out, axis=axis) - v
        low = tuple(slice(0, -1) if a == axis else slice(None) for a in range(len(box)))
        high = tuple(slice(1, None) if a == axis else slice(None) for a in range(len(box)))
        residual[low] += excess
        residual[high] -= excess
    inner = (slice(1, -1),) * len(box)
    assert np.abs(residual[inner]).max(initial=0.0) < 2e-5


def test_poisson_of_a_harmonic_donor_is_exact():
    # plain gradients of the target plus a constant: nothing may change
    target = field((20, 22), 1, 0)
    out = poisson.blend(target, target + 3, np.ones((20, 22), bool), (0, 0), mixed=False)
    np.testing.assert_allclose(out, target, atol=2e-6)


def test_poisson_keeps_the_targets_gradient_on_ties():
    target = field((16, 16), 1, 0)
    flipped = -target  # every gradient ties in size with the opposite sign
    np.testing.assert_array_equal(poisson.blend(target, flipped, np.ones((16, 16), bool), (0, 0), mixed=True), target)
    assert np.abs(poisson.blend(target, flipped, np.ones((16, 16), bool), (0, 0), mixed=False) - target).max() > 0.1


def test_poisson_accepts_boxes_without_inner_voxels():
    # boxes of inner size 0 made the predecessor raise on small images
    target = field((16, 16))
    for box in ((1, 5), (2, 2), (5, 2)):
        out = poisson.blend(target, field(box, seed=3, smooth=0.5), np.ones(box, bool), (3, 3))
        np.testing.assert_array_equal(out, target)


def test_poisson_refuses_shapes_that_disagree():
    target = field((16, 16))
    with pytest.raises(SynthanomError, match="donor"):
        poisson.blend(target, field((5, 6)), np.ones((5, 5), bool), (3, 3))
    with pytest.raises(SynthanomError, match="lie in the target"):
        poisson.blend(target, field((5, 5)), np.ones((5, 5), bool), (13, 3))
    with pytest.raises(SynthanomError, match="bool"):
        poisson.blend(target, field((5, 5)), np.ones((5, 5)), (3, 3))


# ------------------------------------------------------------------ sink and source
def deformation_cases(shape, count, seed=0):
    rng = np.random.default_rng(seed)
    for k in range(count):
        region = roomy_region(shape, 1000 * seed + 50 * k)
        voxels = np.argwhere(region.mask) + np.array(region.corner)
        yield region.geometry, tuple(int(v) for v in voxels[rng.integers(len(voxels))]), float(rng.uniform(1.3, 20))


@SHAPES
@pytest.mark.parametrize("direction", ["sink", "source"])
@pytest.mark.parametrize("order", [3, 1])
def test_warp_equals_its_reference(shape, channels, direction, order):
    image = field(shape, channels, 2)
    for g, centre, factor in deformation_cases(shape, 3):
        out = radial_warp.warp(image, g, centre, factor, direction=direction, order=order)
        flat = (g.kind, g.size, g.matrix, g.position)
        expected = warp_reference.warp(image, flat, centre, factor, direction=direction, order=order)
        np.testing.assert_allclose(out, expected, atol=2e-5 * np.ptp(image))
        outside = ~g.mask(shape)
        np.testing.assert_array_equal(out[:, outside], image[:, outside])
        np.testing.assert_array_equal(out[(slice(None), *centre)], image[(slice(None), *centre)])


def test_warp_of_a_ball_from_its_middle_is_the_closed_form():
    # a linear ramp along x: the value at distance d from the middle is the coordinate it was taken at
    side, radius, factor = 71, 12.0, 2.5
    image = np.broadcast_to(np.arange(side, dtype=np.float32), (1, side, side)).copy()
    g = Geometry("ellipsoid", (24, 24), np.eye(2), (35.0, 35.0))
    for direction in ("sink", "source"):
        out = radial_warp.warp(image, g, (35, 35), factor, direction=direction)
        for d in range(-11, 12):
            u = abs(d) / radius
            moved = 1 - (1 - u) ** factor if direction == "sink" else u**factor
            assert out[0, 35, 35 + d] == pytest.approx(35 + np.sign(d) * radius * moved, abs=1e-4)


@given(seed=SEEDS, shape=SMALL)
@settings(max_examples=30, deadline=None)
def test_warp_never_leaves_the_shape(seed, shape):
    # rays along a face, centres on the surface: a sixth of random shapes once gave NaN or u outside (0, 1]
    rng = np.random.default_rng(seed)
    g = region_in(shape, seed).geometry
    voxels = np.argwhere(g.mask(shape))
    centre = tuple(int(v) for v in voxels[rng.integers(len(voxels))])
    image = field(shape, 1, seed)
    for direction in ("sink", "source"):
        out = radial_warp.warp(image, g, centre, 57.3, direction=direction, order=1)
        assert np.isfinite(out).all()
        # linear interpolation within the image can only give values that are there
        assert out.min() >= image.min() - 1e-6 and out.max() <= image.max() + 1e-6


@pytest.mark.parametrize("kind", ["cuboid", "ellipsoid"])
@pytest.mark.parametrize("size", [6, 7])
def test_warp_survives_a_centre_on_the_surface_and_rays_along_a_face(kind, size):
    # half widths of 3 voxels: voxels lie on the surface; with size 7 the inverse rounds u to just above 1
    g = Geometry(kind, (size, size), np.eye(2) * (6 / size), (10.0, 10.0))
    image = field((20, 20))
    for centre in ((7, 7), (8, 7), (7, 10), (10, 13), (13, 13)):
        if not g.mask((20, 20))[centre]:
            continue
        for direction in ("sink", "source"):
            out = radial_warp.warp(image, g, centre, 4.3, direction=direction)
            flat = (g.kind, g.size, g.matrix, g.position)
            expected = warp_reference.warp(image, flat, centre, 4.3, direction=direction)
            assert np.isfinite(out).all()
            np.testing.assert_allclose(out, expected, atol=1e-5)


@pytest.mark.parametrize("size", [14, 90])  # a sink samples beyond the image, up to the shape's surface
def test_warp_cuts_shapes_that_leave_the_image(size):
    g = Geometry("ellipsoid", (size, size), np.eye(2), (1.0, 18.0))
    image = field((20, 20))
    out = radial_warp.warp(image, g, (1, 18), 3.0, direction="sink")
    flat = (g.kind, g.size, g.matrix, g.position)
    np.testing.assert_allclose(out, warp_reference.warp(image, flat, (1, 18), 3.0, direction="sink"), atol=1e-5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"factor": 1.0}, "factor"),
        ({"factor": np.nan}, "factor"),
        ({"direction": "spiral"}, "direction"),
        ({"order": 2}, "order"),
        ({"centre": (10.0,)}, "centre"),
    ],
)
def test_warp_refuses_bad_settings(change, words):
    g = Geometry("ellipsoid", (8, 8), np.eye(2), (10.0, 10.0))
    settings_ = {"centre": (10, 10), "factor": 2.0, "direction": "sink", "order": 3} | change
    centre, factor = settings_.pop("centre"), settings_.pop("factor")
    with pytest.raises(SynthanomError, match=words):
        radial_warp.warp(field((20, 20)), g, centre, factor, **settings_)


@pytest.mark.parametrize("shape", [(1, 1, 5), (1, 2, 3), (1, 48, 61), (3, 3, 3), (9, 8, 17), (1, 5, 300), (2, 140, 3)])
def test_poisson_solution_equals_the_fast_sine_transforms(shape):
    # sides odd and even, under and over a block of four and a tile of 128
    values = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    axes = (1, 2) if shape[0] == 1 else (0, 1, 2)
    eigenvalues = np.zeros((1, 1, 1))
    for axis in axes:
        n = shape[axis]
        own = 2 * np.cos(np.pi * np.arange(1, n + 1) / (n + 1)) - 2
        eigenvalues = eigenvalues + own.reshape([-1 if a == axis else 1 for a in range(3)])
    expected = fft.idstn(fft.dstn(values.astype(float), 1, axes=axes) / eigenvalues, 1, axes=axes)
    sines.solve(values, shape[0] == 1)
    np.testing.assert_allclose(values, expected, atol=2e-6 * np.abs(expected).max())


@SHAPES
def test_changed_voxels_join_the_region(shape, channels):
    rng = np.random.default_rng(4)
    before = rng.standard_normal((channels, *shape)).astype(np.float32)
    after = before + np.where(rng.random(shape) < 0.3, 0.004, 0.0005).astype(np.float32)
    region = rng.random(shape) < 0.1
    kept = region.copy()
    change = np.abs(after.astype(float) - before).mean(axis=0)
    np.testing.assert_array_equal(poisson.changed(before, after, region, 0.002), region | (change > 0.002))
    np.testing.assert_array_equal(region, kept)


def test_blending_clips_inner_voxels_per_channel():
    target, donor = field((20, 22), 2, 0), field((20, 22), 2, 5)
    region = np.ones((20, 22), bool)
    free = poisson.blend_box(target, donor, region, mixed=False)
    out = poisson.blend_box(target, donor, region, mixed=False, limits=[[-0.1, -0.2], [0.1, 0.2]])
    for c, bound in ((0, np.float32(0.1)), (1, np.float32(0.2))):
        np.testing.assert_array_equal(out[c, 1:-1, 1:-1], np.clip(free[c, 1:-1, 1:-1], -bound, bound))
        np.testing.assert_array_equal(out[c, 0], target[c, 0])


# ------------------------------------------------------------------ written-out vectors beside their plain forms
def test_vectors_equal_their_plain_forms_bit_for_bit():
    rng = np.random.default_rng(0)
    values = rng.standard_normal(6 * 7 * 8).astype(np.float32)
    weights = rng.standard_normal((3, 5, 4)).astype(np.float32)

    @numba.njit  # not kept: the code is generated anew each time
    def sums(values, weights, out):
        for i in range(5):
            out[0, i] = lanes.picture_sum(values, 3 + i, 8, weights[1], weights[2], i)
            out[1, i] = lanes.volume_sum(values, 3 + i, 8, 56, weights[0], weights[1], weights[2], i)

    compiled, plain = np.zeros((2, 5), np.float32), np.zeros((2, 5), np.float32)
    sums(values, weights, compiled)
    getattr(sums, "py_func", sums)(values, weights, plain)
    np.testing.assert_array_equal(compiled, plain)


def test_product_blocks_equal_their_plain_form_bit_for_bit():
    rng = np.random.default_rng(0)
    side = 12
    matrix = rng.standard_normal(side * side).astype(np.float32)
    tile = rng.standard_normal(side * blocks.TILE).astype(np.float32)

    @numba.njit
    def product(matrix, side, tile, out):
        blocks.product_block(matrix, 4 * side, side, tile, 16, out, 4 * blocks.TILE + 32)

    compiled, plain = np.zeros_like(tile), np.zeros_like(tile)
    product(matrix, side, tile, compiled)
    blocks.product_block(matrix, 4 * side, side, tile, 16, plain, 4 * blocks.TILE + 32)
    np.testing.assert_array_equal(compiled, plain)
    rows = plain.reshape(side, -1)[4:8, 32:48]
    expected = matrix.reshape(side, side)[4:8].astype(float) @ tile.reshape(side, -1)[:, 16:32]
    np.testing.assert_allclose(rows, expected, atol=1e-5)
    assert np.count_nonzero(plain) == 64


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, 1e308, -1e20, 2e9])
def test_numbers_that_are_no_coordinates_are_refused_before_any_memory_is_touched(wrong):
    # compiled code computes places in memory from them: a centre that was NaN once ended the process
    image = field((20, 22, 24))
    shape = Geometry("cuboid", (9, 9, 9), np.eye(3), (10.0, 10.0, 10.0))
    skewed = np.eye(3)
    skewed[0, 1] = wrong
    for kind in ("cuboid", "ellipsoid"):
        with pytest.raises(SynthanomError, match="position must be finite"):
            Geometry(kind, (9, 9, 9), np.eye(3), (wrong, 10.0, 10.0))
        with pytest.raises(SynthanomError, match="matrix must be finite"):
            Geometry(kind, (9, 9, 9), skewed, (10.0, 10.0, 10.0))
    with pytest.raises(SynthanomError, match="centre must lie in the image"):
        radial_warp.warp(image, shape, (wrong, 10, 10), 3.0, direction="sink")
    with pytest.raises(SynthanomError, match="matrix must be finite"):
        affine_patch.sample(image, skewed, (1, 1, 1), (8, 8, 8))
    with pytest.raises(SynthanomError, match="offset must be finite"):
        affine_patch.sample(image, np.eye(3), (1, wrong, 1), (8, 8, 8))


@pytest.mark.parametrize("kind", ["cuboid", "ellipsoid"])
@pytest.mark.parametrize("small", [1e-310, 1e-40, 1e-9])
def test_numbers_that_are_hardly_coordinates_give_a_finite_picture(kind, small):
    image = field((20, 22, 24))
    for direction in ("sink", "source"):
        shape = Geometry(kind, (9, 9, 9), np.eye(3), (3.0, 10.0, 10.0))
        assert np.isfinite(radial_warp.warp(image, shape, (small, small, 10), 3.0, direction=direction)).all()
    for far in (small, -1e8, 1e9):
        assert np.isfinite(affine_patch.sample(image, far * np.eye(3), (far, 1, 1), (8, 8, 8))).all()


# ------------------------------------------------------------------ splines and donor patches
@SHAPES
def test_spline_crop_reproduces_the_whole_images_spline(shape, channels):
    image = field(shape, channels, 4, smooth=0.7)
    linear = 0.6 * np.eye(len(shape))
    linear[:2, :2] = 0.6 * np.array([[np.cos(0.4), -np.sin(0.4)], [np.sin(0.4), np.cos(0.4)]])
    offset = np.array(shape) * 0.2
    size = tuple(n // 3 for n in shape)
    out = affine_patch.sample(image, linear, offset, size)
    np.testing.assert_allclose(out, affine_reference.sample(image, linear, offset, size), atol=2e-5)


@given(seed=SEEDS, shape=SMALL)
@settings(max_examples=20, deadline=None)
def test_affine_patch_equals_its_reference_even_outside(seed, shape):
    rng = np.random.default_rng(seed)
    image = rng.standard_normal((1, *shape)).astype(np.float32)
    linear = np.eye(len(shape)) + 0.4 * rng.standard_normal((len(shape),) * 2)
    offset = rng.uniform(-4, 8, len(shape))
    size = tuple(int(n) for n in rng.integers(1, 9, len(shape)))
    out = affine_patch.sample(image, linear, offset, size)
    np.testing.assert_allclose(out, affine_reference.sample(image, linear, offset, size), atol=5e-5)


def test_affine_patch_at_voxels_is_the_image_and_clips():
    image = field((20, 24), 2, 0)
    out = affine_patch.sample(image, np.eye(2), (3, 5), (8, 9))
    np.testing.assert_allclose(out, image[:, 3:11, 5:14], atol=1e-5)
    clipped = affine_patch.sample(image, np.eye(2), (3, 5), (8, 9), limits=[[-0.1, -0.2], [0.1, 0.2]])
    for c, bound in ((0, 0.1), (1, 0.2)):
        assert (clipped[c].min(), clipped[c].max()) == (-np.float32(bound), np.float32(bound))
    with pytest.raises(SynthanomError, match="spatial axes"):
        affine_patch.sample(image, np.eye(3), (0, 0, 0), (3, 3, 3))


def test_affine_patch_of_a_region_holds_what_its_gradients_need():
    image = field((24, 26, 22), 2, 1)
    region = np.zeros((9, 10, 11), bool)
    region[2:5, 3:7, 1:4] = region[4:8, 5:9, 4:8] = True
    linear, offset = 0.9 * np.eye(3) + 0.1, (3.0, 4.0, 5.0)
    whole = affine_patch.sample(image, linear, offset, region.shape, [[-1, -1], [1, 1]])
    part = affine_patch.sample(image, linear, offset, region.shape, [[-1, -1], [1, 1]], region)
    needed = region.copy()
    for axis in range(3):
        needed |= np.roll(region, 1, axis)
    np.testing.assert_array_equal(part[:, needed], whole[:, needed])
    assert not part[:, :, :2].any() and not part[:, 9:].any()
    nothing = affine_patch.sample(image, linear, offset, region.shape, region=np.zeros_like(region))
    assert not nothing.any()


@given(seed=SEEDS, shape=st.sampled_from([(20, 26), (14, 12, 17)]), order=st.sampled_from([3, 1]))
@settings(max_examples=30, deadline=None)
def test_spline_equals_its_reference_far_outside_too(seed, shape, order):
    rng = np.random.default_rng(seed)
    image = rng.standard_normal((2, *shape)).astype(np.float32)
    points = np.stack([rng.uniform(-0.3 * n, 1.3 * n, 40) for n in shape])
    points[:, 0], points[:, 1] = 1e6, np.rint(points[:, 1])
    out = cubic_spline.sample(image, points, order)
    np.testing.assert_allclose(out, spline_reference.sample(image, np.clip(points, -50, 99), order), atol=5e-5)


def test_spline_at_the_voxels_is_the_image_and_refuses_bad_points():
    noise = np.random.default_rng(0).standard_normal((1, 40, 40)).astype(np.float32)
    voxels = np.indices((40, 40)).reshape(2, -1)
    np.testing.assert_allclose(cubic_spline.sample(noise, voxels)[0], noise.ravel(), atol=3e-5)
    assert cubic_spline.sample(noise, np.zeros((2, 0))).shape == (1, 0)
    for points in (np.zeros((3, 4)), np.array([[np.nan], [0.0]])):
        with pytest.raises(SynthanomError, match="points"):
            cubic_spline.sample(noise, points)


def test_prefilter_weights_are_those_of_the_recursion():
    impulse = np.zeros(61)
    impulse[30] = 1
    exact = ndimage.spline_filter1d(impulse, order=3)[30:]
    weights = spline_cpu.WEIGHTS[3]
    np.testing.assert_allclose(weights, exact[: weights.size], atol=5e-6)
    assert weights[0] + 2 * weights[1:].sum() == pytest.approx(1, abs=1e-6)
    assert weights.size % 3 == 1, "neighbours are added in threes"


@given(exponent=st.floats(0.1, 80), numbers=st.lists(st.floats(0, 1), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_powers_equal_the_librarys(exponent, numbers):
    values = np.array([0.0, 1.0, np.sqrt(0.5), 0.5, np.nextafter(1, 0), *numbers])
    expected = values**exponent
    raise_row(values, values.size, exponent, np.empty_like(values))
    np.testing.assert_allclose(values, expected, rtol=1e-12, atol=1e-30)


# ------------------------------------------------------------------ smooth change
@SHAPES
def test_smooth_change_equals_its_reference(shape, channels):
    image = field(shape, channels, 3)
    for seed in range(3):
        region = roomy_region(shape, 70 * seed)
        change = np.linspace(-0.8, 1.1, channels + 1)[1:]
        for ramp in (0.7, 2.6, 40.0):
            out = smooth_change.apply(image, region.mask, region.corner, ramp, change)
            expected = change_reference.apply(image, region.mask, region.corner, ramp, change)
            np.testing.assert_allclose(out, expected, atol=1e-5)


@given(seed=SEEDS, dims=st.sampled_from([2, 3]), limit=st.sampled_from([1.0, 2.5, np.inf]))
@settings(max_examples=40, deadline=None)
def test_depth_is_exact_up_to_its_limit(seed, dims, limit):
    rng = np.random.default_rng(seed)
    region = rng.random(rng.integers(1, 12, dims)) < rng.uniform(0.3, 1.0)
    depth = np.sqrt(smooth_change.squared_depth(region, limit=limit))
    expected = change_reference.depth(region)
    np.testing.assert_allclose(expected, ndimage.distance_transform_edt(np.pad(region, 1))[(slice(1, -1),) * dims])
    np.testing.assert_allclose(np.minimum(depth, limit), np.minimum(expected, limit), atol=1e-12)
    if limit == np.inf:
        assert smooth_change.largest_depth(region) == pytest.approx(expected.max(initial=0.0))
    deepest = min(expected.max(initial=0.0), limit)
    assert smooth_change.largest_depth(region, limit=limit) == pytest.approx(deepest)


def test_smooth_change_of_a_slab_is_the_closed_form():
    image = np.zeros((1, 12, 20), np.float32)
    region = np.ones((12, 9), bool)
    out = smooth_change.apply(image, region, (0, 5), 3.0, [0.6], limits=[[-1], [1]])
    depth = np.minimum(
        np.minimum(np.arange(1, 10), np.arange(9, 0, -1))[None],
        np.minimum(np.arange(1, 13), np.arange(12, 0, -1))[:, None],
    )
    np.testing.assert_allclose(out[0, :, 5:14], 0.6 * np.minimum(depth / 3, 1), atol=1e-6)
    assert (out[0, :, :5] == 0).all() and (out[0, :, 14:] == 0).all()


def test_smooth_change_clips_to_the_limits():
    image = field((16, 16))
    out = smooth_change.apply(image, np.ones((16, 16), bool), (0, 0), 1.0, [50.0])
    assert (out == image.max()).all()
    for bad in ({"ramp": 0.0}, {"ramp": np.nan}, {"change": [1.0, 2.0]}):
        with pytest.raises(SynthanomError):
            smooth_change.apply(image, np.ones((16, 16), bool), (0, 0), bad.get("ramp", 1.0), bad.get("change", [1.0]))


# ------------------------------------------------------------------ closing and reconstruction
@given(seed=SEEDS, dims=st.sampled_from([2, 3]), levels=st.sampled_from([0, 2, 5]))
@settings(max_examples=40, deadline=None)
def test_close_and_fill_equals_its_reference(seed, dims, levels):
    rng = np.random.default_rng(seed)
    values = rng.random(rng.integers(3, 12, dims)).astype(np.float32)
    if levels:
        values = np.round(values * levels) / np.float32(levels)
    out = grey_reconstruct.close_and_fill(values)
    np.testing.assert_array_equal(out, reconstruct_reference.close_and_fill(values).astype(np.float32))
    assert (out >= values).all()


@given(seed=SEEDS, dims=st.sampled_from([2, 3]))
@settings(max_examples=20, deadline=None)
def test_close_and_fill_equals_scikit_image(seed, dims):
    rng = np.random.default_rng(seed)
    values = rng.random(rng.integers(3, 12, dims)).astype(np.float32)
    element = np.zeros((3,) * dims, bool)
    for offset in itertools.product((-1, 0, 1), repeat=dims):
        element[tuple(o + 1 for o in offset)] = sum(o * o for o in offset) <= 2
    assert element.sum() == (9 if dims == 2 else 19)
    closed = ndimage.grey_closing(values, footprint=element, mode="nearest")
    seed_values = closed.copy()
    seed_values[(slice(1, -1),) * dims] = closed.max()
    filled = reconstruction(seed_values, closed, method="erosion", footprint=element)
    np.testing.assert_allclose(grey_reconstruct.close_and_fill(values), np.maximum(filled, values), atol=1e-7)


@pytest.mark.parametrize("dims", [2, 3])
def test_a_ring_is_filled_to_its_lowest_point(dims):
    values = np.ones((9,) * dims, np.float32)
    values[(slice(2, -2),) * dims] = 0.1
    values[(0,) * dims] = 0.7  # the wall's corner is not on any way out through faces and edges that is lower
    out = grey_reconstruct.close_and_fill(values)
    assert (out[(slice(2, -2),) * dims] == 1).all()
    # a broad breach (the closing would heal a narrow one) lets the inside drain down to its own height
    values[(slice(0, 3), *(slice(2, -2),) * (dims - 1))] = 0.4
    out = grey_reconstruct.close_and_fill(values)
    assert out[(4,) * dims] == np.float32(0.4)


def test_boxes_without_inside_are_refused():
    with pytest.raises(SynthanomError, match="at least 3"):
        grey_reconstruct.close_and_fill(np.zeros((2, 5), np.float32))


@pytest.mark.parametrize("upright", [False, True])
def test_a_serpentine_reaches_the_fixed_point(upright):
    # a corridor that runs left and right (up and down) in turn: every second leg runs against the raster, so one
    # pair of sweeps cannot settle it, and the bound must allow them all
    values = np.ones((46, 30), np.float32)
    values[:4, 2:6] = 0.2  # the way in, through the box's face
    for leg in range(7):
        top = 4 + 6 * leg
        values[top : top + 4, 2:28] = 0.2
        side = slice(24, 28) if leg % 2 == 0 else slice(2, 6)
        if leg < 6:
            values[top + 4 : top + 6, side] = 0.2
    values = values.T.copy() if upright else values
    out = grey_reconstruct.close_and_fill(values)
    np.testing.assert_array_equal(out, reconstruct_reference.close_and_fill(values).astype(np.float32))
    assert out[(10, 41) if upright else (41, 10)] == np.float32(0.2), "the far end drains through the whole corridor"


@given(seed=SEEDS, shape=st.sampled_from([(31, 26), (12, 9, 11)]), walls=st.floats(0.2, 0.8))
@settings(max_examples=40, deadline=None)
def test_mazes_reach_the_fixed_point(seed, shape, walls):
    rng = np.random.default_rng(seed)
    coarse = rng.random(shape) < walls  # walls three voxels apart: the closing leaves corridors open
    maze = np.kron(coarse, np.ones((3,) * len(shape)))[tuple(slice(0, n) for n in shape)] > 0
    values = np.where(maze, rng.integers(6, 9, shape), rng.integers(0, 4, shape)).astype(np.float32) - np.float32(3)
    out = grey_reconstruct.close_and_fill(values)  # some of them negative, whose bits order the other way round
    np.testing.assert_array_equal(out, reconstruct_reference.close_and_fill(values).astype(np.float32))


# ------------------------------------------------------------------ faces
def test_tensors_come_back_as_tensors_with_the_same_values():
    image = field((20, 20), 2)
    mask = np.ones((6, 6), bool)
    g = Geometry("ellipsoid", (8, 8), np.eye(2), (10.0, 10.0))
    donor = field((2, 6, 6)[1:], 2, 4)
    pairs = [
        (poisson.blend, (image, donor, mask, (3, 3)), {}),
        (radial_warp.warp, (image, g, (10.0, 10.0), 2.0), {"direction": "sink"}),
        (smooth_change.apply, (image, mask, (3, 3), 2.0, np.array([0.3, 0.4])), {}),
        (affine_patch.sample, (image, np.eye(2), (1, 1), (5, 5)), {}),
        (grey_reconstruct.close_and_fill, (image[0],), {}),
    ]
    for face, arguments, named in pairs:
        tensors = [
            torch.from_numpy(a.copy()) if isinstance(a, np.ndarray) and a.ndim > 1 and a.shape != (2, 2) else a
            for a in arguments
        ]
        out = face(*tensors, **named)
        assert isinstance(out, torch.Tensor)
        np.testing.assert_allclose(out.numpy(), face(*arguments, **named), rtol=0, atol=1e-5)


def test_inputs_are_never_written():
    image, mask = field((20, 20), 1), np.ones((8, 8), bool)
    donor = field((8, 8), 1, 1)
    kept = image.copy(), mask.copy(), donor.copy()
    for array in (image, mask, donor):
        array.flags.writeable = False
    poisson.blend(image, donor, mask, (2, 2))
    smooth_change.apply(image, mask, (2, 2), 2.0, [0.5])
    radial_warp.warp(image, Geometry("cuboid", (8, 8), np.eye(2), (9.0, 9.0)), (9, 9), 3.0, direction="source")
    affine_patch.sample(image, np.eye(2), (0, 0), (6, 6))
    grey_reconstruct.close_and_fill(image[0])
    for array, before in zip((image, mask, donor), kept, strict=True):
        np.testing.assert_array_equal(array, before)


@given(seed=SEEDS, dims=st.sampled_from([2, 3]))
@settings(max_examples=40, deadline=None)
def test_inverse_matrix(seed, dims):
    matrix = np.random.default_rng(seed).standard_normal((dims, dims))
    if abs(np.linalg.det(matrix)) > 1e-2:
        np.testing.assert_allclose(inverse_matrix(matrix), np.linalg.inv(matrix), rtol=1e-9, atol=1e-9)
    with pytest.raises(SynthanomError, match="invertible"):
        inverse_matrix(np.zeros((dims, dims)))
