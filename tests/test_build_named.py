"""Data sets known by name: raw trees in their original layout, the whole way, with known answers."""

import csv
import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import nibabel
import numpy as np
import pytest
from building import COMMAND, build, shards, smooth
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid
from synthanom_builders import imagenet
from synthanom_builders.named import NAMES, named
from synthanom_builders.settings import BuildSettings

from synthanom.manifest import read_manifest
from synthanom.replaying import check_replay
from synthanom.shards import DataSet, check
from synthanom.truth_set import read_truth_set
from synthanom.volumes import read, read_mask
from synthanom.volumes.volume import make_volume

QUICK = ("--variants", 1, "--workers", 1, "--tasks", "sink,smooth_intensity")
PATIENTS = ("IM-0115", "IM-0117", "NORMAL2-IM-0383", "NORMAL2-IM-0385", "IM-0119")


def write_zhanglab(root, base="chest_xray/train/NORMAL"):
    """Seven healthy radiographs of five children, others that are none of ours, and what unpacking on a Mac leaves."""
    place = root / base
    place.mkdir(parents=True)
    names = [f"{patient}-0001.jpeg" for patient in PATIENTS] + ["IM-0115-0002.jpeg", "NORMAL2-IM-0383-0001-0002.jpeg"]
    for i, name in enumerate(names):
        Image.fromarray(smooth((40 + 2 * i, 52), i).astype(np.uint8)).save(place / name, quality=95)
    (place / ".DS_Store").write_bytes(b"x")
    sick, test = place.parent / "PNEUMONIA", place.parent.parent / "test" / "NORMAL"
    for folder, name in ((sick, "person1_bacteria_1.jpeg"), (test, "IM-0001-0001.jpeg")):
        folder.mkdir(parents=True)
        Image.fromarray(smooth((40, 52), 99).astype(np.uint8)).save(folder / name)
    return root


def write_mood(root, part, count=6):
    """Volumes in [0, 1] of a body in faintly noisy air, a dark hole in its middle, affines as MOOD has them."""
    place = root / part
    place.mkdir(parents=True)
    grid = np.indices((64, 64, 64)) - 31.5
    distance = np.sqrt((grid**2).sum(axis=0))
    for i in range(count):
        rng = np.random.default_rng(i)
        body = 0.2 + 0.5 * smooth((64, 64, 64), i) / 200
        values = np.where(distance < 24 + i % 2, body, rng.uniform(0, 0.02, distance.shape))
        values[distance < 5] = 0.0
        nibabel.save(nibabel.Nifti1Image(values.astype(np.float32), np.diag([1, 1, 1, 1])), place / f"{i:05}.nii.gz")
    return root


@pytest.mark.parametrize("base", ["chest_xray/train/NORMAL", "train/normal"])
def test_zhanglab(tmp_path, base):
    raw = write_zhanglab(tmp_path / "raw", base)
    out = tmp_path / "data"
    ran = build(raw, "--out", out, "--shape", "48,48", *QUICK, command="zhanglab")
    assert ran.status == 0 and "5 patients" in ran.err
    assert check(out) == [] and check_replay(out).problems == ()
    manifest = read_manifest(out)
    assert manifest.counts == {"healthy": 7, "anomalies": 14} and set(manifest.folds) == set(PATIENTS)
    assert [step["name"] for step in manifest.preprocessing["steps"]] == [
        "resize-picture",
        "foreground",
        "minus-one-one",
    ]
    with DataSet.open(out) as data:
        assert data.healthy_ids[0] == f"{base}/IM-0115-0001" and data.healthy_subjects[1] == "IM-0115"
        image = data.healthy(0)
        assert image.shape == (48, 48) and image.foreground.all()
        assert image.image.min() == -1 and image.image.max() == 1
    again = build(raw, "--out", out, "--shape", "48,48", *QUICK, command="zhanglab")
    assert again.status == 0 and "finished already" in again.out
    other = build(raw, "--out", out, "--shape", "48,48", *QUICK)
    assert other.status == 2 and "was built from something else" in other.error


def test_mood(tmp_path):
    raw = write_mood(tmp_path / "raw", "brain/brain_train")
    out = tmp_path / "data"
    assert build(raw, "--out", out, "--shape", "16,16,16", *QUICK, command="mood-brain").status == 0
    assert check(out) == []
    with DataSet.open(out) as data:
        assert data.healthy_ids[0] == "brain/brain_train/00000" and len(data.healthy_subjects) == 6
        sample = data.healthy(0)
    assert sample.spacing == (4.0, 4.0, 4.0)
    inside = np.sqrt(((np.indices((16, 16, 16)) - 7.5) ** 2).sum(axis=0))
    assert sample.foreground[inside < 5].all() and not sample.foreground[inside > 7.5].any()
    values = sample.image[0][sample.foreground].astype(float)
    assert abs(values.mean()) < 1e-5 and values.std() == pytest.approx(1, abs=1e-5)
    # voxel 0 of the small volume lies between voxels 1 and 2 of the large one
    np.testing.assert_allclose((sample.affine @ [0, 0, 0, 1])[:3], [1.5] * 3)


def test_abdomens_serve_as_donors(tmp_path):
    donors, brains = write_mood(tmp_path / "raw", "abdom_train"), write_mood(tmp_path / "raw2", "brain_train")
    small = ("--shape", "16,16,16", "--variants", 1, "--workers", 1)
    assert build(donors, "--out", tmp_path / "d", *small, "--tasks", "sink", command="mood-abdomen").status == 0
    ran = build(
        brains,
        "--out",
        tmp_path / "b",
        *small,
        "--tasks",
        "inter_blend",
        "--donors",
        tmp_path / "d",
        command="mood-brain",
    )
    assert ran.status == 0
    with DataSet.open(tmp_path / "b") as data:
        recipe = json.loads(data.anomaly("inter_blend", 0).recipe)
    assert recipe["anomalies"][0]["donor"]["id"].startswith("abdom_train/")


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_folder_is_named_before_any_work(tmp_path, name):
    (tmp_path / "raw").mkdir()
    data_set = named(name)
    assert len(data_set.shape) in (2, 3)
    for options, lister in (((), data_set.list_cases), (("--test",), data_set.list_known)):
        ran = build(tmp_path / "raw", "--out", tmp_path / "data", *options, command=name)
        message = "is missing; " if lister is not None else "--test"
        assert ran.status == 2 and message in ran.error and not (tmp_path / "data").exists()
        assert lister is None or str(tmp_path / "raw") in ran.error


@pytest.mark.parametrize("name", [*NAMES, "folder"])
def test_raw_data_that_are_no_folder_are_refused(tmp_path, name):
    (tmp_path / "file").write_text("x")
    data_set = None if name == "folder" else named(name)
    for options, known in (
        ((), not data_set or data_set.list_cases),
        (("--test",), not data_set or data_set.list_known),
    ):
        for raw, what in (("nowhere", "does not exist"), ("file", "is a file, not a folder")):
            ran = build(tmp_path / raw, "--out", tmp_path / "data", *options, command=name)
            assert ran.status == 2 and (what if known else "--test") in ran.error
            assert not (tmp_path / "data").exists()


def test_workers_and_names_do_not_change_the_bytes(tmp_path):
    raw = write_zhanglab(tmp_path / "raw")
    for out, workers in (("one", 1), ("two", 2)):
        options = ("--shape", "32,32", "--variants", 1, "--tasks", "sink", "--workers", workers)
        assert build(raw, "--out", tmp_path / out, *options, command="zhanglab").status == 0
    assert shards(tmp_path / "one") == shards(tmp_path / "two")


def write_radiograph(path, seed, *, inverted=False, window=None):
    """A radiograph as VinDr-CXR has them: no preamble left out, no patient, 14 bits stored."""
    values = (smooth((60, 52), seed) * 40).astype(np.uint16)
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID = DigitalXRayImageStorageForPresentation
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID = generate_uid()
    image.PatientSex, image.PatientAge = "O", ""
    image.Rows, image.Columns = values.shape
    image.SamplesPerPixel, image.PixelRepresentation = 1, 0
    image.PhotometricInterpretation = "MONOCHROME1" if inverted else "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit = 16, 14, 13
    if window is not None:
        image.WindowCenter, image.WindowWidth = window
    image.PixelData = (2**14 - 1 - values if inverted else values).tobytes()
    image.save_as(path, enforce_file_format=True)


def write_vindr(root, table="annotations/annotations_train.csv"):
    """Twelve radiographs: ids f00 to f08 unanimously healthy, the others not, one of them read by two only."""
    (root / "train").mkdir(parents=True)
    (root / table).parent.mkdir(parents=True, exist_ok=True)
    lines = ["image_id,rad_id,class_name,x_min,y_min,x_max,y_max"]
    for i in range(12):
        name = f"f{i:02}"
        write_radiograph(root / "train" / f"{name}.dicom", i, inverted=i == 1, window=None if i != 2 else (4000, 3000))
        for reader in ("R8", "R9", "R10")[: 2 if i == 11 else 3]:
            sick = i == 9 or (i == 10 and reader == "R9")
            lines.append(f"{name},{reader}," + ("Cardiomegaly,3.5,4,20,22" if sick else "No finding,,,,"))
    (root / table).write_text("\ufeff" + "\r\n".join(lines) + "\r\n", encoding="utf-8")
    return root


@pytest.mark.parametrize("table", ["annotations/annotations_train.csv", "train.csv"])
def test_vindr(tmp_path, table):
    raw = write_vindr(tmp_path / "raw", table)
    out = tmp_path / "data"
    ran = build(raw, "--out", out, "--shape", "32,32", *QUICK, command="vindr-cxr")
    assert ran.status == 0 and "found nothing: 9" in ran.err
    assert check(out) == []
    with DataSet.open(out) as data:
        assert data.healthy_subjects == tuple(f"f{i:02}" for i in range(9))
        images = [data.healthy(i) for i in range(3)]
        names = [step["name"] for step in data.manifest.preprocessing["steps"]]
    assert names == ["resize-picture", "equalise-histogram", "minus-one-one", "resize-picture", "foreground"]
    for i, image in enumerate(images):
        values = smooth((60, 52), i).astype(np.float64) * 40
        if i == 2:  # as the window shows it
            values = np.clip(np.floor(values), 2500.5, 5499)
        small = pipeline_of_vindr(values)
        # inverted or not, the picture is the same; but for the edge of a window
        assert np.abs(image.image[0] - small).max() < 0.06, i
        assert image.image.min() >= -1.0001 and image.image.max() <= 1.0001


def pipeline_of_vindr(values):
    volume = make_volume(values.astype(np.uint16), Path("x"), kind="picture")
    return named("vindr-cxr").pipeline(BuildSettings(), (32, 32)).prepare(volume).image[0]


def test_a_split_names_the_radiographs_and_stand_ins_are_taken_in_order(tmp_path):
    raw = write_vindr(tmp_path / "raw")
    split = tmp_path / "data.json"
    content = {
        "train": {"0": ["f08.png", "f09.png", "f10.png", "f03.png", "f05.png"], "unlabeled": {}},
        "test": {"0": ["f00.png"], "1": ["f11.png"]},
    }
    split.write_text(json.dumps(content))
    out = tmp_path / "data"
    options = (
        "--shape",
        "32,32",
        "--variants",
        1,
        "--workers",
        1,
        "--tasks",
        "sink",
        "--split",
        "ddad",
        "--split-file",
        split,
    )
    ran = build(raw, "--out", out, *options, command="vindr-cxr")
    assert ran.status == 0 and "5, 2 of them in place of others" in ran.err
    with DataSet.open(out) as data:
        assert data.healthy_subjects == ("f01", "f02", "f03", "f05", "f08"), "f00 is the split's to test"
    split.write_text(json.dumps({**content, "train": {"0": ["f03.png", "f05.png"]}}))
    changed = build(raw, "--out", out, *options, command="vindr-cxr")
    assert changed.status == 2 and "split was" in changed.error


def write_vindr_test(root):
    """Three radiographs of the test part: one healthy, one with two boxes, one with a box that leaves the image."""
    (root / "test").mkdir(parents=True)
    (root / "annotations").mkdir(exist_ok=True)
    for i, name in enumerate(("a", "b", "c")):
        write_radiograph(root / "test" / f"{name}.dicom", 20 + i)
    (root / "annotations/annotations_test.csv").write_text(
        "image_id,class_name,x_min,y_min,x_max,y_max\n"
        "b,Cardiomegaly,3.5,4,20,22\na,No finding,,,,\nb,Aortic enlargement,30,40.25,33.5,41\n"
        "c,Nodule/Mass,45,-3,99,5\n"
    )
    return root


def test_the_test_part_of_vindr_has_boxes_as_masks(tmp_path):
    raw, out = write_vindr_test(tmp_path / "raw"), tmp_path / "truth"
    ran = build(raw, "--test", "--out", out, "--workers", 1, command="vindr-cxr")
    assert ran.status == 0 and "3 scans to test on (2 anomalous, 1 healthy, 2 masks)" in ran.out
    healthy, sick, leaving = read_truth_set(out).cases
    assert (healthy.id, healthy.anomalous, healthy.mask, healthy.kind) == ("test/a", False, None, "")
    assert sick.subject == "b" and sick.anomalous and sick.kind == "Aortic enlargement; Cardiomegaly"
    assert read(sick.images[0]).image.shape == (1, 60, 52)
    expected = np.zeros((60, 52), bool)
    expected[4:22, 3:20] = expected[40:41, 30:34] = True
    np.testing.assert_array_equal(read_mask(sick.mask)[0], expected)
    expected[:] = False
    expected[:5, 45:] = True
    np.testing.assert_array_equal(read_mask(leaving.mask)[0], expected)


def test_a_split_names_what_to_test_on_and_stand_ins_come_from_the_end(tmp_path):
    raw, split = write_vindr(tmp_path / "raw"), tmp_path / "data.json"
    content = {
        "train": {"0": ["f08.png", "f10.png", "f03.png"]},
        "test": {"0": ["f00.png", "f11.png"], "1": ["f09.png"]},
    }
    split.write_text(json.dumps(content))
    options = ("--split", "ddad", "--split-file", split, "--workers", 1)
    ran = build(raw, "--test", "--out", tmp_path / "t", *options, command="vindr-cxr")
    assert ran.status == 0 and "3, 1 healthy ones in place of others" in ran.err
    cases = read_truth_set(tmp_path / "t").cases
    # f10 of the training part is replaced by f01, f11 of the test part by f07
    assert [(case.subject, case.anomalous) for case in cases] == [("f00", False), ("f07", False), ("f09", True)]
    mask = read_mask(cases[2].mask)[0]
    assert mask[4:22, 3:20].all() and mask.sum() == 18 * 17
    trained = named("vindr-cxr").list_cases(raw, tmp_path, BuildSettings(split=split)).cases
    assert [case.subject for case in trained] == ["f01", "f03", "f08"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("b,Nodule/Mass,1,2,x,4\n", "line 2 must give a finding's box as four numbers"),
        ("b,Nodule/Mass,,,,\n", "line 2 must give a finding's box as four numbers"),
        ("b,Nodule/Mass,9,2,3,4\n", "x_min < x_max"),
        ("b,Nodule/Mass,1,2,nan,4\n", "x_min < x_max"),
        ("../x,Nodule/Mass,1,2,3,4\n", "a table must name files there"),
        ("d,Nodule/Mass,1,2,3,4\n", "d.dicom: this image is missing"),
    ],
)
def test_boxes_that_are_none_are_refused(tmp_path, rows, message):
    raw = write_vindr_test(tmp_path / "raw")
    (raw / "annotations/annotations_test.csv").write_text("image_id,class_name,x_min,y_min,x_max,y_max\n" + rows)
    ran = build(raw, "--test", "--out", tmp_path / "t", "--workers", 1, command="vindr-cxr")
    assert ran.status == 2 and message in ran.error and not (tmp_path / "t").exists()


def test_boxes_outside_of_their_image_leave_it_out(tmp_path):
    raw = write_vindr_test(tmp_path / "raw")
    with (raw / "annotations/annotations_test.csv").open("a") as file:
        file.write("a,Nodule/Mass,80,2,90,9\n")
    ran = build(raw, "--test", "--out", tmp_path / "t", "--workers", 1, command="vindr-cxr")
    assert ran.status == 3 and "skipped test/a.dicom: none of its boxes lies in the image" in ran.err
    assert [case.id for case in read_truth_set(tmp_path / "t").cases] == ["test/b", "test/c"]
    with (tmp_path / "t/skipped.csv").open(newline="") as file:
        ((_, reason),) = [tuple(row.values()) for row in csv.DictReader(file)]
    assert "none of its boxes lies in the image" in reason


def test_a_dry_run_counts_the_masks_that_it_would_draw(tmp_path):
    raw = write_vindr_test(tmp_path / "raw")
    ran = build(raw, "--test", "--out", tmp_path / "t", "--dry-run", command="vindr-cxr")
    assert "3 scans to test on (2 anomalous, 1 healthy, 2 masks)" in ran.out and not (tmp_path / "t").exists()


def test_an_earlier_list_stays_until_the_new_one_is_whole(tmp_path):
    raw, out = write_vindr_test(tmp_path / "raw"), tmp_path / "t"
    options = ("--test", "--out", out, "--workers", 1)
    assert build(raw, *options, command="vindr-cxr").status == 0
    before = {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert {str(path) for path in before} == {
        "truth.json", "truth.csv", "skipped.csv", "masks/test/b.png", "masks/test/c.png",
    }  # fmt: skip
    table = raw / "annotations/annotations_test.csv"
    kept = table.read_text()
    lines = kept.splitlines()
    table.write_text(f"{lines[0]}\nb,Nodule/Mass,800,2,900,9\n")  # nothing can be drawn
    ran = build(raw, *options, command="vindr-cxr")
    assert ran.status == 2 and "no scan of the test part can be used" in ran.error
    assert {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    # as a kill leaves it while the parts are exchanged
    (out / ".truth-abc").mkdir()
    (out / ".truth-abc/truth.csv").write_text("x")
    for name in ("truth.json", "truth.csv"):
        (out / name).unlink()
    table.write_text("\n".join([*lines[:2], ""]))
    assert build(raw, *options, command="vindr-cxr").status == 0
    found = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    assert found == ["masks/test/b.png", "skipped.csv", "truth.csv", "truth.json"]
    (out / "truth.json").unlink()  # and what is not known to be ours is not touched
    ran = build(raw, *options, command="vindr-cxr")
    assert ran.status == 2 and "got no truth.json" in ran.error and (out / "masks/test/b.png").exists()


def test_killed_while_drawing_the_same_command_finishes(tmp_path):
    """Real processes, killed at ten moments; an earlier list is whole until the end."""
    raw, out = write_vindr_test(tmp_path / "raw"), tmp_path / "t"
    table = raw / "annotations/annotations_test.csv"
    for i in range(40):
        write_radiograph(raw / "test" / f"k{i:02}.dicom", i)
    with table.open("a") as file:
        file.writelines(f"k{i:02},Nodule/Mass,3,4,{10 + i},30\n" for i in range(40))
    command = [*COMMAND, "vindr-cxr", raw, "--test", "--out", out, "--workers", "2"]
    moments, kills = random.Random(3), 0
    for _ in range(10):
        process = subprocess.Popen(
            [*map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        time.sleep(0.8 + moments.random() * 1.2)
        kills += process.poll() is None
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if (out / "truth.json").exists():
            assert len(read_truth_set(out).cases) == 43
    assert build(raw, "--test", "--out", out, "--workers", 1, command="vindr-cxr").status == 0
    assert kills and len(list(out.rglob("*.png"))) == 42 and not list(out.glob(".*"))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda raw: (raw / "annotations/annotations_train.csv").unlink(), "table of annotations is missing"),
        (lambda raw: (raw / "annotations/annotations_train.csv").write_text("a,b\n1,2\n"), "must have the columns"),
        (lambda raw: (raw / "train/f04.dicom").unlink(), "f04.dicom: this image is missing"),
        (lambda raw: (raw / "annotations/annotations_train.csv").write_bytes(b"\xff\xfe\x00image"), "must be"),
        (
            lambda raw: (raw / "annotations/annotations_train.csv").write_text(
                "image_id,rad_id,class_name\n" + "".join(f"../out,R{i},No finding\n" for i in range(3))
            ),
            "a table must name files there",
        ),
    ],
)
def test_what_is_missing_of_vindr_is_named(tmp_path, spoil, message):
    raw = write_vindr(tmp_path / "raw")
    spoil(raw)
    ran = build(raw, "--out", tmp_path / "data", *QUICK, command="vindr-cxr")
    assert ran.status == 2 and message in ran.error and not (tmp_path / "data").exists()


def test_splits_that_are_none_are_refused(tmp_path):
    raw, split = write_vindr(tmp_path / "raw"), tmp_path / "split.json"
    for text, message in (
        ("{}", "train/0 and test/0"),
        ("[1", "train/0 and test/0"),
        (json.dumps({"train": {"0": [f"x{i}.png" for i in range(40)]}, "test": {"0": []}}), "is it the split"),
    ):
        split.write_text(text)
        ran = build(raw, "--out", tmp_path / "data", "--split-file", split, command="vindr-cxr")
        assert ran.status == 2 and message in ran.error
    assert build(raw, "--out", tmp_path / "d", "--split-file", tmp_path / "no", command="vindr-cxr").status == 2
    for wrong in (("--split", "ddad"), ("--split", "mine", "--split-file", split)):
        ran = build(raw, "--out", tmp_path / "d", *wrong, command="vindr-cxr")
        assert ran.status == 2 and "--split" in ran.error
    ran = build(write_zhanglab(tmp_path / "z"), "--out", tmp_path / "d", "--split-file", split, command="zhanglab")
    assert ran.status == 2 and "a data set that has one" in ran.error


def write_imagenet(root, classes=3, each=4):
    """Colour photographs of different sizes in a folder for each class, one of them cut off, and a link out."""
    for c in range(classes):
        place = root / "ILSVRC/Data/CLS-LOC/train" / f"n{c:08}"
        place.mkdir(parents=True)
        for i in range(each):
            channels = [smooth((30 + 3 * i, 40), 10 * c + i + 100 * k) for k in range(3)]
            picture = Image.fromarray(np.stack(channels, axis=-1).astype(np.uint8))
            picture.save(place / f"n{c:08}_{i}.JPEG", quality=95)
    whole = (root / "ILSVRC/Data/CLS-LOC/train/n00000000/n00000000_1.JPEG").read_bytes()
    (root / "ILSVRC/Data/CLS-LOC/train/n00000000/broken.JPEG").write_bytes(whole[:300])
    (root / "secret.JPEG").write_bytes(b"x")
    (root / "ILSVRC/Data/CLS-LOC/train/n00000001/link.JPEG").symlink_to(root / "secret.JPEG")
    return root


def test_imagenet(tmp_path, monkeypatch):
    raw, out = write_imagenet(tmp_path / "raw"), tmp_path / "data"
    ran = build(raw, "--out", out, "--shape", "24,24", *QUICK, command="imagenet")
    assert ran.status == 3 and "13 of 13" in ran.err and "broken.JPEG" in ran.err
    assert check(out) == []
    with DataSet.open(out) as data:
        assert len(data.healthy_ids) == 12 and data.healthy_ids[0].endswith("n00000000/n00000000_0.JPEG")
        image = data.healthy(0)
    assert image.image.min() >= -1.0001 and image.image.max() <= 1.0001 and image.foreground.all()
    values = np.sort(image.image.ravel())
    assert np.abs(values - np.linspace(-1, 1, values.size)).max() < 0.25, "equalised"
    monkeypatch.setattr(imagenet, "COUNT", 5)
    few = imagenet.list_cases(raw, out, BuildSettings())
    again = imagenet.list_cases(raw, out, BuildSettings())
    assert few == again and len(few.cases) == 5 and "5 of 13" in few.notes[0]
