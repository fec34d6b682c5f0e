"""The compiled call that draws a batch: the numbers of `synthesise`, whatever the generators."""

import numpy as np
import pytest
import torch
from phantoms import field

from synthanom import Sample, tasks
from synthanom.batched import drawing as d
from synthanom.batched.inputs import BatchInputs
from synthanom.batched.pool import DonorPool
from synthanom.batched.sketching import Sketcher
from synthanom.batched.stream_states import GeneratorStates, PhiloxMemory, PhiloxStates, pack, states_of, unpack
from synthanom.batched.tables import task_table
from synthanom.donors import donors_for
from synthanom.recipe import SynthesisOptions
from synthanom.regions import ShapeSettings
from synthanom.streams import KeyedStreams, stream
from synthanom.synthesis import draw_anomalies

ALL = (tasks.IntraBlend(), tasks.InterBlend(), tasks.Sink(), tasks.Source(), tasks.SmoothIntensity())


def a_batch(shape, channels, count=10, generators=None, available=ALL):
    """Inputs of a batch of all tasks on whole images, so that every first place is good, and its donors."""
    samples = [Sample.from_array(field(shape, channels, s), id=f"s-{s}", subject=f"p-{s % 3}") for s in range(count)]
    own = [available[i % len(available)] for i in range(count)]
    names = [(7, s.id, t.name, "epoch-1") for s, t in zip(samples, own, strict=True)]
    donors = samples[:6]
    inputs = BatchInputs(
        images=torch.from_numpy(np.stack([s.image for s in samples])),
        foregrounds=None,
        ids=[s.id for s in samples],
        subjects=[s.subject for s in samples],
        spacings=[None] * count,
        tasks=own,
        donors=[donors] * count,
        options=SynthesisOptions(),
        generators=KeyedStreams.named(names) if generators is None else generators,
    )
    return inputs, samples, donors


def sketch(inputs, donors, chosen=None):
    """What the compiled call draws for a batch, and the streams."""
    pool = DonorPool(donors, "cpu")
    table = task_table(inputs.tasks, [pool.set_for(t) for t in inputs.tasks])
    streams = states_of(inputs.generators)
    sketcher = Sketcher.of(inputs, streams, table, pool)
    return sketcher(np.arange(len(inputs.ids)) if chosen is None else chosen), streams


@pytest.mark.parametrize(("shape", "channels"), [((48, 40), 1), ((26, 24, 30), 2)])
def test_it_draws_what_synthesise_draws(shape, channels):
    inputs, samples, donors = a_batch(shape, channels)
    drawn, _ = sketch(inputs, donors)
    assert drawn.certain.all()
    row, dims = 0, len(shape)
    for i, sample in enumerate(samples):
        task = inputs.tasks[i]
        rng = stream(7, sample.id, task.name, "epoch-1")
        for anomaly, donor in draw_anomalies(rng, sample, task, donors_for(task, donors), SynthesisOptions(), None):
            whole, real = drawn.whole[row], drawn.real[row]
            geometry = anomaly.region.geometry
            assert whole[d.SAMPLE] == i and geometry is not None
            assert bool(whole[d.ELLIPSOID]) == (geometry.kind == "ellipsoid")
            np.testing.assert_array_equal(2 * real[d.HALF + 3 - dims : d.HALF + 3], geometry.size)
            matrix = real[d.MATRIX : d.MATRIX + 9].reshape(3, 3)[3 - dims :, 3 - dims :]
            np.testing.assert_array_equal(matrix, geometry.matrix)
            room = np.array(shape) - np.array(anomaly.region.size) + 1
            first = real[d.PLACES + 3 - dims : d.PLACES + 3]  # of proposals, all good here
            np.testing.assert_array_equal(np.minimum((first * room).astype(int), room - 1), anomaly.region.corner)
            extents = drawn.extents[row][3 - dims :]
            assert all(a <= b for a, b in zip(anomaly.region.size, extents, strict=True))
            if donor is not None:
                assert donors[whole[d.DONOR]] is donor
            if task.kind == "intensity":
                np.testing.assert_array_equal(real[d.NUMBERS + 1 : d.NUMBERS + 1 + channels], anomaly.params.change)
            row += 1
    assert row == drawn.whole.shape[0]


@pytest.mark.parametrize("kind", ["keys", "Philox", "PCG64", "MT19937", "halfway", "unknown memory"])
def test_every_kind_of_generator_gives_the_same_and_moves_on(kind, monkeypatch):
    def generators():
        if kind in ("PCG64", "MT19937"):
            return [np.random.Generator(getattr(np.random, kind)(i)) for i in range(10)]
        made = [np.random.Generator(np.random.Philox(key=i)) for i in range(10)]
        if kind == "halfway":
            for g in made:
                g.random(3), g.integers(0, 9, dtype=np.int32)  # leaves half a number, and a buffer half used
        return KeyedStreams(np.stack([[i, 0] for i in range(10)]).astype(np.uint64)) if kind == "keys" else made

    if kind == "unknown memory":
        monkeypatch.setattr(PhiloxMemory, "is_as_expected", lambda self: False)
    inputs, samples, donors = a_batch((64, 60), 1, generators=generators())
    drawn, streams = sketch(inputs, donors)
    streams.write_back()
    fast = kind in ("keys", "Philox", "halfway")
    assert isinstance(streams, PhiloxStates if fast else GeneratorStates)
    for i, (rng, sample) in enumerate(zip(generators(), samples, strict=True)):
        task = inputs.tasks[i]
        alone = draw_anomalies(rng, sample, task, donors_for(task, donors), SynthesisOptions(), None)
        own = drawn.whole[:, d.SAMPLE] == i
        assert own.sum() == len(alone)
        last = drawn.real[own][-1]
        np.testing.assert_array_equal(
            last[d.MATRIX : d.MATRIX + 9].reshape(3, 3)[1:, 1:], alone[-1][0].region.geometry.matrix
        )
        follows = rng.random()
        if kind != "keys":
            assert inputs.generators[i].random() == follows, "the caller's generator stands where synthesise leaves it"
        again = draw_anomalies(streams.generator(i), sample, task, donors_for(task, donors), SynthesisOptions(), None)
        assert [a.to_dict() for a, _ in again] == [a.to_dict() for a, _ in alone]


def test_a_part_of_a_batch_is_drawn_alike_and_a_second_time_goes_on():
    inputs, _, donors = a_batch((64, 60), 1)
    drawn, _ = sketch(inputs, donors)
    part, streams = sketch(inputs, donors, np.array([7, 2]))
    for place, sample in enumerate((7, 2)):
        np.testing.assert_array_equal(
            part.real[part.whole[:, d.SAMPLE] == place], drawn.real[drawn.whole[:, d.SAMPLE] == sample]
        )
    assert not np.array_equal(streams.now[7], streams.begin[7]) and np.array_equal(streams.now[3], streams.begin[3])


def test_a_shape_that_may_not_fit_is_left_to_synthesise():
    large = tasks.Sink(shape=ShapeSettings(offset=0.7))
    inputs, _, donors = a_batch((12, 12), 1, count=40, available=[large])
    drawn, _ = sketch(inputs, donors)
    assert 0 < drawn.certain.sum() < 40
    assert set(drawn.whole[:, d.SAMPLE]) == set(np.flatnonzero(drawn.certain))


def test_donors_are_of_other_subjects_where_only_one_is():
    donors = np.array([5] * 300 + [6] + [5] * 20)
    rng = np.random.default_rng(0)
    assert {d.draw_donor(rng, donors, 5, True) for _ in range(20)} == {300}
    assert d.draw_donor(rng, donors[:300], 5, True) == -1
    assert d.draw_donor(rng, donors[:300], 5, False) >= 0


def test_states_survive_packing():
    rng = np.random.Generator(np.random.Philox(key=[3, 4]))
    rng.random(5), rng.integers(0, 9, dtype=np.int32)
    other = np.random.Philox(key=0)
    other.state = unpack(pack(rng.bit_generator.state))
    assert other.state["has_uint32"] == 1 and np.random.Generator(other).random() == rng.random()


def test_keyed_streams_are_the_streams():
    names = [(1, "a", "sink", 0), (1, "b", "source", "epoch-2")]
    keyed = KeyedStreams.named(names)
    assert len(keyed) == 2 and len(keyed[1:]) == 1 and len(KeyedStreams.named([])) == 0
    for name, generator in zip(names, keyed, strict=True):
        assert generator.random() == stream(*name).random()
    assert keyed[0].random() == keyed[0].random(), "begins anew each time"
