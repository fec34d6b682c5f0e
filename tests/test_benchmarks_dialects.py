"""The table of dialects: each file in a process of its own, a second opinion, faults told from refusals."""

import csv
import importlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import nibabel
import numpy as np
import pytest
from pydicom.data import get_testdata_file

FOLDER = Path(__file__).parents[1] / "benchmarks"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits and counts memory as Linux does")
DICOM = ("CT_small.dcm", "MR_small_RLE.dcm", "rtplan.dcm", "SC_rgb_small_odd.dcm")
DICOM_COLUMNS = [
    "path",
    "modality",
    "sop",
    "photometric",
    "rows",
    "cols",
    "frames",
    "spp",
    "alloc",
    "stored",
    "signed",
    "ts",
]
NIFTI_COLUMNS = [
    "path",
    "kind",
    "shape",
    "dtype",
    "endian",
    "slope",
    "inter",
    "qform",
    "sform",
    "oblique",
    "oblique_deg",
    "nan",
    "scaled",
]


@pytest.fixture(scope="module")
def bench() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        before = set(sys.modules)
        yield importlib.import_module("dialects")
        for name in set(sys.modules) - before:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(FOLDER)):
                del sys.modules[name]


def manifest(folder: Path, columns: list[str], rows: list[dict[str, str]]) -> Path:
    with (folder / "manifest.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return folder


@pytest.fixture
def dicom_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "dicom_small"
    folder.mkdir()
    for name in DICOM:
        (folder / name).write_bytes(Path(str(get_testdata_file(name, download=False))).read_bytes())
    return manifest(folder, DICOM_COLUMNS, [{"path": name, "photometric": "", "rows": "128"} for name in DICOM])


@pytest.fixture
def nifti_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "nifti_small"
    folder.mkdir()
    array = np.random.default_rng(0).normal(size=(5, 6, 7)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(array, np.diag([2.0, 3, 4, 1])), folder / "a.nii.gz")
    array[1, 2, 3] = np.nan
    nibabel.save(nibabel.Nifti1Image(array, np.diag([2.0, 3, 4, 1])), folder / "b.nii")
    nibabel.save(nibabel.Nifti1Image(array.astype(np.complex64), np.eye(4)), folder / "c.nii")
    rows = [{"path": f"{name}", "shape": "5x6x7", "dtype": "float32"} for name in ("a.nii.gz", "b.nii", "c.nii")]
    return manifest(folder, NIFTI_COLUMNS, rows)


def test_the_script_reads_compares_and_writes_its_part_of_the_page(bench, dicom_folder, nifti_folder, monkeypatch):
    page = dicom_folder.parent / "page.md"
    page.write_text("<!-- measured: dicom_small -->\n<!-- end: dicom_small -->\nrest\n")
    monkeypatch.setattr(bench, "PAGE", page)
    monkeypatch.setattr(sys, "argv", ["dialects.py", str(dicom_folder), "--write"])
    assert bench.main() == 0
    text = page.read_text()
    assert "4 files: 2 read (2 verified), 2 refused, 0 faults." in text and text.endswith("rest\n")
    assert (
        "read: picture 128 x 128" in text
        and "with --grey: picture 3 x 3" in text
        and "got colour (RGB" in text
        and str(dicom_folder) not in text
    )
    outcomes = bench.files_of(nifti_folder)
    assert [o.outcome for o in outcomes] == ["read", "read", "refused"]
    assert outcomes[0].verified == "same hash by SimpleITK, same place"
    assert outcomes[1].verified.startswith("same by SimpleITK, which reads 1 NaN")


def test_a_wrong_read_a_crash_and_a_greedy_read_are_faults(bench, nifti_folder, monkeypatch, capsys):
    right = bench.read

    def outcome(read) -> object:
        monkeypatch.setattr(bench, "read", read)
        return bench.files_of(nifti_folder)[0]

    class Turned:
        def __init__(self, volume) -> None:
            self.image, self.affine = volume.image[:, ::-1], volume.affine
            self.kind, self.spacing = volume.kind, volume.spacing

    def greedy(path):
        volume = right(path)
        np.ones(40 << 20, np.uint8)[-1] = 1
        return volume

    def crash(path):
        raise KeyError("no such thing")

    assert outcome(lambda path: Turned(right(path))).verified.startswith("DIFFERS")
    assert outcome(greedy).words.startswith("took 4")
    assert outcome(crash).words == "KeyError: 'no such thing'"
    monkeypatch.setattr(sys, "argv", ["dialects.py", str(nifti_folder)])
    assert bench.main() == 1 and "FAULT a.nii.gz: KeyError" in capsys.readouterr().out


def test_a_call_is_stopped_by_time_and_memory() -> None:
    code = f"""
import sys, time; sys.path.insert(0, {str(FOLDER)!r})
from guarded import guarded
import numpy as np
assert guarded(lambda: 3, seconds=5, memory=1 << 20).value == 3
print(guarded(lambda: time.sleep(60), seconds=0.3, memory=1 << 20).fault)
print(guarded(lambda: np.ones(2 << 30, np.uint8).sum(), seconds=20, memory=1 << 20).fault)
import os; print(guarded(lambda: os.kill(os.getpid(), 9), seconds=5, memory=1 << 20).fault)
"""
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    late, full, dead = done.stdout.splitlines()
    assert late == "not finished after 0.3 s" and "MemoryError" in full and dead == "died with wait status 9"
    assert time.monotonic() - start < 30


def test_real_dialects_have_no_faults(bench, shared_data, monkeypatch):
    folders = [str(shared_data / name) for name in ("dicom_dialects", "nifti_dialects")]
    monkeypatch.setattr(sys, "argv", ["dialects.py", *folders])
    assert bench.main() == 0
