"""Splines, donor patches and radial warps of tensors, one by one and in batches, against their twins."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from phantoms import CASES, field

from synthanom.arrays import inverse_matrix, pad_triple, to_volume
from synthanom.errors import SynthanomError
from synthanom.kernels import affine_patch, cubic_spline, radial_warp
from synthanom.kernels.affine_patch import gpu as patch
from synthanom.kernels.affine_patch import reference as patch_reference
from synthanom.kernels.cubic_spline import cpu as spline_cpu
from synthanom.kernels.cubic_spline import gpu as spline
from synthanom.kernels.cubic_spline import reference as spline_reference
from synthanom.kernels.radial_warp import gpu as warping
from synthanom.kernels.radial_warp import reference as warp_reference
from synthanom.kernels.radial_warp.cpu import relative_distances as compiled_distances
from synthanom.kernels.region_mask import embed
from synthanom.kernels.windows.gpu import along
from synthanom.regions import Geometry

SHAPES = pytest.mark.parametrize(("shape", "channels"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
ORDERS = pytest.mark.parametrize("order", [3, 1])
SMALL = st.sampled_from([(18, 16), (14, 12, 13)])
SEEDS = st.integers(0, 10**6)
CLOSE = 2e-5  # of an image's range; its lookups' coordinates are float32


def assert_close(out, expected, scale, part=CLOSE):
    np.testing.assert_allclose(np.asarray(out), expected, rtol=0, atol=part * np.ptp(scale))


def rotation(dims, rng):
    return np.linalg.qr(rng.standard_normal((dims, dims)))[0]


def noise(shape, channels=1, seed=0):
    return np.random.default_rng(seed).standard_normal((channels, *shape)).astype(np.float32)


# ------------------------------------------------------------------ splines
def test_the_prefilter_has_the_compiled_twins_weights():
    impulse = torch.zeros((1, 1, 1, 60, 61))
    impulse[0, 0, 0, 30, 30] = 1
    out = spline.coefficients(impulse, flat=True)[0, 0, 0]
    weights = spline_cpu.WEIGHTS[3]
    one = np.concatenate([weights[:0:-1], weights])
    np.testing.assert_array_equal(spline._band(25, torch.device("cpu")).numpy()[:, 0], one)
    assert out.shape == (36, 37)
    np.testing.assert_allclose(out[6:31, 6:31].numpy(), one[:, None] * one, atol=1e-7)
    assert not out[:6].any() and not out[31:].any()


@ORDERS
@pytest.mark.parametrize("shape", [(160, 170), (160, 22, 24), (20, 22, 162)])
def test_splines_of_noise_with_long_sides_are_accurate(shape, order):
    image = noise(shape, 2)
    points = np.random.default_rng(1).uniform(0, 1, (len(shape), 4000)) * (np.array(shape)[:, None] - 1)
    out = cubic_spline.sample(torch.from_numpy(image), points, order)
    assert out.dtype == torch.float32 and out.shape == (2, 4000)
    assert_close(out, spline_reference.sample(image, points, order), image)
    assert_close(out, cubic_spline.sample(image, points, order), image)


@ORDERS
@SHAPES
def test_splines_repeat_the_border(shape, channels, order):
    image = noise(shape, channels)
    rng = np.random.default_rng(2)
    points = np.stack([rng.uniform(-0.5 * n, 1.5 * n, 400) for n in shape])
    points[:, 0], points[:, 1], points[:, 2] = 1e300, -1e300, np.rint(points[:, 2])
    expected = spline_reference.sample(image, np.clip(points, -60, 120), order)
    out = cubic_spline.sample(torch.from_numpy(image).double(), torch.from_numpy(points), order)
    assert out.dtype == torch.float32
    assert_close(out, expected, image)


def test_splines_at_the_voxels_are_the_image_and_bad_points_are_refused():
    image = torch.from_numpy(noise((40, 40)))
    voxels = np.indices((40, 40)).reshape(2, -1)
    assert_close(cubic_spline.sample(image, voxels)[0], image.numpy().ravel(), image.numpy())
    assert cubic_spline.sample(image, np.zeros((2, 0))).shape == (1, 0)
    for points in (np.zeros((3, 4)), np.array([[np.nan], [0.0]])):
        with pytest.raises(SynthanomError, match="points"):
            cubic_spline.sample(image, points)
    with pytest.raises(SynthanomError, match="channel axis"):
        cubic_spline.sample(image[0], voxels)
    with pytest.raises(SynthanomError, match="float32 or float64"):
        cubic_spline.sample(image.half(), voxels)


@ORDERS
@pytest.mark.parametrize("shape", [(1, 30, 30), (12, 11, 13)])
def test_no_point_leads_out_of_memory_or_spoils_another(shape, order):
    values = torch.from_numpy(noise(shape)).unsqueeze(0)
    points = torch.full((1, 3, 1, 2, 4), 5.25)
    clean = spline.interpolate(values, points, order=order)
    for i, wrong in enumerate((1e30, -1e30, torch.inf, -torch.inf, torch.nan)):
        points[0, :, 0].view(3, -1)[:, i + 1] = wrong
    out = spline.interpolate(values, points, order=order).view(-1)
    assert torch.equal(out[[0, 6, 7]], clean.view(-1)[[0, 6, 7]])
    assert order == 3 or out[[1, 2]].isfinite().all()


def test_rows_of_coefficients_are_shared_in_parts_of_any_size(monkeypatch):
    values = torch.from_numpy(noise((9, 10, 11), 6)).view(3, 2, 9, 10, 11)
    points = torch.rand((5, 3, 2, 3, 4)) * 5 + 2
    which = torch.tensor([2, 0, 0, 1, 2])
    whole = spline.interpolate(values, points, which=which)
    assert torch.equal(whole, spline.interpolate(values[which], points))
    monkeypatch.setattr(spline, "COPIED", 2 * values[0].numel())
    assert torch.equal(whole, spline.interpolate(values, points, which=which))


# ------------------------------------------------------------------ donor patches
@SHAPES
def test_patches_equal_both_twins(shape, channels):
    image, rng = noise(shape, channels), np.random.default_rng(3)
    matrix = rotation(len(shape), rng) * 0.9
    offset, size = np.array(shape) * 0.4, tuple(n // 3 for n in shape)
    out = affine_patch.sample(torch.from_numpy(image), matrix, offset, size)
    assert out.dtype == torch.float32 and out.shape == (channels, *size)
    assert_close(out, patch_reference.sample(image, matrix, offset, size), image)
    assert_close(out, affine_patch.sample(image, matrix, offset, size), image)
    limits = np.stack([[-0.3 - c for c in range(channels)], [0.2 + c for c in range(channels)]])
    clipped = affine_patch.sample(torch.from_numpy(image).double(), matrix, offset, size, limits)
    assert_close(clipped, patch_reference.sample(image, matrix, offset, size, limits), image)
    assert torch.equal(
        clipped, affine_patch.sample(torch.from_numpy(image), matrix, offset, size, torch.tensor(limits))
    )


@given(seed=SEEDS, shape=SMALL, far=st.sampled_from([1.0, 30.0, 1e6]))
@settings(max_examples=15, deadline=None)
def test_patches_repeat_the_donors_border(seed, shape, far):
    rng = np.random.default_rng(seed)
    image = noise(shape, 1, seed)
    matrix = np.eye(len(shape)) + 0.4 * rng.standard_normal((len(shape),) * 2)
    offset = far * rng.uniform(-4, 8, len(shape))
    size = tuple(int(n) for n in rng.integers(1, 9, len(shape)))
    out = affine_patch.sample(torch.from_numpy(image), matrix, offset, size)
    assert_close(out, affine_patch.sample(image, matrix, offset, size), image)


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("sides", [[(22, 31), (40, 26), (33, 33)], [(12, 15, 10), (20, 9, 13), (16, 16, 16)]])
def test_one_pool_holds_donors_of_several_sides(sides, together):
    rng, dims = np.random.default_rng(4), len(sides[0])
    flat, channels = dims == 2, 2
    donors = [noise(s, channels, i) for i, s in enumerate(sides)]
    largest = tuple(max(n) for n in zip(*sides, strict=True))
    pool = np.full((3, channels, *largest), 1e3, dtype=np.float32)  # of which nothing may show
    for slot, donor in enumerate(donors):
        pool[(slot, slice(None), *map(slice, donor.shape[1:]))] = donor
    real = torch.tensor([[int(n) for n in pad_triple(s, 1)] for s in sides])
    coefficients = patch.extended(torch.from_numpy(to_volume(pool, dims)), flat=flat, sides=real)
    if not together:  # donors that came one at a time, each into the corner of its slot
        coefficients.fill_(1e3)
        for slot, donor in enumerate(donors):
            own = patch.extended(torch.from_numpy(to_volume(donor, dims)).unsqueeze(0), flat=flat)[0]
            coefficients[(slot, slice(None), *map(slice, own.shape[1:]))] = own
    which = [1, 2, 0, 1]
    matrices = [rotation(dims, rng) * rng.uniform(0.7, 1.2) for _ in which]
    offsets = [rng.uniform(-30, 60, dims) for _ in which]  # far beyond the border, too
    limits = np.sort(rng.uniform(-2, 2, (4, 2, channels)), axis=1)
    size = (1,) * (3 - dims) + (9, 8, 7)[:dims]
    out = patch.sample_boxes(
        coefficients,
        torch.tensor(which),
        real[which],
        torch.tensor(np.array([embed(m) for m in matrices])),
        torch.tensor(np.array([pad_triple(o, 0.0) for o in offsets])),
        torch.tensor(limits),
        size,
        flat=flat,
    )
    for n, slot in enumerate(which):
        expected = patch_reference.sample(donors[slot], matrices[n], offsets[n], size[3 - dims :], limits[n])
        assert_close(out[n].view(expected.shape), expected, donors[slot])


def test_patches_refuse_what_the_compiled_twin_refuses():
    donor = torch.zeros((1, 20, 22))
    for arguments, words in (
        ((np.eye(3), (0, 0, 0), (3, 3, 3)), "spatial axes"),
        ((np.eye(2) * np.nan, (0, 0), (3, 3)), "matrix must be finite"),
        ((np.eye(2), (0, 2e9), (3, 3)), "offset must be finite"),
        ((np.eye(2), (0, 0), (3, 3), None, np.ones((2, 3), bool)), "region must have"),
    ):
        with pytest.raises(SynthanomError, match=words):
            affine_patch.sample(donor, *arguments)
    with pytest.raises(SynthanomError, match="donor must be float32"):
        affine_patch.sample(donor.int(), np.eye(2), (0, 0), (3, 3))


# ------------------------------------------------------------------ sink and source
def drawn_shape(shape, rng, widest=0.45) -> Geometry:
    """A turned shape somewhere in an image, all of it inside."""
    dims = len(shape)
    kind = str(rng.choice(["ellipsoid", "cuboid"]))
    matrix = rotation(dims, rng)
    size = tuple(int(rng.integers(4, max(5, int(widest * n)))) for n in shape)
    reach = (np.abs(matrix) * size).sum(axis=1) / 2
    middle = [rng.uniform(min(r + 1, n / 2), max(n - r - 2, n / 2)) for r, n in zip(reach, shape, strict=True)]
    return Geometry(kind, size, matrix, tuple(middle))


def windows_of(geometries, shape, more=(0, 0, 0)):
    """First voxels (N, 3), regions (N, *P) and the widest sides of boxes with a margin of one voxel."""
    flat, boxes = 3 - len(shape), []
    for g in geometries:
        mask = to_volume(g.mask(shape), len(shape))
        voxels = np.argwhere(mask)
        margin = np.array([0 if flat else 1, 1, 1])
        boxes.append((mask, voxels.min(axis=0) - margin, voxels.max(axis=0) + 1 + margin))
    padded = np.max([high - low for _, low, high in boxes], axis=0) + more
    region = np.zeros((len(boxes), *padded), bool)
    for n, (mask, low, high) in enumerate(boxes):
        wide = np.pad(mask, 1)[tuple(slice(a + 1, b + 1) for a, b in zip(low, high, strict=True))]
        region[(n, *map(slice, wide.shape))] = wide
    return np.array([low for _, low, _ in boxes]), region


def batch_of(geometries, centres, factors, sinks):
    """Arguments of `warp_boxes` that say what is warped how."""
    shape = (
        torch.tensor([g.kind == "ellipsoid" for g in geometries]),
        torch.tensor(np.array([pad_triple([s / 2 for s in g.size], 1.0) for g in geometries])),
        torch.tensor(np.array([embed(inverse_matrix(g.matrix)) for g in geometries])),
        torch.tensor(np.array([pad_triple(g.position, 0.0) for g in geometries])),
    )
    pull = (
        torch.tensor(np.array([pad_triple(c, 0.0) for c in centres])),
        torch.tensor(factors, dtype=torch.float64),
        torch.tensor(sinks),
    )
    return shape, pull


@ORDERS
@SHAPES
def test_batched_warps_equal_their_twins_one_by_one(shape, channels, order):
    rng, dims = np.random.default_rng(5), len(shape)
    images = np.stack([noise(shape, channels, 10 + b) for b in range(3)])
    geometries = [drawn_shape(shape, rng, widest) for widest in (0.2, 0.45, 0.3, 0.45, 0.45, 0.25)]
    assert len({g.kind for g in geometries}) == 2
    voxels = [np.argwhere(g.mask(shape)) for g in geometries]
    centres = [tuple(int(v) for v in rng.choice(places)) for places in voxels]
    factors, sinks = rng.uniform(1.3, 25, 6).tolist(), [True, False, False, True, False, True]
    item = [0, 2, 1, 0, 2, 2]
    start, region = windows_of(geometries, shape, more=(0 if dims == 2 else 3, 5, 2))
    kept = torch.from_numpy(to_volume(images, dims).copy())
    before = kept.clone()
    out = warping.warp_boxes(
        kept,
        torch.tensor(item),
        torch.from_numpy(start),
        torch.from_numpy(region),
        *batch_of(geometries, centres, factors, sinks),
        order=order,
        flat=dims == 2,
    )
    assert out.dtype == torch.float32 and torch.isfinite(out).all() and torch.equal(kept, before)
    for n, g in enumerate(geometries):
        image, direction = images[item[n]], "sink" if sinks[n] else "source"
        flat = (g.kind, g.size, g.matrix, g.position)
        expected = warp_reference.warp(image, flat, centres[n], factors[n], direction=direction, order=order)
        compiled = radial_warp.warp(image, g, centres[n], factors[n], direction=direction, order=order)
        alone = radial_warp.warp(torch.from_numpy(image), g, centres[n], factors[n], direction=direction, order=order)
        full = image.copy()
        place = tuple((np.argwhere(region[n]) + start[n]).T)
        to_volume(full, dims)[(slice(None), *place)] = out[n].numpy()[:, region[n]]
        assert np.abs(full - image).max() > 0.01 * np.ptp(image)
        for found in (full, alone.numpy()):
            assert_close(found, expected, image)
            assert_close(found, compiled, image)
            np.testing.assert_array_equal(found[:, ~g.mask(shape)], image[:, ~g.mask(shape)])
            np.testing.assert_array_equal(found[(slice(None), *centres[n])], image[(slice(None), *centres[n])])


@pytest.mark.parametrize("dims", [2, 3])
def test_padding_and_other_items_change_nothing(dims):
    shape, rng = (40, 36) if dims == 2 else (16, 18, 20), np.random.default_rng(6)
    image = torch.from_numpy(to_volume(noise(shape)[None], dims).copy())
    geometries = [drawn_shape(shape, rng) for _ in range(4)]
    centres = [tuple(int(v) for v in rng.choice(np.argwhere(g.mask(shape)))) for g in geometries]
    kinds = batch_of(geometries, centres, [3.0, 9.0, 40.0, 2.0], [True, False, False, True])

    def warp(parts, more):
        start, region = windows_of([geometries[n] for n in parts], shape, more)
        shapes, pull = (tuple(t[parts] for t in tensors) for tensors in kinds)
        item = torch.zeros(len(parts), dtype=torch.int64)
        where = torch.from_numpy(region)
        out = warping.warp_boxes(image, item, torch.from_numpy(start), where, shapes, pull, order=3, flat=dims == 2)
        return [out[n][:, where[n]].numpy() for n in range(len(parts))]

    # windows that stretch far beyond the image, whose voxels there have no valid mapping
    for n, found in enumerate(warp([0, 1, 2, 3], (0 if dims == 2 else 25, 50, 31))):
        assert_close(found, warp([n], (0, 0, 0))[0], image.numpy(), 5e-6)


@pytest.mark.parametrize("kind", ["cuboid", "ellipsoid"])
@pytest.mark.parametrize("size", [6, 7])
@pytest.mark.parametrize("turned", [False, True])
def test_centres_on_the_surface_and_rays_along_a_face_give_no_nan(kind, size, turned):
    # half widths of 3 voxels: voxels lie on the surface; with size 7 the inverse rounds u to just above 1
    matrix = np.eye(2) * (6 / size)
    if turned:
        matrix = matrix @ np.array([[0.0, -1.0], [1.0, 0.0]])
    g = Geometry(kind, (size, size), matrix, (10.0, 10.0))
    image = field((20, 20))
    for centre in ((7, 7), (8, 7), (7, 10), (10, 13), (13, 13)):
        if not g.mask((20, 20))[centre]:
            continue
        for direction in ("sink", "source"):
            out = radial_warp.warp(torch.from_numpy(image), g, centre, 4.3, direction=direction).numpy()
            flat = (g.kind, g.size, g.matrix, g.position)
            assert np.isfinite(out).all()
            assert_close(out, warp_reference.warp(image, flat, centre, 4.3, direction=direction), image)


@given(seed=SEEDS, dims=st.sampled_from([2, 3]), out=st.sampled_from([0.0, 1e-16, 1e-12, 0.5]))
@settings(max_examples=15, deadline=None)
def test_every_voxel_has_a_relative_distance_wherever_the_centre_lies(seed, dims, out):
    # on the surface, behind it by rounding, outside: windows hold voxels whose rays never leave or enter the shape
    rng = np.random.default_rng(seed)
    geometries = [Geometry(k, (9, 7, 8)[:dims], rotation(dims, rng), (6.0,) * dims) for k in ("ellipsoid", "cuboid")]
    way = rng.standard_normal(dims)
    centres = []
    for g in geometries:
        half = np.array(g.size) / 2
        reach = np.linalg.norm(way / half) if g.kind == "ellipsoid" else np.abs(way / half).max()
        centres.append(np.array(g.position) + g.matrix @ way * ((1 + out) / reach))
    shape, pull = batch_of(geometries, centres, [3.0, 40.0], [True, False])
    sides = (1, 13, 14) if dims == 2 else (12, 13, 14)
    away = [along(a, sides[a], torch.device("cpu")) - pull[0][:, a].view(-1, 1, 1, 1) for a in range(3)]
    scaled = shape[2] / shape[1].unsqueeze(2)
    o = (scaled * (pull[0] - shape[3]).unsqueeze(1)).sum(dim=2)
    u = warping.relative_distances(away, o, scaled, shape[0], flat=dims == 2)
    assert ((u > 0) & (u <= 1)).all()
    assert warping.stretches(away, shape, pull, flat=dims == 2).isfinite().all()
    row = np.empty(sides[2])
    for n, z, y in np.ndindex(2, *sides[:2]):
        first = np.array([away[0][n, z, 0, 0], away[1][n, 0, y, 0], away[2][n, 0, 0, 0]])
        compiled_distances(row, 0, row.size, first, o[n].numpy(), scaled[n].numpy(), n == 0)
        np.testing.assert_allclose(u[n, z, y], row, rtol=1e-6)


@ORDERS
@pytest.mark.parametrize("size", [14, 90])  # a sink samples beyond the image, up to the shape's surface
@pytest.mark.parametrize("shape", [(20, 20), (9, 12, 11)])
def test_shapes_that_leave_the_image_are_cut(shape, size, order):
    image, dims = field(shape, seed=1), len(shape)
    centre = (1, *(n - 2 for n in shape[1:]))
    for kind in ("ellipsoid", "cuboid"):
        g = Geometry(kind, (size,) * dims, np.eye(dims), tuple(float(c) for c in centre))
        for direction in ("sink", "source"):
            out = radial_warp.warp(torch.from_numpy(image), g, centre, 3.0, direction=direction, order=order)
            flat = (g.kind, g.size, g.matrix, g.position)
            expected = warp_reference.warp(image, flat, centre, 3.0, direction=direction, order=order)
            assert_close(out, expected, image)


@pytest.mark.parametrize("small", [1e-310, 1e-40, 1e-9, 0.3])
def test_centres_that_are_no_voxels_or_lie_outside_equal_the_compiled_twin(small):
    image = field((20, 22, 24))
    for kind in ("cuboid", "ellipsoid"):
        g = Geometry(kind, (9, 9, 9), np.eye(3), (3.0, 10.0, 10.0))
        for centre in ((small, 10 + small, 10), (19 - small, 2.0, 20.0)):
            for direction in ("sink", "source"):
                out = radial_warp.warp(torch.from_numpy(image), g, centre, 3.0, direction=direction)
                assert_close(out, radial_warp.warp(image, g, centre, 3.0, direction=direction), image)


def test_volumes_of_one_plane_equal_the_compiled_twin():
    image, rng = noise((1, 24, 26)), np.random.default_rng(8)
    for kind in ("cuboid", "ellipsoid"):
        g = Geometry(kind, (7, 12, 10), rotation(3, rng), (0.0, 12.0, 12.0))
        out = radial_warp.warp(torch.from_numpy(image), g, (0, 12, 13), 3.0, direction="source")
        assert_close(out, radial_warp.warp(image, g, (0, 12, 13), 3.0, direction="source"), image)
    matrix, offset = rotation(3, rng), (0.0, 5.0, 6.0)
    out = affine_patch.sample(torch.from_numpy(image), matrix, offset, (4, 5, 6))
    assert_close(out, affine_patch.sample(image, matrix, offset, (4, 5, 6)), image)


@given(seed=SEEDS, shape=SMALL, factor=st.floats(1.01, 58), order=st.sampled_from([3, 1]))
@settings(max_examples=15, deadline=None)
def test_warps_equal_the_compiled_twin_and_stay_in_the_images_range(seed, shape, factor, order):
    rng = np.random.default_rng(seed)
    g, image = drawn_shape(shape, rng), field(shape, 1, seed)
    centre = tuple(int(v) for v in rng.choice(np.argwhere(g.mask(shape))))
    for direction in ("sink", "source"):
        out = radial_warp.warp(torch.from_numpy(image), g, centre, factor, direction=direction, order=order).numpy()
        assert_close(out, radial_warp.warp(image, g, centre, factor, direction=direction, order=order), image)
        if order == 1:
            assert out.min() >= image.min() - 1e-6 and out.max() <= image.max() + 1e-6


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"factor": 1.0}, "factor"),
        ({"factor": np.nan}, "factor"),
        ({"direction": "spiral"}, "direction"),
        ({"order": 2}, "order"),
        ({"centre": (10.0,)}, "centre"),
        ({"centre": (np.nan, 1.0)}, "centre must lie in the image"),
    ],
)
def test_warps_of_tensors_refuse_bad_settings(change, words):
    g = Geometry("ellipsoid", (8, 8), np.eye(2), (10.0, 10.0))
    settings_ = {"centre": (10, 10), "factor": 2.0, "direction": "sink", "order": 3} | change
    centre, factor = settings_.pop("centre"), settings_.pop("factor")
    with pytest.raises(SynthanomError, match=words):
        radial_warp.warp(torch.zeros((1, 20, 20)), g, centre, factor, **settings_)


def test_tensors_are_never_written_and_need_not_be_contiguous():
    g = Geometry("ellipsoid", (8, 8), np.eye(2), (10.0, 10.0))
    far = Geometry("ellipsoid", (8, 8), np.eye(2), (-90.0, 10.0))
    image = torch.from_numpy(noise((21, 20))).mT.requires_grad_()
    kept = image.detach().clone()
    for shape in (g, far):
        out = radial_warp.warp(image, shape, (10, 10), 3.0, direction="sink")
        expected = radial_warp.warp(kept.numpy(), shape, (10, 10), 3.0, direction="sink")
        assert out.dtype == torch.float32 and not out.requires_grad
        assert_close(out, expected, expected)
        out.zero_()
    double = radial_warp.warp(kept.double(), g, (10, 10), 3.0, direction="sink")
    assert double.dtype == torch.float32
    affine_patch.sample(image, np.eye(2), (0, 0), (5, 5)).zero_()
    cubic_spline.sample(image, np.zeros((2, 3)), 1).zero_()
    assert torch.equal(image.detach(), kept)


def test_patches_are_as_accurate_as_blending_needs():
    rng = np.random.default_rng(0)
    donor = rng.standard_normal((1, 300, 280)).astype(np.float32)
    matrix, offset, size = np.array([[0.9, -0.3], [0.35, 1.1]]), (60.0, 3.0), (180, 170)
    expected = patch_reference.sample(donor, matrix, offset, size)
    found = affine_patch.sample(torch.from_numpy(donor), matrix, offset, size).numpy()
    # lookups with float32 coordinates were off by ten times as much, and gradients of almost equal size went astray
    assert np.abs(found - expected).max() < 1e-6 * np.ptp(donor)
