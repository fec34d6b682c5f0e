"""Gradient noise against its reference twin, closed forms and its properties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthanom.errors import SynthanomError
from synthanom.kernels import gradient_noise
from synthanom.kernels.gradient_noise import reference

SIZES = [(9, 7), (5, 6, 4), (1, 8), (3, 1, 2)]


def unit(rng, lattice):
    vectors = rng.standard_normal((*lattice, len(lattice)))
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


@given(seed=st.integers(0, 10**6), size=st.sampled_from(SIZES))
@settings(max_examples=40, deadline=None)
def test_noise_equals_its_definition(seed, size):
    rng = np.random.default_rng(seed)
    dims = len(size)
    matrix, offset = rng.uniform(-0.4, 0.4, (dims, dims)), rng.uniform(0, 1, dims)
    far = matrix * (np.array(size) - 1)
    offset -= np.minimum(far, 0).sum(axis=1)
    lattice = tuple((np.ceil(offset + np.maximum(far, 0).sum(axis=1)) + 2).astype(int))
    gradients = unit(rng, lattice)
    found = gradient_noise.sample(gradients, matrix, offset, size)
    np.testing.assert_allclose(found, reference.sample(gradients, matrix, offset, size), atol=1e-13)


@pytest.mark.parametrize("size", SIZES)
def test_noise_that_is_not_wanted_is_zero(size):
    rng = np.random.default_rng(4)
    wanted = rng.random(size) < 0.5
    wanted.flat[0] = False
    how = (unit(rng, (6,) * len(size)), 0.3 * np.eye(len(size)), [0.4] * len(size), size)
    some, everything = gradient_noise.sample(*how, wanted), gradient_noise.sample(*how)
    np.testing.assert_array_equal(some, np.where(wanted, everything, 0))
    with pytest.raises(SynthanomError, match="wanted must"):
        gradient_noise.sample(*how, wanted[:-1])


@pytest.mark.parametrize("dims", [2, 3])
def test_noise_is_zero_on_the_lattice_and_rises_there_as_the_gradients_say(dims):
    rng = np.random.default_rng(0)
    gradients = unit(rng, (4,) * dims)
    on = gradient_noise.sample(gradients, np.eye(dims), [0.0] * dims, (4,) * dims)
    np.testing.assert_allclose(on, 0, atol=1e-15)
    step = 1e-5
    for axis in range(dims):
        offset = step * np.eye(dims)[axis]
        near = gradient_noise.sample(gradients, np.eye(dims), offset, (3,) * dims)
        slope = gradients[(slice(3),) * dims][..., axis] * np.sqrt(2)
        np.testing.assert_allclose(near / step, slope, atol=1e-6)


@pytest.mark.parametrize("dims", [2, 3])
def test_in_the_middle_of_a_cell_all_its_corners_count_alike(dims):
    # the largest value there is: gradients that point from every corner to the middle
    corners = np.stack(np.meshgrid(*[[0.5, -0.5]] * dims, indexing="ij"), axis=-1)
    gradients = corners / np.linalg.norm(corners, axis=-1, keepdims=True)
    found = gradient_noise.sample(gradients, np.eye(dims), [0.5] * dims, (1,) * dims)
    assert found.item() == pytest.approx(np.sqrt(2) * np.sqrt(dims) / 2)
    assert gradient_noise.sample(-gradients, np.eye(dims), [0.5] * dims, (1,) * dims).item() == -found.item()


def test_noise_is_smooth_across_cells_and_bounded_in_pictures():
    rng = np.random.default_rng(1)
    gradients = unit(rng, (9, 9))
    found = gradient_noise.sample(gradients, np.eye(2) * 0.01, [0.0, 0.0], (801, 801))
    assert np.abs(found).max() <= 1 and found.std() == pytest.approx(0.3, abs=0.06)
    curvature = np.abs(np.diff(found, 2, axis=0)).max(), np.abs(np.diff(found, 2, axis=1)).max()
    assert max(curvature) < 0.01**2 * 20


@pytest.mark.parametrize(
    ("lattice", "offset", "words"),
    [((3, 3), (0.0, 1.5), "within the lattice"), ((3, 3), (-0.1, 0.0), "within the lattice"),
     ((3, 3), (np.nan, 0.0), "offset"), ((3, 3, 3), (0.0, 0.0), "needs gradients")],
)  # fmt: skip
def test_noise_refuses_what_leaves_its_lattice(lattice, offset, words):
    gradients = np.ones((*lattice, 2))
    with pytest.raises(SynthanomError, match=words):
        gradient_noise.sample(gradients, np.eye(2), offset, (2, 2))
