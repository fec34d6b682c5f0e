"""The TorchIO transform, by what TorchIO asks of its own: history, geometry, copies, loaders, queues, probability."""

import copy
import pickle

import numpy as np
import pytest
import torch
from phantoms import ellipsoid, field, phantom

from synthanom import Mixture, Recipe, Sample, SynthanomError, synthesise, tasks
from synthanom.labels import FlippedGaussian
from synthanom.recipe import SynthesisOptions
from synthanom.streams import stream

pytest.importorskip("torchio", reason="needs the extra `torchio`")

import torchio as tio

from synthanom.integrations.torchio import RandomAnomaly, ReplayedAnomaly

pytestmark = pytest.mark.usefixtures("one_thread")

SHAPE = (18, 20, 16)  # X, Y, Z
AFFINE = np.array([[2.0, 0, 0, -7], [0, 1.5, 0, 3], [0, 0, 1.0, 5], [0, 0, 0, 1]])
TWO = Mixture(tasks=[tasks.Sink(), tasks.SmoothIntensity()])


def subject(number=0, shape=SHAPE, **more):
    image = tio.ScalarImage(tensor=torch.from_numpy(field(shape, 1, number)), affine=AFFINE)
    mask = tio.LabelMap(tensor=torch.from_numpy(ellipsoid(shape)[None].astype(np.uint8)), affine=AFFINE)
    return tio.Subject(t1=image, brain=mask, id=f"case-{number}", subject=f"p-{number}", **more)


def flat(number=0, side=32):
    image = tio.ScalarImage(tensor=torch.from_numpy(field((side, side), 1, number)[..., None]), affine=AFFINE)
    return tio.Subject(t1=image)


def made(transform, given, seed=0):
    torch.manual_seed(seed)
    return transform(given)


def equal(first, second):
    return np.array_equal(np.asarray(first), np.asarray(second))


def test_a_subject_gets_a_changed_image_and_a_soft_label():
    given = subject()
    before = given.t1.data.clone()
    result = made(RandomAnomaly(TWO, foreground="brain", label="anomaly"), given)
    assert isinstance(result.anomaly, tio.LabelMap) and result.anomaly.shape == (1, *SHAPE)
    assert result.t1.data.dtype == result.anomaly.data.dtype == torch.float32
    label = result.anomaly.data
    assert 0 < label.max() <= 1 and ((label > 0) & (label < 0.99)).any()
    changed = result.t1.data != before
    assert changed.any() and not changed[label == 0].float().mean() > 0.01
    assert equal(given.t1.data, before) and "anomaly" not in given and result["anomaly"] is result.anomaly


def test_axes_are_taken_as_they_are_and_geometry_is_kept(monkeypatch):
    seen = []
    make = Mixture.make
    monkeypatch.setattr(Mixture, "make", lambda self, sample, **draw: seen.append(sample) or make(self, sample, **draw))
    result = made(RandomAnomaly(TWO), subject())
    assert equal(result.t1.affine, AFFINE) and equal(result.label.affine, AFFINE)
    assert result.t1.spacing == result.label.spacing == (2.0, 1.5, 1.0)
    assert seen[0].spacing == (2.0, 1.5, 1.0) and seen[0].shape == SHAPE
    assert equal(seen[0].image, field(SHAPE)) and (seen[0].id, seen[0].subject) == ("case-0", "p-0")


def test_the_seed_is_drawn_by_torch():
    result = made(RandomAnomaly(tasks.Sink()), subject(), seed=4)
    torch.manual_seed(4)
    torch.rand(1)  # TorchIO's own look at p
    seed = int(torch.randint(0, 2**63 - 1, (1,)).item())
    sample = Sample.from_array(field(SHAPE), id="case-0")
    expected = synthesise(sample, tasks.Sink(), FlippedGaussian(), rng=stream(seed, "case-0", "sink", "once"))
    assert equal(result.t1.data, expected.image) and equal(result.label.data[0], expected.label)
    assert equal(made(RandomAnomaly(tasks.Sink()), subject(), seed=4).t1.data, result.t1.data)
    assert not equal(made(RandomAnomaly(tasks.Sink()), subject(), seed=5).t1.data, result.t1.data)


def test_pictures_are_two_dimensional():
    result = made(RandomAnomaly(TWO), flat())
    assert result.t1.shape == result.label.shape == (1, 32, 32, 1)
    assert result.label.data.max() > 0
    recipe = Recipe.from_json(result.history[0].recipe)
    assert recipe.sample.shape == (1, 32, 32)


DONORS = [phantom(SHAPE, 1, number, name=f"donor-{number}") for number in range(3)]


@pytest.mark.parametrize(
    "mixture",
    [
        TWO,
        Mixture(tasks=[tasks.IntraBlend(), tasks.InterBlend()], donors=DONORS),
        Mixture(tasks=[tasks.Sink()], probability=0),
    ],
    ids=["plain", "donors", "healthy"],
)
def test_the_history_makes_the_same_again(mixture):
    pipeline = tio.Compose(
        [
            tio.RandomFlip(axes=(0, 1, 2)),
            RandomAnomaly(mixture, foreground="brain"),
            tio.RandomNoise(std=0.1),
        ]
    )
    for seed in range(3):
        result = made(pipeline, subject(), seed)
        again = result.get_composed_history()(subject())
        assert equal(again.t1.data, result.t1.data) and equal(again.label.data, result.label.data)
    assert [type(t).__name__ for t in result.history].count("ReplayedAnomaly") == 1
    assert not any(isinstance(t, RandomAnomaly) for t in result.history)


@pytest.mark.parametrize("inside_only", [False, True])
def test_anomalies_keep_to_the_location_prior_and_so_does_the_history(inside_only):
    marked = torch.zeros(1, *SHAPE, dtype=torch.uint8)
    marked[:, 9:] = 1
    mixture = Mixture(tasks=[tasks.SmoothIntensity()], options=SynthesisOptions(inside_only=inside_only, repeat=0))
    pipeline = tio.Compose([tio.RandomFlip(axes=(0,)), RandomAnomaly(mixture, within="side")])
    for seed in range(4):
        given = subject(side=tio.LabelMap(tensor=marked, affine=AFFINE))
        result = made(pipeline, given, seed)
        label = result.label.data > 0
        inside = result.side.data > 0
        assert 2 * (label & inside).sum() >= label.sum() * (0.99 if inside_only else 0.9) > 0
        assert not (inside_only and label[~inside].any())
        again = result.get_composed_history()(given)
        assert equal(again.t1.data, result.t1.data) and equal(again.label.data, result.label.data)
    with pytest.raises(SynthanomError, match="the location prior must be an image of the subject, 'side' is not in it"):
        RandomAnomaly(mixture, within="side")(subject())


def test_a_history_holds_the_donors_that_were_used_and_no_others():
    mixture = Mixture(tasks=[tasks.IntraBlend()], donors=DONORS)
    result = made(RandomAnomaly(mixture), subject())
    replayed = result.history[0]
    named = {anomaly.donor.id for anomaly in Recipe.from_json(replayed.recipe).anomalies}
    assert {donor.id for donor in replayed.mixture.donors} == named and len(named) < 3
    travelled = pickle.loads(pickle.dumps(result))
    assert equal(travelled.get_composed_history()(subject()).t1.data, result.t1.data)
    assert made(RandomAnomaly(TWO), subject()).history[0].mixture.donors is None


def test_a_history_is_refused_for_other_images():
    result = made(RandomAnomaly(TWO), subject(0))
    with pytest.raises(SynthanomError, match="drawn for"):
        result.get_composed_history()(subject(1))


def test_every_subject_gets_a_label_whatever_the_probability():
    never = made(RandomAnomaly(TWO, p=0), subject())
    assert equal(never.t1.data, field(SHAPE)) and not never.label.data.any() and never.history[0].recipe == ""
    half = RandomAnomaly(TWO, p=0.5)
    torch.manual_seed(0)
    ill = sum(bool(half(flat()).label.data.any()) for _ in range(60))
    assert 15 < ill < 45


def test_images_of_one_grid_get_the_anomaly_at_the_same_place():
    both = subject(t2=tio.ScalarImage(tensor=torch.from_numpy(field(SHAPE, 2, 3)), affine=AFFINE))
    result = made(RandomAnomaly(tasks.Sink()), both)
    assert result.t2.shape == (2, *SHAPE)
    moved = [(image.data != both[name].data).any(0) for name, image in (("t1", result.t1), ("t2", result.t2))]
    assert moved[0].any() and (moved[0] & moved[1]).sum() > 0.8 * (moved[0] | moved[1]).sum()
    only = made(RandomAnomaly(tasks.Sink(), include=["t1"]), both)
    assert equal(only.t2.data, both.t2.data) and not equal(only.t1.data, both.t1.data)
    rest = made(RandomAnomaly(tasks.Sink(), exclude=["t1"]), both)
    assert equal(rest.t1.data, both.t1.data) and equal(rest.get_composed_history()(both).t2.data, rest.t2.data)


def test_images_that_do_not_lie_together_are_refused():
    shifted = AFFINE.copy()
    shifted[0, 3] += 1
    other = tio.ScalarImage(tensor=torch.from_numpy(field(SHAPE)), affine=shifted)
    with pytest.raises(SynthanomError, match="one affine"):
        RandomAnomaly(TWO)(subject(t2=other))
    smaller = tio.ScalarImage(tensor=torch.from_numpy(field((18, 20, 14))), affine=AFFINE)
    with pytest.raises(SynthanomError, match="one grid"):
        RandomAnomaly(TWO)(subject(t2=smaller))
    with pytest.raises(SynthanomError, match="scalar image"):
        RandomAnomaly(TWO)(tio.Subject(brain=subject().brain))
    with pytest.raises(SynthanomError, match="foreground"):
        RandomAnomaly(TWO, foreground="lung")(subject())


def test_other_inputs_of_torchio_work():
    tensor = torch.from_numpy(field(SHAPE))
    assert made(RandomAnomaly(TWO), tensor).shape == tensor.shape
    image = made(RandomAnomaly(TWO), subject().t1)
    assert isinstance(image, tio.ScalarImage) and equal(image.affine, AFFINE)
    kept = made(RandomAnomaly(TWO, keep={"t1": "healthy"}), subject())
    assert equal(kept.healthy.data, field(SHAPE)) and not equal(kept.t1.data, kept.healthy.data)
    whole = tio.ScalarImage(tensor=(tensor * 2).to(torch.int16), affine=AFFINE)
    assert made(RandomAnomaly(tasks.Sink()), tio.Subject(t1=whole)).t1.data.dtype == torch.float32


def test_labels_pass_through_transforms_that_follow():
    pipeline = tio.Compose([RandomAnomaly(TWO), tio.RandomNoise(std=1.0), tio.CropOrPad((24, 24, 24)), tio.Flip(0)])
    result = made(pipeline, subject())
    alone = result.history[0](subject())
    assert result.label.shape == (1, 24, 24, 24) and result.label.data.max() <= 1
    assert float(result.label.data.sum()) == pytest.approx(float(alone.label.data.sum()), rel=1e-5)


def test_there_is_no_inverse():
    result = made(tio.Compose([tio.Flip(0), RandomAnomaly(TWO)]), subject())
    assert not result.history[1].is_invertible()
    back = result.apply_inverse_transform(warn=False)
    assert equal(back.t1.data, result.t1.data.flip(1)) and not equal(back.t1.data, subject().t1.data)


def test_with_a_seed_pictures_depend_on_id_and_epoch_alone():
    transform = RandomAnomaly(TWO, seed=5)
    first = made(transform, subject(), seed=1)
    assert equal(first.t1.data, made(transform, subject(), seed=2).t1.data)
    expected = TWO.make(Sample.from_array(field(SHAPE), id="case-0"), seed=5, draw="epoch-0")
    assert equal(first.t1.data, expected.image)
    copied = copy.deepcopy(transform)
    transform.set_epoch(1)
    second = transform(subject())
    assert not equal(first.t1.data, second.t1.data) and equal(copied(subject()).t1.data, second.t1.data)
    with pytest.raises(SynthanomError, match="id_key"):
        transform(flat())


def loaded(loader):
    return torch.cat([batch["t1"][tio.DATA] for batch in loader])


@pytest.mark.parametrize("context", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_with_a_seed_workers_change_nothing_and_see_later_epochs(context):
    transform = RandomAnomaly(TWO, seed=5)
    data = tio.SubjectsDataset([subject(number) for number in range(4)], transform)
    loader = tio.SubjectsLoader(
        data,
        batch_size=2,
        num_workers=1 + (context == "fork"),
        persistent_workers=True,
        multiprocessing_context=context,
    )
    for epoch in (0, 1):
        transform.set_epoch(epoch)
        expected = torch.stack([transform(subject(number)).t1.data for number in range(4)])
        assert torch.equal(loaded(loader), expected)


def test_every_worker_and_epoch_draws_something_else():
    data = tio.SubjectsDataset([subject(0) for _ in range(4)], RandomAnomaly(tasks.Sink()))
    loader = tio.SubjectsLoader(data, batch_size=1, num_workers=2)
    seen = [image.numpy().tobytes() for _ in range(2) for image in loaded(loader)]
    assert len(set(seen)) == len(seen) == 8

    def epoch(seed):
        generator = torch.Generator().manual_seed(seed)
        return loaded(tio.SubjectsLoader(data, batch_size=1, num_workers=2, generator=generator))

    assert torch.equal(epoch(1), epoch(1)) and not torch.equal(epoch(1), epoch(2))


def test_a_queue_of_patches_holds_image_and_label():
    data = tio.SubjectsDataset([subject(number) for number in range(2)], RandomAnomaly(TWO))
    queue = tio.Queue(data, max_length=4, samples_per_volume=2, sampler=tio.UniformSampler(12), num_workers=0)
    patches = [patch for batch in tio.SubjectsLoader(queue, batch_size=2) for patch in batch["label"][tio.DATA]]
    assert len(patches) == 4 and all(patch.shape == (1, 12, 12, 12) for patch in patches)


@pytest.mark.parametrize("transform", [RandomAnomaly(TWO), ReplayedAnomaly("", TWO)], ids=["random", "replayed"])
def test_pickles_and_copies_work_alike_and_say_what_they_are(transform):
    for other in (pickle.loads(pickle.dumps(transform)), copy.deepcopy(transform)):
        assert equal(made(other, subject(), 3).t1.data, made(transform, subject(), 3).t1.data)
    assert "Mixture" in repr(transform) and copy.deepcopy(transform).mixture is transform.mixture
    one = tio.OneOf([transform])
    assert made(one, subject()).label.shape == (1, *SHAPE)
