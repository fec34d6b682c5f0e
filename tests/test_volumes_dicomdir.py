"""DICOMDIR: files that it lists and that are not there are told; whatever it holds, nothing outside is looked at."""

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from building import build
from phantoms import field
from pydicom.data import get_testdata_file
from pydicom.fileset import FileSet
from pydicom.uid import generate_uid
from saved_models import write_model
from test_volumes_dicom import dataset

from synthanom.predicting import predict
from synthanom.volumes import dicomdir as module
from synthanom.volumes.dicomdir import Checked, check_dicomdir, dicomdir_notes
from synthanom.volumes.discover import discover


def medium(folder: Path, count: int = 4, side: int = 16) -> Path:
    """A folder as on a CD: a DICOMDIR, and pictures under names that it made up; the path of the DICOMDIR."""
    pictures = FileSet()
    for i in range(count):
        image = dataset((field((side, side), seed=i)[0] * 200 + 1000).astype(np.uint16))
        image.PatientID, image.PatientName = f"p{i}", "Doe"
        image.StudyInstanceUID, image.SeriesInstanceUID = generate_uid(), generate_uid()
        image.StudyDate, image.StudyTime, image.StudyID = "20200101", "120000", "1"
        image.InstanceNumber, image.Modality = 1, "CR"
        pictures.add(image)
    pictures.write(folder)
    return folder / "DICOMDIR"


def listed(path: Path) -> list[str]:
    ids = [record.get("ReferencedFileID") for record in pydicom.dcmread(path).DirectoryRecordSequence]
    return ["/".join(file) for file in ids if file]


def rewrite(path: Path, *file_ids: Any) -> Path:
    """Let the first files that a DICOMDIR lists be others."""
    directory = pydicom.dcmread(path)
    files = [record for record in directory.DirectoryRecordSequence if "ReferencedFileID" in record]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pydicom, about values that the standard forbids
        for record, file_id in zip(files, file_ids, strict=False):
            record.ReferencedFileID = file_id
        directory.save_as(path)
    return path


def test_missing_files_are_named_in_order(tmp_path: Path) -> None:
    path = medium(tmp_path)
    names = listed(path)
    assert check_dicomdir(path) == Checked(listed=4)
    for name in (names[2], names[1]):
        (tmp_path / name).unlink()
    assert check_dicomdir(path) == Checked(listed=4, missing=(names[1], names[2]))
    assert list(dicomdir_notes(tmp_path)) == [f"DICOMDIR: 2 of 4 files that it lists are missing, the first {names[1]}"]


@pytest.mark.parametrize("change", [str.lower, lambda name: f"{name};1", lambda name: f"{name}.;12"])
def test_names_match_as_on_media(tmp_path: Path, change: Any) -> None:
    path = medium(tmp_path)
    for name in listed(path):
        (tmp_path / name).rename((tmp_path / name).with_name(change(Path(name).name)))
    assert check_dicomdir(path) == Checked(listed=4)
    (tmp_path / listed(path)[0]).parent.rename(tmp_path / "elsewhere")
    assert len(check_dicomdir(path).missing) == 1


def test_folders_that_differ_by_case_are_both_looked_into(tmp_path: Path) -> None:
    path = medium(tmp_path)
    first = Path(listed(path)[0]).parts[0]
    (tmp_path / first.lower()).mkdir(exist_ok=True)
    assert check_dicomdir(path) == Checked(listed=4)


def test_deleted_records_and_repeated_files_do_not_count(tmp_path: Path) -> None:
    path = medium(tmp_path)
    directory = pydicom.dcmread(path)
    files = [record for record in directory.DirectoryRecordSequence if "ReferencedFileID" in record]
    files[1].ReferencedFileID = files[0].ReferencedFileID
    files[2].RecordInUseFlag = 0
    (tmp_path / listed(path)[2]).unlink()
    directory.save_as(path)
    assert check_dicomdir(path) == Checked(listed=2)


def test_nothing_outside_of_the_folder_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = medium(tmp_path / "cd", count=6)
    (tmp_path / "secret").write_text("x")
    (tmp_path / "cd/linked").symlink_to(tmp_path)
    (tmp_path / "cd/LINK").symlink_to(tmp_path / "secret")
    rewrite(path, ["..", "secret"], ["", *tmp_path.parts[1:], "secret"], "../secret", ["C:", "X"], ["LINKED", "SECRET"],
            "LINK")  # fmt: skip
    seen = []
    monkeypatch.setattr(Path, "iterdir", lambda self, real=Path.iterdir: seen.append(self) or real(self))
    found = check_dicomdir(path)
    assert found.outside == ("../secret", f"{tmp_path.as_posix()}/secret", "C:/X")  # '../secret' counts once
    assert found.missing == ("LINKED/SECRET", "LINK") and found.listed == 5
    assert seen == [tmp_path / "cd"]
    (line,) = dicomdir_notes(tmp_path)
    assert line == (
        "cd/DICOMDIR: 2 of 5 files that it lists are missing, the first LINKED/SECRET; 3 of 5 files that it lists lie "
        "outside its folder and were not looked for, the first ../secret"
    )


def test_slashes_in_one_value_are_separators(tmp_path: Path) -> None:
    path = medium(tmp_path)
    first = listed(path)[0]
    assert check_dicomdir(rewrite(path, first + "/")) == Checked(listed=4)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "holds no directory records"),
        (b"no DICOM at all, but some text that is long enough to be taken for a header", ""),
        (np.random.default_rng(1).bytes(3000), ""),
    ],
)
def test_what_is_no_directory_is_said_in_a_line(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "dicomdir;1").write_bytes(content)
    (line,) = dicomdir_notes(tmp_path)
    assert line.startswith("dicomdir;1: ") and words in line and line.isprintable()
    assert line.endswith(": images that it lists may be missing unnoticed")


def test_directories_cut_short_or_too_large_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = medium(tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[:-300])
    found = check_dicomdir(path)
    assert found.problem == "is cut short" and 0 < found.listed <= 4
    path.write_bytes(data)
    monkeypatch.setattr(module, "MAX_BYTES", len(data))
    assert check_dicomdir(path) == Checked(listed=4)
    monkeypatch.setattr(module, "MAX_BYTES", len(data) - 1)
    assert check_dicomdir(path).problem.startswith("is larger than")


def test_damaged_directories_end_in_a_line_at_most(tmp_path: Path) -> None:
    data = medium(tmp_path).read_bytes()
    rng = np.random.default_rng(0)
    lines = []
    for _ in range(200):
        damaged = bytearray(data[: rng.integers(len(data))] if rng.random() < 0.3 else data)
        for at in rng.integers(0, len(damaged), min(8, len(damaged))):
            damaged[at] = rng.integers(256)
        (tmp_path / "DICOMDIR").write_bytes(damaged)
        lines += dicomdir_notes(tmp_path)
    assert len(lines) > 50 and all(line.isprintable() and len(line) < 700 for line in lines)


def test_pydicoms_own_directory_is_complete() -> None:
    path = Path(str(get_testdata_file("dicomdirtests/DICOMDIR", download=False)))
    assert check_dicomdir(path) == Checked(listed=31)


def test_folders_without_a_directory_are_not_parsed_for_one(tmp_path: Path) -> None:
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden/DICOMDIR").write_bytes(b"x")
    (tmp_path / "DICOMDIR.txt").write_bytes(b"x")
    (tmp_path / "a.png").write_bytes(b"x")
    code = (
        "import sys; from pathlib import Path; from synthanom.volumes.dicomdir import dicomdir_notes; "
        f"assert not list(dicomdir_notes(Path({str(tmp_path)!r}))); assert 'pydicom' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_build_and_predict_say_what_is_missing(tmp_path: Path) -> None:
    path = medium(tmp_path / "raw/cd", count=14)
    gone = listed(path)[3]
    assert "DICOMDIR" not in build(tmp_path / "raw", "--out", tmp_path / "a", "--dry-run").err
    (tmp_path / "raw/cd" / gone).unlink()
    line = f"cd/DICOMDIR: 1 of 14 files that it lists are missing, the first {gone}"
    done = build(tmp_path / "raw", "--out", tmp_path / "a", "--dry-run")
    assert done.status == 0 and done.err.count(line) + done.out.count(line) == 1
    assert len(discover(tmp_path / "raw")) == 13
    model = write_model(tmp_path / "model")
    assert predict([model], tmp_path / "raw", tmp_path / "maps", device="cpu").notes == (line,)
