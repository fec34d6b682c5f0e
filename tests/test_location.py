"""Location priors: where anomalies may lie, and the cut to it; from arrays, batches and pipelines."""

import dataclasses

import numpy as np
import pytest
import torch
from phantoms import field, phantom

from synthanom import AnomalyDataset, Recipe, Sample, SynthanomError, replay, synthesise, synthesise_batch, tasks
from synthanom.integrations.collate import BatchSynthesis, collate_samples
from synthanom.labels import FlippedGaussian
from synthanom.mixture import Mixture
from synthanom.recipe import SynthesisOptions
from synthanom.streams import stream

LABELLER = FlippedGaussian()
BOX = ((4, 6), (30, 20))


def left(shape=(40, 48)):
    mask = np.zeros(shape, bool)
    mask[..., : shape[-1] // 2] = True
    return mask


def with_prior(sample, within):
    return Sample.from_array(sample.image, sample.foreground, sample.spacing, id=sample.id, within=within)


def make(sample, task=None, number=0, **options):
    task = task or tasks.SmoothIntensity()
    return synthesise(sample, task, LABELLER, rng=stream(0, "l", task.name, number), **options)


def mostly_inside(result, sample, within):
    allowed = within & sample.foreground
    for anomaly in result.recipe.anomalies:
        region = anomaly.region
        assert 2 * np.count_nonzero(region.mask & allowed[region.slices]) >= region.count


@pytest.mark.parametrize("shape", [(40, 48), (20, 24, 26)])
def test_a_box_is_the_mask_of_its_voxels(shape):
    sample = phantom(shape)
    corner, size = [3] * len(shape), [n - 8 for n in shape]
    mask = np.zeros(shape, bool)
    mask[tuple(slice(c, c + n) for c, n in zip(corner, size, strict=True))] = True
    made = [make(sample, within=within) for within in (mask, (corner, size), (tuple(corner), np.array(size)))]
    made += [make(with_prior(sample, within)) for within in (mask, (corner, size))]
    assert all(other.recipe == made[0].recipe for other in made)
    assert all(np.array_equal(other.image, made[0].image) for other in made)
    mostly_inside(made[0], sample, mask)


@pytest.mark.parametrize(
    "box",
    [((0, 0), (41, 4)), ((-1, 0), (4, 4)), ((0, 0), (0, 4)), ((0, 0, 0), (4, 4, 4)), ((0.5, 0), (4, 4)), ((1, 1),)],
)
def test_boxes_that_are_none_are_refused(box):
    with pytest.raises(SynthanomError, match="within must be a bool mask"):
        make(phantom((40, 48)), within=box)


def test_a_prior_without_foreground_is_refused():
    sample = phantom((40, 48))
    with pytest.raises(SynthanomError, match="at least one voxel of the foreground"):
        with_prior(sample, ((0, 0), (2, 2)))
    with pytest.raises(SynthanomError, match="must be bool"):
        with_prior(sample, left().astype(np.uint8))


def test_the_sample_owns_its_prior():
    mask = left()
    sample = with_prior(phantom((40, 48)), mask)
    mask[:] = True
    assert np.array_equal(sample.within, left()) and not sample.within.flags.writeable
    assert sample.sha256 == phantom((40, 48)).sha256  # recipes are of the image; where it may change is no part of it
    assert Sample.from_array(field((20, 20))).within is None


def test_an_argument_counts_instead_of_the_samples_own():
    sample, right = with_prior(phantom((40, 48)), left()), ~left()
    assert make(sample, within=right).recipe == make(phantom((40, 48)), within=right).recipe
    assert make(sample).recipe != make(sample, within=right).recipe


def test_without_prior_nothing_is_other_than_before():
    sample = phantom((40, 48))
    free, everywhere = make(sample), make(sample, within=np.ones((40, 48), bool))
    assert free.recipe == everywhere.recipe and np.array_equal(free.image, everywhere.image)
    content = free.recipe.to_dict()
    assert set(content["sample"]) == {"id", "shape", "sha256"}
    assert content["options"] == {"max_anomalies": 4, "repeat": 0.5, "foreground_only": False}
    assert make(with_prior(sample, left())).recipe.to_dict()["sample"] == content["sample"]


@pytest.mark.parametrize("task", [tasks.SmoothIntensity(), tasks.Sink(), tasks.CutOut()], ids=lambda t: t.name)
@pytest.mark.parametrize("foreground_only", [False, True])
def test_inside_only_undoes_changes_outside(task, foreground_only):
    sample, inside, undone = phantom((40, 48)), left(), 0
    allowed = inside & (sample.foreground | (not foreground_only))
    for number in range(6):
        options = {"within": inside, "foreground_only": foreground_only}
        free, kept = make(sample, task, number, **options), make(sample, task, number, inside_only=True, **options)
        undone += (free.image != sample.image)[:, ~inside].any()
        assert np.array_equal(kept.image[:, ~allowed], sample.image[:, ~allowed])
        assert not kept.region[~allowed].any()
        assert np.array_equal(kept.label, LABELLER(sample.image, kept.image, kept.region))
        if kept.recipe.attempts == free.recipe.attempts:
            assert np.array_equal(kept.image[:, inside], free.image[:, inside])
    assert undone


def test_a_cut_picture_is_made_again_from_its_recipe_and_its_prior():
    sample = phantom((40, 48))
    made = make(sample, within=BOX, inside_only=True)
    recipe = Recipe.from_json(made.recipe.to_json())
    assert recipe == made.recipe and recipe.to_dict()["options"]["inside_only"] is True
    for again in (replay(sample, recipe, LABELLER, within=BOX), replay(with_prior(sample, BOX), recipe, LABELLER)):
        assert np.array_equal(again.image, made.image) and np.array_equal(again.label, made.label)
        assert np.array_equal(again.region, made.region)
    with pytest.raises(SynthanomError, match="inside_only needs a location prior"):
        replay(sample, recipe, LABELLER)
    with pytest.raises(SynthanomError, match="pass the same within="):
        replay(sample, recipe, LABELLER, within=left())
    uncut = make(sample, within=BOX)
    assert np.array_equal(replay(sample, uncut.recipe, LABELLER).image, uncut.image)  # the regions say all


def test_inside_only_needs_a_prior():
    with pytest.raises(SynthanomError, match="inside_only needs a location prior"):
        make(phantom((40, 48)), inside_only=True)


@pytest.mark.parametrize("way", ["auto", "samples", "batched"])
@pytest.mark.parametrize("inside_only", [False, True])
def test_a_batch_equals_its_samples(way, inside_only):
    samples = [phantom((40, 48), 1, seed) for seed in range(3)]
    images = torch.from_numpy(np.stack([s.image for s in samples]))
    masks = torch.from_numpy(np.stack([s.foreground for s in samples]))
    priors = [left(), BOX, ~left()]
    tensor = torch.from_numpy(np.stack([samples[0].foreground & left(), ~left(), left()]))
    for withins in (priors, tensor):
        rngs = [stream(0, "l", "smooth_intensity", k) for k in range(3)]
        options = {"ids": [s.id for s in samples], "way": way, "within": withins, "inside_only": inside_only}
        batch = synthesise_batch(images, masks, tasks.SmoothIntensity(), LABELLER, rng=rngs, **options)
        for k, (sample, prior) in enumerate(zip(samples, withins, strict=True)):
            within = prior.numpy() if isinstance(prior, torch.Tensor) else prior
            alone = make(sample, number=k, within=within, inside_only=inside_only)
            assert batch.recipes[k] == alone.recipe
            assert np.array_equal(batch.images[k].numpy(), alone.image)
            assert np.array_equal(batch.labels[k].numpy(), alone.label)
    with pytest.raises(SynthanomError, match="within for 3, got 2"):
        synthesise_batch(images, masks, tasks.Sink(), LABELLER, rng=np.random.default_rng(0), within=priors[:2])


def test_data_sets_and_mixtures_take_each_samples_own():
    plain = [phantom((40, 48), 1, seed) for seed in range(3)]
    samples = [with_prior(plain[0], left()), with_prior(plain[1], BOX), plain[2]]
    options = SynthesisOptions(max_anomalies=2)
    data = AnomalyDataset(samples, tasks.Sink(), seed=3, options=options)
    for k, (sample, within) in enumerate(zip(plain, (left(), BOX, None), strict=True)):
        rng = stream(3, sample.id, "sink", "epoch-0")
        alone = synthesise(sample, tasks.Sink(), LABELLER, rng=rng, within=within, **options.to_dict())
        assert np.array_equal(data[k][0].numpy(), alone.image)
    mixture = Mixture(tasks=[tasks.Sink(), tasks.SmoothIntensity()], options=dataclasses.replace(options, repeat=0.1))
    made = BatchSynthesis(mixture, seed=5, way="batched")(collate_samples(samples))
    for k, sample in enumerate(samples):
        expected = mixture.make(sample, seed=5, draw="epoch-0")
        assert made.recipes[k] == expected.recipe
        np.testing.assert_allclose(made.images[k].numpy(), expected.image, atol=2e-3 * np.ptp(sample.image))
    assert collate_samples(plain).withins == ()
