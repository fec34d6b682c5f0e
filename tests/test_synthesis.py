"""Combining anomalies, recipes, streams, donors, and what is refused."""

import dataclasses

import numpy as np
import pytest
import torch
from phantoms import ellipsoid, field, phantom

from synthanom import Sample, SynthanomError, replay, synthesise, synthesise_batch, tasks
from synthanom.donors import DonorSet, donors_for
from synthanom.errors import NoPlace, NothingVisible, UnsuitableRegion
from synthanom.labels import FlippedGaussian
from synthanom.recipe import Recipe, SynthesisOptions
from synthanom.streams import stream
from synthanom.tasks.deformation import push_distance

LABELLER = FlippedGaussian()

# The first draws of three streams. If one of them changes, every data set, recipe key and live epoch changes: do not.
VECTORS = [
    ((0, "case-1", "sink", 0), [0.8935532649038156, 0.6615346771356791, 0.3480730826597208]),
    ((7, "sub-01/T1", "intra_blend", 9), [0.17855033544991117, 0.8982765648111549, 0.09353145170220245]),
    ((7, "sub-ü", "source", "epoch-3"), [0.04732448806900558, 0.570653601822962, 0.7559461136681219]),
]


@pytest.mark.parametrize(("key", "expected"), VECTORS)
def test_streams_are_what_they_always_were(key, expected):
    assert stream(*key).random(3).tolist() == expected


def test_streams_differ_in_every_part_of_their_name():
    base = (0, "a", "sink", 0)
    others = [
        (1, "a", "sink", 0),
        (0, "b", "sink", 0),
        (0, "a", "source", 0),
        (0, "a", "sink", 1),
        (0, "a", "sink", "0"),
    ]
    assert len({tuple(stream(*k).random(2)) for k in [base, *others]}) == 6


def test_one_to_four_anomalies_with_the_stated_frequencies():
    sample = phantom((40, 40))
    counts = np.zeros(5, int)
    for number in range(400):
        result = synthesise(sample, tasks.SmoothIntensity(), LABELLER, rng=stream(0, "n", "smooth_intensity", number))
        counts[len(result.recipe.anomalies)] += 1
    expected = 400 * np.array([0, 0.5, 0.25, 0.125, 0.125])
    assert counts[0] == 0
    assert (((counts - expected)[1:] ** 2) / expected[1:]).sum() < 16  # chi-square, 3 degrees: p < 0.002


def test_max_anomalies_and_repeat_are_options():
    sample = phantom((40, 40))
    for most in (1, 3):
        result = synthesise(
            sample, tasks.Sink(), LABELLER, rng=stream(0, "n", "sink", 0), max_anomalies=most, repeat=1.0
        )
        assert len(result.recipe.anomalies) == most
        assert result.recipe.options.max_anomalies == most and result.recipe.options.repeat == 1.0
    for bad in ({"max_anomalies": 0}, {"max_anomalies": 5}, {"repeat": 1.5}):
        with pytest.raises(SynthanomError):
            synthesise(sample, tasks.Sink(), LABELLER, rng=stream(0, "n", "sink", 0), **bad)


def test_label_compares_the_untouched_image_with_the_final_one_over_the_union():
    sample = phantom((40, 48), 2)
    for number in range(5):
        result = synthesise(sample, tasks.Source(), LABELLER, rng=stream(0, "l", "source", number), repeat=1.0)
        np.testing.assert_array_equal(result.label, LABELLER(sample.image, result.image, result.region))
        union = np.zeros(sample.shape, bool)
        for anomaly in result.recipe.anomalies:
            union[anomaly.region.slices] |= anomaly.region.mask
        np.testing.assert_array_equal(result.region, union)


def test_later_anomalies_act_on_earlier_results():
    sample = phantom((40, 48))
    result = synthesise(sample, tasks.Sink(), LABELLER, rng=stream(0, "o", "sink", 1), repeat=1.0)
    image = sample.image
    for anomaly in result.recipe.anomalies:
        image = tasks.Sink.apply(image, anomaly.region, anomaly.params)
    np.testing.assert_array_equal(image, result.image)


def test_foreground_only_undoes_changes_outside():
    sample = phantom((40, 48))
    touched = 0
    for number in range(8):
        rng = lambda n=number: stream(0, "f", "smooth_intensity", n)  # noqa: E731
        free = synthesise(sample, tasks.SmoothIntensity(), LABELLER, rng=rng())
        kept = synthesise(sample, tasks.SmoothIntensity(), LABELLER, rng=rng(), foreground_only=True)
        outside = ~sample.foreground
        touched += (free.image != sample.image)[:, outside].any()
        np.testing.assert_array_equal(kept.image[:, outside], sample.image[:, outside])
        assert not kept.region[outside].any()
        np.testing.assert_array_equal(kept.label, LABELLER(sample.image, kept.image, kept.region))
        again = replay(sample, Recipe.from_json(kept.recipe.to_json()), LABELLER)
        np.testing.assert_array_equal(again.image, kept.image)
    assert touched > 0


def test_within_is_a_location_prior():
    sample = phantom((48, 48))
    left = np.zeros((48, 48), bool)
    left[:, :24] = True
    for number in range(10):
        result = synthesise(
            sample, tasks.Sink(), LABELLER, rng=stream(0, "w", "sink", number), within=left, max_anomalies=1
        )
        region = result.recipe.anomalies[0].region
        assert 2 * (region.mask & (left & sample.foreground)[region.slices]).sum() >= region.count
    with pytest.raises(SynthanomError, match="within"):
        synthesise(sample, tasks.Sink(), LABELLER, rng=stream(0, "w", "sink", 0), within=left[1:])


def test_intra_blend_never_borrows_from_the_same_subject():
    samples = [Sample.from_array(field((24, 24), 1, s), id=f"scan-{s}", subject=f"p-{s // 2}") for s in range(6)]
    used = set()
    for number in range(40):
        result = synthesise(
            samples[0], tasks.IntraBlend(), LABELLER, rng=stream(0, "d", "intra_blend", number), donors=samples
        )
        used |= {a.donor.id for a in result.recipe.anomalies}
    assert used == {"scan-2", "scan-3", "scan-4", "scan-5"}


def test_missing_donors_are_named_with_the_way_out():
    sample = phantom((24, 24))
    twin = Sample.from_array(field((24, 24), 1, 9), id="twin", subject=sample.subject)
    rng = stream(0, "d", "intra_blend", 0)
    with pytest.raises(SynthanomError, match="donors="):
        synthesise(sample, tasks.IntraBlend(), LABELLER, rng=rng)
    with pytest.raises(SynthanomError, match="other subject"):
        synthesise(sample, tasks.IntraBlend(), LABELLER, rng=rng, donors=[sample, twin])
    with pytest.raises(SynthanomError, match="another data set"):
        synthesise(sample, tasks.InterBlend(), LABELLER, rng=rng, donors=[])
    with pytest.raises(SynthanomError, match="channels"):
        synthesise(sample, tasks.InterBlend(), LABELLER, rng=rng, donors=[phantom((24, 24), 2, 1)])
    with pytest.raises(SynthanomError, match="spatial axes"):
        synthesise(sample, tasks.InterBlend(), LABELLER, rng=rng, donors=[phantom((16, 16, 16), 1, 1)])


def test_donors_per_task_and_named_sets():
    own, external = [phantom((24, 24), 1, s) for s in (1, 2)], [phantom((30, 20), 1, s) for s in (3, 4)]
    mapping = {"intra_blend": own, "inter_blend": DonorSet(name="chest", samples=external)}
    sample = phantom((24, 24))
    result = synthesise(sample, tasks.InterBlend(), LABELLER, rng=stream(0, "m", "inter_blend", 0), donors=mapping)
    reference = result.recipe.anomalies[0].donor
    assert reference.set == "chest" and reference.id in {"phantom-3", "phantom-4"}
    again = replay(sample, result.recipe, LABELLER, donors=mapping)
    np.testing.assert_array_equal(again.image, result.image)
    assert donors_for(tasks.Sink(), mapping) is None


def test_replay_refuses_other_samples_and_donors():
    samples = [phantom((24, 24), 1, s) for s in range(3)]
    result = synthesise(samples[0], tasks.IntraBlend(), LABELLER, rng=stream(0, "r", "intra_blend", 0), donors=samples)
    with pytest.raises(SynthanomError, match="digest"):
        replay(samples[1], result.recipe, LABELLER, donors=samples)
    with pytest.raises(SynthanomError, match="not in donors="):
        replay(samples[0], result.recipe, LABELLER)
    name = result.recipe.anomalies[0].donor.id
    forged = [Sample.from_array(field((24, 24), 1, 99), id=name)]
    with pytest.raises(SynthanomError, match="must have digest"):
        replay(samples[0], result.recipe, LABELLER, donors=forged)


def test_recipes_refuse_what_they_do_not_know():
    sample = phantom((24, 24))
    data = synthesise(sample, tasks.Sink(), LABELLER, rng=stream(0, "r", "sink", 0)).recipe.to_dict()
    assert Recipe.from_dict(data).to_dict() == data
    for change, words in [
        ({"format": 2}, "format"),
        ({"anomalies": [data["anomalies"][0] | {"task": "vortex"}]}, "vortex"),
        ({"sample": {"id": "a"}}, "malformed"),
        ({"options": {"speed": 3}}, "malformed"),
    ]:
        with pytest.raises(SynthanomError, match=words):
            Recipe.from_dict(data | change)
    with pytest.raises(SynthanomError, match="JSON"):
        Recipe.from_json(b"{broken")


def test_nothing_visible_is_drawn_again_and_counted():
    sample = phantom((32, 32))
    faint = tasks.SmoothIntensity(scale=0.02)  # sometimes too little to see
    attempts = []
    for number in range(40):
        rng = stream(0, "v", "smooth_intensity", number)
        recipe = synthesise(sample, faint, LABELLER, rng=rng, max_anomalies=1).recipe
        assert Recipe.from_json(recipe.to_json()).attempts == recipe.attempts
        attempts.append(recipe.attempts)
    assert max(attempts) > 1 and min(attempts) == 1


def test_flat_pictures_raise_nothing_visible():
    image = np.zeros((1, 32, 32), np.float32)
    image[0, :8] = np.random.default_rng(0).standard_normal((8, 32))
    foreground = np.zeros((32, 32), bool)
    foreground[20:, :] = True
    sample = Sample(image=image, foreground=foreground, spacing=None, affine=None, id="flat", subject="flat")
    with pytest.raises(NothingVisible, match="flat"):
        # a deformation of a constant area changes nothing: no anomaly may count that cannot be seen
        synthesise(
            sample, tasks.Sink(), LABELLER, rng=stream(0, "flat", "sink", 0), within=np.tri(32, 32, -22, dtype=bool)
        )


def test_no_place_and_unsuitable_regions_end():
    sample = Sample.from_array(
        field((64, 64)), np.eye(64, dtype=bool)[::-1] & (np.indices((64, 64)).sum(0) % 9 == 0), id="line"
    )
    with pytest.raises(NoPlace):
        synthesise(
            sample,
            dataclasses.replace(tasks.Sink(), shape=dataclasses.replace(tasks.Sink().shape, smallest=0.4)),
            LABELLER,
            rng=stream(0, "p", "sink", 0),
        )
    small = dataclasses.replace(tasks.Sink().shape, smallest=0.01, largest=0.02)
    with pytest.raises(UnsuitableRegion, match="50 regions"):
        synthesise(
            phantom((64, 64)), dataclasses.replace(tasks.Sink(), shape=small), LABELLER, rng=stream(0, "p", "sink", 0)
        )


def test_push_follows_its_bounds():
    e = 10.0
    g = np.sqrt(e * e / 2)
    assert push_distance(e, (0.5, 5.0), 0.0) == pytest.approx(max(0.1 * g, 0.5))
    assert push_distance(e, (0.5, 5.0), 1.0) == pytest.approx(5.0)
    assert push_distance(e, (7.0, 9.0), 0.3) == pytest.approx(0.9 * g)
    assert push_distance(e, (0.1, 0.2), 0.3) == pytest.approx(0.1 * g)
    for bad in ((0.0, 1.0), (2.0, 1.0)):
        with pytest.raises(SynthanomError):
            tasks.Sink(push=bad)


def test_deformation_without_calibration():
    sample = phantom((40, 40))
    factors = [
        synthesise(sample, tasks.Sink(push=None), LABELLER, rng=stream(0, "u", "sink", n))
        .recipe.anomalies[0]
        .params.factor
        for n in range(30)
    ]
    assert min(factors) >= 2**0.5 and max(factors) <= 4 and len(set(factors)) == 30


def test_intensity_draws_follow_their_distribution():
    sample = phantom((60, 60), 2)
    drawn = []
    ramps = []
    for number in range(400):
        result = synthesise(sample, tasks.SmoothIntensity(), LABELLER, rng=stream(0, "i", "smooth_intensity", number))
        drawn += [a.params.change for a in result.recipe.anomalies]
        ramps += [a.params.ramp for a in result.recipe.anomalies]
    change = np.array(drawn)
    assert np.abs(change).mean() == pytest.approx(0.1 + 0.6, rel=0.05)
    assert abs(np.sign(change).mean()) < 0.1 and abs(np.corrcoef(np.sign(change).T)[0, 1]) < 0.12
    assert min(ramps) >= 1.0 and np.abs(change).min() >= 0.1


def test_spatial_priors_of_the_options_are_recorded():
    options = SynthesisOptions(foreground_only=True)
    assert SynthesisOptions(**options.to_dict()) == options


def test_batches_check_their_lengths_and_spawn():
    images = torch.from_numpy(np.stack([field((24, 24), 1, s) for s in range(3)]))
    with pytest.raises(SynthanomError, match="3 generators"):
        synthesise_batch(images, None, tasks.Sink(), LABELLER, rng=[np.random.default_rng(0)])
    with pytest.raises(SynthanomError, match="3 ids"):
        synthesise_batch(images, None, tasks.Sink(), LABELLER, rng=np.random.default_rng(0), ids=["a"])
    mixed = [tasks.Sink(), tasks.SmoothIntensity(), tasks.Source()]
    batch = synthesise_batch(images, None, mixed, LABELLER, rng=np.random.default_rng(0))
    assert [r.anomalies[0].task for r in batch.recipes] == ["sink", "smooth_intensity", "source"]
    generators = np.random.default_rng(0).spawn(3)
    alone = synthesise(Sample.from_array(images[1].numpy(), id="sample-1"), mixed[1], LABELLER, rng=generators[1])
    np.testing.assert_array_equal(batch.images[1].numpy(), alone.image)


def test_ellipsoid_phantom_is_what_the_tests_think():
    assert ellipsoid((20, 20)).sum() == pytest.approx(np.pi * 9.2**2, rel=0.05)
