"""One contract for every task in TASKS: a new task needs no line here."""

import json

import numpy as np
import pytest
import torch
from phantoms import CASES, phantom

from synthanom import replay, synthesise, synthesise_batch
from synthanom.errors import SynthanomError, UnsuitableRegion
from synthanom.kernels import poisson
from synthanom.labels import FlippedGaussian
from synthanom.recipe import Recipe
from synthanom.streams import stream
from synthanom.tasks import PAPER_TASKS, TASKS
from synthanom.textures import TextureDonors

LABELLER = FlippedGaussian()


@pytest.mark.parametrize("case", CASES, ids=[c[0] for c in CASES])
@pytest.mark.parametrize("name", TASKS)
class TestEveryTask:
    def cohort(self, case):
        _, shape, channels = case
        return [phantom(shape, channels, seed) for seed in range(3)]

    def make(self, name, case, draw=0, task=None):
        samples = self.cohort(case)
        task = task or TASKS[name]()
        rng = stream(0, samples[0].id, name, draw)
        return samples, synthesise(samples[0], task, LABELLER, rng=rng, donors=samples)

    def test_shapes_dtypes_and_ranges(self, name, case):
        _, shape, channels = case
        samples, result = self.make(name, case)
        assert result.image.shape == (channels, *shape) and result.image.dtype == np.float32
        assert result.image.flags.c_contiguous and result.image.flags.writeable
        assert result.label.shape == shape and result.label.dtype == np.float32
        assert result.region.shape == shape and result.region.dtype == bool
        assert result.label.min() >= 0 and 0 < result.label.max() <= 1
        assert np.isfinite(result.image).all()
        if TASKS[name].kind != "deform":  # the spline may overshoot; everything else is clipped
            low, high = samples[0].limits
            assert (result.image >= low.reshape(-1, *(1,) * len(shape))).all()
            assert (result.image <= high.reshape(-1, *(1,) * len(shape))).all()

    def test_nothing_changes_outside_the_boxes(self, name, case):
        samples, result = self.make(name, case)
        outside = np.ones(samples[0].shape, bool)
        for corner, size in result.boxes:
            outside[tuple(slice(c, c + n) for c, n in zip(corner, size, strict=True))] = False
        np.testing.assert_array_equal(result.image[:, outside], samples[0].image[:, outside])
        assert (result.label[outside] == 0).all() and not result.region[outside].any()
        # and the boxes are those of the regions
        for anomaly in result.recipe.anomalies:
            assert not outside[anomaly.region.slices].any()

    def test_regions_obey_a_location_prior(self, name, case):
        samples = self.cohort(case)
        half = np.zeros(samples[0].shape, bool)
        half[..., : samples[0].shape[-1] // 2 + 2] = True
        allowed = half & samples[0].foreground
        for number in range(5):
            region = TASKS[name]().draw_region(stream(0, "w", name, number), samples[0], half)
            assert region.count > 0 and 2 * (region.mask & allowed[region.slices]).sum() >= region.count
            inside = tuple(slice(1, n - 1) for n in region.size)
            assert region.mask[inside].sum() == region.count, "the margin is empty"

    def test_input_untouched(self, name, case):
        samples = self.cohort(case)
        kept = [s.image.copy() for s in samples], [s.foreground.copy() for s in samples]
        synthesise(samples[0], TASKS[name](), LABELLER, rng=stream(0, "a", name, 0), donors=samples)
        for sample, image, mask in zip(samples, *kept, strict=True):
            np.testing.assert_array_equal(sample.image, image)
            np.testing.assert_array_equal(sample.foreground, mask)

    def test_same_seed_same_picture_other_seed_another(self, name, case):
        _, one = self.make(name, case)
        _, two = self.make(name, case)
        _, other = self.make(name, case, draw=1)
        np.testing.assert_array_equal(one.image, two.image)
        np.testing.assert_array_equal(one.label, two.label)
        assert one.recipe == two.recipe and one.recipe != other.recipe
        assert not np.array_equal(one.image, other.image)

    def test_replay_from_json_is_identical(self, name, case):
        for number in range(3):
            samples, result = self.make(name, case, draw=number)
            recipe = Recipe.from_dict(json.loads(json.dumps(result.recipe.to_dict())))
            assert recipe == result.recipe
            again = replay(samples[0], recipe, LABELLER, donors=samples)
            np.testing.assert_array_equal(again.image, result.image)
            np.testing.assert_array_equal(again.label, result.label)
            np.testing.assert_array_equal(again.region, result.region)

    def test_apply_is_pure_and_equals_its_change(self, name, case):
        samples = self.cohort(case)
        task = TASKS[name]()
        rng = stream(3, "apply", name, 0)
        region, params = draw_suitable(rng, samples, task)
        donor = samples[1]
        image = samples[0].image
        once = task.apply(image, region, params, donor)
        twice = TASKS[name].apply(image, region, task.params.from_dict(json.loads(json.dumps(params.to_dict()))), donor)
        np.testing.assert_array_equal(once, twice)
        tensor = TASKS[name].apply(torch.from_numpy(image.copy()), region, params, donor)
        assert isinstance(tensor, torch.Tensor)
        np.testing.assert_array_equal(tensor.numpy(), once)
        changed = (once != image).any(axis=0)
        inside = np.zeros(changed.shape, bool)
        inside[region.slices] = True
        assert not (changed & ~inside).any()
        edge = inside.copy()
        edge[tuple(slice(s.start + 1, s.stop - 1) for s in region.slices)] = False
        assert not (changed & edge).any(), "the margin stays untouched"

    def test_batch_equals_the_loop(self, name, case):
        samples = self.cohort(case)
        ids = [s.id for s in samples]
        batch = synthesise_batch(
            torch.from_numpy(np.stack([s.image for s in samples])),
            torch.from_numpy(np.stack([s.foreground for s in samples])),
            TASKS[name](),
            LABELLER,
            rng=[stream(1, i, name, 0) for i in ids],
            donors=samples,
            ids=ids,
        )
        for k, sample in enumerate(samples):
            alone = synthesise(sample, TASKS[name](), LABELLER, rng=stream(1, sample.id, name, 0), donors=samples)
            np.testing.assert_array_equal(batch.images[k].numpy(), alone.image)
            np.testing.assert_array_equal(batch.labels[k].numpy(), alone.label)
            np.testing.assert_array_equal(batch.regions[k].numpy(), alone.region)
            assert batch.recipes[k] == alone.recipe

    def test_callable_form_takes_plain_arrays(self, name, case):
        samples = self.cohort(case)
        image, mask = samples[0].image.copy(), samples[0].foreground.copy()
        out, label = TASKS[name]()(image, mask, rng=np.random.default_rng(0), donors=samples[1:])
        assert out.shape == image.shape and label.shape == mask.shape and label.max() > 0
        tensors = TASKS[name]()(
            torch.from_numpy(image), torch.from_numpy(mask), rng=np.random.default_rng(0), donors=samples[1:]
        )
        np.testing.assert_array_equal(tensors[0].numpy(), out)
        np.testing.assert_array_equal(tensors[1].numpy(), label)

    def test_settings_survive_json(self, name, case):
        del case
        task = TASKS[name]()
        assert TASKS[name].from_dict(json.loads(json.dumps(task.to_dict()))) == task
        with pytest.raises(SynthanomError, match="no setting 'sgima'"):
            TASKS[name].from_dict({"sgima": 1})
        with pytest.raises(SynthanomError, match="no setting"):
            TASKS[name].from_dict({"shape": {"smalest": 0.1}})

    def test_params_refuse_missing_and_unknown_names(self, name, case):
        del case
        with pytest.raises(SynthanomError, match="must name exactly"):
            TASKS[name].params.from_dict({"surprise": 1})

    def test_smallest_images_work_or_say_why(self, name, case):
        _, shape, channels = case
        tiny = [phantom((12,) * len(shape), channels, seed) for seed in range(3)]
        made = 0
        for number in range(6):
            try:
                result = synthesise(tiny[0], TASKS[name](), LABELLER, rng=stream(0, "t", name, number), donors=tiny)
            except SynthanomError as reason:
                assert "\n" not in str(reason)
                continue
            made += result.label.max() > 0
        assert made >= 5


def draw_suitable(rng, samples, task):
    for _ in range(50):
        region = task.draw_region(rng, samples[0])
        try:
            return region, task.sample_params(rng, samples[0], region, samples[1])
        except UnsuitableRegion:
            continue
    raise AssertionError("no suitable region in 50 draws")


def test_stored_names_and_order_never_change():
    assert list(TASKS)[:5] == ["intra_blend", "inter_blend", "sink", "source", "smooth_intensity"] == list(PAPER_TASKS)
    assert all(cls.name == name for name, cls in TASKS.items())
    assert [cls.kind for cls in TASKS.values()][:5] == ["blend", "blend", "deform", "deform", "intensity"]


def test_blending_joins_what_it_changed_around_the_region():
    samples = [phantom((40, 48), 1, s) for s in range(3)]
    task = TASKS["intra_blend"](mixed=False)
    grew = 0
    for number in range(10):
        result = synthesise(
            samples[0], task, LABELLER, rng=stream(0, "j", "intra_blend", number), donors=samples, max_anomalies=1
        )
        anomaly = result.recipe.anomalies[0]
        box = anomaly.region.slices
        change = np.abs(result.image - samples[0].image).mean(axis=0)[box]
        np.testing.assert_array_equal(result.region[box], anomaly.region.mask | (change > 0.001))
        grew += (result.region[box] & ~anomaly.region.mask).any()
    assert grew > 0


def test_blending_puts_the_donors_gradients_where_they_are_larger():
    samples = [phantom((40, 48), 1, s) for s in range(2)]
    task = TASKS["intra_blend"]()
    rng = stream(0, "g", "intra_blend", 0)
    region, params = draw_suitable(rng, samples, task)
    from synthanom.kernels import affine_patch

    patch = affine_patch.sample(samples[1].image, params.matrix, params.offset, region.size, params.donor_limits)
    whole = poisson.blend(samples[0].image, patch, region.mask, region.corner, mixed=params.mixed)
    out = task.apply(samples[0].image, region, params, samples[1])
    low, high = samples[0].limits[:, 0]
    np.testing.assert_allclose(out, np.clip(whole, low, high), atol=1e-6)


def test_textures_are_donors_that_come_back_by_number():
    textures = TextureDonors(shape=(32, 28), channels=2, total=4, start=8, deviation=0.5)
    assert [t.id for t in textures] == ["texture-8", "texture-9", "texture-10", "texture-11"]
    np.testing.assert_array_equal(
        textures[1].image, TextureDonors(shape=(32, 28), channels=2, total=1, start=9, deviation=0.5)[0].image
    )
    assert textures[-1].id == "texture-11" and [t.id for t in textures[1:3]] == ["texture-9", "texture-10"]
    assert textures[0].image.std() == pytest.approx(0.5, rel=1e-3)
    with pytest.raises(IndexError):
        textures[4]
    sample = phantom((32, 28), 2)
    result = synthesise(sample, TASKS["inter_blend"](), LABELLER, rng=stream(0, "x", "inter_blend", 0), donors=textures)
    assert result.recipe.anomalies[0].donor.set == "procedural-textures"
