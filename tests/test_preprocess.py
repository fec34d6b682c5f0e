"""Foreground, normalisation, pipelines as JSON, contrasts, and what is refused by name."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from synthanom import Sample
from synthanom.errors import SynthanomError
from synthanom.preprocess import (
    Canonical,
    CropToForeground,
    FitShape,
    Foreground,
    MinusOneOne,
    Pipeline,
    Resample,
    ResizePicture,
    ZScore,
    align,
    check_grid,
    default_pipeline,
)
from synthanom.preprocess.intensities import fill_holes
from synthanom.volumes import Volume, read, write_volume
from synthanom.volumes.volume import make_volume


def head(seed: int = 0, name: str = "head.nii") -> Volume:
    """A ball of noise about 100 with a hollow, in air of exactly 0."""
    rng = np.random.default_rng(seed)
    distance = np.linalg.norm(np.indices((20, 22, 24)) - np.array([10, 11, 12])[:, None, None, None], axis=0)
    values = rng.normal(100, 15, distance.shape) * (distance < 8) * (distance > 2)
    return make_volume(values, Path(name), kind="volume", affine=np.diag([1.0, 2.0, 3.0, 1.0]))


def with_values(volume: Volume, image: np.ndarray) -> Volume:
    return replace(volume, image=image.astype(np.float32))


@settings(max_examples=60, deadline=None)
@given(arrays(bool, st.tuples(st.integers(1, 7), st.integers(1, 7), st.integers(1, 5))))
def test_holes_are_filled_as_scipy_fills_them(mask: np.ndarray) -> None:
    np.testing.assert_array_equal(fill_holes(mask), ndimage.binary_fill_holes(mask))


def test_the_nonzero_foreground_has_no_holes() -> None:
    volume = head()
    prepared = Pipeline((Foreground(rule="nonzero"),)).prepare(volume)
    distance = np.linalg.norm(np.indices((20, 22, 24)) - np.array([10, 11, 12])[:, None, None, None], axis=0)
    np.testing.assert_array_equal(prepared.foreground, distance < 8)
    two = with_values(volume, np.concatenate([volume.image, np.roll(volume.image, 3, axis=1)]))
    assert Pipeline((Foreground(),)).prepare(two).foreground.sum() > prepared.foreground.sum()


def test_otsu_finds_the_body_in_noisy_air() -> None:
    volume = head()
    noisy = volume.image + np.abs(np.random.default_rng(1).normal(0, 5, volume.image.shape))
    prepared = Pipeline((Foreground(rule="otsu"),)).prepare(with_values(volume, noisy))
    expected = Pipeline((Foreground(rule="nonzero"),)).prepare(volume).foreground
    assert (prepared.foreground == expected).mean() > 0.995


def test_a_given_mask_counts_instead_of_the_rule() -> None:
    mask = np.zeros((20, 22, 24), dtype=bool)
    mask[5:9] = True
    prepared = Pipeline((Foreground(rule="otsu"),)).prepare(head(), mask)
    np.testing.assert_array_equal(prepared.foreground, mask)
    mask[0, 0, 0] = True
    assert not prepared.foreground[0, 0, 0]
    with pytest.raises(SynthanomError, match=r"head\.nii: its mask must have the image's spatial shape"):
        Pipeline(()).prepare(head(), mask[1:])
    with pytest.raises(SynthanomError, match=r"head\.nii: its mask must be bool"):
        Pipeline(()).prepare(head(), mask.astype(np.uint8))
    with pytest.raises(SynthanomError, match=r"head\.nii: the foreground is empty"):
        Pipeline((Foreground(),)).prepare(head(), np.zeros_like(mask))


def test_z_scores_are_of_the_foreground_per_channel() -> None:
    volume = head()
    two = with_values(volume, np.concatenate([volume.image, volume.image * 3 - 40 * (volume.image > 0)]))
    prepared = Pipeline((Foreground(), ZScore())).prepare(two)
    inside = prepared.image[:, prepared.foreground]
    np.testing.assert_allclose(inside.mean(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(inside.std(axis=1), 1, atol=1e-5)
    entry = prepared.trace[-1]
    np.testing.assert_allclose(
        prepared.image * np.array(entry["divide"])[:, None, None, None] + np.array(entry["shift"])[:, None, None, None],
        two.image,
        atol=1e-3,
    )


def test_minus_one_one_spans_each_channel() -> None:
    volume = head()
    two = with_values(volume, np.concatenate([volume.image, -3 * volume.image + 7]))
    image = Pipeline((MinusOneOne(),)).prepare(two).image
    assert image.min(axis=(1, 2, 3)).tolist() == [-1, -1]
    assert image.max(axis=(1, 2, 3)).tolist() == [1, 1]
    np.testing.assert_allclose(image[0], -image[1], atol=1e-6)


def test_the_input_is_left_alone_and_the_output_read_only() -> None:
    volume = head()
    before = volume.image.copy()
    prepared = default_pipeline("volume", shape=(24, 24, 24)).prepare(volume)
    np.testing.assert_array_equal(volume.image, before)
    assert prepared.image.dtype == np.float32 and prepared.image.flags.c_contiguous
    assert not prepared.image.flags.writeable and not prepared.foreground.flags.writeable
    again = default_pipeline("volume", shape=(24, 24, 24)).prepare(volume)
    np.testing.assert_array_equal(again.image, prepared.image)
    assert again.trace == prepared.trace
    assert json.loads(json.dumps(prepared.trace)) == list(prepared.trace)


def test_prepared_images_make_samples_without_a_warning() -> None:
    for volume in (head(), make_volume(np.arange(400.0).reshape(20, 20), Path("a.png"), kind="picture")):
        prepared = default_pipeline(volume.kind).prepare(volume)
        sample = Sample.from_array(prepared.image, prepared.foreground, prepared.spacing, prepared.affine, id="a")
        assert sample.image is prepared.image or np.shares_memory(sample.image, prepared.image)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.full((20, 20, 20), 7.0), "channel 0 is constant (7) everywhere"),
        (np.zeros((20, 20, 20)), "channel 0 is constant (0) everywhere"),
        (np.where(np.arange(8000) == 5, np.nan, np.arange(8000)).reshape(20, 20, 20), "got 1 NaN or infinite of 8000"),
        (np.where(np.arange(8000) == 5, 1e300, 1.0).reshape(20, 20, 20), "got 1 NaN or infinite"),
        (np.arange(20 * 20 * 11).reshape(20, 20, 11), "at least 12 voxels"),
        (np.where(np.arange(8000) < 4000, 3.0, 0.0).reshape(20, 20, 20), "constant (3) in its foreground"),
    ],
)
def test_images_that_cannot_serve_are_refused_by_name(image: np.ndarray, words: str) -> None:
    volume = make_volume(image, Path("case-7.nii"), kind="volume", affine=np.eye(4))
    with pytest.raises(SynthanomError) as caught:
        default_pipeline("volume").prepare(volume)
    assert words in str(caught.value) and "case-7.nii" in str(caught.value) and "\n" not in str(caught.value)


def test_pipelines_survive_json() -> None:
    pipeline = Pipeline(
        (
            Canonical(),
            Resample(spacing=(1.0, 2.0, 2)),
            Foreground(rule="otsu"),
            CropToForeground(margin=2),
            FitShape(shape=(44, 20, 14)),
            ZScore(),
        )
    )
    stored = json.loads(json.dumps(pipeline.to_dict()))
    assert stored["format"] == 1
    assert stored["steps"][1] == {"name": "resample", "spacing": [1.0, 2.0, 2.0]}
    assert Pipeline.from_dict(stored) == pipeline
    other = Pipeline((Resample(spacing=2), ResizePicture(shape=(20, 24)), MinusOneOne()))
    assert Pipeline.from_dict(json.loads(json.dumps(other.to_dict()))) == other
    prepared = pipeline.prepare(head())
    np.testing.assert_array_equal(Pipeline.from_dict(stored).prepare(head()).image, prepared.image)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"format": 2, "steps": []}, "must be format 1"),
        ({}, "must be format 1"),
        ({"format": 1, "steps": "canonical"}, "list of steps"),
        ({"format": 1, "steps": [{"name": "sharpen"}]}, "step 'sharpen' is unknown"),
        ({"format": 1, "steps": [{"name": "fit-shape"}]}, "lacks ['shape']"),
        ({"format": 1, "steps": [{"name": "z-score", "scale": 2}]}, "unknown ['scale']"),
        ({"format": 1, "steps": [{"name": "fit-shape", "shape": [20, -1]}]}, "positive numbers of voxels"),
        ({"format": 1, "steps": [{"name": "fit-shape", "shape": 20}]}, "2 or 3 positive"),
        ({"format": 1, "steps": [{"name": "resample", "spacing": [1, "a", 1]}]}, "spacing must be"),
        ({"format": 1, "steps": [{"name": "resample", "spacing": 0}]}, "spacing must be"),
        ({"format": 1, "steps": [{"name": "foreground", "rule": "magic"}]}, "rule must be one of"),
        ({"format": 1, "steps": [{"name": "crop-to-foreground", "margin": -1}]}, "margin must be"),
        ({"format": 1, "steps": [{"name": "resize-picture", "shape": [20, 20, 20]}]}, "must have 2 sides"),
        ({"format": 1, "steps": ["z-score"]}, "must be an object"),
    ],
)
def test_stored_steps_are_checked(data: dict, words: str) -> None:
    with pytest.raises(SynthanomError) as caught:
        Pipeline.from_dict(data)
    assert words in str(caught.value)


def test_defaults_suit_the_kind() -> None:
    assert default_pipeline("volume").steps == (Canonical(), Foreground(rule="nonzero"), ZScore())
    assert default_pipeline("picture").steps == (Foreground(rule="none"), MinusOneOne())
    volume = default_pipeline("volume", (20, 20, 20), 2.0, normalise="none", foreground="otsu").steps
    assert volume == (Canonical(), Resample(spacing=2.0), Foreground(rule="otsu"), FitShape(shape=(20, 20, 20)))
    picture = default_pipeline("picture", (20, 20), normalise="zscore").steps
    assert picture == (ResizePicture(shape=(20, 20)), Foreground(rule="none"), ZScore())
    with pytest.raises(SynthanomError, match="normalise must be"):
        default_pipeline("volume", normalise="histogram")  # type: ignore[arg-type]
    with pytest.raises(SynthanomError, match="rule must be"):
        default_pipeline("volume", foreground="magic")  # type: ignore[arg-type]


def test_shapes_of_the_wrong_number_of_axes_are_refused() -> None:
    with pytest.raises(SynthanomError, match=r"head\.nii: the image has 3 axes .* name one side per axis"):
        default_pipeline("volume", shape=(20, 20)).prepare(head())
    with pytest.raises(SynthanomError, match=r"head\.nii: only 2D pictures are resized"):
        default_pipeline("picture", shape=(20, 20)).prepare(head())


def test_contrasts_become_channels() -> None:
    first, second = head(0, "T1.nii"), head(1, "T2.nii")
    both = align([first, second])
    np.testing.assert_array_equal(both.image, np.concatenate([first.image, second.image]))
    assert both.path == first.path
    np.testing.assert_array_equal(both.affine, first.affine)
    assert align([first]) is first
    unknown = replace(second, affine=None)
    np.testing.assert_array_equal(align([unknown, first]).affine, first.affine)
    with pytest.raises(SynthanomError, match="at least one image"):
        align([])


def test_contrasts_on_other_grids_are_refused_naming_both_files() -> None:
    first, second = head(0, "T1.nii"), head(1, "T2.nii")
    rounded = replace(second, affine=second.affine + 1e-5)
    assert align([first, rounded]).image.shape[0] == 2
    shifted = second.affine.copy()
    shifted[0, 3] += 0.5
    with pytest.raises(
        SynthanomError, match=r"T2\.nii must lie on the grid of T1\.nii: their affines .* 0\.5 mm apart"
    ):
        align([first, replace(second, affine=shifted)])
    turned = second.affine.copy()
    turned[0, 1] += 0.01  # 0.2 mm at the far corner
    with pytest.raises(SynthanomError, match=r"T2\.nii must lie on the grid of T1\.nii"):
        align([first, replace(second, affine=turned)])
    with pytest.raises(SynthanomError, match=r"T2\.nii must lie on the grid of T1\.nii: shapes"):
        align([first, replace(second, image=second.image[:, 1:])])
    with pytest.raises(SynthanomError, match="give one kind only"):
        align([first, replace(second, kind="picture")])


def test_masks_are_checked_against_their_image() -> None:
    volume = head()
    check_grid(volume, (20, 22, 24), volume.affine, "mask.nii")
    check_grid(volume, (20, 22, 24), None, "mask.nii")
    with pytest.raises(SynthanomError, match=r"mask\.nii must lie on the grid of head\.nii: shapes"):
        check_grid(volume, (20, 22, 23), None, "mask.nii")
    with pytest.raises(SynthanomError, match=r"mask\.nii must lie on the grid of head\.nii: their affines"):
        check_grid(volume, (20, 22, 24), np.eye(4), "mask.nii")


def test_a_file_goes_forward_and_its_map_back_onto_its_own_grid(tmp_path: Path) -> None:
    affine = np.array([[0.0, -1.5, 0, 40], [0, 0, 1.2, -50], [-1.0, 0, 0, 60], [0, 0, 0, 1]])
    raw = head().image[0].copy()
    lesion = np.zeros(raw.shape, dtype=bool)
    lesion[5:9, 12:17, 13:17] = True
    raw[lesion] = 250
    write_volume(tmp_path / "a.nii.gz", raw, affine)
    volume = read(tmp_path / "a.nii.gz")
    pipeline = default_pipeline("volume", shape=(12, 12, 14), spacing=2.0)
    prepared = pipeline.prepare(volume)
    assert prepared.image.shape == (1, 12, 12, 14)
    score = (prepared.image[0] > 2).astype(np.float32)
    write_volume(tmp_path / "map.nii.gz", pipeline.restore(score, prepared), volume.affine, volume.spacing)
    back = read(tmp_path / "map.nii.gz")
    assert back.image.shape == volume.image.shape
    np.testing.assert_array_equal(back.affine, volume.affine)
    found = back.image[0] > 0.5
    assert 2 * (found & lesion).sum() / (found.sum() + lesion.sum()) > 0.6


def test_real_brains_keep_their_places(shared_data: Path) -> None:
    volume = read(shared_data / "brain_3d" / "mni152" / "T1.nii.gz")
    prepared = default_pipeline("volume", spacing=4.0).prepare(volume)
    assert prepared.spacing == pytest.approx((4.0, 4.0, 4.0))
    back = Pipeline(()).restore(prepared.image[0], prepared)
    assert np.corrcoef(back.ravel(), volume.image[0].ravel())[0, 1] > 0.95
