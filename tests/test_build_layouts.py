"""Layouts that `build-dataset folder` recognises: BIDS, nnU-Net, anomalib; and `--layout`, which overrules that."""

import json
import re
from types import SimpleNamespace

import pytest
from building import build, listing, write_pictures, write_volumes
from laid_out import anomalib, bids, dataset_json, label, lesions, nnunet, picture, volume
from synthanom_builders import anomalib as anomalib_layout
from synthanom_builders.folder import list_cases
from synthanom_builders.settings import BuildSettings

from synthanom.errors import SynthanomError
from synthanom.manifest import read_manifest
from synthanom.predicting.inputs import find_scans
from synthanom.shards import DataSet, check
from synthanom.truth_set import read_truth_set

QUICK = ("--variants", 1, "--workers", 1, "--tasks", "sink", "--folds", 1)
TRAINED = {"a": 0, "b": 5, "c": 0, "d": None, "e_0001.x": 0}  # the last one's name holds what looks like a channel
TESTED = {"s": 7, "t": 0, "u": None}


def planned(ran):
    """Ids and subjects that a dry run lists."""
    assert ran.status == 0, ran.err
    rows = re.findall(r"^ +\d+  (\S+)  (\S+)$", ran.out, re.MULTILINE)
    return {name: subject for subject, name in rows}


def plan_of(raw, tmp_path, **settings):
    """The listing as `build-dataset folder` makes it, in this process: no image is read."""
    return list_cases(raw, tmp_path / "nowhere", BuildSettings(**settings))


def card(data):
    """What `find_scans` needs of a model that was trained on a data set."""
    manifest = read_manifest(data)
    return SimpleNamespace(preprocessing=manifest.preprocessing, channels=manifest.channels)


def truths(folder):
    return {case.id: (case.anomalous, case.kind, case.mask and case.mask.path.name) for case in folder.cases}


def test_bids_takes_the_anatomical_images_of_the_raw_data(tmp_path):
    raw = bids(tmp_path / "raw")
    ran = build(raw, "--out", tmp_path / "data", *QUICK)
    assert ran.status == 0
    assert "layout: BIDS, anatomical images of the raw data: 6 T1w; left out: 16 others" in ran.err
    assert check(tmp_path / "data") == []
    with DataSet.open(tmp_path / "data") as data:
        assert data.healthy_ids == (
            "sub-01/ses-1/anat/sub-01_ses-1_T1w", "sub-01/ses-2/anat/sub-01_ses-2_T1w",
            "sub-02/anat/sub-02_run-1_T1w", "sub-02/anat/sub-02_run-2_T1w",
            "sub-03/anat/sub-03_T1w", "sub-04/anat/sub-04_T1w",
        )  # fmt: skip
        assert sorted(data.manifest.folds) == ["sub-01", "sub-02", "sub-03", "sub-04"]
        assert "channels" not in data.manifest.preprocessing
    before = listing(tmp_path / "data")
    assert "finished already" in build(raw, "--out", tmp_path / "data", *QUICK, "--layout", "bids").out
    assert listing(tmp_path / "data") == before


def test_bids_of_several_kinds_needs_to_be_told_which(tmp_path):
    raw = bids(tmp_path / "raw", kinds=("T1w", "T2w"))
    ran = build(raw, "--out", tmp_path / "data", *QUICK)
    assert ran.status == 2
    assert "got 6 T1w, 6 T2w" in ran.error
    assert r"--channels '_(T1w)\.nii' takes one kind, --channels '_(T1w|T2w)\.nii' several" in ran.error
    assert "--layout plain" in ran.error
    one = plan_of(raw, tmp_path, channels=r"_(T2w)\.nii")
    assert [case.path for case in one.cases[:2]] == [
        "sub-01/ses-1/anat/sub-01_ses-1_T2w.nii.gz", "sub-01/ses-2/anat/sub-01_ses-2_T2w.nii.gz",
    ]  # fmt: skip
    assert (len(one.cases), one.contrasts, one.pattern) == (6, ("T2w",), r"_(T2w)\.nii")
    both = plan_of(raw, tmp_path, channels=r"_(T2w|T1w)\.nii")
    assert len(both.cases) == 6 and both.contrasts == ("T2w", "T1w")
    assert not any(case.problem for case in both.cases)
    assert {case.subject for case in both.cases} == {"sub-01", "sub-02", "sub-03", "sub-04"}


def test_bids_masks_of_the_foreground_are_found_wherever_they_lie(tmp_path):
    raw = bids(tmp_path / "raw")
    found = plan_of(raw, tmp_path, foreground="*_defacemask.nii.gz")
    assert len(found.cases) == 6
    assert [case.mask.path for case in found.cases if case.mask] == [
        f"sub-0{i}/{s}anat/sub-0{i}_{t}T1w_defacemask.nii.gz" for i, s, t in ((1, "ses-1/", "ses-1_"),
        (1, "ses-2/", "ses-2_"), (3, "", ""), (4, "", ""))
    ]  # fmt: skip


def test_bids_with_lesion_masks_trains_on_others_than_it_tests_on(tmp_path):
    raw = lesions(bids(tmp_path / "raw", 5))
    found = plan_of(raw, tmp_path)
    assert [case.id for case in found.cases] == ["sub-03/anat/sub-03_T1w", "sub-05/anat/sub-05_T1w"]
    assert any("left out: 5 scans of subjects with a lesion" in note for note in found.notes)
    ran = build(raw, "--test", "--out", tmp_path / "truth")
    assert ran.status == 0 and "3 scans to test on (2 anomalous, 1 healthy, 2 masks)" in ran.out
    assert "left out: 4 scans without one" in ran.err
    truth = read_truth_set(tmp_path / "truth")
    assert truths(truth) == {
        "sub-01/ses-2/anat/sub-01_ses-2_T1w": (True, "lesion", "sub-01_ses-2_label-lesion_mask.nii.gz"),
        "sub-02/anat/sub-02_run-2_T1w": (True, "lesion", "sub-02_run-2_space-orig_desc-lesion_mask.nii.gz"),
        "sub-03/anat/sub-03_T1w": (False, "", None),
    }
    assert [case.subject for case in truth.cases] == ["sub-01", "sub-02", "sub-03"]


def test_bids_lesion_masks_that_cannot_serve(tmp_path):
    raw = bids(tmp_path / "raw", 3)
    ran = build(raw, "--test", "--out", tmp_path / "truth")
    assert ran.status == 2 and "--test needs derivatives/**/sub-*_label-lesion_mask.nii.gz" in ran.error
    place = raw / "derivatives/one"
    for name in ("sub-01_ses-1", "sub-02", "sub-03"):
        label(place / f"{name}_label-lesion_mask.nii.gz", 2)
    ran = build(raw, "--out", tmp_path / "data", *QUICK)
    assert ran.status == 2 and "got lesion masks in derivatives of every one" in ran.error
    again = label(raw / "derivatives/two/sub-03_label-lesion_mask.nii.gz", 2)
    ran = build(raw, "--test", "--out", tmp_path / "truth")
    assert ran.status == 2 and "must have one lesion mask, got derivatives/one/sub-03" in ran.error
    again.unlink()
    damaged = place / "sub-03_label-lesion_mask.nii.gz"
    damaged.write_bytes(damaged.read_bytes()[:40])
    ran = build(raw, "--test", "--out", tmp_path / "truth")
    assert ran.status == 3 and "sub-03_T1w.nii.gz: its label cannot be read" in ran.err
    assert len(read_truth_set(tmp_path / "truth").cases) == 3  # a mask without run is of both runs
    (place / "sub-02_label-lesion_mask.nii.gz").unlink()
    kept = plan_of(raw, tmp_path).cases
    assert [(case.subject, "cannot be read" in case.problem) for case in kept] == [
        ("sub-02", False), ("sub-02", False), ("sub-03", True),
    ]  # fmt: skip


def test_nnunet_takes_the_cases_with_an_empty_label_and_predicts_by_its_own_pattern(tmp_path):
    raw, out = nnunet(tmp_path / "raw", TRAINED, TESTED), tmp_path / "data"
    dataset_json(raw, {"channel_names": {"0": "T1", "1": "FLAIR"}, "labels": {"background": 0}})
    ran = build(raw, "--out", out, *QUICK)
    assert ran.status == 0
    assert "layout: nnU-Net, 5 cases of imagesTr; left out: 12 others" in ran.err
    assert "channels: 0000 (T1), 0001 (FLAIR)" in ran.err
    assert "3 cases of labelsTr mark nothing" in ran.err and "1 that mark something, 1 without a label" in ran.err
    assert check(out) == []
    manifest = read_manifest(out)
    assert set(manifest.folds) == {"a", "c", "e_0001.x"}
    assert manifest.configuration["contrasts"] == ["T1", "FLAIR"]
    stored = manifest.preprocessing["channels"]
    assert stored == {"pattern": r"_([0-9]{4})\.[A-Za-z.]+$", "contrasts": ["0000", "0001"], "names": ["T1", "FLAIR"]}
    with DataSet.open(out) as data:
        assert data.healthy_ids == ("imagesTr/a", "imagesTr/c", "imagesTr/e_0001.x") and data.channels == 2
    new = find_scans(raw / "imagesTs", card(out))
    assert [scan.id for scan in new.scans] == ["s", "t", "u"]
    assert [source.path.name for source in new.scans[0].sources] == ["s_0000.nii.gz", "s_0001.nii.gz"]
    assert [scan.id for scan in find_scans(raw / "imagesTr", card(out)).scans] == ["a", "b", "c", "d", "e_0001.x"]


def test_nnunet_truth_is_that_of_its_labels_and_its_contrasts_have_names(tmp_path):
    raw = nnunet(tmp_path / "raw", TRAINED, TESTED)
    dataset_json(raw, {"modality": {"0": "T1", "1": "FLAIR"}})
    ran = build(raw, "--test", "--out", tmp_path / "truth")
    assert ran.status == 0 and "3 scans to test on (2 anomalous, 1 healthy, 2 masks)" in ran.out
    assert "1 of imagesTr that show something, 2 of imagesTs; left out: 5" in ran.err
    truth = read_truth_set(tmp_path / "truth")
    assert truths(truth) == {
        "imagesTr/b": (True, "", "b.nii.gz"), "imagesTs/s": (True, "", "s.nii.gz"), "imagesTs/t": (False, "", None),
    }  # fmt: skip
    assert [case.subject for case in truth.cases] == ["b", "s", "t"]
    assert truth.contrasts == ("T1", "FLAIR")
    numbered = {"pattern": "_([0-9]{4})", "contrasts": ["0000", "0001"]}
    named = numbered | {"names": ["Flair", "T1"]}
    model = SimpleNamespace(preprocessing={"channels": named}, channels=2)
    scan = find_scans(tmp_path / "truth", model).scans[0]
    assert [source.path.name for source in scan.sources] == ["b_0001.nii.gz", "b_0000.nii.gz"]
    for wrong, words in ((numbered, "contrasts 0000, 0001, got T1, FLAIR"), (named | {"names": ["T1"]}, "2 names")):
        with pytest.raises(SynthanomError, match=words):
            find_scans(tmp_path / "truth", SimpleNamespace(preprocessing={"channels": wrong}, channels=2))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "dataset.json cannot be read"),
        ("[" * 100_000, "dataset.json cannot be read"),
        ([], "does not give each"),
        ({"channel_names": ["T1", "T2"]}, "does not give each"),
        ({"channel_names": {"0": "T1"}}, "does not give each"),
        ({"channel_names": {"0": "T1", "1": "t1 "}}, "does not give each"),
        ({"modality": {"0": "T1", "1": 5}}, "does not give each"),
        (None, "0001\n"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_nnunet_without_names_of_the_channels_numbers_them(tmp_path, content, words):
    raw = nnunet(tmp_path / "raw", {"a": 0, "b": 0}, {})
    if content is not None:
        dataset_json(raw, content)
    found = plan_of(raw, tmp_path)
    assert found.contrasts == ("0000", "0001") and found.names == ()
    assert f"channels: 0000, 0001{' (' * (content is not None)}" in "\n".join(found.notes)
    assert words in "\n".join([*found.notes, ""])


def test_nnunet_of_one_channel_asks_for_no_pattern(tmp_path):
    raw = nnunet(tmp_path / "raw", {"a": 0, "b": 0, "c": 3}, {}, channels=1)
    found = plan_of(raw, tmp_path)
    assert [(case.id, case.subject) for case in found.cases] == [("imagesTr/a", "a"), ("imagesTr/b", "b")]
    assert (found.contrasts, found.pattern, found.names) == ((), None, ())
    for other in (raw / "labelsTr").iterdir():
        other.unlink()
    found = plan_of(raw, tmp_path)
    assert len(found.cases) == 3
    assert any("no labelsTr, all cases are taken for healthy; sets in this layout" in note for note in found.notes)


def test_nnunet_whose_cases_are_all_labelled_says_what_to_do(tmp_path):
    raw = nnunet(tmp_path / "raw", {"a": 4, "b": 5}, {})
    ran = build(raw, "--out", tmp_path / "data", *QUICK)
    assert ran.status == 2 and "got none among 2; if the labels are no anomalies but organs" in ran.error
    assert f"name {raw / 'imagesTr'} with --channels '_([0-9]{{4}})\\.[A-Za-z.]+$'" in ran.error
    arguments = (raw / "imagesTr", "--channels", r"_([0-9]{4})\.[A-Za-z.]+$")
    assert planned(build(*arguments, "--out", tmp_path / "data", *QUICK, "--dry-run")) == {"a": "a", "b": "b"}
    # labels that are named as the foreground are no anomalies
    assert len(plan_of(raw, tmp_path, foreground="labelsTr/*.nii.gz").cases) == 2


def test_nnunet_faults(tmp_path):
    raw = nnunet(tmp_path / "raw", {"a": 0, "b": 0, "c": 0, "d": 1}, {})
    damaged = raw / "labelsTr/b.nii.gz"
    damaged.write_bytes(damaged.read_bytes()[:40])
    (raw / "imagesTr/c_0001.nii.gz").unlink()
    cases = {case.subject: case.problem for case in plan_of(raw, tmp_path).cases}
    assert list(cases) == ["a", "b", "c"] and cases["a"] == ""
    assert "its label cannot be read (labelsTr/b.nii.gz" in cases["b"] and "contrast 0001 is missing" in cases["c"]
    one = plan_of(raw, tmp_path, channels="_(0000)[.]nii")
    assert one.contrasts == ("0000",) and [case.subject for case in one.cases if not case.problem] == ["a", "c"]
    ran = build(raw, "--test", "--out", tmp_path / "truth")
    assert ran.status == 3 and "its label cannot be read" in ran.err
    assert [case.id for case in read_truth_set(tmp_path / "truth").cases] == ["imagesTr/d"]
    for path in (raw / "labelsTr").iterdir():
        path.unlink()
    ran = build(raw, "--test", "--out", tmp_path / "truth")
    assert ran.status == 2 and "--test needs labels in labelsTr that mark something" in ran.error


def test_anomalib_trains_on_the_good_ones(tmp_path):
    raw = anomalib(tmp_path / "raw")
    ran = build(raw, "--out", tmp_path / "data", *QUICK)
    assert ran.status == 0 and "layout: anomalib, 4 images of train/good; left out: 7 others" in ran.err
    assert check(tmp_path / "data") == []
    with DataSet.open(tmp_path / "data") as data:
        assert data.healthy_ids == tuple(f"train/good/00{i}" for i in range(4))


@pytest.mark.parametrize(("draw", "ending", "mask"), [(picture, ".png", "_mask"), (volume, ".nii.gz", "")])
def test_anomalib_tests_on_what_is_in_test(tmp_path, draw, ending, mask):
    raw = anomalib(tmp_path / "raw", draw, ending, mask)
    draw(raw / f"test/crack/deep/000{ending}", 1)
    draw(raw / f"ground_truth/good/000{mask}{ending}", 1)
    ran = build(raw, "--test", "--out", tmp_path / "truth")
    assert ran.status == 0 and "5 scans to test on (3 anomalous, 2 healthy, 2 masks)" in ran.out
    assert "1 anomalous ones have no mask" in ran.err and "left out: 1 images that do not lie in test/<kind>" in ran.err
    truth = read_truth_set(tmp_path / "truth")
    assert truths(truth) == {
        "test/crack/000": (True, "crack", f"000{mask}{ending}"), "test/crack/001": (True, "crack", None),
        "test/good/000": (False, "", None), "test/good/001": (False, "", None),
        "test/hole/000": (True, "hole", f"000{mask}{ending}"),
    }  # fmt: skip
    assert truth.cases[4].mask.path.parent.name == "hole"


def test_anomalib_contrasts_share_a_mask(tmp_path):
    raw = tmp_path / "raw"
    for name in ("train/good/a", "test/crack/c"):
        for contrast in ("T1", "T2"):
            picture(raw / f"{name}_{contrast}.png", len(name))
    picture(raw / "ground_truth/crack/c_mask.png", 1)
    ran = build(raw, "--test", "--out", tmp_path / "truth", "--channels", "_(T1|T2)")
    truth = read_truth_set(tmp_path / "truth")
    assert ran.status == 0 and truth.contrasts == ("T1", "T2")
    assert truths(truth) == {"test/crack/c": (True, "crack", "c_mask.png")}


def test_anomalib_of_several_categories_asks_for_one(tmp_path):
    for name in ("bottle", "cable"):
        anomalib(tmp_path / "raw" / name)
    for options in ((), ("--test",), ("--layout", "anomalib")):
        ran = build(tmp_path / "raw", "--out", tmp_path / "data", *options)
        assert ran.status == 2 and "got a folder of 2 (bottle, cable)" in ran.error
        assert f"for example {tmp_path / 'raw/bottle'}" in ran.error
    assert len(plan_of(tmp_path / "raw", tmp_path, layout="plain").cases) == 22
    assert not anomalib_layout.categories(["train/good/a.png", "x/train/good/a.png", "x/y/train/good/a.png"])


def test_what_is_asked_for_overrules_what_is_recognised(tmp_path):
    raw = nnunet(tmp_path / "raw", {"a": 0, "b": 3}, {}, channels=1)
    assert len(plan_of(raw, tmp_path, layout="plain").cases) == 4
    ran = build(raw, "--out", tmp_path / "data", *QUICK, "--layout", "bids")
    assert ran.status == 2 and "a BIDS folder must hold sub-*" in ran.error and "plain" not in ran.error
    ran = build(raw, "--out", tmp_path / "data", *QUICK, "--layout", "BIDS")
    assert ran.status == 2 and "--layout must be one of auto, plain, bids, nnunet, anomalib, got 'BIDS'" in ran.error
    volume(raw / "sub-1/anat/sub-1_T1w.nii", 1)
    ran = build(raw, "--out", tmp_path / "data", *QUICK)
    assert ran.status == 2 and "looks like BIDS and nnU-Net; say which with --layout bids" in ran.error
    assert [case.subject for case in plan_of(raw, tmp_path, layout="bids").cases] == ["sub-1"]


@pytest.mark.parametrize("layout", ["nnunet", "anomalib"])
def test_a_layout_that_is_not_there_is_refused(tmp_path, layout):
    raw = write_pictures(tmp_path / "raw", 2)
    for options in ((), ("--test",)):
        ran = build(raw, "--out", tmp_path / "data", *QUICK, "--layout", layout, *options)
        assert ran.status == 2 and "got" in ran.error and "name the folder that holds" in ran.error
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "names",
    [
        ("sub-01/sub-01_T1w", "sub-02/sub-02_T1w"),
        ("sub-01/anat/T1w", "sub-02/func/sub-02_bold"),
        ("imagesTr/a", "labelsTr/a"),  # no channel's number
        ("train/good/a", "train/good/b"),
        ("train/good/a", "valid/b"),
        ("test/good/a", "ground_truth/b"),
    ],
)
def test_other_folders_are_taken_as_they_lie(tmp_path, names):
    for k, name in enumerate(names):
        volume(tmp_path / f"raw/{name}.nii", k)
    auto, plain = plan_of(tmp_path / "raw", tmp_path), plan_of(tmp_path / "raw", tmp_path, layout="plain")
    assert auto == plain and sorted(case.id for case in auto.cases) == sorted(names)
    assert not any("layout" in note for note in auto.notes)
    ran = build(tmp_path / "raw", "--test", "--out", tmp_path / "truth")
    assert ran.status == 2
    for words in ("--test needs a layout", "BIDS", "nnU-Net", "anomalib"):
        assert words in ran.error


def test_the_layout_is_no_part_of_the_plan(tmp_path):
    raw = write_volumes(tmp_path / "raw", 2)
    for name, options in (("one", ()), ("two", ("--layout", "plain"))):
        assert build(raw, "--out", tmp_path / name, *QUICK, *options).status == 0
    one, two = ((tmp_path / name / "plan.json").read_bytes() for name in ("one", "two"))
    assert one == two and "layout" not in json.loads(one)["options"]
