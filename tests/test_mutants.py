"""Damaged files of every kind that is read: an image or one line, never another exception, hang or flood of memory."""

import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import nibabel
import numpy as np
import pytest
import SimpleITK
from PIL import Image
from test_volumes_dicom import bundled, dataset, enhanced, pixels, save

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
