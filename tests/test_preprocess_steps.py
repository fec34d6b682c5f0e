"""Frames, factors, edges and grey values: what each step gives, that it is data, and that maps find their way back."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthanom.errors import SynthanomError
from synthanom.preprocess import (
    CropBorder,
    EdgePreservingResample,
    EqualiseHistogram,
    FitShape,
    Foreground,
    ForegroundFromCorners,
    FrameForeground,
    Invert,
    MinusOneOne,
    PadToMultiple,
    Pipeline,
    Resample,
    Rescale,
    ResizePicture,
    Square,
    Window,
)
from synthanom.volumes import Volume
from synthanom.volumes.volume import make_volume

KEEP_VOXELS = (
    CropBorder(), Square(), Square(by="crop"), PadToMultiple(multiple=8), FrameForeground(shape=(24, 32)),
)  # fmt: skip
KEEP_PLACES = (Window(centre=40, width=80), EqualiseHistogram(), Invert(), ForegroundFromCorners(threshold=0.5))
CHANGE_VOXELS = (Rescale(factor=0.5), EdgePreservingResample(spacing=2.0), ResizePicture(shape=(20, 30), order=3))


def picture(shape=(40, 52), border=(4, 2), seed=0) -> Volume:
    """Grey values of 20 to 100 in a black frame of `border` rows and columns on either side."""
    rng = np.random.default_rng(seed)
    values = rng.uniform(20, 100, shape)
    inside = np.zeros(shape, bool)
    inside[tuple(slice(b, n - b) for b, n in zip(border, shape, strict=True))] = True
    return make_volume(np.where(inside, values, 0), Path("p.png"), kind="picture", affine=np.diag([0.7, 0.8, 1, 1]))


def ball(side=36, radius=11.0, spacing=1.0) -> Volume:
    distance = np.linalg.norm(np.indices((side,) * 3) - (side - 1) / 2, axis=0)
    return make_volume(
        100.0 * (distance <= radius), Path("b.nii"), kind="volume", affine=np.diag([spacing, spacing, spacing, 1.0])
    )


def world_of(prepared, index):
    """World coordinates of a voxel (axis order) of a prepared image."""
    point = np.ones(4)
    point[:3] = [*index[::-1], 0][:3]
    return (prepared.affine @ point)[:3]


@pytest.mark.parametrize("step", [*KEEP_VOXELS, *KEEP_PLACES, *CHANGE_VOXELS], ids=lambda s: s.name)
def test_every_step_is_data_and_survives_json(step):
    pipeline = Pipeline((step,))
    stored = json.loads(json.dumps(pipeline.to_dict()))
    assert Pipeline.from_dict(stored) == pipeline
    volume = picture()
    prepared = pipeline.prepare(volume)
    trace = json.loads(json.dumps(prepared.trace))
    score = np.ones(prepared.foreground.shape, np.float32)
    assert pipeline.restore(score, trace).shape == volume.image.shape[1:]


@given(
    step=st.sampled_from(KEEP_VOXELS), rows=st.integers(14, 60), columns=st.integers(14, 60), seed=st.integers(0, 99)
)
@settings(max_examples=40, deadline=None)
def test_maps_come_back_to_their_own_voxels_exactly(step, rows, columns, seed):
    volume = picture((rows, columns), (1, 0), seed)
    pipeline = Pipeline((step,))
    try:
        prepared = pipeline.prepare(volume)
    except SynthanomError as refused:
        narrow = "times the voxels" if isinstance(step, FrameForeground) else "at least 12"
        assert narrow in str(refused) or "at least 12" in str(refused)
        return
    back = pipeline.restore(prepared.image[0], prepared)
    kept = pipeline.restore(np.ones(prepared.foreground.shape, np.float32), prepared) > 0
    np.testing.assert_array_equal(back[kept], volume.image[0][kept])
    assert not back[~kept].any() and kept.sum() >= min(rows, columns) * 12
    inner = np.argwhere(kept)[0]
    there = tuple(np.argwhere(prepared.image[0] == volume.image[0][tuple(inner)])[0])
    if (volume.image[0] == volume.image[0][tuple(inner)]).sum() == 1:
        np.testing.assert_allclose(world_of(prepared, there), (volume.affine @ [inner[1], inner[0], 0, 1])[:3])


def test_a_dark_border_goes_and_nothing_else():
    volume = picture(border=(4, 2))
    prepared = Pipeline((CropBorder(),)).prepare(volume)
    np.testing.assert_array_equal(prepared.image[0], volume.image[0][4:-4, 2:-2])
    assert prepared.offset == (4, 2)
    noisy = volume.image + np.random.default_rng(1).uniform(0, 1.5, volume.image.shape).astype(np.float32)
    whole = make_volume(noisy[0], volume.path, kind="picture")
    assert Pipeline((CropBorder(),)).prepare(whole).image.shape == prepared.image.shape, "faint noise is border"
    assert Pipeline((CropBorder(threshold=0.0),)).prepare(whole).image.shape == volume.image.shape


def test_squares_are_made_about_the_middle():
    volume = picture((40, 52), (0, 0))
    padded = Pipeline((Square(),)).prepare(volume)
    assert padded.image.shape == (1, 52, 52) and padded.offset == (-6, 0)
    np.testing.assert_array_equal(padded.image[0, 6:46], volume.image[0])
    assert (padded.image[0, :6] == volume.image.min()).all() and not padded.foreground[:6].any()
    cut = Pipeline((Square(by="crop"),)).prepare(volume)
    np.testing.assert_array_equal(cut.image[0], volume.image[0][:, 6:46])


def test_half_resolution_is_that_of_the_paper():
    rng = np.random.default_rng(0)
    volume = make_volume(rng.uniform(1, 2, (31, 45, 32)), Path("v.nii"), kind="volume", affine=np.eye(4))
    steps = (Foreground(rule="none"), PadToMultiple(multiple=2), Rescale(factor=0.5), FitShape(shape=(16, 28, 16)))
    prepared = Pipeline(steps).prepare(volume)
    assert prepared.image.shape == (1, 16, 28, 16) and prepared.spacing == (2.0, 2.0, 2.0)
    flat = make_volume(np.pad(np.full((22, 24, 26), 5.0), 3), Path("v.nii"), kind="volume", affine=np.eye(4))
    halved = Pipeline((Rescale(factor=0.5),)).prepare(make_volume(flat.image[0] + 1, flat.path, kind="volume")).image[0]
    assert halved[7, 7, 7] == pytest.approx(6.0, abs=1e-4) and halved.shape == (14, 15, 16)
    # new voxel 0 is centred between old ones 0 and 1
    np.testing.assert_allclose(world_of(Pipeline((Rescale(factor=0.5),)).prepare(flat), (0, 0, 0)), [0.5] * 3)


def test_edges_keep_their_brightness_when_resampled():
    volume = ball(spacing=0.7)
    kept = Pipeline((Foreground(), EdgePreservingResample(spacing=1.0))).prepare(volume)
    assert kept.image[0][kept.foreground].min() > 99.9 and not kept.image[0][~kept.foreground].any()
    plain = Pipeline((Foreground(), Resample(spacing=1.0))).prepare(volume)
    assert plain.image.shape == kept.image.shape
    assert plain.image[0][plain.foreground].min() < 80, "plain resampling darkens the rim"
    assert kept.foreground.sum() == pytest.approx(4 / 3 * np.pi * 7.7**3, rel=0.06)
    assert kept.spacing == pytest.approx((1.0, 1.0, 1.0))
    with pytest.raises(SynthanomError, match="no foreground is left"):
        Pipeline((Foreground(), EdgePreservingResample(spacing=9.0))).prepare(ball(radius=1.0))


def test_a_smooth_map_comes_back_through_a_change_of_voxels():
    volume = ball()
    rows = np.indices((36,) * 3).sum(axis=0).astype(np.float32)
    for step in (Rescale(factor=0.5), EdgePreservingResample(spacing=1.5)):
        pipeline = Pipeline((Foreground(), step))
        prepared = pipeline.prepare(volume)
        there = pipeline.prepare(make_volume(rows + 1, volume.path, kind="volume", affine=np.eye(4)))
        back = pipeline.restore(there.image[0], prepared, 1)
        inner = (slice(4, -4),) * 3
        np.testing.assert_allclose(back[inner], rows[inner] + 1, atol=0.05)


def test_the_background_is_what_hangs_together_with_a_corner():
    values = np.full((20, 24), 0.01)
    values[5:15, 6:18] = 0.5
    values[8:11, 9:13] = 0.0  # a dark hole: not connected with a corner
    values[:, 12] = np.where(values[:, 12] == 0.01, 0.02, values[:, 12])
    prepared = Pipeline((ForegroundFromCorners(),)).prepare(make_volume(values, Path("m.nii"), kind="picture"))
    expected = np.zeros((20, 24), bool)
    expected[5:15, 6:18] = True
    np.testing.assert_array_equal(prepared.foreground, expected)
    with pytest.raises(SynthanomError, match="lower the threshold"):
        Pipeline((ForegroundFromCorners(threshold=1.0),)).prepare(make_volume(values, Path("m"), kind="picture"))
    mask = np.zeros((20, 24), bool)
    mask[2:9, 2:9] = True
    given_mask = Pipeline((ForegroundFromCorners(),)).prepare(make_volume(values, Path("m.nii"), kind="picture"), mask)
    np.testing.assert_array_equal(given_mask.foreground, mask)


def test_grey_values_are_windowed_equalised_and_mirrored():
    volume = picture()
    windowed = Pipeline((Window(centre=40, width=40),)).prepare(volume).image
    np.testing.assert_array_equal(windowed, np.clip(volume.image, 20, 60))
    mirrored = Pipeline((Invert(),)).prepare(volume).image
    np.testing.assert_allclose(mirrored + volume.image, volume.image.max(), atol=1e-4)
    rng = np.random.default_rng(0)
    skewed = make_volume(rng.exponential(1, (60, 60)), Path("x.png"), kind="picture")
    level = Pipeline((EqualiseHistogram(),)).prepare(skewed).image
    assert (
        level.min() >= 0
        and level.max() == 1
        and np.quantile(level, [0.25, 0.5, 0.75]) == pytest.approx([0.25, 0.5, 0.75], abs=0.02)
    )
    order = np.argsort(skewed.image.ravel())
    assert (np.diff(level.ravel()[order]) >= 0).all(), "the order of grey values stays"


def test_cubic_and_linear_pictures_differ_by_what_they_should():
    y, x = np.indices((64, 64))
    volume = make_volume(np.sin(x / 5) + np.cos(y / 7), Path("s.png"), kind="picture")
    for order, most in ((1, 0.03), (3, 0.003)):
        found = Pipeline((ResizePicture(shape=(96, 96), order=order),)).prepare(volume).image[0][9:-9, 9:-9]
        at = (np.arange(96) + 0.5) * 64 / 96 - 0.5
        expected = (np.sin(at[None] / 5) + np.cos(at[:, None] / 7))[9:-9, 9:-9]
        assert np.abs(found - expected).max() < most


def test_the_radiographs_of_the_paper_are_prepared_step_by_step():
    volume = picture((80, 70), (0, 0))
    steps = (ResizePicture(shape=(64, 64), order=3), EqualiseHistogram(), MinusOneOne(), ResizePicture(shape=(32, 32)))
    image = Pipeline(steps).prepare(volume).image
    assert image.shape == (1, 32, 32) and image.min() >= -1.001 and image.max() <= 1.001


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CropBorder(threshold=1.0), r"\[0, 1\)"),
        (lambda: Square(by="stretch"), "one of pad, crop"),
        (lambda: PadToMultiple(multiple=0), "at least 1"),
        (lambda: Rescale(factor=0), "between 1/16 and 16"),
        (lambda: Rescale(factor=float("nan")), "between 1/16"),
        (lambda: EdgePreservingResample(spacing=-1.0), "spacing must be"),
        (lambda: Window(centre=0, width=0), "width positive"),
        (lambda: EqualiseHistogram(bins=1), "from 2 to"),
        (lambda: ForegroundFromCorners(threshold=float("inf")), "finite"),
        (lambda: ResizePicture(shape=(3, 3), order=2), "1 .linear. or 3"),
    ],
)
def test_settings_out_of_range_are_refused(make, message):
    with pytest.raises(SynthanomError, match=message):
        make()


def test_sides_are_padded_at_their_ends():
    volume = picture((31, 45), (0, 0))
    prepared = Pipeline((PadToMultiple(multiple=8),)).prepare(volume)
    assert prepared.image.shape == (1, 32, 48) and prepared.offset == (0, 0)
    np.testing.assert_array_equal(prepared.image[0, :31, :45], volume.image[0])


def test_what_lies_around_the_foreground_does_not_brighten_its_edge():
    volume = ball(spacing=0.7)
    inside = volume.image[0] > 0
    bright = make_volume(np.where(inside, 100.0, 300.0), volume.path, kind="volume", affine=volume.affine)
    kept = Pipeline((EdgePreservingResample(spacing=1.0),)).prepare(bright, inside)
    assert kept.image[0][kept.foreground].max() < 100.1


def test_every_corner_counts():
    values = np.zeros((20, 24))
    values[8:11] = 0.5  # a bar from side to side: above and below it is background, each with corners of its own
    prepared = Pipeline((ForegroundFromCorners(),)).prepare(make_volume(values, Path("m.nii"), kind="picture"))
    np.testing.assert_array_equal(prepared.foreground, values > 0)


def test_a_frame_lies_about_the_foreground_and_takes_what_is_there():
    values = np.zeros((50, 60), np.float32)
    values[4:24, 30:56] = np.random.default_rng(0).uniform(20, 100, (20, 26))
    values[0, 0] = 7.0  # of the surroundings; no foreground
    mask = np.zeros(values.shape, bool)
    mask[4:24, 30:56] = True
    volume = make_volume(values, Path("p.png"), kind="picture", affine=np.diag([0.7, 0.8, 1, 1]))
    prepared = Pipeline((FrameForeground(shape=(32, 40)),)).prepare(volume, mask)
    # rows -2 to 30, columns 23 to 63: two rows and three columns are padded
    np.testing.assert_array_equal(prepared.image[0][2:, :37], values[:30, 23:])
    assert not prepared.image[0][:2].any() and not prepared.image[0][:, 37:].any()
    np.testing.assert_array_equal(np.argwhere(prepared.foreground)[[0, -1]], [[6, 7], [25, 32]])
    assert prepared.trace[0]["corner"] == [-2, 23] and prepared.trace[0]["foreground_lost"] == 0
    np.testing.assert_allclose(world_of(prepared, (2, 0)), (volume.affine @ [23, 0, 0, 1])[:3])
    small = Pipeline((FrameForeground(shape=(12, 40)),)).prepare(volume, mask)
    assert small.trace[0]["foreground_lost"] == pytest.approx(8 / 20)
    with pytest.raises(SynthanomError, match="times the voxels"):
        Pipeline((FrameForeground(shape=(90, 100)),)).prepare(volume, mask)
    with pytest.raises(SynthanomError, match="name one side per axis"):
        Pipeline((FrameForeground(shape=(20, 20, 20)),)).prepare(volume, mask)
    with pytest.raises(SynthanomError, match="the foreground is empty"):
        Pipeline((FrameForeground(shape=(32, 40)),)).prepare(volume, np.zeros_like(mask))
