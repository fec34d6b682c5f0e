"""ZhangLab's test part: whom it shows, what of, and which folder is missing."""

import numpy as np
import pytest
from building import build, smooth
from PIL import Image

from synthanom.truth_set import read_truth_set
from synthanom.volumes import read

NORMAL = {
    "IM-0001-0001.jpeg": "IM-0001",
    "IM-0003-0001-0002.jpeg": "IM-0003",
    "NORMAL2-IM-0041-0001.jpeg": "NORMAL2-IM-0041",
    "NORMAL-1049278-0001.jpeg": "NORMAL-1049278",
}
SICK = {
    "person100_bacteria_475.jpeg": ("person100", "bacteria"),
    "person100_bacteria_477.jpeg": ("person100", "bacteria"),
    "person1_virus_6.jpeg": ("person1", "virus"),
    "VIRUS-1980593-0001.jpeg": ("VIRUS-1980593", "virus"),
    "scan.jpeg": (None, "pneumonia"),
}


def write_test_part(root):
    for i, (folder, name) in enumerate([("NORMAL", name) for name in NORMAL] + [("PNEUMONIA", name) for name in SICK]):
        (root / folder).mkdir(parents=True, exist_ok=True)
        Image.fromarray(smooth((40, 52), i).astype(np.uint8)).save(root / folder / name, quality=95)
    (root / "NORMAL/.DS_Store").write_bytes(b"x")


@pytest.mark.parametrize("base", ["chest_xray/test", "test"])
def test_the_test_part(tmp_path, base):
    raw, out = tmp_path / "raw", tmp_path / "truth"
    write_test_part(raw / base)
    ran = build(raw, "--test", "--out", out, command="zhanglab")
    assert ran.status == 0 and "9 scans to test on (5 anomalous, 4 healthy, 0 masks)" in ran.out
    assert "8 patients" in ran.err
    truth = read_truth_set(out)
    assert [case.id for case in truth.cases] == sorted(case.id for case in truth.cases)
    found = {case.images[0].path.name: case for case in truth.cases}
    assert {name: found[name].subject for name in NORMAL} == NORMAL
    assert not any(found[name].anomalous or found[name].kind for name in NORMAL)
    for name, (subject, kind) in SICK.items():
        case = found[name]
        assert case.anomalous is True and case.kind == kind and case.mask is None
        assert case.subject == (subject or f"{base}/PNEUMONIA/scan")
    first = read(found["IM-0001-0001.jpeg"].images[0]).image[0]
    assert np.abs(first - smooth((40, 52), 0)).mean() < 3, "JPEG, nearly as drawn"


@pytest.mark.parametrize("gone", ["NORMAL", "PNEUMONIA"])
def test_the_missing_folder_is_named(tmp_path, gone):
    raw = tmp_path / "raw"
    write_test_part(raw / "test")
    (raw / "test" / gone).rename(tmp_path / gone)
    ran = build(raw, "--test", "--out", tmp_path / "truth", command="zhanglab")
    assert ran.status == 2 and f"{raw}/test/{gone}: this folder of the data set is missing" in ran.error
    assert not (tmp_path / "truth").exists()
