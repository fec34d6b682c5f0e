"""Outliers in balls and textures in noise: sizes and places by the stated numbers, each change by its closed form."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phantoms import ellipsoid, field, phantom

from synthanom import synthesise
from synthanom.errors import NoPlace, SynthanomError
from synthanom.labels import FlippedGaussian
from synthanom.regions import Geometry, Region
from synthanom.sample import Sample
from synthanom.tasks import TASKS, LocalShift, Mirror, Noise, PerlinTexture, Uniform, perlin_texture
from synthanom.tasks.ball_shape import BallShape
from synthanom.tasks.noise import uniform_numbers
from synthanom.tasks.perlin_texture import GradientNoiseShape
from synthanom.textures import TextureDonors

NAMES = ("uniform", "noise", "local_shift", "mirror")


def ramp(shape, channels=1):
    """A picture whose values tell where they are from."""
    values = np.arange(channels * np.prod(shape), dtype=np.float32).reshape(channels, *shape)
    return Sample.from_array(values / values.std(), channels=channels)


def drawn(task, sample, seed=0):
    rng = np.random.default_rng(seed)
    region = task.draw_region(rng, sample)
    return region, task.sample_params(rng, sample, region)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(60, 80), (40, 50, 44)])
def test_balls_have_the_stated_radii_and_centres(name, shape):
    task, sample = TASKS[name](), Sample.from_array(field(shape))
    low, high = (0.05, 0.1) if name in ("uniform", "noise") else (0.08, 0.13)
    radii, centres = [], []
    for seed in range(400):
        region = task.draw_region(np.random.default_rng(seed), sample)
        geometry = region.geometry
        radii.append(geometry.matrix[0, 0] * geometry.size[0] / 2 / min(shape))
        centres.append(geometry.position)
        away = np.indices(shape) - np.array(geometry.position).reshape(-1, *(1,) * len(shape))
        np.testing.assert_array_equal(geometry.mask(shape), (away**2).sum(axis=0) <= (radii[-1] * min(shape)) ** 2)
    assert low <= min(radii) < low + 0.005 and high - 0.005 < max(radii) < high
    assert np.mean(radii) == pytest.approx((low + high) / 2, abs=0.003)
    for axis, side in enumerate(shape):
        along = [c[axis] for c in centres]
        assert set(along) == set(range(side // 4, side - side // 4)) or len(shape) == 3
        assert min(along) >= side // 4 and max(along) < side - side // 4
        assert np.mean(along) == pytest.approx((side - 1) / 2, abs=0.05 * side)


def test_balls_find_the_only_place_and_say_where_there_is_none():
    foreground = np.zeros((60, 60), bool)
    foreground[20:24, 40:44] = True
    shape = BallShape(smallest=0.03, largest=0.04)
    for seed in range(20):
        region = shape.draw(np.random.default_rng(seed), foreground)
        assert 2 * (region.mask & foreground[region.slices]).sum() >= region.count
    with pytest.raises(NoPlace, match=r"middle 0\.1 of every side"):
        BallShape(core=0.1).draw(np.random.default_rng(0), foreground)
    assert shape.draw(np.random.default_rng(0), foreground, np.roll(foreground, 1, 0)).count > 0


@given(core=st.floats(0.05, 1), largest=st.floats(0.05, 0.4), seed=st.integers(0, 999))
@settings(max_examples=60, deadline=None)
def test_balls_of_any_setting_leave_the_border_free(core, largest, seed):
    shape = (12, 17)
    region = BallShape(core=core, smallest=0.05, largest=largest).draw(
        np.random.default_rng(seed), np.ones(shape, bool)
    )
    assert region.mask[1:-1, 1:-1].sum() == region.count > 0
    assert all(c >= 0 and c + n <= s for c, n, s in zip(region.corner, region.size, shape, strict=True))


@pytest.mark.parametrize("shape", [(30, 36), (24, 22, 26)])
def test_uniform_adds_a_share_of_each_channels_range(shape):
    sample = phantom(shape, 2)
    spread = np.ptp(sample.image, axis=tuple(range(1, len(shape) + 1)))
    signs = set()
    for seed in range(20):
        region, params = drawn(Uniform(), sample, seed)
        shares = np.array(params.change) / spread
        assert (np.abs(shares) >= 0.2).all() and (np.abs(shares) < 0.3).all()
        signs.add(tuple(np.sign(shares)))
        out = Uniform.apply(sample.image, region, params)
        place = (slice(None), *region.slices)
        for c in range(2):
            wanted = np.clip(sample.image[c] + np.float32(params.change[c]), *sample.limits[:, c])[region.slices]
            np.testing.assert_allclose(out[place][c][region.mask], wanted[region.mask], rtol=1e-6)
            np.testing.assert_array_equal(out[place][c][~region.mask], sample.image[place][c][~region.mask])
    assert len(signs) == 4


def test_noise_has_one_sign_and_fills_its_bounds():
    sample = phantom((400, 400))
    region, params = drawn(Noise(), sample, 3)
    wide = dataclasses.replace(params, limits=((-99.0,), (99.0,)))
    added = (Noise.apply(sample.image, region, wide) - sample.image)[0][region.slices][region.mask]
    shares = added / np.ptp(sample.image)
    shares *= np.sign(shares[0])
    assert 0.05 - 1e-6 <= shares.min() < 0.052 and 0.298 < shares.max() <= 0.3 + 1e-6
    assert shares.mean() == pytest.approx(0.175, abs=0.01) and shares.std() == pytest.approx(0.25 / 12**0.5, rel=0.05)
    assert abs(np.corrcoef(shares[1:], shares[:-1])[0, 1]) < 0.08


def test_noise_follows_from_its_key_for_ever():
    expected = [0.6463801884227345, 0.7742675977164786, 0.7864362639285933]
    np.testing.assert_array_equal(uniform_numbers(12345, 3), expected)


@pytest.mark.parametrize("shape", [(30, 36), (24, 22, 26)])
def test_a_shift_shows_the_neighbourhood(shape):
    sample, signs = ramp(shape, 2), set()
    for seed in range(20):
        region, params = drawn(LocalShift(), sample, seed)
        sides = [max(1, round(share * min(shape))) for share in (0.02, 0.05)]
        assert all(sides[0] <= abs(by) <= sides[1] for by in params.shift)
        signs.add(tuple(np.sign(params.shift)))
        whole = np.zeros(shape, bool)
        whole[region.slices] = region.mask
        moved = np.roll(sample.image, [-by for by in params.shift], axis=tuple(range(1, len(shape) + 1)))
        np.testing.assert_array_equal(
            LocalShift.apply(sample.image, region, params), np.where(whole, moved, sample.image)
        )
    assert len(signs) > 3


def test_a_shift_repeats_the_border():
    sample = ramp((20, 20))
    region = Region.from_geometry(Geometry("cuboid", (3, 3), np.eye(2), (2.0, 16.0)), (20, 20))
    out = LocalShift.apply(sample.image, region, LocalShift.params(shift=(-3, 4)))
    # rows 1 to 3 read rows -2 to 0, columns 15 to 17 read 19 to 21: the corner
    np.testing.assert_array_equal(out[0, 1:4, 15:18], np.full((3, 3), sample.image[0, 0, 19]))


@pytest.mark.parametrize(("shape", "axis"), [((30, 36), 0), ((30, 36), -1), ((24, 22, 26), 1)])
def test_a_mirror_shows_the_other_side(shape, axis):
    sample = ramp(shape)
    region, params = drawn(Mirror(axis=axis), sample)
    whole = np.zeros(shape, bool)
    whole[region.slices] = region.mask
    flipped = np.flip(sample.image, 1 + axis % len(shape))
    out = Mirror.apply(sample.image, region, params)
    np.testing.assert_array_equal(out, np.where(whole, flipped, sample.image))


def test_settings_that_cannot_be_are_refused():
    for wrong in ({"smallest": 0.2, "largest": 0.1}, {"largest": 0.5}, {"core": 0.0}, {"smallest": 0.0}):
        with pytest.raises(SynthanomError, match="a ball needs"):
            BallShape(**wrong)
    for task in (Uniform, Noise, LocalShift):
        with pytest.raises(SynthanomError, match="share must be"):
            task(share=(0.3, 0.2))
    with pytest.raises(SynthanomError, match="axis must be"):
        Mirror(axis=3)
    with pytest.raises(SynthanomError, match="mirror needs an axis of the picture"):
        drawn(Mirror(axis=2), phantom((20, 20)))


def test_kinds_say_whose_trick_is_whose():
    assert {name: TASKS[name].kind for name in NAMES} == {
        "uniform": "intensity",
        "noise": "noise",
        "local_shift": "blend",
        "mirror": "blend",
    }


@pytest.mark.parametrize("shape", [(64, 80), (31, 27, 36)])
def test_noise_masks_lie_in_the_foreground_and_are_drawn_until_there_is_one(shape):
    foreground, shares = ellipsoid(shape, 0.4), []
    for seed in range(60):
        region = GradientNoiseShape().draw(np.random.default_rng(seed), foreground)
        assert region.geometry is None and region.count > 0
        assert not (region.mask & ~foreground[region.slices]).any()
        shares.append(region.count / foreground.sum())
    assert 0.01 < np.mean(shares) < 0.12 and max(shares) < 0.5
    with pytest.raises(NoPlace, match=r"noise exceeded 0\.99"):
        GradientNoiseShape(threshold=0.99).draw(np.random.default_rng(0), foreground)
    edge = np.zeros(shape, bool)
    edge[0] = True
    with pytest.raises(NoPlace, match="nowhere in the foreground"):
        GradientNoiseShape().draw(np.random.default_rng(0), edge)


def test_a_part_of_the_noise_is_the_noise_of_the_part():
    noise, found = GradientNoiseShape(finest=0, largest_angle=0.0)._noise, 0
    for seed in range(40):
        at = noise(np.random.default_rng(seed), (50, 60), np.array([0, 0]), np.ones((50, 60), bool))
        part = noise(np.random.default_rng(seed), (50, 60), np.array([7, 9]), np.ones((30, 45), bool))
        np.testing.assert_allclose(part, at[7:37, 9:54], atol=1e-12)
        found += (at > 0.5).any()
    assert found > 5


@pytest.mark.parametrize(("dims", "exponents"), [(2, 5), (3, 3)])
def test_cells_have_the_stated_sizes_and_no_less_than_the_smallest(dims, exponents, monkeypatch):
    seen = []
    monkeypatch.setattr(
        perlin_texture.gradient_noise, "sample", lambda g, m, o, size, wanted: seen.append(m) or np.zeros(size)
    )
    side = 4 * 2**exponents
    task = GradientNoiseShape(largest_angle=0.0, finest=5)
    for seed in range(300):
        task._noise(np.random.default_rng(seed), (side,) * dims, np.zeros(dims, int), np.ones((8,) * dims, bool))
    cells = np.array([np.diag(m) * side for m in seen])
    for axis in range(dims):
        assert set(cells[:, axis].tolist()) == {2.0**a for a in range(exponents + 1)}
        assert np.log2(cells[:, axis]).mean() == pytest.approx(exponents / 2, abs=0.3)
    assert abs(np.corrcoef(cells.T)[0, 1]) < 0.2


@pytest.mark.filterwarnings("ignore:sample")  # a flat donor is what makes the form closed
@pytest.mark.parametrize("shape", [(40, 48), (24, 20, 26)])
def test_a_texture_is_laid_over_with_the_originals_weight(shape):
    sample, task = phantom(shape, 2), PerlinTexture()
    flat = Sample.from_array(np.full((2, *shape), 0.25, np.float32), channels=2)
    for seed in range(8):
        rng = np.random.default_rng(seed)
        region = task.draw_region(rng, sample)
        params = task.sample_params(rng, sample, region, flat)
        assert 0 <= params.beta < 0.8 and params.strength == 1 - params.beta
        out = PerlinTexture.apply(sample.image, region, params, flat)
        whole = np.zeros(shape, bool)
        whole[region.slices] = region.mask
        mixture = (1 - params.beta) * 0.25 + params.beta * sample.image
        low, high = sample.limits.reshape(2, 2, *(1,) * len(shape))
        np.testing.assert_allclose(out, np.where(whole, np.clip(mixture, low, high), sample.image), atol=1e-6)


def test_a_texture_takes_procedural_donors_and_makes_one_anomaly():
    sample = phantom((40, 48))
    donors = TextureDonors(shape=(40, 48))
    result = synthesise(
        sample, PerlinTexture(), FlippedGaussian(), rng=np.random.default_rng(0), donors=donors, repeat=1.0
    )
    assert len(result.recipe.anomalies) == 1 and result.recipe.anomalies[0].donor.set == "procedural-textures"
    with pytest.raises(SynthanomError, match="such as TextureDonors"):
        PerlinTexture().sample_params(np.random.default_rng(0), sample, result.recipe.anomalies[0].region)
    for wrong in ({"threshold": 1.0}, {"smallest_cell": 1.0}, {"finest": -1}, {"largest_angle": 4.0}):
        with pytest.raises(SynthanomError, match=next(iter(wrong))):
            GradientNoiseShape(**wrong)
    with pytest.raises(SynthanomError, match="largest_beta"):
        PerlinTexture(largest_beta=1.0)
