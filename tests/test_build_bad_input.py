"""What `build-dataset` refuses: one line with the name and the way out, exit status 2, nothing written."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pydicom.data
import pytest
from building import COMMAND, build, listing, smooth, write_nifti, write_pictures, write_volumes
from PIL import Image

QUICK = ("--variants", 1, "--workers", 1, "--tasks", "sink", "--folds", 1)


def truncated(folder: Path) -> Path:
    path = write_nifti(folder / "a.nii", smooth((14, 14, 14), 0))
    path.write_bytes(path.read_bytes()[:2000])
    return folder


def truncated_gzip(folder: Path) -> Path:
    path = write_nifti(folder / "a.nii.gz", smooth((14, 14, 14), 0))
    path.write_bytes(path.read_bytes()[:2000])
    return folder


def garbage(folder: Path) -> Path:
    folder.mkdir()
    (folder / "a.nii").write_bytes(b"not a header")
    return folder


def truncated_dicom(folder: Path) -> Path:
    folder.mkdir()
    source = Path(str(pydicom.data.get_testdata_file("CT_small.dcm", download=False)))
    (folder / "a.dcm").write_bytes(source.read_bytes()[:3000])
    return folder


def four_axes(folder: Path) -> Path:
    write_nifti(folder / "a.nii", np.stack([smooth((14, 14, 14), i) for i in range(3)], axis=-1))
    return folder


def with_nan(folder: Path) -> Path:
    image = smooth((14, 14, 14), 0)
    image[2, 2, 2] = np.nan
    write_nifti(folder / "a.nii", image)
    return folder


def constant(folder: Path) -> Path:
    write_nifti(folder / "a.nii", np.full((14, 14, 14), 7.0))
    return folder


def small(folder: Path) -> Path:
    return write_pictures(folder, 3, side=10)


def missing(folder: Path) -> Path:
    return folder / "nowhere"


def empty(folder: Path) -> Path:
    folder.mkdir()
    return folder


def no_images(folder: Path) -> Path:
    folder.mkdir()
    (folder / "notes.txt").write_text("nothing")
    return folder


def a_file(folder: Path) -> Path:
    return write_nifti(folder / "a.nii", smooth((14, 14, 14), 0))


def colour(folder: Path) -> Path:
    folder.mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(folder / "a.png")
    return folder


def mixed_kinds(folder: Path) -> Path:
    write_pictures(folder, 2)
    return write_volumes(folder, 2)


def mixed_shapes(folder: Path) -> Path:
    write_nifti(folder / "large.nii", smooth((30, 30, 30), 1))
    return write_volumes(folder, 2)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (missing, ("nowhere", "check the path")),
        (empty, ("no image found",)),
        (no_images, ("no image found",)),
        (a_file, ("a.nii", "folder")),
        (truncated, ("a.nii", "none of the 1 images")),
        (truncated_gzip, ("a.nii.gz", "none of the 1 images")),
        (garbage, ("a.nii", "check or replace")),
        (truncated_dicom, ("a.dcm",)),
        (four_axes, ("a.nii", "--volume")),
        (with_nan, ("a.nii", "NaN")),
        (constant, ("a.nii", "constant")),
        (small, ("p00.png", "at least 12", "10")),
        (colour, ("a.png",)),
        (mixed_kinds, ("p00.png", "sub-00_T1.nii", "two data sets")),
        (mixed_shapes, ("sub-00_T1.nii", "--shape 16,15,14")),
    ],
)
def test_inputs_that_cannot_be_built(make, words, tmp_path):
    raw = make(tmp_path / "raw")
    ran = build(raw, "--out", tmp_path / "data", *QUICK, "--normalise", "zscore")
    assert ran.status == 2
    for word in words:
        assert word in ran.error
    assert not list((tmp_path / "data").rglob("*.h5"))
    assert not (tmp_path / "data" / "dataset.json").exists()


def test_unnormalised_pictures_refuse_the_whole_build(tmp_path):
    raw = write_pictures(tmp_path / "raw", 4)
    ran = build(raw, "--out", tmp_path / "data", *QUICK, "--normalise", "none")
    assert ran.status == 2
    assert "p00.png" in ran.error
    assert "--normalise zscore or minus-one-one" in ran.error
    assert not (tmp_path / "data").exists()


def test_normalised_images_need_no_normalisation(tmp_path):
    for i in range(2):
        write_nifti(tmp_path / f"raw/{i}.nii", (smooth((14, 14, 14), i) - 100) / 50)
    assert build(tmp_path / "raw", "--out", tmp_path / "data", *QUICK, "--normalise", "none").status == 0


def test_too_few_subjects_are_counted(tmp_path):
    raw = write_pictures(tmp_path / "raw", 9)
    ran = build(raw, "--out", tmp_path / "data", "--workers", 1)
    assert ran.status == 2
    for words in ("5 folds need at least 10 subjects", "got 9 in 9 images", "--subjects", "--folds"):
        assert words in ran.error
    ran = build(raw, "--out", tmp_path / "data", *QUICK, "--subjects", "(p)")
    assert "got 1 in 9 images" in ran.error
    assert not (tmp_path / "data").exists()


def test_fold_that_lost_its_subjects_is_named(tmp_path):
    raw = write_pictures(tmp_path / "raw", 4)
    for name in ("p00", "p01", "p02"):
        (raw / f"{name}.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    ran = build(raw, "--out", tmp_path / "data", *QUICK)
    assert ran.status == 2
    assert "fold 0 of 1" in ran.error
    assert "got 1" in ran.error
    assert "cannot be used: p00.png" in ran.err


def test_fold_that_loses_its_subjects_in_preprocessing_is_named(tmp_path):
    raw = write_volumes(tmp_path / "raw", 3)
    block = np.zeros((14, 15, 16))
    block[3:9, 3:9, 3:9] = 7  # the image varies, but not in its foreground
    for i in (0, 1):
        write_nifti(raw / f"sub-0{i}/sub-0{i}_T1.nii", block)
    ran = build(raw, "--out", tmp_path / "data", *QUICK)
    assert ran.status == 2
    assert "fold 0 of 1" in ran.error
    assert "cannot be used: sub-00/sub-00_T1.nii" in ran.err
    assert not list((tmp_path / "data").iterdir())
    write_volumes(tmp_path / "raw", 3)
    assert build(raw, "--out", tmp_path / "data", *QUICK).status == 0


def test_masks_of_another_shape_are_skipped_by_name(tmp_path):
    raw = write_volumes(tmp_path / "raw", 3)
    for i, shape in enumerate([(14, 15, 16), (14, 15, 16), (14, 15, 15)]):
        write_nifti(raw / f"sub-0{i}/sub-0{i}_mask.nii", np.ones(shape))
    ran = build(raw, "--out", tmp_path / "data", *QUICK, "--foreground", "*_mask.nii")
    assert ran.status == 3
    assert "sub-02_mask.nii must lie on the grid of" in ran.err
    assert "masks: 3 files" in ran.err


@pytest.mark.parametrize(
    ("content", "words"),
    [("notes.txt", "notes.txt"), ("healthy/00000.h5", "healthy"), ("dataset.json", "dataset.json")],
)
def test_output_folder_that_holds_something_else(content, words, tmp_path):
    raw = write_pictures(tmp_path / "raw", 2)
    path = tmp_path / "data" / content
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    before = listing(tmp_path / "data")
    ran = build(raw, "--out", tmp_path / "data", *QUICK)
    assert ran.status == 2
    assert words in ran.error
    assert listing(tmp_path / "data") == before


def test_output_that_is_a_file_or_holds_the_inputs(tmp_path):
    raw = write_pictures(tmp_path / "raw", 2)
    (tmp_path / "file").write_text("")
    assert "must be a folder" in build(raw, "--out", tmp_path / "file", *QUICK).error
    assert "must be empty, new" in build(raw, "--out", raw, *QUICK).error
    assert "must be empty, new" in build(raw, "--out", tmp_path, *QUICK).error


def test_newer_formats_are_named(tmp_path):
    raw, out = write_pictures(tmp_path / "raw", 2), tmp_path / "data"
    assert build(raw, "--out", out, *QUICK).status == 0
    plan, manifest = json.loads((out / "plan.json").read_text()), json.loads((out / "dataset.json").read_text())
    (out / "dataset.json").write_text(json.dumps(manifest | {"format": 2}))
    assert "upgrade with pip" in build(raw, "--out", out, *QUICK).error
    (out / "dataset.json").unlink()
    (out / "plan.json").write_text(json.dumps(plan | {"format": 2}))
    assert "upgrade with pip" in build(raw, "--out", out, *QUICK).error
    (out / "plan.json").write_text("{")
    assert "must be a readable plan" in build(raw, "--out", out, *QUICK).error


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--tasks", "sinc"), "--tasks must list tasks, each once, got 'sinc'; did you mean sink?"),
        (("--tasks", "sink,sink"), "each once"),
        (("--variants", "0"), "--variants must be at least 1"),
        (("--workers", "0"), "--workers must be at least 1"),
        (("--folds", "0"), "--folds must be at least 1"),
        (("--normalise", "zcore"), "zscore, minus-one-one or none"),
        (("--spacing", "1,x"), "--spacing must be numbers"),
        (("--spacing", "0"), "spacing must be"),
        (("--shape", "16,16.5"), "whole numbers"),
        (("--shape", "8,8"), "at least 12"),
        (("--shape", "16,16,16"), "must name 2 sides"),
        (("--channels", "_(T1"), "regular expression"),
        (("--channels", "T1"), "must have a group"),
        (("--channels", "_(T1|T2)"), "got no match among 2"),
        (("--channels", "p0(0|7)"), "names the contrast '7', which no file shows"),
        (("--foreground", "otsuu"), "nonzero, otsu, none, or a pattern"),
        (("--foreground", "*.png"), "every image matched"),
        (("--subjects", "(q)"), "must capture its subject"),
        (("--subjects", "gone.csv"), "gone.csv"),
        (("--task-config", "gone.yaml"), "gone.yaml"),
        (("--donors", "gone"), "gone"),
        (("--variants", "many"), "--variants"),
        (("--nonsense",), "--nonsense"),
    ],
)
def test_options_that_make_no_sense(arguments, words, tmp_path):
    raw = write_pictures(tmp_path / "raw", 2)
    ran = build(raw, "--out", tmp_path / "data", "--workers", 1, *arguments)
    assert ran.status == 2
    assert words in ran.error
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sinc: {}\n", "unknown entry 'sinc'"),
        ("sink: {pull: 1}\n", "no setting 'pull'"),
        ("label: {sigmas: 1}\n", "no setting 'sigmas'"),
        ("label: {sigma: -1}\n", "sigma must be"),
        ("options: {max_anomalies: 9}\n", "max_anomalies"),
        ("sink: 3\n", "must be a mapping of settings"),
        ("sink: {push: [5\n", "readable YAML"),
    ],
)
def test_task_configurations_that_make_no_sense(text, words, tmp_path):
    raw = write_pictures(tmp_path / "raw", 2)
    (tmp_path / "tasks.yaml").write_text(text)
    ran = build(raw, "--out", tmp_path / "data", *QUICK, "--task-config", tmp_path / "tasks.yaml")
    assert ran.status == 2
    assert words in ran.error
    assert "tasks.yaml" in ran.error


def test_donors_that_do_not_fit(tmp_path):
    raw = write_pictures(tmp_path / "raw", 4)
    volumes = write_volumes(tmp_path / "volumes", 2)
    donors = tmp_path / "donors"
    assert build(volumes, "--out", donors, *QUICK).status == 0
    two = ("--out", tmp_path / "data", "--variants", 1, "--workers", 1, "--tasks", "inter_blend", "--donors", donors)
    assert "2 axes and 1 channels" in build(raw, *two).error
    more = write_volumes(tmp_path / "more", 6)
    assert "donors' subjects, got 2" in build(more, *two, "--folds", 3).error


def test_the_installed_command_prints_one_line_and_debug_the_traceback(tmp_path):
    command = [*COMMAND, "folder", str(tmp_path / "gone"), "--out", str(tmp_path / "data")]
    plain = subprocess.run(command, capture_output=True, text=True, check=False)
    assert plain.returncode == 2
    assert plain.stderr.startswith("error: ")
    assert plain.stderr.count("\n") == 1
    debugged = subprocess.run([*command, "--debug"], capture_output=True, text=True, check=False)
    assert debugged.returncode == 2
    assert "Traceback" in debugged.stderr
