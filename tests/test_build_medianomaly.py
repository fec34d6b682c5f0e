"""MedIAnomaly: a raw tree of each layout, the whole way, and what is missing or leads out of it."""

import json

import numpy as np
import pytest
from building import build, smooth
from PIL import Image

from synthanom.manifest import read_manifest
from synthanom.shards import DataSet, check
from synthanom.truth_set import read_truth_set
from synthanom.volumes import read, read_mask

QUICK = ("--shape", "24,24", "--variants", 1, "--workers", 1, "--tasks", "sink,smooth_intensity")
CLASSES = ("MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC")


def picture(path, seed, shape=(30, 34), *, colour=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    values = smooth(shape, seed) if not colour else np.stack([smooth(shape, seed + 1000 * k) for k in range(3)], -1)
    Image.fromarray(values.astype(np.uint8)).save(path)


def write_listed(root, names=tuple(f"{i:04}.png" for i in range(6))):
    """Six healthy training images, others for testing, and one that no list names."""
    for i, name in enumerate((*names, "test-0.png", "test-1.jpg", "unlisted.png")):
        picture(root / "images" / name, i)
    content = {"train": {"0": list(names)}, "test": {"0": ["test-0.png"], "1": ["test-1.jpg"]}}
    (root / "data.json").write_text(json.dumps(content))
    return root


def write_isic(root, groupings=None):
    """Six naevi of five lesions and two melanomas to train on; a naevus, a melanoma and a keratosis to test on."""
    for part, first, kinds in (
        ("Training", 24306, ("NV", "NV", "MEL", "NV", "NV", "VASC", "NV", "NV")),
        ("Test", 34524, ("BKL", "NV", "MEL")),
    ):
        rows = [",".join(("image", *CLASSES))]
        for i, kind in enumerate(kinds):
            name = f"ISIC_{first + i:07}"
            picture(root / f"ISIC2018_Task3_{part}_Input" / f"{name}.jpg", first + i, colour=True)
            rows.append(",".join((name, *("1.0" if label == kind else "0.0" for label in CLASSES))))
        (root / f"ISIC2018_Task3_{part}_Input" / "LICENSE.txt").write_text("CC BY-NC")
        place = root / f"ISIC2018_Task3_{part}_GroundTruth"
        place.mkdir()
        (place / f"ISIC2018_Task3_{part}_GroundTruth.csv").write_text("\n".join(rows) + "\n")
    if groupings is not None:
        lines = ["image,lesion_id,diagnosis_confirm_type"]
        lines += [f"ISIC_{24306 + i:07},HAM_{0 if i < 2 else i:07},histopathology" for i in range(7)]
        (root / groupings / "ISIC2018_Task3_Training_LesionGroupings.csv").write_text("\r\n".join(lines) + "\r\n")
    return root


def write_camelyon(root, ungood="Ungood"):
    for place, count in (("train/good", 5), ("test/good", 2), (f"test/{ungood}", 3)):
        for i in range(count):
            picture(root / place / f"{place.replace('/', '_')}_{i}.png", i + len(place), (30, 30), colour=True)
    return root


def write_brats(root, annotation="{patient}_seg_{number}"):
    """Five healthy slices of four patients, and two with a tumour."""
    for i, (patient, number) in enumerate(((0, 60), (0, 61), (2, 60), (3, 70), (5, 80))):
        picture(root / "train" / f"BraTS2021_{patient:05}_flair_{number}.png", i, (30, 30))
    picture(root / "test/normal/BraTS2021_00011_flair_60.png", 10, (30, 30))
    for i, number in ((12, 60), (14, 88)):
        patient = f"BraTS2021_{i:05}"
        picture(root / "test/tumor" / f"{patient}_flair_{number}.png", i, (30, 30))
        mask = np.zeros((30, 30), np.uint8)
        mask[i : i + 5, 3:9] = 255
        path = root / "test/annotation" / f"{annotation.format(patient=patient, number=number)}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(mask).save(path)
    return root


def test_a_list_names_the_training_images(tmp_path):
    raw, out = write_listed(tmp_path / "raw"), tmp_path / "data"
    assert build(raw, "--out", out, *QUICK, command="medianomaly").status == 0
    assert check(out) == []
    with DataSet.open(out) as data:
        assert data.healthy_ids == data.healthy_subjects == tuple(f"images/{i:04}.png" for i in range(6))
        assert data.healthy(3).image.min() == -1


def test_a_list_names_the_test_images(tmp_path):
    raw, out = write_listed(tmp_path / "raw"), tmp_path / "truth"
    assert build(raw, "--test", "--out", out, command="medianomaly").status == 0
    cases = read_truth_set(out).cases
    assert [(case.id, case.anomalous, case.kind, case.mask) for case in cases] == [
        ("images/test-0.png", False, "", None),
        ("images/test-1.jpg", True, "", None),
    ]
    np.testing.assert_array_equal(read(cases[0].images[0]).image[0], smooth((30, 34), 6).astype(np.uint8))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "data.json: this part of RSNA, VinCXR, BrainTumor, LAG is missing"),
        ("[]", "train/0"),
        ('{"train": {"0": 3}}', "train/0"),
        ('{"train": {"0": []}}', "at least one image"),
        ('{"train": {"0": ["0000.png", "../secret.png"]}}', "in 'images' only"),
        ('{"train": {"0": ["..", "0000.png"]}}', "in 'images' only"),
        ('{"train": {"0": ["", "0000.png"]}}', "in 'images' only"),
        ('{"train": {"0": ["/etc/passwd"]}}', "in 'images' only"),
        ('{"train": {"0": ["0000.png", "none.png"]}}', "none.png: this image of data.json is missing"),
    ],
)
def test_lists_that_lead_nowhere_or_out_are_refused(tmp_path, content, message):
    raw = write_listed(tmp_path / "raw")
    (raw / "secret.png").write_bytes(b"x")
    (raw / "data.json").unlink() if content is None else (raw / "data.json").write_text(content)
    ran = build(raw, "--out", tmp_path / "data", *QUICK, command="medianomaly")
    assert ran.status == 2 and message in ran.error and not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("test", "message"),
    [
        ({"0": ["test-0.png"]}, "under test/1"),
        ({"0": ["test-0.png"], "1": []}, "at least one image under test/1"),
        ({"0": ["test-0.png"], "1": ["../secret.png"]}, "in 'images' only"),
        ({"0": ["test-0.png", "0000.png"], "1": ["0000.png"]}, "images/0000.png under test/0 or test/1, got both"),
    ],
)
def test_lists_of_test_images_are_looked_at_as_closely(tmp_path, test, message):
    raw = write_listed(tmp_path / "raw")
    (raw / "secret.png").write_bytes(b"x")
    (raw / "data.json").write_text(json.dumps({"train": {"0": ["0000.png"]}, "test": test}))
    ran = build(raw, "--test", "--out", tmp_path / "truth", command="medianomaly")
    assert ran.status == 2 and message in ran.error and not (tmp_path / "truth").exists()


def test_colour_becomes_grey(tmp_path):
    raw = write_listed(tmp_path / "raw")
    colour = np.stack([smooth((30, 34), k) for k in range(3)], axis=-1).astype(np.uint8)
    Image.fromarray(colour).save(raw / "images" / "0000.png")
    options = ("--shape", "30,34", *QUICK[2:])
    assert build(raw, "--out", tmp_path / "data", *options, command="medianomaly").status == 0
    grey = colour @ np.array([0.299, 0.587, 0.114])
    expected = 2 * (grey - grey.min()) / np.ptp(grey) - 1
    with DataSet.open(tmp_path / "data") as data:
        np.testing.assert_allclose(data.healthy(0).image[0], expected, atol=0.02)


@pytest.mark.parametrize("groupings", [None, "", "ISIC2018_Task3_Training_GroundTruth"])
def test_naevi_are_healthy(tmp_path, groupings):
    raw, out = write_isic(tmp_path / "raw", groupings), tmp_path / "data"
    assert build(raw, "--out", out, *QUICK, command="medianomaly").status == 0
    assert check(out) == []
    naevi = [f"ISIC_{24306 + i:07}" for i in (0, 1, 3, 4, 6, 7)]
    lesions = ["HAM_0000000", "HAM_0000000", "HAM_0000003", "HAM_0000004", "HAM_0000006", naevi[-1]]
    with DataSet.open(out) as data:
        assert data.healthy_ids == tuple(f"ISIC2018_Task3_Training_Input/{name}" for name in naevi)
        assert data.healthy_subjects == tuple(naevi if groupings is None else lesions)
        assert data.channels == 1


def test_other_lesions_are_anomalous(tmp_path):
    raw, out = write_isic(tmp_path / "raw"), tmp_path / "truth"
    ran = build(raw, "--test", "--out", out, command="medianomaly")
    assert ran.status == 0 and "1 naevi, 2 others" in ran.err
    cases = read_truth_set(out).cases
    assert [(case.subject, case.anomalous, case.kind) for case in cases] == [
        ("ISIC_0034524", True, "BKL"),
        ("ISIC_0034525", False, ""),
        ("ISIC_0034526", True, "MEL"),
    ]
    assert [case.images[0].path.name for case in cases] == [f"ISIC_{34524 + i:07}.jpg" for i in range(3)]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (",BKL,", ",BKLX,", "must have the columns image, MEL, NV, BCC, AKIEC, BKL, DF, VASC, got no BKL"),
        ("ISIC_0024306,0.0", "ISIC_0024306,1.0", "ISIC_0024306 must have 1 for exactly one class"),
        ("ISIC_0024306,0.0", "ISIC_0024306,none", "ISIC_0024306 must have 1 for exactly one class"),
        ("ISIC_0024306,0.0", "../ISIC_0024306,0.0", "a table must name files there"),
        ("ISIC_0024308,1.0,0.0", "ISIC_0024306,1.0,0.0", "ISIC_0024306 must have 1 for exactly one class"),
        ("ISIC_0024306,0.0", "ISIC_0000001,0.0", "ISIC_0000001.jpg: this image is missing"),
    ],
)
def test_a_table_that_cannot_be_followed_is_refused(tmp_path, old, new, message):
    raw = write_isic(tmp_path / "raw")
    table = raw / "ISIC2018_Task3_Training_GroundTruth/ISIC2018_Task3_Training_GroundTruth.csv"
    assert old in table.read_text()
    table.write_text(table.read_text().replace(old, new, 1))
    picture(raw / "ISIC_0024306.jpg", 3)
    ran = build(raw, "--out", tmp_path / "data", *QUICK, command="medianomaly")
    assert ran.status == 2 and message in ran.error and not (tmp_path / "data").exists()


def test_unreadable_and_empty_tables_are_refused(tmp_path):
    raw = write_isic(tmp_path / "raw", "")
    table = raw / "ISIC2018_Task3_Training_GroundTruth/ISIC2018_Task3_Training_GroundTruth.csv"
    whole = table.read_bytes()
    for content, message in ((b"\xff\xfe\x00", "readable CSV"), (whole.splitlines()[0], "at least one image")):
        table.write_bytes(content)
        ran = build(raw, "--out", tmp_path / "data", command="medianomaly")
        assert ran.status == 2 and message in ran.error
    table.write_bytes(whole)
    (raw / "ISIC2018_Task3_Training_LesionGroupings.csv").write_text("image,lesion\n")
    ran = build(raw, "--out", tmp_path / "data", command="medianomaly")
    assert ran.status == 2 and "got no lesion_id" in ran.error


@pytest.mark.parametrize("ungood", ["Ungood", "ungood"])
def test_patches(tmp_path, ungood):
    raw, out, truth = write_camelyon(tmp_path / "raw", ungood), tmp_path / "data", tmp_path / "truth"
    assert build(raw, "--out", out, *QUICK, command="medianomaly").status == 0
    assert check(out) == []
    with DataSet.open(out) as data:
        assert data.healthy_ids == data.healthy_subjects == tuple(f"train/good/train_good_{i}" for i in range(5))
    assert build(raw, "--test", "--out", truth, command="medianomaly").status == 0
    known = {case.id: (case.anomalous, case.kind, case.mask) for case in read_truth_set(truth).cases}
    assert list(known) == sorted(known)
    assert known == {
        **{f"test/good/test_good_{i}": (False, "", None) for i in range(2)},
        **{f"test/{ungood}/test_{ungood}_{i}": (True, "metastasis", None) for i in range(3)},
    }


@pytest.mark.parametrize("annotation", ["{patient}_seg_{number}", "{patient}_flair_{number}", "{patient}_{number}_seg"])
def test_slices_with_and_without_a_tumour(tmp_path, annotation):
    raw, out, truth = write_brats(tmp_path / "raw", annotation), tmp_path / "data", tmp_path / "truth"
    ran = build(raw, "--out", out, *QUICK, command="medianomaly")
    assert ran.status == 0 and "5 of 4 patients" in ran.err
    assert check(out) == []
    assert set(read_manifest(out).folds) == {f"BraTS2021_{i:05}" for i in (0, 2, 3, 5)}
    with DataSet.open(out) as data:
        assert data.healthy(0).foreground.all()
    assert build(raw, "--test", "--out", truth, command="medianomaly").status == 0
    cases = read_truth_set(truth).cases
    assert [(case.subject, case.anomalous, case.kind) for case in cases] == [
        ("BraTS2021_00011", False, ""),
        ("BraTS2021_00012", True, "glioma"),
        ("BraTS2021_00014", True, "glioma"),
    ]
    assert cases[0].mask is None
    for i, case in zip((12, 14), cases[1:], strict=True):
        expected = np.zeros((30, 30), bool)
        expected[i : i + 5, 3:9] = True
        np.testing.assert_array_equal(read_mask(case.mask)[0], expected)


def test_a_tumour_without_its_own_annotation_is_named(tmp_path):
    raw, truth = write_brats(tmp_path / "raw"), tmp_path / "truth"
    first = raw / "test/annotation/BraTS2021_00014_seg_88.png"
    second = first.with_name("BraTS2021_00014_88_seg.png")
    second.write_bytes(first.read_bytes())
    for message in ("got test/annotation/BraTS2021_00014_88_seg.png and test/annotation", "none is there"):
        ran = build(raw, "--test", "--out", truth, command="medianomaly")
        assert ran.status == 2 and "test/tumor/BraTS2021_00014_flair_88.png" in ran.error and message in ran.error
        for path in (first, second):
            path.unlink(missing_ok=True)
    assert not truth.exists()


def test_folders_of_masks_do_not_pass_for_images(tmp_path):
    raw = write_camelyon(tmp_path / "raw")
    picture(raw / "test/Ungood/label/0.png", 3)
    ran = build(raw, "--test", "--out", tmp_path / "truth", command="medianomaly")
    assert ran.status == 2 and "no folders of images, got test/Ungood/label/0.png" in ran.error


@pytest.mark.parametrize(
    ("write", "options", "gone", "named"),
    [
        (write_isic, (), "ISIC2018_Task3_Training_GroundTruth/", "ISIC2018_Task3_Training_GroundTruth.csv"),
        (write_isic, ("--test",), "ISIC2018_Task3_Test_Input/", "ISIC2018_Task3_Test_Input"),
        (write_camelyon, (), "train/good", "train/good"),
        (write_camelyon, ("--test",), "test/Ungood", "test/Ungood"),
        (write_brats, (), "train", "train"),
        (write_brats, ("--test",), "test/annotation", "test/annotation"),
    ],
)
def test_the_first_missing_part_of_the_likely_layout_is_named(tmp_path, write, options, gone, named):
    raw = write(tmp_path / "raw")
    (raw / gone).rename(tmp_path / "elsewhere")
    ran = build(raw, "--out", tmp_path / "data", *options, command="medianomaly")
    assert ran.status == 2 and f"{raw}/" in ran.error and f"{named}: this part of" in ran.error
    for sets in ("RSNA, VinCXR, BrainTumor, LAG", "ISIC2018_Task3", "Camelyon16", "BraTS2021"):
        assert f"({sets})" in ran.error
    assert not (tmp_path / "data").exists()


def test_one_part_is_enough_for_its_own_use(tmp_path):
    raw = write_isic(tmp_path / "raw")
    for part, options in (("Training", ("--test",)), ("Test", ())):
        for folder in ("Input", "GroundTruth"):
            (raw / f"ISIC2018_Task3_{part}_{folder}").rename(tmp_path / folder)
        ran = build(
            raw, "--out", tmp_path / f"for-{part}", *options, *(() if options else QUICK), command="medianomaly"
        )
        assert ran.status == 0
        for folder in ("Input", "GroundTruth"):
            (tmp_path / folder).rename(raw / f"ISIC2018_Task3_{part}_{folder}")


def test_healthy_and_sick_radiographs_in_one_folder_are_no_brains(tmp_path):
    for place in ("train/NORMAL", "train/PNEUMONIA", "test/NORMAL", "test/PNEUMONIA"):
        picture(tmp_path / "raw" / place / "0.png", 1)
    ran = build(tmp_path / "raw", "--out", tmp_path / "data", command="medianomaly")
    assert ran.status == 2 and "test/tumor: this part of BraTS2021 is missing" in ran.error


def test_an_image_that_links_out_is_refused(tmp_path):
    raw = write_isic(tmp_path / "raw")
    image = raw / "ISIC2018_Task3_Test_Input/ISIC_0034525.jpg"
    image.rename(tmp_path / "secret.jpg")
    image.symlink_to(tmp_path / "secret.jpg")
    ran = build(raw, "--test", "--out", tmp_path / "truth", command="medianomaly")
    assert ran.status == 2 and "is a link that leads out" in ran.error
