"""Labels beside the flipped Gaussian: closed forms, plain twins, stored names, and any task with any of them."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from phantoms import CASES, ellipsoid, field, phantom
from scipy import ndimage

from synthanom import SynthanomError, synthesis, synthesise, synthesise_batch
from synthanom.labels import LABELLERS, Binary, Factor, FlippedGaussian, Logistic, labeller_from
from synthanom.labels.changed import majority
from synthanom.recipe import Recipe
from synthanom.streams import stream
from synthanom.tasks import TASKS
from synthanom.tasks.smooth_intensity import SmoothIntensityParams

JUMPING = [name for name, cls in LABELLERS.items() if cls.jumps]


class HalfParams(SmoothIntensityParams):
    """A change that counts for one half."""

    @property
    def strength(self):
        return 0.5

    @classmethod
    def of(cls, params):
        return cls(**{name: getattr(params, name) for name in ("ramp", "change", "limits")})


def step(height=0.5, side=24):
    """A square that is brighter by some height: before, after, and a region around it."""
    before = np.zeros((1, side, side), np.float32)
    after = before.copy()
    after[0, 6:18, 6:18] = height
    region = np.zeros((side, side), bool)
    region[3:21, 3:21] = True
    return before, after, region


def test_stored_names_never_change():
    assert list(LABELLERS) == ["flipped_gaussian", "logistic", "binary", "factor"]
    assert all(cls.name == name for name, cls in LABELLERS.items())


@pytest.mark.parametrize("name", LABELLERS)
def test_settings_survive_json(name):
    labeller = LABELLERS[name](visible=0.02)
    assert labeller_from(json.loads(json.dumps(labeller.to_dict()))) == labeller
    assert labeller.to_dict()["name"] == name


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"name": "loud"}, "one of flipped_gaussian, logistic, binary, factor"),
        ({"name": "binary", "sigma": 1}, "no setting 'sigma'"),
        ({"sigma": 0}, "sigma must be"),
        ({"sigma": "wide"}, "wrong type"),
        ({"name": "logistic", "k": 0}, "k must be"),
        ({"name": "logistic", "x0": -1}, "x0 one from 0"),
        ({"name": "logistic", "radius": 8}, "radius must be"),
        ({"name": "binary", "smooth": 4}, "odd number"),
        ({"name": "factor", "tolerance": -1}, "tolerance must be"),
        ({"name": "factor", "visible": 1}, "visible must"),
    ],
)
def test_labels_that_make_no_sense_are_refused(data, words):
    with pytest.raises(SynthanomError, match=words):
        labeller_from(data)


def test_no_name_is_the_flipped_gaussian():
    assert labeller_from({"sigma": 0.3}) == FlippedGaussian(sigma=0.3)


def test_logistic_is_its_formula_and_jumps():
    for height in (0.011, 0.15, 0.4):
        label = Logistic(smooth=1, radius=0)(*step(height))
        expected = 1 / (1 + np.exp(-20.0 * (np.float32(height) - 0.15)))
        np.testing.assert_allclose(label[6:18, 6:18], expected, rtol=1e-5)
        assert np.count_nonzero(label) == 12 * 12
    assert Logistic(smooth=1, radius=0)(*step(0.011))[10, 10] > 0.05  # as published: no small change has a small label
    assert Logistic(smooth=1, radius=0)(*step(0.009)).max() == 0
    np.testing.assert_allclose(Logistic(k=1e6)(*step(0.5)).max(), 1)  # and nothing overflows


def test_binary_and_factor_by_hand():
    before, after, region = step()
    inside = np.zeros((24, 24), np.float32)
    inside[6:18, 6:18] = 1
    np.testing.assert_array_equal(Binary(smooth=1)(before, after, region), inside)
    np.testing.assert_array_equal(Factor()(before, after, region), inside)
    strength = np.full((24, 24), 0.3, np.float32)
    np.testing.assert_array_equal(Factor()(before, after, region, strength), np.float32(0.3) * inside)
    rounded = Binary()(before, after, region)  # the majority of 5 x 5 takes the corners off
    assert rounded[6, 6] == 0 and rounded[6, 12] == 1 and rounded[8:16, 8:16].all()
    after[0, 11, 11] = 0
    assert Binary()(before, after, region)[11, 11] == 1 and Binary(smooth=1)(before, after, region)[11, 11] == 0


@pytest.mark.parametrize("shape", [(17, 14), (9, 11, 10)])
@pytest.mark.parametrize("side", [1, 3, 5])
def test_majority_is_the_median(shape, side):
    mask = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal(shape), 1) > 0
    expected = ndimage.median_filter(mask.astype(np.uint8), size=side, mode="constant")
    np.testing.assert_array_equal(majority(mask, side), expected)


@pytest.mark.parametrize("name", JUMPING)
@pytest.mark.parametrize(("shape", "channels"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_labels_equal_their_definition(name, shape, channels):
    before = field(shape, channels, 0)
    after = before + 0.3 * np.round(field(shape, channels, 1))
    region = ndimage.gaussian_filter(np.random.default_rng(2).standard_normal(shape), 1.5) > 0.05
    labeller = LABELLERS[name]()
    strength = np.random.default_rng(3).random(shape).astype(np.float32)
    out = labeller(before, after, region, strength)
    assert out.dtype == np.float32 and out.min() >= 0 and out.max() <= 1 and not out[~region].any()
    np.testing.assert_allclose(out, by_definition(labeller, before, after, region, strength), atol=1e-6)


def by_definition(labeller, before, after, region, strength):
    change = np.abs(after.astype(float) - before).mean(axis=0)
    out = np.zeros(region.shape)
    parts, count = ndimage.label(region)
    for number in range(1, count + 1):
        own = parts == number
        flat = min(s.stop - s.start for s in ndimage.find_objects(own.astype(int))[0]) < 3
        changed, values = own & (change > labeller.tolerance), np.where(own, change, 0)
        if labeller.name == "factor":
            out[changed] = strength[changed]
            continue
        if not flat:
            changed = ndimage.median_filter(changed.astype(np.uint8), size=5, mode="constant").astype(bool) & own
        if labeller.name == "binary":
            out[changed] = 1
            continue
        if not flat:
            radius = 5 if region.ndim == 2 else 2
            grid = np.indices((2 * radius + 1,) * region.ndim) - radius
            values = ndimage.median_filter(values, footprint=(grid**2).sum(axis=0) <= radius**2, mode="constant")
        out[changed] = 1 / (1 + np.exp(-labeller.k * (values[changed] - labeller.x0)))
    return out


@pytest.mark.parametrize("name", LABELLERS)
def test_tensors_give_what_arrays_do(name):
    before, region = field((20, 22), 2), ellipsoid((20, 22))
    after = before + 0.4 * field((20, 22), 2, 1)
    strength = np.full((20, 22), 0.4, np.float32)
    expected = LABELLERS[name]()(before, after, region, strength)
    tensors = [torch.from_numpy(array.copy()) for array in (before, after, region, strength)]
    out = LABELLERS[name]()(*tensors)
    assert isinstance(out, torch.Tensor) and out.dtype == torch.float32
    np.testing.assert_allclose(out.numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("name", JUMPING)
def test_arrays_that_do_not_fit_are_refused(name):
    before, after, region = step()
    with pytest.raises(SynthanomError, match="one shape"):
        LABELLERS[name]()(before, after[:, 1:], region)
    with pytest.raises(SynthanomError, match="spatial shape"):
        LABELLERS[name]()(before, after, region[1:])
    with pytest.raises(SynthanomError, match="bool"):
        LABELLERS[name]()(before, after, region.astype(np.uint8))
    with pytest.raises(SynthanomError, match="spatial shape"):
        LABELLERS[name]()(before, after, region, np.ones((3, 3), np.float32))
    assert LABELLERS[name]()(before, after, region & False).max() == 0


@pytest.mark.parametrize("label", LABELLERS)
@pytest.mark.parametrize("name", TASKS)
def test_any_task_with_any_label(name, label):
    samples = [phantom((32, 28), 2, seed) for seed in range(3)]
    labeller = LABELLERS[label]()
    result = synthesise(samples[0], TASKS[name](), labeller, rng=stream(0, "any", name, 0), donors=samples)
    assert labeller.visible <= result.label.max() <= 1
    assert not labeller.jumps or not result.label[~result.region].any()
    again = synthesis.replay(samples[0], Recipe.from_json(result.recipe.to_json()), labeller, donors=samples)
    np.testing.assert_array_equal(again.label, result.label)


def test_factors_on_each_other_add_up_to_what_is_left():
    samples = [phantom((32, 28), 1, seed) for seed in range(3)]
    task = TASKS["smooth_intensity"]()
    made = synthesise(samples[0], task, FlippedGaussian(), rng=stream(0, "s", task.name, 3), repeat=1.0)
    half = [HalfParams.of(anomaly.params) for anomaly in made.recipe.anomalies]
    recipe = replace(
        made.recipe, anomalies=tuple(replace(a, params=p) for a, p in zip(made.recipe.anomalies, half, strict=True))
    )
    depth = np.zeros(samples[0].shape, int)
    for anomaly in recipe.anomalies:
        depth[anomaly.region.slices] += anomaly.region.mask
    label = synthesis.replay(samples[0], recipe, Factor(tolerance=0.0)).label
    changed = label > 0
    assert depth[changed].max() > 1
    np.testing.assert_allclose(label[changed], 1 - 0.5 ** depth[changed], rtol=1e-6)


def test_jumping_labels_are_made_by_samples_where_batches_are_asked_for():
    samples = [phantom((32, 28), 1, seed) for seed in range(2)]
    images = torch.from_numpy(np.stack([s.image for s in samples]))
    batch = synthesise_batch(
        images, None, TASKS["sink"](), Binary(), rng=[np.random.default_rng(i) for i in range(2)], way="batched"
    )
    assert set(np.unique(batch.labels.numpy())) == {0, 1}
