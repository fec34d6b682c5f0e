"""Steps that move voxels: world coordinates stay, and maps come back to the raw grid."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthanom.errors import SynthanomError
from synthanom.preprocess import (
    Canonical,
    CropToForeground,
    FitShape,
    Foreground,
    Pipeline,
    Resample,
    ResizePicture,
    restore,
)
from synthanom.preprocess.resampling import resample
from synthanom.volumes import Volume
from synthanom.volumes.volume import make_volume

FLIPS = np.array([[0.0, -1.5, 0, 40], [0, 0, 2.5, -50], [-1.0, 0, 0, 60], [0, 0, 0, 1]])


def world_of(shape: tuple[int, ...], affine: np.ndarray) -> np.ndarray:
    """World millimetres of every voxel: (3, *S)."""
    grid = np.indices(shape)[::-1].reshape(len(shape), -1)
    full = np.zeros((4, grid.shape[1]))
    full[: len(shape)], full[3] = grid, 1
    return (affine @ full)[:3].reshape(3, *shape)


def world_volume(shape: tuple[int, ...], affine: np.ndarray) -> Volume:
    """A volume of three channels that hold the world coordinates of their voxels."""
    volume = make_volume(np.zeros(shape), Path("world.nii"), kind="volume", affine=affine)
    world = np.ascontiguousarray(world_of(shape, affine), dtype=np.float32)
    return Volume(image=world, affine=volume.affine, spacing=volume.spacing, kind="volume", path=volume.path)


@st.composite
def affines(draw: st.DrawFn) -> np.ndarray:
    """Axes in any order and direction, anisotropic, a little oblique and sheared, anywhere."""
    order = draw(st.permutations(range(3)))
    signs = [draw(st.sampled_from([-1.0, 1.0])) for _ in range(3)]
    sizes = [draw(st.floats(0.4, 4.0)) for _ in range(3)]
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    affine = np.eye(4)
    turned = np.eye(3) + draw(st.sampled_from([0.0, 0.1])) * rng.standard_normal((3, 3))
    affine[:3, :3] = turned @ np.eye(3)[:, order] * np.array(signs) * np.array(sizes)
    affine[:3, 3] = rng.uniform(-100, 100, 3)
    return affine


shapes = st.tuples(*[st.integers(14, 17)] * 3)


@settings(max_examples=60, deadline=None)
@given(affine=affines(), shape=shapes, wanted=st.tuples(*[st.integers(12, 15)] * 3), seed=st.integers(0, 99))
def test_moving_voxels_keeps_their_world_coordinates_and_comes_back(
    affine: np.ndarray, shape: tuple[int, ...], wanted: tuple[int, ...], seed: int
) -> None:
    volume = world_volume(shape, affine)
    mask = np.zeros(shape, dtype=bool)
    mask[1:-1, :-2, 2:] = True
    pipeline = Pipeline((Canonical(), Foreground(), CropToForeground(), FitShape(shape=wanted)))
    prepared = pipeline.prepare(volume, mask)
    inside = prepared.image[0] != 0
    here = world_of(wanted, prepared.affine)
    assert prepared.foreground.sum() > 0
    np.testing.assert_allclose(prepared.image[:, prepared.foreground], here[:, prepared.foreground], atol=1e-3)
    np.testing.assert_allclose(prepared.spacing, np.linalg.norm(prepared.affine[:3, :3], axis=0)[::-1])
    # a map of the prepared grid comes back value by value: numbered voxels lie where the image has their coordinates
    numbers = np.random.default_rng(seed).permutation(inside.size).reshape(wanted).astype(np.float32) + 1
    back = pipeline.restore(numbers, json.loads(json.dumps(prepared.trace)))
    assert back.shape == shape and back.dtype == np.float32
    for voxel in np.argwhere(back)[::37]:
        there = np.argwhere(numbers == back[tuple(voxel)])[0]
        expected = volume.image[(slice(None), *voxel)]
        np.testing.assert_allclose(world_of(wanted, prepared.affine)[(slice(None), *there)], expected, atol=1e-3)


@settings(max_examples=40, deadline=None)
@given(affine=affines(), shape=shapes)
def test_canonical_is_nibabels_and_undone_exactly(affine: np.ndarray, shape: tuple[int, ...]) -> None:
    stored = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    volume = make_volume(stored, Path("a.nii"), kind="volume", affine=affine)
    prepared = Pipeline((Canonical(),)).prepare(volume)
    expected = nibabel.as_closest_canonical(nibabel.Nifti1Image(stored.T, affine))
    np.testing.assert_array_equal(prepared.image[0], np.asarray(expected.dataobj).T)
    np.testing.assert_allclose(prepared.affine, expected.affine, atol=1e-9)
    np.testing.assert_array_equal(restore(prepared.image[0], prepared), stored)
    assert prepared.image.flags.c_contiguous


@settings(max_examples=25, deadline=None)
@given(affine=affines(), shape=st.tuples(*[st.integers(16, 24)] * 3), factor=st.floats(0.6, 1.25))
def test_resampling_keeps_world_coordinates(affine: np.ndarray, shape: tuple[int, ...], factor: float) -> None:
    volume = world_volume(shape, affine)
    wanted = tuple(s * factor for s in volume.spacing)
    prepared = Pipeline((Resample(spacing=wanted),)).prepare(volume)
    np.testing.assert_allclose(prepared.spacing, wanted, rtol=2e-3)
    np.testing.assert_allclose(np.linalg.norm(prepared.affine[:3, :3], axis=0)[::-1], wanted, rtol=2e-3)
    core = (slice(4, -4),) * 3  # linear interpolation and smoothing give linear functions back, away from the faces
    here = world_of(prepared.image.shape[1:], prepared.affine)
    np.testing.assert_allclose(prepared.image[(slice(None), *core)], here[(slice(None), *core)], atol=2e-2)
    back = np.stack([restore(channel, prepared) for channel in prepared.image])
    assert back.shape == volume.image.shape
    np.testing.assert_allclose(back[(slice(None), *core)], volume.image[(slice(None), *core)], atol=5e-2)


@pytest.mark.parametrize("order", [0, 1, 3])
@pytest.mark.parametrize("spacing", [1.0, (2.0, 3.0, 1.5), (0.9, 2.5, 1.5)])
def test_a_blob_stays_at_its_place_in_the_world(order: int, spacing: float | tuple[float, ...]) -> None:
    shape = (20, 24, 28)
    centre = np.array([9.0, 13.0, 11.0])
    distance = np.linalg.norm(np.indices(shape) - centre[:, None, None, None], axis=0)
    volume = make_volume(np.exp(-(distance**2) / 18), Path("a.nii"), kind="volume", affine=FLIPS)
    moved = (Canonical(), Resample(spacing=spacing), Foreground(rule="none"))
    resampled = Pipeline(moved).prepare(volume).image.shape[1:]
    pipeline = Pipeline((*moved, FitShape(shape=(resampled[0] + 6, resampled[1] - 2, resampled[2] + 3))))
    prepared = pipeline.prepare(volume)
    weights = prepared.image[0] * (prepared.image[0] > 0.2)
    here = world_of(prepared.image.shape[1:], prepared.affine)
    there = (FLIPS @ [*centre[::-1], 1])[:3]
    np.testing.assert_allclose((here * weights).sum(axis=(1, 2, 3)) / weights.sum(), there, atol=0.25)
    back = pipeline.restore(prepared.image[0], prepared, order)
    assert back.shape == shape
    peak = np.array(np.unravel_index(back.argmax(), shape))
    assert np.abs(peak - centre).max() <= 1
    assert np.corrcoef(back.ravel(), volume.image[0].ravel())[0, 1] > 0.97


def test_voxels_that_were_cut_away_come_back_as_zero() -> None:
    volume = make_volume(np.arange(20 * 20 * 20).reshape(20, 20, 20), Path("a.nii"), kind="volume", affine=np.eye(4))
    pipeline = Pipeline((FitShape(shape=(14, 24, 20)),))
    prepared = pipeline.prepare(volume)
    assert prepared.offset == (3, -2, 0)
    back = pipeline.restore(np.ones((14, 24, 20), dtype=np.float32), prepared)
    expected = np.zeros((20, 20, 20))
    expected[3:17] = 1
    np.testing.assert_array_equal(back, expected)
    assert prepared.trace[0]["foreground_lost"] == pytest.approx(0.3)


def test_padding_takes_the_smallest_value_outside_the_foreground() -> None:
    stored = np.random.default_rng(0).standard_normal((20, 20)) - 5
    stored[0] = 3.0  # outside
    stored[1] = 7.0
    volume = make_volume(stored, Path("a.nii"), kind="volume")
    mask = np.ones((20, 20), dtype=bool)
    mask[:2] = False
    prepared = Pipeline((Foreground(), FitShape(shape=(24, 24)))).prepare(volume, mask)
    assert set(prepared.image[0, :2].ravel()) == {3.0}
    assert prepared.offset == (-2, -2) and not prepared.foreground[:4].any()
    everywhere = Pipeline((FitShape(shape=(24, 24)),)).prepare(volume)
    assert set(everywhere.image[0, :2].ravel()) == {volume.image.min()}
    assert not everywhere.foreground[:2].any() and everywhere.foreground[2:22, 2:22].all()


def test_padding_that_doubles_the_voxels_is_refused_with_a_proposal() -> None:
    volume = make_volume(np.arange(8000).reshape(20, 20, 20), Path("small.nii"), kind="volume", affine=np.eye(4))
    message = r"small\.nii: padding \(20, 20, 20\) to \(30, 30, 20\) makes 2\.25 times.*near \(20, 20, 20\) or resample"
    with pytest.raises(SynthanomError, match=message):
        Pipeline((FitShape(shape=(30, 30, 20)),)).prepare(volume)
    Pipeline((FitShape(shape=(40, 20, 20)),)).prepare(volume)  # twice is allowed
    with pytest.raises(SynthanomError, match=r"small\.nii: padding"):
        Pipeline((FitShape(shape=(41, 20, 20)),)).prepare(volume)
    # cropping elsewhere does not make up for it
    with pytest.raises(SynthanomError, match=r"small\.nii: padding"):
        Pipeline((FitShape(shape=(60, 20, 12)),)).prepare(volume)


def test_shrinking_does_not_alias() -> None:
    stripes = np.tile([0.0, 1.0], 60)[None].repeat(120, axis=0).astype(np.float32)
    aliased = resample(stripes, (24, 24), (5.0, 5.0), 0)
    smooth = resample(stripes, (24, 24), (5.0, 5.0), 1)
    assert aliased.std() > 0.4
    assert np.abs(smooth - 0.5)[:, 1:-1].max() < 0.01  # the outermost see one stripe more


def test_enlarging_keeps_the_borders() -> None:
    flat = np.full((12, 12), 7.0, dtype=np.float32)
    np.testing.assert_allclose(resample(flat, (29, 31), (12 / 29, 12 / 31), 1), 7.0)
    np.testing.assert_allclose(resample(flat, (29, 31), (12 / 29, 12 / 31), 3), 7.0, atol=1e-5)
    # a rounded-up size reaches beyond the outermost pixels
    np.testing.assert_allclose(resample(flat, (35, 35), (0.36, 0.36), 1), 7.0)


def test_pictures_are_resized_edge_to_edge() -> None:
    stored = np.add.outer(np.arange(40.0), 3 * np.arange(60.0))
    volume = make_volume(stored, Path("a.png"), kind="picture", spacing=(0.2, 0.1))
    pipeline = Pipeline((ResizePicture(shape=(20, 20)),))
    prepared = pipeline.prepare(volume)
    assert prepared.image.shape == (1, 20, 20) and prepared.affine is None
    assert prepared.spacing == pytest.approx((0.4, 0.3))
    expected = np.add.outer((np.arange(20) + 0.5) * 2 - 0.5, 3 * ((np.arange(20) + 0.5) * 3 - 0.5))
    np.testing.assert_allclose(prepared.image[0, 2:-2, 2:-2], expected[2:-2, 2:-2], atol=0.2)
    back = pipeline.restore(prepared.image[0], prepared)
    assert back.shape == (40, 60)
    np.testing.assert_allclose(back[4:-4, 6:-6], stored[4:-4, 6:-6], atol=0.5)


def test_the_mask_follows_by_nearest_neighbour() -> None:
    volume = make_volume(np.random.default_rng(0).random((20, 20, 20)), Path("a.nii"), kind="volume", affine=FLIPS)
    mask = np.zeros((20, 20, 20), dtype=bool)
    mask[4:12, 6:10, 2:18] = True
    prepared = Pipeline((Canonical(), Resample(spacing=(0.75, 1.25, 0.5)))).prepare(volume, mask)
    assert prepared.foreground.dtype == bool
    volumes = [mask.sum() * abs(np.linalg.det(FLIPS)), prepared.foreground.sum() * abs(np.linalg.det(prepared.affine))]
    assert volumes[1] == pytest.approx(volumes[0], rel=0.03)


def test_resampling_is_refused_where_it_cannot_be_right() -> None:
    unknown = make_volume(np.arange(400.0).reshape(20, 20), Path("a.png"), kind="picture")
    with pytest.raises(SynthanomError, match=r"a\.png: the file does not say how large its voxels are"):
        Pipeline((Resample(spacing=1.0),)).prepare(unknown)
    known = make_volume(np.arange(400.0).reshape(20, 20), Path("b.png"), kind="picture", spacing=(1, 1))
    with pytest.raises(SynthanomError, match=r"b\.png: the image has 2 axes, spacing"):
        Pipeline((Resample(spacing=(1.0, 1.0, 1.0)),)).prepare(known)
    with pytest.raises(SynthanomError, match=r"b\.png: resampling .* more than 4 GiB"):
        Pipeline((Resample(spacing=0.001),)).prepare(
            make_volume(np.arange(10000.0).reshape(100, 100), Path("b.png"), kind="picture", spacing=(1, 1))
        )


def test_a_map_of_another_shape_is_refused() -> None:
    volume = make_volume(np.arange(400.0).reshape(20, 20), Path("a.png"), kind="picture")
    prepared = Pipeline((FitShape(shape=(24, 24)),)).prepare(volume)
    with pytest.raises(
        SynthanomError, match=r"the map must have the prepared image's shape \(24, 24\), got \(20, 20\)"
    ):
        restore(np.zeros((20, 20), dtype=np.float32), prepared)
    with pytest.raises(SynthanomError, match="order must be 0"):
        resample(np.zeros((20, 20), dtype=np.float32), (10, 10), (2.0, 2.0), 2)
