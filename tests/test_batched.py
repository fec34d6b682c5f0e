"""Batches made at once, in torch: the same recipes, pictures and labels as sample by sample."""

import numpy as np
import pytest
import torch
from phantoms import CASES, field, phantom

from synthanom import Recipe, Sample, SynthanomError, drawing, replay, synthesise, synthesise_batch, tasks
from synthanom.batched import making
from synthanom.batched.deformations import pushes, strengths
from synthanom.batched.limits import Limits
from synthanom.batched.making import make_batch
from synthanom.batched.merging import merged_boxes
from synthanom.batched.pool import DonorPool
from synthanom.errors import NoPlace, NormalisationWarning, NothingVisible
from synthanom.kernels.windows.grouping import similar
from synthanom.labels import FlippedGaussian, merge_boxes
from synthanom.streams import KeyedStreams, stream

ALL = (tasks.IntraBlend(), tasks.InterBlend(), tasks.Sink(), tasks.Source(), tasks.SmoothIntensity())
LABELLER = FlippedGaussian()
TOLERANCE = 1e-3  # of the image's range, and of the label's


def cohort(shape, channels, count):
    return [phantom(shape, channels, seed, f"case-{seed}") for seed in range(count)]


def tensors(samples):
    images = torch.from_numpy(np.stack([s.image for s in samples]))
    return images, torch.from_numpy(np.stack([s.foreground for s in samples]))


def both(samples, own, seed=0, **options):
    """A batch made at once, and the same samples made one by one."""
    images, masks = tensors(samples)
    ids = [s.id for s in samples]
    names = [(seed, s.id, t.name, 0) for s, t in zip(samples, own, strict=True)]
    batch = synthesise_batch(
        images, masks, own, LABELLER, rng=KeyedStreams.named(names), donors=samples, ids=ids, way="batched", **options
    )
    alone = [
        synthesise(s, t, LABELLER, rng=stream(*name), donors=samples, **options)
        for s, t, name in zip(samples, own, names, strict=True)
    ]
    return batch, alone


def check(batch, alone, samples):
    for k, (sample, result) in enumerate(zip(samples, alone, strict=True)):
        size = float(np.ptp(sample.image))
        off = np.abs(batch.images[k].numpy() - result.image).max() / size
        assert off < TOLERANCE, (sample.id, result.recipe.anomalies[0].task, off)
        assert np.abs(batch.labels[k].numpy() - result.label).max() < TOLERANCE
        # blending asks of every voxel whether it changed by more than 0.001: rounding may decide
        differ = batch.regions[k].numpy() != result.region
        change = np.abs(result.image - sample.image).mean(axis=0)
        assert (np.abs(change[differ] - 0.001) < 2e-4 * size).all()


@pytest.mark.parametrize(("shape", "channels"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_a_mixed_batch_equals_its_samples(shape, channels):
    samples = cohort(shape, channels, 15)
    batch, alone = both(samples, [ALL[i % 5] for i in range(15)])
    check(batch, alone, samples)
    for recipe, result in zip(batch.recipes, alone, strict=True):
        assert recipe == result.recipe


@pytest.mark.parametrize("task", ALL, ids=lambda t: t.name)
def test_a_batch_of_one_task_equals_its_samples(task):
    samples = cohort((40, 48), 1, 8)
    batch, alone = both(samples, [task] * 8, seed=1)
    check(batch, alone, samples)


@pytest.mark.parametrize(
    "options", [{"max_anomalies": 1}, {"max_anomalies": 4, "repeat": 1.0}, {"foreground_only": True, "repeat": 0.9}]
)
def test_options_mean_the_same(options):
    samples = cohort((40, 48), 1, 10)
    batch, alone = both(samples, [ALL[i % 5] for i in range(10)], seed=2, **options)
    check(batch, alone, samples)
    assert list(batch.recipes) == [r.recipe for r in alone]


def test_other_settings_reach_the_device():
    own = [
        tasks.IntraBlend(mixed=False, join_threshold=0.05),
        tasks.Sink(push=None, order=1),
        tasks.Source(push=(0.5, 10.0)),
        tasks.SmoothIntensity(scale=0.5, ramp_offset=0.1),
        tasks.Sink(order=1),
        tasks.Sink(),
    ]
    samples = cohort((40, 48), 1, 6)
    batch, alone = both(samples, own, seed=3)
    check(batch, alone, samples)


def test_recipes_of_a_batch_replay():
    samples = cohort((40, 48), 1, 5)
    batch, _ = both(samples, list(ALL))
    for k, sample in enumerate(samples):
        again = replay(sample, Recipe.from_json(batch.recipes[k].to_json()), LABELLER, donors=samples)
        assert np.abs(again.image - batch.images[k].numpy()).max() < TOLERANCE * np.ptp(sample.image)
    assert len(batch.recipes) == 5 and batch.recipes[-1] == batch.recipes[4] and len(batch.recipes[1:3]) == 2
    with pytest.raises(IndexError):
        batch.recipes[5]


def test_recipes_are_refused_once_the_images_were_written_to():
    samples = cohort((40, 48), 1, 2)
    images, masks = tensors(samples)
    batch = synthesise_batch(images, masks, ALL[2], LABELLER, rng=np.random.default_rng(0), way="batched")
    first = batch.recipes[0]
    images += 1
    assert batch.recipes[0] is first
    with pytest.raises(SynthanomError, match="must not be written to"):
        batch.recipes[1]


@pytest.mark.parametrize("limits", [{"chunk_bytes": 4 * 40 * 48 * 32}, {"chunk_bytes": 1, "window_voxels": 1}])
def test_the_batch_is_not_written_to_and_chunks_do_not_matter(monkeypatch, limits):
    samples = cohort((40, 48), 1, 9)
    images, masks = tensors(samples)
    kept = images.clone(), masks.clone()
    own = [ALL[i % 5] for i in range(9)]
    names = [(0, s.id, t.name, 0) for s, t in zip(samples, own, strict=True)]

    chunks = []
    chunk = making.BatchMaker._make_chunk
    monkeypatch.setattr(making.BatchMaker, "_make_chunk", lambda *a: chunks.append(a[2].samples.size) or chunk(*a))

    def made():
        rng = KeyedStreams.named(names)
        return synthesise_batch(images, masks, own, LABELLER, rng=rng, donors=samples, way="batched")

    whole = made()
    assert torch.equal(images, kept[0]) and torch.equal(masks, kept[1]) and chunks[0] == 9
    monkeypatch.setattr(making.Limits, "of", lambda device: making.Limits(**limits))
    chunked = made()
    assert chunks[1:] == ([4, 4, 1] if limits["chunk_bytes"] > 1 else [1] * 9)
    for a, b in ((whole.images, chunked.images), (whole.labels, chunked.labels)):
        assert float((a - b).abs().max()) < 1e-5
    assert torch.equal(chunked.images, made().images)


def test_invisible_samples_are_drawn_on_in_later_chunks():
    samples = cohort((40, 48), 1, 12)
    faint = [tasks.SmoothIntensity(scale=0.008)] * 12
    batch, alone = both(samples, faint, seed=5)
    tries = [r.recipe.attempts for r in alone]
    assert max(tries) > 1 and [r.attempts for r in batch.recipes] == tries
    check(batch, alone, samples)
    assert list(batch.recipes) == [r.recipe for r in alone]


def test_a_peak_at_the_very_threshold_is_judged_by_synthesise(monkeypatch):
    samples = cohort((40, 48), 1, 4)
    images, masks = tensors(samples)
    streams = KeyedStreams.named((0, s.id, "sink", 0) for s in samples)
    once = FlippedGaussian(fill=False)
    peaks = synthesise_batch(images, masks, tasks.Sink(), once, rng=streams, way="batched").labels.amax(dim=(1, 2))
    alone = []
    monkeypatch.setattr(making, "synthesise", lambda s, *a, **k: alone.append(s.id) or synthesise(s, *a, **k))
    narrow = FlippedGaussian(fill=False, visible=float(peaks.min()))
    synthesise_batch(images, masks, tasks.Sink(), narrow, rng=streams, way="batched", ids=[s.id for s in samples])
    assert alone == [samples[int(peaks.argmin())].id]


def test_samples_whose_place_must_be_searched_for_equal_synthesise():
    rng = np.random.default_rng(0)
    samples = []
    for k in range(6):  # so small a foreground that 32 proposals seldom hold a good one
        mask = np.zeros((64, 64), bool)
        y, x = rng.integers(8, 50, 2)
        mask[y : y + 5, x : x + 5] = True
        samples.append(Sample.from_array(field((64, 64), 1, k), mask, id=f"small-{k}"))
    batch, alone = both(samples, [ALL[2], ALL[4], ALL[3], ALL[0], ALL[1], ALL[2]])
    check(batch, alone, samples)
    assert list(batch.recipes) == [r.recipe for r in alone]


def test_small_images_equal_synthesise():
    samples = [Sample.from_array(field((12, 13), 1, k), id=f"tiny-{k}") for k in range(20)]
    batch, alone = both(samples, [ALL[i % 5] for i in range(20)])
    check(batch, alone, samples)


def test_generators_stand_where_synthesise_leaves_them():
    samples = cohort((40, 48), 1, 6)
    images, masks = tensors(samples)
    for make in (lambda k: np.random.Generator(np.random.Philox(key=k)), lambda k: np.random.default_rng(k)):
        used, other = [make(k) for k in range(6)], [make(k) for k in range(6)]
        synthesise_batch(images, masks, tasks.SmoothIntensity(scale=0.008), LABELLER, rng=used, way="batched")
        for sample, rng in zip(samples, other, strict=True):
            synthesise(sample, tasks.SmoothIntensity(scale=0.008), LABELLER, rng=rng)
        assert [g.random() for g in used] == [g.random() for g in other]


def test_one_generator_spawns():
    samples = cohort((40, 48), 1, 3)
    images, masks = tensors(samples)
    ways = [
        synthesise_batch(images, masks, ALL[2], LABELLER, rng=np.random.default_rng(3), way=way)
        for way in ("auto", "samples", "batched")
    ]
    assert torch.equal(ways[0].images, ways[1].images), "on the CPU, samples are made by the compiled kernels"
    assert [r.to_json() for r in ways[1].recipes] == [r.to_json() for r in ways[2].recipes]
    assert float((ways[1].images - ways[2].images).abs().max()) < 5e-3


@pytest.mark.filterwarnings("ignore::synthanom.errors.NormalisationWarning")
def test_failures_are_raised_or_kept():
    samples = cohort((40, 48), 1, 3)
    flat = Sample.from_array(np.zeros((1, 40, 48), np.float32), id="flat")
    images, masks = tensors([samples[0], flat, samples[2]])
    inputs = inputs_of(images, masks, [tasks.Sink()] * 3)
    with pytest.raises(NothingVisible, match="b-1"):
        make_batch(inputs, LABELLER)
    made = make_batch(inputs, LABELLER, keep_failed=True)
    assert list(made.failed) == [1] and isinstance(made.failed[1], NothingVisible)
    assert torch.equal(made.batch.images[1], images[1]) and not made.batch.labels[1].any()
    assert made.batch.labels[0].any() and made.batch.labels[2].any()
    inputs = inputs_of(images, masks, [tasks.Sink()] * 3)
    make_batch(inputs, LABELLER, keep_failed=True)
    other = np.random.default_rng(1)
    with pytest.raises(NothingVisible):
        synthesise(flat, tasks.Sink(), LABELLER, rng=other)
    assert inputs.generators[1].random() == other.random(), "where synthesise left it"


@pytest.mark.filterwarnings("ignore::synthanom.errors.NormalisationWarning")
def test_no_place_is_no_place():
    mask = torch.zeros((1, 40, 48), dtype=torch.bool)
    mask[0, 0, 0] = True
    with pytest.raises(NoPlace):
        synthesise_batch(
            torch.from_numpy(field((40, 48)))[None], mask, ALL[2], LABELLER, rng=np.random.default_rng(0), way="batched"
        )


def inputs_of(images, masks, own):
    from synthanom.batched.inputs import BatchInputs
    from synthanom.recipe import SynthesisOptions

    count = len(images)
    names = [f"b-{i}" for i in range(count)]
    return BatchInputs(
        images=images,
        foregrounds=masks,
        ids=names,
        subjects=names,
        spacings=[None] * count,
        tasks=own,
        donors=[None] * count,
        options=SynthesisOptions(),
        generators=[np.random.default_rng(i) for i in range(count)],
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda i, m: (i[:, 0], m), "floating-point tensor of shape"),
        (lambda i, m: (i.long(), m), "floating-point tensor"),
        (lambda i, m: (i[..., :8], m[..., :8]), "sides from 12"),
        (lambda i, m: (i, m[..., :20]), "foregrounds must be bool"),
        (lambda i, m: (i, m.float()), "foregrounds must be bool"),
        (lambda i, m: (i / 0, m), "must be finite"),
        (lambda i, m: (i, m & False), "at least one voxel"),
    ],
)
def test_unusable_tensors_are_refused(change, message):
    images, masks = change(*tensors(cohort((40, 48), 1, 2)))
    with pytest.raises(SynthanomError, match=message):
        synthesise_batch(images, masks, ALL[2], LABELLER, rng=np.random.default_rng(0), way="batched")


def test_unusual_scales_are_warned_of_by_name():
    images, masks = tensors(cohort((40, 48), 1, 2))
    images[1] *= 100
    with pytest.warns(NormalisationWarning, match="second"):
        synthesise_batch(
            images, masks, ALL[2], LABELLER, rng=np.random.default_rng(0), ids=["first", "second"], way="batched"
        )


def test_missing_and_unfitting_donors_are_refused():
    images, masks = tensors(cohort((40, 48), 1, 2))
    rng = np.random.default_rng(0)
    with pytest.raises(SynthanomError, match="needs donors"):
        synthesise_batch(images, masks, ALL[0], LABELLER, rng=rng, way="batched")
    same = [phantom((40, 48), 1, 5, "sample-0")]
    with pytest.raises(SynthanomError, match="another subject"):
        synthesise_batch(images, masks, ALL[0], LABELLER, rng=rng, donors=same, way="batched")
    with pytest.raises(SynthanomError, match="channels"):
        synthesise_batch(images, masks, ALL[0], LABELLER, rng=rng, donors=cohort((30, 30), 2, 2), way="batched")
    with pytest.raises(SynthanomError, match="way must be one of"):
        synthesise_batch(images, masks, ALL[2], LABELLER, rng=rng, way="fast")
    with pytest.raises(SynthanomError, match="2 spacings"):
        synthesise_batch(images, masks, ALL[2], LABELLER, rng=rng, spacings=[(1, 1)])


def test_a_pool_keeps_what_it_may_and_serves_donors_of_any_size():
    samples = cohort((40, 48), 1, 8)
    donors = [phantom((20 + 3 * k, 60 - 2 * k), 1, 50 + k, f"donor-{k}") for k in range(8)]
    images, masks = tensors(samples)
    own = [tasks.InterBlend(), tasks.IntraBlend()] * 4
    names = [(0, s.id, t.name, 0) for s, t in zip(samples, own, strict=True)]
    alone = [
        synthesise(s, t, LABELLER, rng=stream(*n), donors=donors) for s, t, n in zip(samples, own, names, strict=True)
    ]
    for kept in (1, 2**30):  # bytes: no more than the batch needs, and all
        pool = DonorPool(donors, "cpu", kept_bytes=kept)
        for part in (slice(0, 3), slice(3, 8), slice(0, 8)):
            batch = synthesise_batch(
                images[part], masks[part], own[part], LABELLER, rng=KeyedStreams.named(names[part]), donors=pool,
                ids=[s.id for s in samples[part]], way="batched",
            )  # fmt: skip
            check(batch, alone[part], samples[part])


def test_tasks_without_a_batched_form_are_made_by_samples():
    class Gentle(tasks.SmoothIntensity):
        """A task of the user's own."""

    samples = cohort((40, 48), 1, 3)
    images, masks = tensors(samples)
    own = [Gentle(), tasks.Sink(), tasks.Sink()]
    batch = synthesise_batch(images, masks, own, LABELLER, rng=np.random.default_rng(0), way="batched")
    generators = np.random.default_rng(0).spawn(3)
    for k, sample in enumerate(samples):
        alone = synthesise(sample, own[k], LABELLER, rng=generators[k])
        np.testing.assert_array_equal(batch.images[k].numpy(), alone.image)
    with pytest.raises(SynthanomError, match="Gentle"):
        make_batch(inputs_of(images, masks, own), LABELLER)


def test_limits_shrink_with_the_device(monkeypatch):
    cuda, memory = torch.device("cuda"), [80 * 2**30]
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (0, memory[0]))
    assert Limits.of(cuda) == Limits.of(torch.device("cpu")) == Limits()
    memory[0] = 12 * 2**30
    small = Limits.of(cuda)
    assert small.chunk_bytes == 2**30 and small.window_voxels * 150 <= 1.2 * 2**30
    with pytest.raises(SynthanomError, match="must be positive"):
        Limits(chunk_bytes=0)


def test_similar_boxes_are_grouped_within_the_limit():
    rng = np.random.default_rng(0)
    sides = rng.integers(3, 60, (200, 3))
    groups = list(similar(sides, 500_000, 100_000))
    assert sorted(np.concatenate([rows for rows, _ in groups]).tolist()) == list(range(200))
    for rows, padded in groups:
        np.testing.assert_array_equal(sides[rows].max(axis=0), padded)
        assert len(rows) == 1 or np.prod(padded) * len(rows) <= 500_000
    wasted = sum(np.prod(padded) * len(rows) for rows, padded in groups)
    assert wasted < 0.5 * 200 * np.prod(sides.max(axis=0)) and len(groups) < 60
    alike = list(similar(np.full((50, 3), 7), 7**3 * 20, 0))
    assert sum(len(rows) for rows, _ in alike) == 50 and max(len(rows) for rows, _ in alike) <= 20
    assert list(similar(sides[:0], 1, 1)) == []


def test_merged_boxes_are_those_of_the_labeller():
    rng = np.random.default_rng(0)
    sample = np.repeat(np.arange(100), rng.integers(1, 5, 100))
    start, size = rng.integers(0, 30, (sample.size, 3)), rng.integers(3, 14, (sample.size, 3))
    out = np.empty((sample.size, 7), dtype=np.int64)
    out = out[: merged_boxes(sample, start, size, out)]
    for k in range(100):
        own = sample == k
        boxes = [(tuple(a), tuple(b)) for a, b in zip(start[own].tolist(), size[own].tolist(), strict=True)]
        found = [(tuple(r[1:4]), tuple(r[4:7])) for r in out[out[:, 0] == k].tolist()]
        assert sorted(found) == merge_boxes(boxes)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("shape", "channels"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_on_a_cuda_device_a_batch_equals_its_samples(shape, channels):
    samples = cohort(shape, channels, 15)
    images, masks = tensors(samples)
    own = [ALL[i % 5] for i in range(15)]
    names = [(0, s.id, t.name, 0) for s, t in zip(samples, own, strict=True)]

    def made():
        streams = KeyedStreams.named(names)
        ids = [s.id for s in samples]
        return synthesise_batch(images.cuda(), masks.cuda(), own, LABELLER, rng=streams, donors=samples, ids=ids)

    batch = made()
    assert batch.images.is_cuda and batch.labels.is_cuda and batch.regions.is_cuda
    assert torch.equal(batch.images, made().images), "the same bits again"
    alone = [
        synthesise(s, t, LABELLER, rng=stream(*n), donors=samples) for s, t, n in zip(samples, own, names, strict=True)
    ]
    on_host = type(batch)(
        images=batch.images.cpu(), labels=batch.labels.cpu(), regions=batch.regions.cpu(), recipes=batch.recipes
    )
    check(on_host, alone, samples)
    assert list(batch.recipes) == [r.recipe for r in alone]


@pytest.mark.parametrize("kind", ["double", "half", "bfloat16", "strided", "with a gradient", "inference"])
def test_tensors_of_any_kind_are_taken(kind):
    samples = cohort((40, 48), 1, 3)
    images, masks = tensors(samples)
    rounded = images.bfloat16().float()
    given = {
        "double": rounded.double(),
        "half": rounded.half(),
        "bfloat16": rounded.bfloat16(),
        "strided": rounded.mT.contiguous().mT,
        "with a gradient": rounded.clone().requires_grad_(),
    }
    with torch.inference_mode(kind == "inference"):
        tensor = given.get(kind, rounded.clone())
        batch = synthesise_batch(tensor, masks, ALL[2], LABELLER, rng=np.random.default_rng(0), way="batched")
        plain = synthesise_batch(rounded, masks, ALL[2], LABELLER, rng=np.random.default_rng(0), way="batched")
        exact = kind != "half"
        assert batch.images.dtype == torch.float32 and not batch.images.requires_grad
        assert float((batch.images - plain.images).abs().max()) <= (0 if exact else 1e-2)
        assert (batch.recipes[1] == plain.recipes[1]) or not exact


def test_pushes_and_strengths_are_those_of_the_compiled_draws():
    rng = np.random.default_rng(0)
    distance, low = rng.uniform(1, 40, 300), rng.uniform(0.05, 20, 300)
    high, u = low * rng.uniform(1, 3, 300), rng.random(300)
    found = pushes(*(torch.from_numpy(a) for a in (distance, low, high, u)))
    expected = [drawing.push_distance(*row) for row in zip(distance, low, high, u, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-14)
    bound = found.numpy() / (distance / np.sqrt(2))
    assert (abs(bound - 0.9) < 1e-9).sum() > 20 and (abs(bound - 0.1) < 1e-9).sum() > 5, "both bounds are met"
    factors = [drawing.strength(*row) for row in zip(distance, expected, strict=True)]
    np.testing.assert_allclose(strengths(torch.from_numpy(distance), found), factors, rtol=1e-12)
