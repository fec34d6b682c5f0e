"""The seven sets of MedIAnomaly: each layout from a raw tree to a data set and a test set, with known answers."""

import json
from pathlib import Path

import numpy as np
import pytest
from building import build, smooth
from PIL import Image

from synthanom.shards import DataSet, check
from synthanom.truth_set import read_truth_set
from synthanom.volumes import read_mask

QUICK = ("--variants", 1, "--workers", 1, "--tasks", "sink,smooth_intensity")


def save(path, seed, colour=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    values = [smooth((30, 34), seed + 100 * k) for k in range(3 if colour else 1)]
    array = np.stack(values, axis=-1) if colour else values[0]
    Image.fromarray(array.astype(np.uint8)).save(path)
    return path


def labels(raw):
    """Relative path -> (anomalous, kind, subject) of the test set."""
    cases = read_truth_set(raw).cases
    return {case.id: (case.anomalous, case.kind, case.subject) for case in cases}


def write_medianomaly(root, names=tuple(f"{i:04}.png" for i in range(6))):
    """Six healthy training images, others for testing, and one that no list names."""
    (root / "images").mkdir(parents=True)
    for i, name in enumerate((*names, "test-0.png", "test-1.jpg", "unlisted.png")):
        Image.fromarray(smooth((30, 34), i).astype(np.uint8)).save(root / "images" / name)
    content = {"train": {"0": list(names)}, "test": {"0": ["test-0.png"], "1": ["test-1.jpg"]}}
    (root / "data.json").write_text(json.dumps(content))
    return root


def test_medianomaly(tmp_path):
    raw, out = write_medianomaly(tmp_path / "raw"), tmp_path / "data"
    assert build(raw, "--out", out, "--shape", "24,24", *QUICK, command="medianomaly").status == 0
    assert check(out) == []
    with DataSet.open(out) as data:
        assert data.healthy_ids == tuple(f"images/{i:04}.png" for i in range(6))
        assert data.healthy(3).image.min() == -1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "list of images is missing"),
        ("[]", "train/0"),
        ('{"train": {"0": 3}}', "train/0"),
        ('{"train": {"0": []}}', "at least one image"),
        ('{"train": {"0": ["0000.png", "../secret.png"]}}', "in 'images' only"),
        ('{"train": {"0": ["..", "0000.png"]}}', "in 'images' only"),
        ('{"train": {"0": ["/etc/passwd"]}}', "in 'images' only"),
        ('{"train": {"0": ["0000.png", "none.png"]}}', "none.png: this image of data.json is missing"),
    ],
)
def test_lists_that_lead_nowhere_or_out_are_refused(tmp_path, content, message):
    raw = write_medianomaly(tmp_path / "raw")
    (tmp_path / "raw" / "secret.png").write_bytes(b"x")
    (raw / "data.json").unlink() if content is None else (raw / "data.json").write_text(content)
    ran = build(raw, "--out", tmp_path / "data", *QUICK, command="medianomaly")
    assert ran.status == 2 and message in ran.error and not (tmp_path / "data").exists()


def test_colour_of_medianomaly_becomes_grey(tmp_path):
    raw = write_medianomaly(tmp_path / "raw")
    colour = np.stack([smooth((30, 34), k) for k in range(3)], axis=-1).astype(np.uint8)
    Image.fromarray(colour).save(raw / "images" / "0000.png")
    assert build(raw, "--out", tmp_path / "data", "--shape", "30,34", *QUICK, command="medianomaly").status == 0
    grey = colour @ np.array([0.299, 0.587, 0.114])
    expected = 2 * (grey - grey.min()) / np.ptp(grey) - 1
    with DataSet.open(tmp_path / "data") as data:
        np.testing.assert_allclose(data.healthy(0).image[0], expected, atol=0.02)


def test_the_list_names_what_to_test_on(tmp_path):
    raw = write_medianomaly(tmp_path / "raw")
    assert build(raw, "--test", "--out", tmp_path / "t", command="medianomaly").status == 0
    assert labels(tmp_path / "t") == {
        "images/test-0.png": (False, "", "images/test-0.png"),
        "images/test-1.jpg": (True, "", "images/test-1.jpg"),
    }
    content = json.loads((raw / "data.json").read_text())
    del content["test"]["1"]
    (raw / "data.json").write_text(json.dumps(content))
    ran = build(raw, "--test", "--out", tmp_path / "u", command="medianomaly")
    assert ran.status == 2 and "test/1" in ran.error


SKIN = ("MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC")


def write_skin(root, groups=True):
    """Six naevi of five lesions among eight training images, three test images; tables as ISIC hands them out."""
    for part, kinds in (
        ("Training", ["NV", "NV", "MEL", "NV", "NV", "NV", "DF", "NV"]),
        ("Test", ["NV", "BCC", "VASC"]),
    ):
        names = [f"ISIC_{24306 + k + 1000 * (part == 'Test'):07}" for k in range(len(kinds))]
        lines = ["image," + ",".join(SKIN)]
        for k, (name, kind) in enumerate(zip(names, kinds, strict=True)):
            save(root / f"ISIC2018_Task3_{part}_Input" / f"{name}.jpg", k, colour=True)
            lines.append(name + "," + ",".join("1.0" if kind == column else "0.0" for column in SKIN))
        (root / f"ISIC2018_Task3_{part}_Input" / "ATTRIBUTION.txt").write_text("x")
        table = root / f"ISIC2018_Task3_{part}_GroundTruth" / f"ISIC2018_Task3_{part}_GroundTruth.csv"
        table.parent.mkdir()
        table.write_text("\n".join(lines) + "\n")
        if part == "Training" and groups:
            rows = [f"{name},HAM_{max(1, k):07},histopathology" for k, name in enumerate(names)]
            place = table.parent / "ISIC2018_Task3_Training_LesionGroupings.csv"
            place.write_text("image,lesion_id,diagnosis_confirm_type\n" + "\n".join(rows) + "\n")
    return root


def test_naevi_are_the_healthy_lesions(tmp_path):
    raw, out = write_skin(tmp_path / "raw"), tmp_path / "data"
    assert build(raw, "--out", out, "--shape", "24,24", *QUICK, command="medianomaly").status == 0
    assert check(out) == []
    with DataSet.open(out) as data:
        assert [Path(name).stem[-2:] for name in data.healthy_ids] == ["06", "07", "09", "10", "11", "13"]
        assert data.healthy_subjects[:2] == ("HAM_0000001", "HAM_0000001"), "one lesion, two photographs"
        assert len(set(data.healthy_subjects)) == 5 and data.channels == 1
    assert build(raw, "--test", "--out", tmp_path / "t", command="medianomaly").status == 0
    assert [value[:2] for value in labels(tmp_path / "t").values()] == [(False, ""), (True, "BCC"), (True, "VASC")]
    alone = write_skin(tmp_path / "alone", groups=False)
    ran = build(alone, "--out", tmp_path / "d", "--dry-run", "--tasks", "sink", command="medianomaly")
    assert "6 healthy training images of 6 subjects" in ran.err


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda table, lines: table.unlink(), "this table is missing"),
        (lambda table, lines: table.write_text("image,NV\nx,1\n"), "must have the columns"),
        (
            lambda table, lines: table.write_text(f"{lines[0]}\nISIC_0024306,1,1,0,0,0,0,0\n"),
            "line 2 must name an image",
        ),
        (lambda table, lines: table.write_text(f"{lines[0]}\nISIC_0024306,0,0,0,0,0,0\n"), "line 2 must name an image"),
        (lambda table, lines: table.write_text(f"{lines[0]}\n../x,0,1,0,0,0,0,0\n"), "line 2 must name an image"),
        (
            lambda table, lines: table.write_text(f"{lines[0]}\nISIC_0,0,1,0,0,0,0,0\n"),
            "ISIC_0.jpg: this photograph is",
        ),
        (lambda table, lines: table.write_bytes(b"image\xff\xfe"), "must be a readable CSV table"),
    ],
)
def test_tables_of_lesions_that_are_none_are_refused(tmp_path, spoil, message):
    raw = write_skin(tmp_path / "raw")
    table = raw / "ISIC2018_Task3_Training_GroundTruth/ISIC2018_Task3_Training_GroundTruth.csv"
    spoil(table, table.read_text().splitlines())
    ran = build(raw, "--out", tmp_path / "data", *QUICK, command="medianomaly")
    assert ran.status == 2 and message in ran.error and not (tmp_path / "data").exists()


def test_camelyon(tmp_path):
    raw, out = tmp_path / "raw", tmp_path / "data"
    for k in range(5):
        save(raw / "train/good" / f"patch_{k}.png", k, colour=True)
    for k, folder in enumerate(("good", "good", "Ungood")):
        save(raw / "test" / folder / f"p{k}.png", 10 + k, colour=True)
    assert build(raw, "--out", out, "--shape", "24,24", *QUICK, command="medianomaly").status == 0
    with DataSet.open(out) as data:
        assert data.healthy_ids == tuple(f"train/good/patch_{k}.png" for k in range(5))
    assert build(raw, "--test", "--out", tmp_path / "t", command="medianomaly").status == 0
    assert labels(tmp_path / "t") == {
        "test/Ungood/p2.png": (True, "metastasis", "test/Ungood/p2.png"),
        "test/good/p0.png": (False, "", "test/good/p0.png"),
        "test/good/p1.png": (False, "", "test/good/p1.png"),
    }


@pytest.mark.parametrize("seg", ["seg", "flair"])
def test_slices_of_brats(tmp_path, seg):
    raw, out = tmp_path / "raw", tmp_path / "data"
    for k in range(8):
        save(raw / "train" / f"BraTS2021_{k // 2:05}_flair_{60 + k}.png", k)
    save(raw / "test/normal/BraTS2021_00010_flair_60.png", 20)
    save(raw / "test/tumor/BraTS2021_00011_flair_80.png", 21)
    mask = np.zeros((30, 34), np.uint8)
    mask[4:9, 5:11] = 255
    (raw / "test/annotation").mkdir()
    Image.fromarray(mask).save(raw / f"test/annotation/BraTS2021_00011_{seg}_80.png")
    assert build(raw, "--out", out, "--shape", "24,24", *QUICK, command="medianomaly").status == 0
    with DataSet.open(out) as data:
        assert sorted(set(data.healthy_subjects)) == [f"BraTS2021_{k:05}" for k in range(4)]
    assert build(raw, "--test", "--out", tmp_path / "t", command="medianomaly").status == 0
    healthy, sick = read_truth_set(tmp_path / "t").cases
    assert (healthy.anomalous, healthy.mask, healthy.subject) == (False, None, "BraTS2021_00010")
    assert sick.anomalous and sick.kind == "glioma"
    np.testing.assert_array_equal(read_mask(sick.mask)[0], mask > 0)
    (raw / f"test/annotation/BraTS2021_00011_{seg}_80.png").unlink()
    ran = build(raw, "--test", "--out", tmp_path / "u", command="medianomaly")
    assert ran.status == 2 and "BraTS2021_00011_flair_80.png: the annotation of this slice is missing" in ran.error


def test_a_folder_that_is_none_of_the_layouts_names_them(tmp_path):
    save(tmp_path / "raw/whatever/x.png", 0)
    ran = build(tmp_path / "raw", "--out", tmp_path / "data", command="medianomaly")
    assert ran.status == 2 and "raw/images: this folder of the data set is missing" in ran.error
    assert all(name in ran.error for name in ("LAG", "ISIC2018_Task3", "Camelyon16", "BraTS2021"))
