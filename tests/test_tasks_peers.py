"""FPI, PII, CutPaste, cutout and NSA: each against its formula, and what they draw."""

import dataclasses

import numpy as np
import pytest
from phantoms import CASES, ellipsoid, field, phantom
from scipy import sparse
from scipy.sparse.linalg import spsolve

from synthanom import Sample, SynthanomError, synthesise, tasks
from synthanom.errors import NoPlace, UnsuitableRegion
from synthanom.kernels import affine_patch, poisson
from synthanom.kernels.poisson import reference
from synthanom.labels import Factor, FlippedGaussian
from synthanom.regions import Region
from synthanom.streams import stream
from synthanom.tasks.cutpaste import PatchShape
from synthanom.tasks.same_place import InterpolationParams, SquareShape

LABELLER = FlippedGaussian()
SHAPES = pytest.mark.parametrize(("shape", "channels"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
WIDE = ((-1e9, -1e9), (1e9, 1e9))


def drawn(task, samples, number=0):
    """A region, its numbers, and the donor."""
    rng = stream(0, "peers", task.name, number)
    for _ in range(50):
        region = task.draw_region(rng, samples[0])
        try:
            return region, task.sample_params(rng, samples[0], region, samples[1])
        except UnsuitableRegion:
            continue
    raise AssertionError("no suitable region in 50 draws")


def cohort(shape, channels=1):
    return [phantom(shape, channels, seed) for seed in range(2)]


def tight(region):
    """The region's voxels must fill an upright box: its first voxel and end in the image."""
    places = np.argwhere(region.mask) + region.corner
    low, end = places.min(axis=0), places.max(axis=0) + 1
    assert region.count == np.prod(end - low)
    return low, end


def laplacian(values):
    """The five-point Laplacian of a picture's inner pixels."""
    wide = values.astype(float)
    return np.diff(wide, 2, axis=0)[:, 1:-1] + np.diff(wide, 2, axis=1)[1:-1]


# ------------------------------------------------------------------ fpi and pii


@SHAPES
def test_fpi_is_a_mixture_in_the_patch(shape, channels):
    samples = cohort(shape, channels)
    region, params = drawn(tasks.Fpi(), samples)
    out = tasks.Fpi.apply(samples[0].image, region, params, samples[1])
    low, high = (np.reshape(v, (-1, *(1,) * len(shape))) for v in samples[0].limits)
    mixture = (1 - params.factor) * samples[0].image.astype(float) + params.factor * samples[1].image
    inside = np.zeros(shape, bool)
    inside[region.slices] = region.mask
    np.testing.assert_allclose(out, np.where(inside, np.clip(mixture, low, high), samples[0].image), atol=1e-6)


@pytest.mark.parametrize("task", [tasks.Fpi(), tasks.Pii()], ids=lambda t: t.name)
def test_the_label_is_the_factor(task):
    samples = cohort((40, 48))
    result = synthesise(samples[0], task, Factor(), rng=stream(0, "f", task.name, 0), donors=samples, max_anomalies=1)
    (anomaly,) = result.recipe.anomalies
    changed = np.abs(result.image - samples[0].image)[0] > 0.001
    np.testing.assert_array_equal(result.label, np.where(changed, np.float32(anomaly.params.factor), 0))


@pytest.mark.parametrize("shape", [(60, 50), (40, 32, 36)])
def test_squares_are_as_wide_and_where_they_should_be(shape):
    everywhere = np.ones(shape, bool)
    sides, centres = [], []
    for number in range(400):
        region = SquareShape().draw(stream(0, "s", "fpi", number), everywhere)
        low, end = tight(region)
        assert (low >= 1).all() and (end <= np.array(shape) - 1).all()
        whole = (low > 1).all() and (end < np.array(shape) - 1).all()
        if whole:
            assert len(set((end - low).tolist())) == 1
            centres.append((low + end - 1) / 2)
            sides.append((end - low).max())
    halves = np.arange(round(0.05 * min(shape)), round(0.2 * min(shape)))
    assert set(sides) == set((2 * np.maximum(halves, 1) + 1).tolist())
    share = np.array(centres) / (np.array(shape) - 1)
    assert share.min() > 0.09 and share.max() < 0.91 and abs(share.mean() - 0.5) < 0.03


def test_squares_lie_on_the_foreground_or_nowhere():
    foreground = np.zeros((48, 48), bool)
    foreground[:, 30:] = True
    for number in range(30):
        region = SquareShape().draw(stream(0, "s", "fpi", number), foreground)
        assert 2 * (region.mask & foreground[region.slices]).sum() >= region.count
    with pytest.raises(NoPlace, match="none of 50 shapes"):
        SquareShape().draw(stream(0, "s", "fpi", 0), np.eye(48, dtype=bool))


@pytest.mark.parametrize("task", [tasks.Fpi(), tasks.Pii()], ids=lambda t: t.name)
def test_the_same_place_needs_the_same_shape(task):
    sample, other = phantom((40, 48)), phantom((40, 44), 1, 1)
    with pytest.raises(SynthanomError, match=r"same place .*\(1, 40, 44\); bring both onto one grid"):
        synthesise(sample, task, LABELLER, rng=stream(0, "f", task.name, 0), donors=[other])
    region, params = drawn(task, [sample, phantom((40, 48), 1, 1)])
    for donor in (None, other):
        with pytest.raises(SynthanomError, match="needs a donor"):
            task.apply(sample.image, region, params, donor)


def pii_by_definition(image, donor, inside, factor):
    """One unknown per voxel of the patch, one equation each, neighbour by neighbour; solved directly, not clipped."""
    out = image.astype(float).copy()
    voxels = np.argwhere(inside)
    number = {tuple(v): i for i, v in enumerate(voxels.tolist())}
    for c in range(image.shape[0]):
        own, other = image[c].astype(float), donor[c].astype(float)
        matrix, right = sparse.lil_matrix((len(voxels),) * 2), np.zeros(len(voxels))
        for p, row in number.items():
            for axis in range(inside.ndim):
                for step in (-1, 1):
                    q = tuple(v + step * (a == axis) for a, v in enumerate(p))
                    foreign, mine = factor * (other[p] - other[q]), (1 - factor) * (own[p] - own[q])
                    right[row] += mine if abs(mine) > abs(foreign) else foreign
                    matrix[row, row] += 1
                    if q in number:
                        matrix[row, number[q]] -= 1
                    else:
                        right[row] += own[q]
        out[c][inside] = spsolve(matrix.tocsr(), right)
    return out


@SHAPES
def test_pii_equals_a_direct_solution_of_its_equations(shape, channels):
    samples = cohort(shape, channels)
    for number in range(3):
        region, params = drawn(tasks.Pii(), samples, number)
        free = dataclasses.replace(params, limits=tuple(side[:channels] for side in WIDE))
        inside = np.zeros(shape, bool)
        inside[region.slices] = region.mask
        expected = pii_by_definition(samples[0].image, samples[1].image, inside, params.factor)
        out = tasks.Pii.apply(samples[0].image, region, free, samples[1])
        np.testing.assert_allclose(out, expected, atol=2e-5)
        low, high = (np.reshape(v, (-1, *(1,) * len(shape))) for v in samples[0].limits)
        clipped = tasks.Pii.apply(samples[0].image, region, params, samples[1])
        np.testing.assert_allclose(clipped, np.where(inside, np.clip(expected, low, high), expected), atol=2e-5)


def test_pii_is_no_mixed_blend_of_a_scaled_donor():
    samples = cohort((40, 48))
    region, _ = drawn(tasks.Pii(), samples)
    params = InterpolationParams(factor=0.5, limits=((-1e9,), (1e9,)))
    out = tasks.Pii.apply(samples[0].image, region, params, samples[1])
    patch = 0.5 * samples[1].image[(slice(None), *region.slices)]
    mixed = poisson.blend(samples[0].image, patch, region.mask, region.corner)
    assert np.abs(out - mixed).max() > 0.05


def test_pii_between_a_picture_and_itself():
    sample = phantom((40, 48))
    region, params = drawn(tasks.Pii(), [sample, sample])
    whole = dataclasses.replace(params, factor=1.0)
    brighter = dataclasses.replace(sample, image=sample.image + np.float32(0.5))
    out = tasks.Pii.apply(sample.image, region, whole, brighter)
    np.testing.assert_allclose(out, sample.image, atol=1e-5)  # gradients only


def test_pii_in_other_regions_keeps_the_pictures_own_gradients_around_them():
    samples = cohort((40, 48))
    mask = np.zeros((40, 48), bool)
    mask[8:20, 10:30] = ellipsoid((12, 20))
    region = Region.from_mask(mask)
    params = InterpolationParams(factor=0.9, limits=((-1e9,), (1e9,)))
    out = tasks.Pii.apply(samples[0].image, region, params, samples[1])
    before = samples[0].image[(slice(None), *region.slices)]
    after = out[(slice(None), *region.slices)]
    touched = tasks.Pii.touched(before, after, region, params)
    assert (touched & ~region.mask).any() and touched[region.mask].all()
    far = ~region.mask[1:-1, 1:-1]
    for axis in (0, 1):
        for step in (-1, 1):
            far &= ~np.roll(region.mask, step, axis)[1:-1, 1:-1]
    assert far.any()
    np.testing.assert_allclose(laplacian(before[0])[far], laplacian(after[0])[far], atol=1e-4)


@SHAPES
def test_integration_equals_its_reference(shape, channels):
    sides = (channels, *(n // 2 for n in shape))
    rng = np.random.default_rng(0)
    target = rng.standard_normal(sides).astype(np.float32)
    guidance = [rng.standard_normal(np.diff(target, axis=1 + axis).shape) for axis in range(len(shape))]
    expected = reference.integrate_box(target, guidance)
    np.testing.assert_allclose(poisson.integrate_box(target, guidance), expected, atol=1e-4)
    limits = [[-0.5] * channels, [0.25] * channels]
    clipped = poisson.integrate_box(target, guidance, limits=limits)
    inner = (slice(None), *(slice(1, -1),) * len(shape))
    np.testing.assert_allclose(clipped[inner], np.clip(expected, -0.5, 0.25)[inner], atol=1e-4)
    own = [np.diff(target.astype(float), axis=1 + axis) for axis in range(len(shape))]
    np.testing.assert_allclose(poisson.integrate_box(target, own), target, atol=1e-6)
    thin = target[:, :2]
    np.testing.assert_array_equal(poisson.integrate_box(thin, []), thin)


# ------------------------------------------------------------------ cutpaste and cutout


@SHAPES
def test_cutpaste_puts_another_part_of_the_picture_there(shape, channels):
    sample = phantom(shape, channels)
    for number in range(10):
        region, params = drawn(tasks.CutPaste(), [sample, None], number)
        out = tasks.CutPaste.apply(sample.image, region, params)
        low, end = tight(region)
        here = (slice(None), *map(slice, low, end))
        there = (slice(None), *map(slice, low + params.shift, end + params.shift))
        assert any(params.shift)
        np.testing.assert_array_equal(out[here], sample.image[there])
        kept = out.copy()
        kept[here] = sample.image[here]
        np.testing.assert_array_equal(kept, sample.image)


@pytest.mark.parametrize("shape", [(100, 80), (50, 60, 40)])
def test_patches_have_the_share_and_the_ratios_that_were_asked_for(shape):
    everywhere = np.ones(shape, bool)
    shares, ratios = [], []
    for number in range(400):
        low, end = tight(PatchShape().draw(stream(0, "c", "cutpaste", number), everywhere))
        shares.append(np.prod(end - low) / np.prod(shape))
        ratios.append((end - low)[1] / (end - low)[0])
    assert (
        0.015 < min(shares) < 0.03 and 0.13 < max(shares) < 0.17 and np.mean(shares) == pytest.approx(0.085, rel=0.06)
    )
    assert min(ratios) > 0.25 and max(ratios) < 3.9 and 0.4 < (np.array(ratios) < 1).mean() < 0.6


def test_cutpaste_refuses_what_does_not_fit():
    sample = phantom((24, 24))
    region, params = drawn(tasks.CutPaste(), [sample, None])
    with pytest.raises(SynthanomError, match="in the image"):
        tasks.CutPaste.apply(sample.image, region, dataclasses.replace(params, shift=(24, 0)))
    whole = np.ones((24, 24), bool)
    with pytest.raises(UnsuitableRegion, match="another place"):
        tasks.CutPaste().sample_params(np.random.default_rng(0), sample, Region.from_mask(whole))


def test_cutpaste_cuts_anatomy_where_there_is_some():
    foreground = np.zeros((64, 64), bool)
    foreground[16:48, 16:48] = True
    sample = Sample.from_array(field((64, 64)), foreground, id="s")
    shown = 0
    for number in range(40):
        region, params = drawn(tasks.CutPaste(), [sample, None], number)
        low, end = tight(region)
        shown += foreground[tuple(low + params.shift + (end - low) // 2)]
    assert shown == 40  # by chance, a quarter


@SHAPES
def test_cutout_is_one_value_per_channel(shape, channels):
    sample = phantom(shape, channels)
    region, params = drawn(tasks.CutOut(), [sample, None])
    out = tasks.CutOut.apply(sample.image, region, params)
    inside = np.zeros(shape, bool)
    inside[region.slices] = region.mask
    for c in range(channels):
        assert set(np.unique(out[c, inside])) == {np.float32(params.value[c])}
    np.testing.assert_array_equal(out[:, ~inside], sample.image[:, ~inside])
    assert len(set(params.value)) == channels
    low, high = sample.range_numbers
    settled = tasks.CutOut(value=1e3).sample_params(np.random.default_rng(0), sample, region)
    assert settled.value == high and all(a <= v <= b for a, v, b in zip(low, params.value, high, strict=True))


# ------------------------------------------------------------------ nsa


@SHAPES
def test_nsa_keeps_its_rules(shape, channels):
    samples = cohort(shape, channels)
    task = tasks.Nsa()
    for number in range(15):
        region, params = drawn(task, samples, number)
        low, end = tight(region)
        source = np.array(region.geometry.size)
        scale, offset = np.diag(params.matrix), np.array(params.offset)
        np.testing.assert_allclose(scale, source / (end - low))
        first = offset + scale * (low - region.corner)  # where the patch's first voxel is taken
        np.testing.assert_allclose(first - (scale - 1) / 2, np.rint(first - (scale - 1) / 2), atol=1e-9)
        begins = np.rint(first - (scale - 1) / 2)
        assert (begins >= 0).all() and (begins + source <= shape).all(), "the patch lies in the donor"
        shown = common = 0
        for voxel in np.argwhere(region.mask):
            taken = tuple(np.rint(offset + scale * voxel).astype(int))
            shown += samples[1].foreground[taken]
            common += samples[1].foreground[taken] and samples[0].foreground[tuple(voxel + region.corner)]
        assert shown > 0.7 * region.count and common > 0.7 * shown


def test_nsa_patches_have_the_sizes_that_were_asked_for():
    everywhere, shape = np.ones((256, 200), bool), np.array((256, 200))
    source, landed = [], []
    for number in range(400):
        region = tasks.Nsa().shape.draw(stream(0, "n", "nsa", number), everywhere)
        low, end = tight(region)
        source.append((np.array(region.geometry.size) - 1) / 2 / shape)
        landed.append((end - low) / shape)
    source, landed = np.array(source), np.array(landed)
    assert source.min() >= 0.045 and source.max() <= 0.4
    assert source.mean() == pytest.approx(0.05 + 2 * 0.03, abs=0.008)
    assert landed.max() <= 0.4 + 1 / 200
    factors = landed * shape / (2 * source * shape + 1)
    free = factors[(landed < 0.38).all(axis=1) & (source > 0.06).all(axis=1)]
    assert 0.6 < free.min() < 0.75 and 1.2 < free.max() < 1.4
    assert np.abs(np.diff(free, axis=1)).max() < 0.1  # the same along both axes


def test_nsa_counts_coins():
    sample, donors = phantom((40, 40)), [phantom((40, 40), 1, 1)]
    counts = np.zeros(5, int)
    for number in range(300):
        rng = stream(0, "n", "nsa", number)
        counts[len(synthesise(sample, tasks.Nsa(), LABELLER, rng=rng, donors=donors).recipe.anomalies)] += 1
    expected = 300 * np.array([0.25, 0.5, 0.25])
    assert counts[0] == counts[4] == 0
    assert (((counts[1:4] - expected) ** 2) / expected).sum() < 14  # chi-square, 2 degrees: p < 0.001
    assert tasks.Nsa().draw_count(np.random.default_rng(0), 1, 1.0) == 1
    assert tasks.Nsa(patches=4).draw_count(np.random.default_rng(0), 4, 1.0) == 4


def test_nsa_neither_recentres_nor_loses_its_rim():
    samples = cohort((48, 40))
    region, params = drawn(tasks.Nsa(mixed=False), samples)
    wide = dataclasses.replace(params, limits=((-1e9,), (1e9,)))
    out = tasks.Nsa.apply(samples[0].image, region, wide, samples[1])[0][region.slices]
    patch = affine_patch.sample(samples[1].image, params.matrix, params.offset, region.size)[0]
    # the donor's differences, not a voxel beside where they belong; edges before the first voxels are the target's
    found, wanted = laplacian(out), laplacian(patch)
    np.testing.assert_allclose(found[1:, 1:], wanted[1:, 1:], atol=1e-4)
    assert (out != samples[0].image[0][region.slices])[region.mask].mean() > 0.99


def test_nsa_at_the_same_place():
    samples = cohort((48, 40))
    region, params = drawn(tasks.Nsa(shifted=False), samples)
    low, end = tight(region)
    middle = (low + end - 1) / 2
    taken = np.array(params.offset) + np.diag(params.matrix) * (middle - region.corner)
    assert np.abs(taken - middle).max() <= 0.5
    with pytest.raises(SynthanomError, match="must have the shape"):
        tasks.Nsa(shifted=False).sample_params(np.random.default_rng(0), samples[0], region, phantom((40, 40), 1, 3))
    small = phantom((12, 12), 1, 3)
    large = dataclasses.replace(tasks.Nsa().shape, offset=0.35)
    with pytest.raises(UnsuitableRegion, match="larger than its patch"):
        task = tasks.Nsa(shape=large)
        task.sample_params(
            np.random.default_rng(0), samples[0], task.draw_region(np.random.default_rng(0), samples[0]), small
        )


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: tasks.Fpi(factor=(0.0, 0.5)), "factor must"),
        (lambda: tasks.Fpi(shape=SquareShape(core=0)), "core"),
        (lambda: tasks.Nsa(patches=5), "patches must"),
        (lambda: tasks.Nsa(least_object=1.0), "least_object"),
        (lambda: tasks.Nsa.from_dict({"shape": {"largest": 0.6}}), "0.45"),
        (lambda: tasks.Nsa.from_dict({"shape": {"resize": [2, 1]}}), "resize must"),
        (lambda: tasks.Nsa.from_dict({"shape": {"gamma_scale": 0}}), "gamma_scale"),
        (lambda: tasks.CutPaste.from_dict({"shape": {"aspect": [2, 3]}}), "aspect must"),
        (lambda: tasks.CutPaste.from_dict({"shape": {"largest": 0.9}}), "0.5"),
        (lambda: tasks.CutOut(value=float("nan")), "finite"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make, words):
    with pytest.raises(SynthanomError, match=words):
        make()


def test_kinds_say_what_a_detector_has_seen():
    kinds = {name: task.kind for name, task in tasks.TASKS.items()}
    assert {n for n, k in kinds.items() if k == "blend"} >= {
        "intra_blend",
        "inter_blend",
        "fpi",
        "pii",
        "nsa",
        "cutpaste",
    }
    assert kinds["cutout"] == "erase"
