"""Thick slices: what they do to a line of voxels, and that picture and label go through the same."""

import numpy as np
import pytest
import torch
from tiny_dataset import TASKS, write_tiny

from synthanom.shards import DataSet
from synthanom.training.anisotropy import thick_slices, thickening
from synthanom.training.batches import StoredPictures, read_batch
from synthanom.training.folds import choose_run
from synthanom.training.rows import Pick, index_rows, training_picks


@pytest.mark.parametrize(("side", "factor"), [(12, 1.0), (13, 1.7), (40, 5.0), (12, 50.0)])
def test_it_averages_and_keeps_constants_and_means(side, factor):
    matrix = thickening(side, factor)
    assert matrix.shape == (side, side) and matrix.dtype == np.float32
    assert matrix.sum(axis=1) == pytest.approx(1, abs=1e-5) and matrix.min() >= 0
    line = np.random.default_rng(0).random(side).astype(np.float32)
    assert (matrix @ line).min() >= line.min() and (matrix @ line).max() <= line.max()


def test_factor_one_changes_nothing():
    assert thickening(12, 1.0) == pytest.approx(np.eye(12), abs=1e-6)


def test_slices_of_four_by_hand():
    line = np.array([0, 0, 0, 0, 4, 8, 4, 0], np.float32)  # two slices of four: means 0 and 4, middles at 1.5 and 5.5
    expected = [0, 0, 0.5, 1.5, 2.5, 3.5, 4, 4]
    assert thick_slices(line, 0, 4.0) == pytest.approx(np.array(expected), abs=1e-5)


@pytest.mark.parametrize("axis", [-1, -2, -3])
def test_torch_and_numpy_agree_and_other_axes_stay(axis):
    image = np.random.default_rng(1).standard_normal((2, 9, 10, 11)).astype(np.float32)
    found = thick_slices(image, axis, 2.5)
    assert found.dtype == np.float32 and found.flags.c_contiguous
    assert thick_slices(torch.from_numpy(image), axis, 2.5).numpy() == pytest.approx(found, abs=1e-5)
    assert thick_slices(np.flip(image, axis - 1 if axis > -3 else -1).copy(), axis, 2.5) == pytest.approx(
        np.flip(found, axis - 1 if axis > -3 else -1), abs=1e-6
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    with DataSet.open(write_tiny(tmp_path_factory.mktemp("thick") / "data")) as opened:
        yield opened


def test_the_label_goes_where_the_picture_goes(data):
    source = StoredPictures(data=data)
    plain, thick = (read_batch(source, [Pick(healthy=0, task="sink", row=0, thick=how)]) for how in (None, (0.6, 4.0)))
    for before, after in ((plain.images[0, 0], thick.images[0, 0]), (plain.labels[0], thick.labels[0])):
        assert after.numpy() == pytest.approx(thick_slices(before.numpy(), 1, 4.0), abs=1e-6)  # axis int(0.6 * 2)
        assert not np.array_equal(before.numpy(), after.numpy())
    assert thick.labels.min() >= 0 and thick.labels.max() <= 1


def test_they_are_drawn_by_name_and_only_for_training(data):
    run = choose_run(TASKS, 1, 0)
    index = index_rows(data, run)

    def drawn(probability, seed=0, epochs=range(40)):
        how = {"seed": seed, "flip": 0.0, "thick": (probability, 5.0)}
        return [p.thick for e in epochs for p in training_picks(index, run, epoch=e, **how)]

    assert drawn(0.0) == [None] * 320
    every = drawn(1.0)
    factors = np.array([factor for _, factor in every])
    axes = np.array([int(place * 3) for place, _ in every])
    assert factors.min() > 1 and factors.max() < 5 and factors.mean() == pytest.approx(3, abs=0.25)
    assert np.bincount(axes, minlength=3).min() > 70
    half = drawn(0.5)
    assert 120 < sum(entry is not None for entry in half) < 200 and half == drawn(0.5) != drawn(0.5, seed=1)
