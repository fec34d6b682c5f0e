"""Batches of Samples and their pictures on a device: those of the mixture, in whatever batch and however made."""

import pickle

import numpy as np
import pytest
import torch
from phantoms import field, phantom
from torch.utils.data import DataLoader

from synthanom import Mixture, Sample, SynthanomError, replay, tasks
from synthanom.errors import NoPlace
from synthanom.integrations.collate import BatchSynthesis, SampleBatch, collate_samples
from synthanom.labels import FlippedGaussian
from synthanom.recipe import SynthesisOptions

pytestmark = pytest.mark.usefixtures("one_thread")

IMAGE_TOLERANCE = 1e-3  # of the image's range, between the two ways
LABEL_TOLERANCE = 5e-3
SAMPLES = [phantom((24, 28), 1, seed) for seed in range(6)]
EVERY = Mixture(
    tasks=[task() for task in tasks.TASKS.values()],
    donors=SAMPLES,
    options=SynthesisOptions(max_anomalies=2),
    probability=0.8,
)


def check(made, samples, mixture, draw, *, exact=False, seed=3):
    """Whether pictures are those of the mixture."""
    assert made.images.dtype == made.labels.dtype == torch.float32 and made.regions.dtype == torch.bool
    for k, sample in enumerate(samples):
        expected = mixture.make(sample, seed=seed, draw=draw)
        image, label = made.images[k].cpu().numpy(), made.labels[k].cpu().numpy()
        if expected is None:
            assert made.recipes[k] is None and np.array_equal(image, sample.image)
            assert not label.any() and not made.regions[k].any()
            continue
        assert made.recipes[k] == expected.recipe
        tolerance = 0 if exact else IMAGE_TOLERANCE * float(np.ptp(sample.image))
        np.testing.assert_allclose(image, expected.image, rtol=0, atol=tolerance)
        np.testing.assert_allclose(label, expected.label, rtol=0, atol=0 if exact else LABEL_TOLERANCE)
        assert (made.regions[k].cpu().numpy() == expected.region).mean() > (0.9999 if exact else 0.99)


def test_samples_are_stacked_with_what_is_known_of_them():
    batch = collate_samples(SAMPLES[:2])
    assert batch.images.shape == (2, 1, 24, 28) and batch.images.dtype == torch.float32
    assert batch.foregrounds.shape == (2, 24, 28) and batch.foregrounds.dtype == torch.bool
    assert batch.ids == batch.subjects == ("phantom-0", "phantom-1") and batch.spacings == ((1.0, 1.5), (1.0, 1.5))
    again = batch.to("cpu").sample(1)
    assert again.sha256 == SAMPLES[1].sha256 and again.spacing == SAMPLES[1].spacing
    with pytest.raises(SynthanomError, match="one shape"):
        collate_samples([SAMPLES[0], phantom((24, 24), 1, 9)])


@pytest.mark.parametrize("way", ["auto", "samples", "batched"])
def test_pictures_are_those_of_the_mixture(way):
    synthesis = BatchSynthesis(EVERY, seed=3, way=way)
    batch = collate_samples(SAMPLES)
    before = batch.images.clone()
    for epoch in range(3):
        synthesis.set_epoch(epoch)
        check(synthesis(batch), SAMPLES, EVERY, f"epoch-{epoch}", exact=way != "batched")
    assert torch.equal(batch.images, before)


def test_volumes_of_two_channels():
    samples = [phantom((18, 20, 16), 2, seed) for seed in range(3)]
    mixture = Mixture(tasks=[tasks.Sink(), tasks.SmoothIntensity(), tasks.IntraBlend()], donors=samples)
    check(BatchSynthesis(mixture, seed=3, way="batched")(collate_samples(samples)), samples, mixture, "epoch-0")


@pytest.mark.parametrize("way", ["samples", "batched"])
def test_donors_of_the_own_subject_are_not_borrowed_from(way):
    synthesis = BatchSynthesis(Mixture(tasks=[tasks.IntraBlend()], donors=SAMPLES[:2]), seed=3, way=way)
    for draw in range(4):
        for recipe in synthesis(collate_samples(SAMPLES[:2]), draw).recipes:
            assert all(anomaly.donor.id != recipe.sample.id for anomaly in recipe.anomalies)


def test_pictures_do_not_depend_on_their_batch():
    synthesis = BatchSynthesis(EVERY, seed=3, way="batched")
    whole = synthesis(collate_samples(SAMPLES))
    parts = [synthesis(collate_samples(SAMPLES[k : k + 1])) for k in range(len(SAMPLES))]
    torch.testing.assert_close(torch.cat([part.images for part in parts]), whole.images, rtol=0, atol=1e-4)
    assert [part.recipes[0] for part in parts] == whole.recipes[:]


def test_a_named_draw_stands_for_the_epoch():
    synthesis = BatchSynthesis(tasks.Sink(), seed=3)
    check(synthesis(collate_samples(SAMPLES), "validation"), SAMPLES, synthesis.mixture, "validation", exact=True)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("context", [None, "spawn"])
def test_loaders_with_and_without_workers(workers, context):
    if not workers and context:
        pytest.skip("without workers there is no context")
    loader = DataLoader(
        SAMPLES, batch_size=4, collate_fn=collate_samples, num_workers=workers, multiprocessing_context=context
    )
    synthesis = BatchSynthesis(EVERY, seed=3)
    for number, batch in enumerate(loader):
        assert isinstance(batch, SampleBatch)
        check(synthesis(batch), SAMPLES[4 * number : 4 * number + 4], EVERY, "epoch-0", exact=True)


@pytest.mark.parametrize("way", ["samples", "batched"])
def test_what_a_task_does_not_suit_goes_to_the_next_one(way, monkeypatch):
    samples = [*SAMPLES[:3], Sample.from_array(field((24, 28), 1, 8), id="odd")]
    mixture = Mixture(tasks=[tasks.Sink(), tasks.SmoothIntensity()])
    refusing = Refusing()
    monkeypatch.setattr("synthanom.mixture.synthesise", refusing)
    monkeypatch.setattr("synthanom.integrations.collate.make_batch", refusing.batch)
    made = BatchSynthesis(mixture, seed=3, way=way)(collate_samples(samples))
    tasks_of = [recipe.anomalies[0].task for recipe in made.recipes]
    assert set(tasks_of) == {"smooth_intensity"}
    check(made, samples, mixture, "epoch-0")


class Refusing:
    """Lets no sink be made."""

    def __init__(self):
        from synthanom.batched.making import make_batch
        from synthanom.synthesis import synthesise

        self.one, self.many = synthesise, make_batch

    def __call__(self, sample, task, *arguments, **settings):
        if task.name == "sink":
            raise NoPlace("no sink here")
        return self.one(sample, task, *arguments, **settings)

    def batch(self, inputs, labeller, pool, *, keep_failed):
        made = self.many(inputs, labeller, pool, keep_failed=keep_failed)
        for k, task in enumerate(inputs.tasks):
            if task.name == "sink":
                made.failed[k] = NoPlace("no sink here")
                made.batch.images[k], made.batch.labels[k] = inputs.images[k], 0
                made.batch.regions[k] = False
        return made


class Own(FlippedGaussian):
    """A labeller that has no batched form."""


def test_labellers_without_a_batched_form_are_made_by_samples():
    mixture = Mixture(tasks=[tasks.Sink()], labeller=Own(sigma=0.5))
    made = BatchSynthesis(mixture, seed=3, way="batched")(collate_samples(SAMPLES))
    check(made, SAMPLES, mixture, "epoch-0", exact=True)


def test_recipes_replay_and_pickles_go_on():
    synthesis = pickle.loads(pickle.dumps(BatchSynthesis(EVERY, seed=3)))
    synthesis.set_epoch(2)
    made = synthesis(collate_samples(SAMPLES))
    assert len(made.recipes) == len(SAMPLES) and any(made.recipes)
    for k, recipe in enumerate(made.recipes):
        if recipe is not None:
            again = replay(SAMPLES[k], recipe, FlippedGaussian(), donors=SAMPLES)
            assert np.array_equal(again.image, made.images[k].numpy())


def test_another_way_is_refused():
    with pytest.raises(SynthanomError, match="way"):
        BatchSynthesis(tasks.Sink(), seed=0, way="fast")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_pictures_on_a_cuda_device():
    synthesis = BatchSynthesis(EVERY, seed=3)
    batch = collate_samples(SAMPLES).to("cuda", non_blocking=True)
    for epoch in range(2):
        synthesis.set_epoch(epoch)
        made = synthesis(batch)
        assert made.images.is_cuda and made.labels.is_cuda
        check(made, SAMPLES, EVERY, f"epoch-{epoch}")
