"""HCP, BraTS and ISLES 2015: from raw trees in their original layouts to data sets, test sets and the same frame."""

import json

import numpy as np
import pytest
from brains import MIDDLE, RADIUS, affine, brain, lesion, reversed_y, save, write_hcp
from building import build
from synthanom_builders.named import named
from synthanom_builders.settings import BuildSettings

from synthanom.errors import SynthanomError
from synthanom.manifest import read_manifest
from synthanom.shards import DataSet, check
from synthanom.truth_set import read_truth_set
from synthanom.volumes import read, read_mask
from synthanom.volumes.volume import make_volume

SMALL = ("--shape", "40,56,40")  # a quarter of the frame
QUICK = (*SMALL, "--variants", 1, "--workers", 1, "--tasks", "sink,smooth_intensity")
YEARS = {  # folder and stem of two cases with their subject, as the challenges of the years name them
    "2017": (("HGG/Brats17_CBICA_AAB_1", "Brats17_CBICA_AAB"), ("LGG/Brats17_TCIA_101_1", "Brats17_TCIA_101")),
    "2018": (("HGG/Brats18_2013_10_1", "Brats18_2013_10"), ("LGG/Brats18_2013_0_1", "Brats18_2013_0")),
    "2019": (("HGG/BraTS19_2013_10_1", "BraTS19_2013_10_1"), ("LGG/BraTS19_TMC_1_1", "BraTS19_TMC_1_1")),
    "2020": (
        ("MICCAI_BraTS2020_TrainingData/BraTS20_Training_001", "BraTS20_Training_001"),
        ("MICCAI_BraTS2020_TrainingData/BraTS20_Training_355", "BraTS20_Training_355"),
    ),
    "2021": (("BraTS2021_00000", "BraTS2021_00000"), ("BraTS2021_00002", "BraTS2021_00002")),
    "2023": (("BraTS-GLI-00005-100", "BraTS-GLI-00005"), ("BraTS-GLI-00005-101", "BraTS-GLI-00005")),
}


def write_brats(root, year):
    """Two cases with y stored the other way round; mask 355 of 2020 has the name that it was released with."""
    later = year == "2023"
    names = ("t1n", "t1c", "t2w", "t2f") if later else ("t1", "t1ce", "t2", "flair")
    ending = ".nii" if year == "2020" else ".nii.gz"
    for i, (folder, _) in enumerate(YEARS[year]):
        place, stem = root / folder, folder.rpartition("/")[2]
        for k, name in enumerate(names):
            values, matrix = reversed_y(brain(10 * i + k), affine())
            save(place / f"{stem}{'-' if later else '_'}{name}{ending}", values.astype(np.int16), matrix)
        mask, matrix = reversed_y(lesion(brain(i)), affine())
        odd = "355" in stem
        save(place / ("W39_1998.09.19_Segm.nii" if odd else f"{stem}{'-' if later else '_'}seg{ending}"), mask, matrix)
    return root


def write_isles(root, count=3):
    for i in range(1, count + 1):
        for k, name in enumerate(("MR_T1", "MR_T2", "MR_Flair", "MR_DWI")):
            stem = f"VSD.Brain.XX.O.{name}.{70600 + 10 * i + k}"
            save(root / f"{i}" / stem / f"{stem}.nii", brain(10 * i + k), affine())
        stem = f"VSD.Brain_3more.XX.XX.OT.{70700 + i}"
        save(root / f"{i}" / stem / f"{stem}.nii", lesion(brain(i)), affine())
    return root


def test_hcp(tmp_path):
    raw, out = write_hcp(tmp_path / "raw"), tmp_path / "data"
    ran = build(raw, "--out", out, *QUICK, command="hcp")
    assert ran.status == 0 and "1 other folders hold none" in ran.err
    assert check(out) == []
    manifest = read_manifest(out)
    assert sorted(manifest.folds) == ["100206", "100307", "100408", "100509", "100610"]
    assert [step["name"] for step in manifest.preprocessing["steps"]] == [
        "canonical", "foreground", "edge-preserving-resample", "frame-foreground", "edge-preserving-resample",
        "z-score",
    ]  # fmt: skip
    assert "channels" not in manifest.preprocessing
    with DataSet.open(out) as data:
        sample = data.healthy(0)
    assert sample.shape == (40, 56, 40) and sample.spacing == pytest.approx((4, 4, 4))
    # the brain in voxels of 4 mm, in the middle of the frame
    volume = 4 / 3 * np.pi * np.prod(RADIUS) * 2.5**3 / 4**3
    assert np.count_nonzero(sample.foreground) == pytest.approx(volume, rel=0.06)
    middle = np.argwhere(sample.foreground).mean(axis=0)
    assert np.abs(middle - [19.5, 27.5, 19.5]).max() < 0.6
    inside = sample.image[0][sample.foreground].astype(float)
    assert abs(inside.mean()) < 1e-5 and inside.std() == pytest.approx(1, abs=1e-5)
    background = sample.image[0][~sample.foreground].max()
    assert inside.min() > background + 0.5 * (np.median(inside) - background), "the rim took up black"
    # the affine leads from the middle of the frame to the middle of the brain
    world = sample.affine @ [*middle[::-1], 1]
    np.testing.assert_allclose(world[:3], np.array(MIDDLE) * 2.5 + [-30, -40, -25], atol=1.5)


def test_two_contrasts_are_channels_in_the_order_asked_for(tmp_path):
    raw, out = write_hcp(tmp_path / "raw"), tmp_path / "data"
    ran = build(raw, "--out", out, *QUICK, "--contrasts", "T2,t1", command="hcp")
    assert ran.status == 3 and "contrast T2 is missing" in ran.err
    manifest = read_manifest(out)
    assert manifest.channels == 2 and manifest.counts["healthy"] == 5
    assert manifest.preprocessing["channels"] == {"contrasts": ["T2", "T1"]}
    alone = tmp_path / "alone"
    assert build(raw, "--out", alone, *QUICK, command="hcp").status == 0
    with DataSet.open(out) as both, DataSet.open(alone) as one:
        np.testing.assert_array_equal(both.healthy(0).image[0], one.healthy(0).image[0])
    changed = build(raw, "--out", out, *QUICK, "--contrasts", "T1,T2", command="hcp")
    assert changed.status == 2 and "contrasts was" in changed.error


@pytest.mark.parametrize("shape", ["40,56,41", "48,48,48", "160,224,80"])
def test_only_the_frame_of_brains_is_a_shape(tmp_path, shape):
    raw = write_hcp(tmp_path / "raw", 2)
    ran = build(raw, "--out", tmp_path / "data", "--shape", shape, command="hcp")
    assert ran.status == 2 and "--shape must be the frame of brains, 160,224,160, divided" in ran.error
    assert not (tmp_path / "data").exists()


def test_the_usual_shape_is_half_of_the_frame_and_full_is_not_shrunk():
    settings = BuildSettings(contrasts=("T2",))
    steps = {
        shape: [step["name"] for step in named("hcp").pipeline(settings, shape).to_dict()["steps"]]
        for shape in (named("hcp").shape, (160, 224, 160))
    }
    counts = [steps[shape].count("edge-preserving-resample") for shape in ((80, 112, 80), (160, 224, 160))]
    assert counts == [2, 1]


@pytest.mark.parametrize("year", YEARS)
def test_brats(tmp_path, year):
    raw, out = write_brats(tmp_path / "raw", year), tmp_path / "truth"
    ran = build(raw, "--test", "--out", out, command="brats")
    assert ran.status == 0 and "2 scans to test on (2 anomalous, 0 healthy, 2 masks)" in ran.out
    truth = read_truth_set(out)
    assert [case.id for case in truth.cases] == [folder for folder, _ in YEARS[year]]
    assert [case.subject for case in truth.cases] == [subject for _, subject in YEARS[year]]
    for i, case in enumerate(truth.cases):
        assert case.anomalous and case.kind == "glioma" and len(case.images) == 1
        np.testing.assert_array_equal(read(case.images[0]).image[0], brain(10 * i + 2)[:, ::-1].T.astype(np.int16))
        mask, _ = read_mask(case.mask)
        np.testing.assert_array_equal(mask, lesion(brain(i))[:, ::-1].T > 0)


def test_a_reversed_axis_needs_no_special_case(tmp_path):
    values = brain(3, size=2.2)
    turned, matrix = reversed_y(values, affine())
    prepared = [
        named("brats").pipeline(BuildSettings(), (80, 112, 80)).prepare(read(save(tmp_path / name, array, world)))
        for name, array, world in (("a.nii", values, affine()), ("b.nii", turned, matrix))
    ]
    np.testing.assert_allclose(prepared[0].image, prepared[1].image, atol=1e-5)
    np.testing.assert_allclose(prepared[0].affine, prepared[1].affine, atol=1e-9)


def test_brats_takes_the_contrasts_that_are_asked_for(tmp_path):
    raw = write_brats(tmp_path / "raw", "2021")
    assert build(raw, "--test", "--out", tmp_path / "t", "--contrasts", "flair,t1", command="brats").status == 0
    truth = read_truth_set(tmp_path / "t")
    assert truth.contrasts == ("FLAIR", "T1")
    assert [source.path.name for source in truth.cases[0].images] == [
        "BraTS2021_00000_flair.nii.gz", "BraTS2021_00000_t1.nii.gz",
    ]  # fmt: skip
    for asked in ("T3", "T1,t1", ""):
        ran = build(raw, "--test", "--out", tmp_path / "u", "--contrasts", asked, command="brats")
        assert ran.status == 2 and "--contrasts must be some of T1, T1ce, T2, FLAIR" in ran.error
    ran = build(raw, "--out", tmp_path / "u", command="brats")
    assert ran.status == 2 and "no healthy scans to train on" in ran.error


@pytest.mark.parametrize("gone", ["t2", "seg"])
def test_a_file_that_brats_lacks_is_named(tmp_path, gone):
    raw = write_brats(tmp_path / "raw", "2021")
    (raw / "BraTS2021_00002" / f"BraTS2021_00002_{gone}.nii.gz").unlink()
    ran = build(raw, "--test", "--out", tmp_path / "t", command="brats")
    assert ran.status == 2 and f"BraTS2021_00002_{gone}.nii.gz: is missing" in ran.error
    assert not (tmp_path / "t").exists()


@pytest.mark.parametrize("part", ["", "SISS2015_Training"])
def test_isles(tmp_path, part):
    raw, out = tmp_path / "raw", tmp_path / "truth"
    write_isles(raw / part)
    assert build(raw, "--test", "--out", out, command="isles15").status == 0
    truth = read_truth_set(out)
    assert [case.subject.rpartition("/")[2] for case in truth.cases] == ["1", "2", "3"]
    np.testing.assert_array_equal(read(truth.cases[1].images[0]).image[0], brain(21).T)
    np.testing.assert_array_equal(read_mask(truth.cases[1].mask)[0], lesion(brain(2)).T > 0)
    stem = next((raw / part / "2").glob("*MR_T2*"))
    (stem / f"{stem.name}.nii").unlink()
    ran = build(raw, "--test", "--out", out, command="isles15")
    assert ran.status == 2 and "MR_T2" in ran.error and "is missing" in ran.error
    assert read_truth_set(out) == truth, "the earlier list is still whole"


def test_a_test_set_is_listed_again_and_nothing_else_is_written_over(tmp_path):
    raw, out = write_brats(tmp_path / "raw", "2021"), tmp_path / "truth"
    dry = build(raw, "--test", "--out", out, "--dry-run", command="brats")
    assert dry.status == 0 and "nothing was written" in dry.out and not out.exists()
    assert build(raw, "--test", "--out", out, command="brats").status == 0
    first = (out / "truth.json").read_bytes()
    assert (out / "truth.csv").read_text().splitlines()[0] == "id,label,subject,kind"
    assert build(raw, "--test", "--out", out, command="brats").status == 0
    assert (out / "truth.json").read_bytes() == first
    (out / "mine.txt").write_text("x")
    ran = build(raw, "--test", "--out", out, command="brats")
    assert ran.status == 2 and "mine.txt" in ran.error and (out / "truth.json").read_bytes() == first
    for bad in (raw, tmp_path):
        assert build(raw, "--test", "--out", bad, command="brats").status == 2
    ran = build(write_hcp(tmp_path / "hcp", 2), "--test", "--out", tmp_path / "t", command="hcp")
    assert ran.status == 2 and "no scans whose truth is known" in ran.error


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["cases"][0]["images"][0].update(files=["../../etc/passwd"]), "must name files under"),
        (lambda c: c["cases"][0]["images"][0].update(files=["/etc/passwd"]), "must name files under"),
        (lambda c: c["cases"][0]["images"][0].update({"in": "elsewhere"}), "is damaged"),
        (lambda c: c["cases"][0]["images"][0].update(format="elf"), "is damaged"),
        (lambda c: c["cases"][0].update(id="../../maps"), "must name scans only"),
        (lambda c: c["cases"][0].update(id=""), "must name scans only"),
        (lambda c: c["cases"][0].update(anomalous="yes"), "is damaged"),
        (lambda c: c["cases"][0].pop("mask"), "is damaged"),
        (lambda c: c.update(format=2), "another version"),
        (lambda c: c.update(kind="x"), "is not"),
    ],
)
def test_a_changed_list_is_refused(tmp_path, change, message):
    out = tmp_path / "truth"
    assert build(write_brats(tmp_path / "raw", "2021"), "--test", "--out", out, command="brats").status == 0
    content = json.loads((out / "truth.json").read_text())
    del content["digest"]  # as lists of older versions have none
    (out / "truth.json").write_text(json.dumps(content))
    assert read_truth_set(out).cases
    change(content)
    (out / "truth.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message):
        read_truth_set(out)


def test_a_list_with_a_flipped_bit_is_refused(tmp_path):
    out = tmp_path / "truth"
    assert build(write_brats(tmp_path / "raw", "2021"), "--test", "--out", out, command="brats").status == 0
    content = (out / "truth.json").read_bytes()
    place = content.index(b"true")  # whether a scan is anomalous
    for where, bit in ((content.index(b"subject") + 12, 0), (place, 0), (content.index(b"files") + 11, 3)):
        changed = bytearray(content)
        changed[where] ^= 1 << bit
        (out / "truth.json").write_bytes(changed)
        with pytest.raises(SynthanomError, match=r"truth\.json"):
            read_truth_set(out)


def test_an_image_that_links_out_of_the_raw_data_is_refused(tmp_path):
    raw = write_brats(tmp_path / "raw", "2021")
    image = raw / "BraTS2021_00000" / "BraTS2021_00000_t2.nii.gz"
    image.rename(tmp_path / "secret.nii.gz")
    image.symlink_to(tmp_path / "secret.nii.gz")
    ran = build(raw, "--test", "--out", tmp_path / "t", command="brats")
    assert ran.status == 2 and "is a link that leads out" in ran.error


def test_pictures_do_not_pass_for_brains(tmp_path):
    prepared = named("hcp").pipeline(BuildSettings(), (80, 112, 80))
    with pytest.raises(ValueError, match="spacing"):
        prepared.prepare(make_volume(brain(0).T, tmp_path / "x", kind="volume"))
