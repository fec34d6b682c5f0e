"""Knees under ultrasound: boxes and subjects from a raw fold to tables beside the shards and in the test set."""

import csv
import json

import numpy as np
import pytest
from building import build, smooth, write_pictures
from PIL import Image
from synthanom_builders.boxes import Box, read_boxes
from synthanom_builders.cases import Case, InputFile
from synthanom_builders.cases import Image as Files

from synthanom.manifest import read_manifest
from synthanom.preview import is_dataset
from synthanom.shards import DataSet, check
from synthanom.truth_set import read_truth_set
from synthanom.volumes import read, read_mask

QUICK = ("--shape", "24,24", "--variants", 1, "--workers", 1, "--tasks", "sink,smooth_intensity")
PARTS = {  # names tell patient and visit
    "train/nd": ("P01_a", "P01_b", "P02_a", "P03_a"),
    "train/distended": ("P02_x",),
    "valid/nd": ("P04_a", "P05_a"),
    "test/nd": ("P06_a", "P07_a"),
    "test/distended": ("P06_x", "P08_x"),
}
BOXES = {
    "P01_a": "0 0.5 0.5 0.5 0.25 0.9\n",
    "P01_b": "12 0.25 0.5 0.5 0.5 0.4\n\n7 0.5 0.75 0.25 0.5 0.8\n",
    "P02_a": "",
    "P04_a": "0 0.9 0.5 0.4 0.5\n",
    "P06_x": "0 0.5 0.5 0.5 0.5 0.625",
    "P07_a": "3 0.25 0.25 0.25 0.25\r\n3 0.5 0.5 0.5 0.5 1\r\n",
}
EXPECTED = {  # box and confidence
    "P01_a": ("0.25 0.375 0.75 0.625", "0.9"),
    "P01_b": ("0.375 0.5 0.625 1;0 0.25 0.5 0.75", "0.8;0.4"),
    "P02_a": ("", ""),
    "P03_a": ("", ""),
    "P04_a": ("0.7 0.25 1 0.75", ""),
    "P05_a": ("", ""),
    "P06_a": ("", ""),
    "P06_x": ("0.25 0.25 0.75 0.75", "0.625"),
    "P07_a": ("0.25 0.25 0.75 0.75;0.125 0.125 0.375 0.375", "1;"),
    "P08_x": ("", ""),
}


def write_knees(fold):
    """A fold: RGB files with equal channels, not square, and masks of what is distended."""
    square = fold / "sqr"
    for i, (part, name) in enumerate((part, name) for part, names in PARTS.items() for name in names):
        path = square / part / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        values = smooth((36, 52), i).astype(np.uint8)
        Image.fromarray(np.stack([values] * 3, axis=-1)).save(path)
        if part == "test/distended":
            mask = np.zeros((36, 52), np.uint8)
            mask[i : i + 6, 10:30] = 255
            truth = square / "ground_truth/distended" / f"{name}.png"
            truth.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask).save(truth)
    (square / "boxes").mkdir()
    for name, text in BOXES.items():
        (square / "boxes" / f"{name}.txt").write_bytes(text.encode())
    return fold


def table(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("inside", ["", "sqr"])
def test_training_part(tmp_path, inside):
    raw, out = write_knees(tmp_path / "anomaly_0") / inside, tmp_path / "data"
    ran = build(raw, "--out", out, *QUICK, command="knee-us")
    assert ran.status == 0 and "different folds" in ran.err and "boxes: for 3 of 6 images" in ran.err
    assert check(out) == []
    names = [f"{part}/{name}" for part in ("train/nd", "valid/nd") for name in PARTS[part]]
    ids = [name if inside else f"sqr/{name}" for name in names]
    manifest = read_manifest(out)
    with DataSet.open(out) as data:
        assert list(data.healthy_ids) == list(data.healthy_subjects) == ids and data.channels == 1
        image = data.healthy(0)
    assert image.shape == (24, 24) and image.foreground.all()
    assert image.image.min() == -1 and image.image.max() == 1
    assert "cases.csv" in [file.path for file in manifest.files]
    rows = table(out / "cases.csv")
    assert list(rows[0]) == ["id", "subject", "fold", "box", "confidence"]
    assert [row["id"] for row in rows] == ids
    assert {row["id"]: int(row["fold"]) for row in rows} == manifest.folds
    assert {row["id"][-5:]: (row["box"], row["confidence"]) for row in rows} == {
        name[-5:]: EXPECTED[name[-5:]] for name in names
    }


def test_the_recess_may_be_a_location_prior(tmp_path):
    raw, out = write_knees(tmp_path / "raw"), tmp_path / "data"
    (raw / "sqr/boxes/P05_a.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    ran = build(raw, "--out", out, *QUICK, "--folds", 1, "--within", raw / "sqr/boxes", command="knee-us")
    assert ran.status == 3, ran.err
    assert "within: boxes of boxes, for 4 of 6 images" in ran.err
    assert "skipped sqr/train/nd/P02_a.png" in ran.err and check(out) == []
    with DataSet.open(out) as data:
        place = {sample.id[-5:]: sample.within for sample in data}
    assert sorted(place) == ["P01_a", "P01_b", "P04_a", "P05_a"]
    first, second = np.zeros((2, 24, 24), bool)
    first[9:15, 6:18] = True  # 0.375 to 0.625, 0.25 to 0.75
    second[12:, 9:15] = second[6:18, :12] = True
    assert np.array_equal(place["P01_a"], first) and np.array_equal(place["P01_b"], second)


def test_sides_of_256_by_default(tmp_path):
    ran = build(write_knees(tmp_path / "raw"), "--out", tmp_path / "d", *QUICK[2:], "--dry-run", command="knee-us")
    assert ran.status == 0 and "shape: 256 x 256, channels: 1" in ran.out


def test_the_table_is_verified_and_follows_the_rows(tmp_path):
    raw, out = write_knees(tmp_path / "raw"), tmp_path / "data"
    (raw / "sqr/train/nd/P01_b.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    assert build(raw, "--out", out, *QUICK, command="knee-us").status == 3
    with DataSet.open(out) as data:
        assert [row["id"] for row in table(out / "cases.csv")] == list(data.healthy_ids)
        assert len(data.healthy_ids) == 5
    text = (out / "cases.csv").read_text()
    (out / "cases.csv").write_text(text.replace("0.375", "0.376", 1))
    assert [problem for problem in check(out) if "cases.csv" in problem and "SHA-256" in problem]
    (out / "cases.csv").unlink()
    with pytest.raises(ValueError, match=r"cases\.csv: must be there"):
        read_manifest(out)


def test_changed_boxes_are_another_build(tmp_path):
    raw, out = write_knees(tmp_path / "raw"), tmp_path / "data"
    assert build(raw, "--out", out, *QUICK, command="knee-us").status == 0
    assert "finished already" in build(raw, "--out", out, *QUICK, command="knee-us").out
    (raw / "sqr/boxes/P02_a.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    ran = build(raw, "--out", out, *QUICK, command="knee-us")
    assert ran.status == 2 and "images changed: 1, the first sqr/train/nd/P02_a" in ran.error


def test_test_part(tmp_path):
    raw, out = write_knees(tmp_path / "raw"), tmp_path / "truth"
    ran = build(raw, "--test", "--out", out, command="knee-us")
    assert ran.status == 0 and "(2 anomalous, 2 healthy, 2 masks)" in ran.out
    cases = read_truth_set(out).cases
    assert [(case.id, case.anomalous, case.kind) for case in cases] == [
        ("sqr/test/distended/P06_x", True, "distended"),
        ("sqr/test/distended/P08_x", True, "distended"),
        ("sqr/test/nd/P06_a", False, ""),
        ("sqr/test/nd/P07_a", False, ""),
    ]
    for case in cases:
        assert (case.columns["box"], case.columns["confidence"]) == EXPECTED[case.id[-5:]]
    assert [row["box"] for row in table(out / "truth.csv")] == [EXPECTED[case.id[-5:]][0] for case in cases]
    assert cases[2].mask is None
    for i, case in zip((9, 10), cases[:2], strict=True):
        expected = np.zeros((36, 52), bool)
        expected[i : i + 6, 10:30] = True
        np.testing.assert_array_equal(read_mask(case.mask)[0], expected)
        np.testing.assert_array_equal(read(case.images[0]).image[0], smooth((36, 52), i).astype(np.uint8))


def test_subjects_by_pattern_and_by_table(tmp_path):
    raw = write_knees(tmp_path / "raw")
    lines = [f"sqr/{part}/{name}.png,patient {name[1:3]}" for part in PARTS for name in PARTS[part]]
    (tmp_path / "who.csv").write_text("\n".join(["id,subject", *lines]))
    for rule, wanted in (("(P[0-9]+)_", "P{}"), (tmp_path / "who.csv", "patient {}")):
        out, truth = tmp_path / f"data-{len(str(rule))}", tmp_path / f"truth-{len(str(rule))}"
        ran = build(raw, "--out", out, *QUICK, "--subjects", rule, command="knee-us")
        assert ran.status == 0 and "different folds" not in ran.err
        assert {row["subject"] for row in table(out / "cases.csv")} == {wanted.format(f"0{i}") for i in range(1, 6)}
        assert build(raw, "--test", "--out", truth, "--subjects", rule, command="knee-us").status == 0
        assert [case.subject for case in read_truth_set(truth).cases] == [
            wanted.format(number) for number in ("06", "08", "06", "07")
        ]
    ran = build(raw, "--out", tmp_path / "d", *QUICK, "--subjects", "(Q[0-9]+)", command="knee-us")
    assert ran.status == 2 and "must capture its subject" in ran.error


def test_subjects_that_are_settled_are_not_asked_for(tmp_path):
    for options in ((), ("--test",)):
        ran = build(tmp_path, "--out", tmp_path / "d", *options, "--subjects", "(a)", command="zhanglab")
        assert ran.status == 2 and "--subjects must be left out for zhanglab" in ran.error


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ("0 0.5 0.5 0.5", 1),
        ("0 0.5 0.5 0.5 0.5 0.5 0.5", 1),
        ("0 0.5 0.5 0.5 wide", 1),
        ("knee 0.5 0.5 0.5 0.5", 1),
        ("-1 0.5 0.5 0.5 0.5", 1),
        ("0 128 128 64 64", 1),
        ("0 0.5 0.5 0 0.5", 1),
        ("0 0.5 0.5 nan 0.5", 1),
        ("0 0.5 0.5 0.5 0.5 1.5", 1),
        ("0 -0.1 0.5 0.5 0.5", 1),
        ("0 0.5 0.5 0.5 0.5\n\n0,0.5,0.5,0.5,0.5", 3),
    ],
)
@pytest.mark.parametrize("options", [(), ("--test",)])
def test_a_malformed_line_is_named(tmp_path, line, number, options):
    raw = write_knees(tmp_path / "raw")
    path = raw / "sqr/boxes" / ("P07_a.txt" if options else "P05_a.txt")
    path.write_text(line)
    ran = build(raw, "--out", tmp_path / "data", *options, command="knee-us")
    assert ran.status == 2 and f"{path}: line {number} must be" in ran.error and not (tmp_path / "data").exists()


def test_a_file_of_boxes_that_is_no_text_is_named(tmp_path):
    raw = write_knees(tmp_path / "raw")
    (raw / "sqr/boxes/P03_a.txt").write_bytes(b"\xff\xfe0\x00")
    ran = build(raw, "--out", tmp_path / "data", command="knee-us")
    assert ran.status == 2 and "P03_a.txt: must be a readable text file of boxes" in ran.error


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("boxes/P01_a.txt", (), "P01_a.txt: is a link that leads out"),
        ("boxes/P07_a.txt", ("--test",), "P07_a.txt: is a link that leads out"),
        ("ground_truth/distended/P06_x.png", ("--test",), "the mask of sqr/test/distended/P06_x.png is missing"),
    ],
)
def test_links_that_lead_out_are_not_followed(tmp_path, name, options, message):
    raw = write_knees(tmp_path / "raw")
    path = raw / "sqr" / name
    path.rename(tmp_path / path.name)
    path.symlink_to(tmp_path / path.name)
    ran = build(raw, "--out", tmp_path / "data", *options, command="knee-us")
    assert ran.status == 2 and message in ran.error


@pytest.mark.parametrize(
    ("gone", "options"),
    [
        ("sqr", ()),
        ("sqr/boxes", ()),
        ("sqr/train/nd", ()),
        ("sqr/valid/nd", ()),
        ("sqr/boxes", ("--test",)),
        ("sqr/test/nd", ("--test",)),
        ("sqr/test/distended", ("--test",)),
        ("sqr/ground_truth/distended", ("--test",)),
    ],
)
def test_a_missing_folder_is_named(tmp_path, gone, options):
    raw = write_knees(tmp_path / "raw")
    (raw / gone).rename(tmp_path / "elsewhere")
    ran = build(raw, "--out", tmp_path / "data", *options, command="knee-us")
    assert ran.status == 2 and f"{raw / gone}: this folder of the data set is missing" in ran.error


def test_a_missing_mask_is_named(tmp_path):
    raw = write_knees(tmp_path / "raw")
    (raw / "sqr/ground_truth/distended/P08_x.png").unlink()
    ran = build(raw, "--test", "--out", tmp_path / "truth", command="knee-us")
    assert ran.status == 2 and "distended/P08_x.png: the mask of sqr/test/distended/P08_x.png is missing" in ran.error


def test_boxes_are_cut_off_at_the_edge_and_ordered_by_confidence(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("0 0.125 0 0.5 1\n1 0.5 0.5 1 1 0\n2 0.5 0.5 0.5 0.5 0.25\n")
    assert read_boxes(path) == [
        Box(corners=(0.25, 0.25, 0.75, 0.75), confidence=0.25),
        Box(corners=(0, 0, 1, 1), confidence=0),
        Box(corners=(0, 0, 0.375, 0.5), confidence=None),
    ]


def test_cases_without_columns_keep_their_json_and_need_no_table(tmp_path):
    image = Files(id="a", format="picture", files=(InputFile(path="a.png", bytes=1, mtime_ns=2),))
    plain = Case(id="a", subject="a", images=(image,))
    assert list(plain.to_json()) == ["id", "subject", "images", "mask", "problem"]
    told = Case(id="a", subject="a", images=(image,), columns={"box": "0 0 1 1"})
    for case in (plain, told):
        assert Case.from_json(json.loads(json.dumps(case.to_json()))) == case
    out = tmp_path / "data"
    assert build(write_pictures(tmp_path / "raw"), "--out", out, *QUICK[2:]).status == 0
    assert not (out / "cases.csv").exists() and check(out) == []


def test_a_folder_of_scans_with_a_table_of_cases_is_no_data_set(tmp_path):
    (write_pictures(tmp_path / "raw", 1) / "cases.csv").write_text("id,age\n")
    assert not is_dataset(tmp_path / "raw")
    (tmp_path / "raw/skipped.csv").write_text("id\n")
    assert is_dataset(tmp_path / "raw")
