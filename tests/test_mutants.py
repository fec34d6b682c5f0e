"""Damaged files of every kind that is read: an image or one line, never another exception, hang or flood of memory."""

import importlib
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK
from PIL import Image
from test_volumes_dicom import bundled, dataset, enhanced, pixels, save

from synthanom.errors import SynthanomError

FOLDER = Path(__file__).parents[1] / "benchmarks"
COUNT = 300
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits and counts memory as Linux does")
COMPRESSED = (
    "SC_rgb_small_odd_jpeg.dcm",
    "JPGExtended.dcm",
    "MR_small_RLE.dcm",
    "MR_small_jp2klossless.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "image_dfl.dcm",
    "examples_palette.dcm",
)


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small files of all formats."""
    folder = tmp_path_factory.mktemp("originals")
    array = np.random.default_rng(0).integers(0, 900, (6, 7, 8)).astype(np.int16)
    affine = np.diag([2.0, 3, 4, 1])
    for name in ("a.nii", "b.nii.gz", "c.mgz", "d.hdr"):
        kind = {"c": nibabel.MGHImage, "d": nibabel.Nifti1Pair}.get(name[0], nibabel.Nifti1Image)
        nibabel.save(kind(array, affine), folder / name)
    nibabel.save(nibabel.Nifti2Image(np.stack([array, array], axis=-1), affine), folder / "e.nii.gz")
    for name in ("f.nrrd", "g.mha"):
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array), str(folder / name), True)
    colours = array[..., :3].astype(np.uint8)
    for name in ("h.png", "i.jpg"):
        Image.fromarray(colours).save(folder / name)
    save(folder / "j.dcm", dataset(pixels(0)))
    save(folder / "k.dcm", enhanced([0.0, 3.0, 9.0]))
    (folder / "l").write_bytes((folder / "j.dcm").read_bytes()[132:])
    for name in COMPRESSED:
        (folder / name).write_bytes(Path(bundled(name)).read_bytes())
    return folder


@pytest.fixture(scope="module")
def mutants() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        before = set(sys.modules)
        yield importlib.import_module("mutants")
        for name in set(sys.modules) - before:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(FOLDER)):
                del sys.modules[name]


def test_damaged_files_are_read_or_refused(originals: Path) -> None:
    command = [sys.executable, str(FOLDER / "mutants.py"), str(originals), "--count", str(COUNT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    counts = re.match(rf"{COUNT} mutants of (\d+) files, seed 0: (\d+) read, (\d+) refused, 0 faults", done.stdout)
    assert counts is not None, done.stdout
    assert int(counts[1]) == 12 + len(COMPRESSED) and min(int(counts[2]), int(counts[3])) > COUNT / 10


def test_damaged_series_are_read_or_refused(originals: Path) -> None:
    command = [sys.executable, str(FOLDER / "mutants.py"), str(originals), "--count", "0", "--series", str(COUNT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    counts = re.match(rf"{COUNT} mutants of 13 series, seed 0: (\d+) read, (\d+) refused, 0 faults", done.stdout)
    assert counts is not None, done.stdout
    assert min(int(counts[1]), int(counts[2])) > COUNT / 10


def test_damaged_series_can_be_made_again_and_differ(mutants: ModuleType, tmp_path: Path) -> None:
    mutants.write_series(tmp_path)
    series = mutants.series_in([tmp_path])
    first = [mutants.damaged_series(series, 3, number) for number in range(60)]
    assert first == [mutants.damaged_series(series, 3, number) for number in range(60)]
    plain = {files[0].parent: {file.name: file.read_bytes() for file in files} for files in series}
    assert sum(plain[folder] == slices for folder, _, slices in first) < 6  # swapped with itself, or with its equal
    done = " ".join(change for _, change, _ in first)
    for change in ("flips", "truncation", "header edit", "Position", "swapped", "twice", "without", "another series"):
        assert change in done
    words = mutants.tried_series(tmp_path / "x", plain[tmp_path / "times"])[0]
    assert words.startswith("refused: ") and "lie at the same one" in words
    assert mutants.tried_series(tmp_path / "x", plain[tmp_path / "pair"])[0] == "read: "


@pytest.mark.parametrize("folder", ["syntax-0", "syntax-1", "syntax-2"])
def test_headers_are_edited_as_told(mutants: ModuleType, tmp_path: Path, folder: str) -> None:
    mutants.write_series(tmp_path)
    (files,) = mutants.series_in([tmp_path / folder])
    edit = sys.modules["damaged_series"]._with
    for keyword, value, found in (("Rows", 3, 3), ("InstanceNumber", "12", 12), ("PixelSpacing", None, None)):
        (tmp_path / "x").write_bytes(edit(files[0].read_bytes(), keyword, value))
        assert pydicom.dcmread(tmp_path / "x").get(keyword) == found
    (tmp_path / "x").write_bytes(edit(files[0].read_bytes(), "PixelSpacing", "nonsense"))
    assert b"nonsense" in (tmp_path / "x").read_bytes()


@pytest.mark.parametrize("name", ["read", "discover"])
@pytest.mark.parametrize("fault", [KeyError("x"), SynthanomError("no name")])
def test_anything_else_of_a_series_is_a_fault(
    mutants: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, fault: Exception
) -> None:
    mutants.write_series(tmp_path)
    slices = {file.name: file.read_bytes() for file in (tmp_path / "pair").iterdir()}

    def broken(*arguments: object) -> None:
        raise fault

    monkeypatch.setattr(mutants, name, broken)
    outcome = mutants.tried_series(tmp_path / "x", slices)[0]
    assert outcome.startswith("FAULT: ") and ("KeyError" in outcome or "'no name'" in outcome)
    assert not (tmp_path / "x").exists()


def test_a_mutant_can_be_made_again(mutants: ModuleType, originals: Path) -> None:
    files = mutants.images_in([originals])
    first = [mutants.mutant(files, 3, number) for number in range(30)]
    assert first == [mutants.mutant(files, 3, number) for number in range(30)]
    assert {change for _, change, _ in first} == {"flips", "truncation", "header edit"}
    assert all(data != file.read_bytes() for file, _, data in first if file.suffix != ".gz")


@pytest.mark.parametrize(
    ("fault", "words"),
    [(KeyError("x"), "KeyError"), (SystemExit(3), "SystemExit"), (MemoryError(), "MemoryError")],
)
def test_anything_else_is_a_fault(
    mutants: ModuleType, originals: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    fault: BaseException, words: str,
) -> None:  # fmt: skip
    def broken(path: Path, reading: object) -> None:
        raise fault

    monkeypatch.setattr(mutants, "read", broken)
    monkeypatch.setattr(sys, "argv", ["mutants.py", str(originals), "--count", "2"])
    assert mutants.main() == 1
    assert capsys.readouterr().out.count(f"FAULT: {words}") == 2


def test_warnings_of_numpy_are_faults(
    mutants: ModuleType, originals: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def warns(path: Path, reading: object) -> None:
        warnings.warn("overflow", RuntimeWarning, stacklevel=1)
        raise mutants.SynthanomError(f"{path}: refused")

    monkeypatch.setattr(mutants, "read", warns)
    outcome = mutants.tried(tmp_path, originals / "a.nii", b"")[0]
    assert outcome.startswith("FAULT: must be one printable line") and "overflow" in outcome


def test_too_much_memory_and_two_lines_are_faults(
    mutants: ModuleType, originals: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def greedy(path: Path, reading: object) -> None:
        np.ones(100 << 20, np.uint8)[-1] = 1
        raise mutants.SynthanomError(f"{path}: refused")

    def wordy(path: Path, reading: object) -> None:
        raise mutants.SynthanomError(f"{path}: one line\nand another")

    for read, words in ((greedy, "FAULT: took 1"), (wordy, "FAULT: must be one printable line")):
        monkeypatch.setattr(mutants, "read", read)
        assert mutants.tried(tmp_path, originals / "a.nii", b"")[0].startswith(words)
