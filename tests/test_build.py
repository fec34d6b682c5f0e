"""`build-dataset folder`: the whole way on small folders."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from building import build, listing, shards, smooth, write_nifti, write_pictures, write_volumes
from PIL import Image

from synthanom.errors import SynthanomError
from synthanom.manifest import read_manifest
from synthanom.replaying import check_replay
from synthanom.shards import DataSet, check
from synthanom.tasks import PAPER_TASKS, TASKS
from synthanom.unfinished import finishing

FEW = ("--variants", 2, "--workers", 2)
QUICK = ("--variants", 1, "--workers", 2, "--tasks", "sink", "--folds", 1)


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("raw"))


@pytest.fixture(scope="module")
def built(raw, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("built") / "data"
    assert build(raw, "--out", out, *FEW).status == 0
    return out


def skipped_rows(out: Path) -> list[dict[str, str]]:
    with (out / "skipped.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_data_set_is_whole_and_every_row_replays_to_the_bit(built):
    assert check(built) == []
    report = check_replay(built)
    assert (report.rows, report.problems, report.same_fingerprint) == (120, (), True)
    assert report.largest_difference == 0
    manifest = read_manifest(built)
    assert [task.name for task in manifest.tasks] == list(PAPER_TASKS)
    assert manifest.counts == {"healthy": 12, "anomalies": 120}
    assert sorted(manifest.folds.values()) == [0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 4, 4]
    assert sorted(path.name for path in built.iterdir()) == [
        "anomalies", "dataset.json", "healthy", "plan.json", "skipped.csv",
    ]  # fmt: skip


def test_one_worker_makes_the_same_bytes(raw, built, tmp_path):
    ran = build(raw, "--out", tmp_path / "one", "--variants", 2, "--workers", 1)
    assert ran.status == 0
    assert shards(tmp_path / "one") == shards(built)
    for name in ("dataset.json", "plan.json", "skipped.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (built / name).read_bytes()


def test_choices_are_told(raw, tmp_path):
    ran = build(raw, "--out", tmp_path / "data", *QUICK)
    for words in ("12 pictures of 1 channel", "each image to [-1, 1]", "the whole image", "16 x 16", "subjects: 12"):
        assert words in ran.err
    assert "12 healthy images, 12 anomalies" in ran.out


def test_finished_data_set_is_left_alone(raw, built):
    before = listing(built)
    ran = build(raw, "--out", built, *FEW)
    assert ran.status == 0
    assert "finished already" in ran.out
    assert listing(built) == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("--variants", 3), "variants was 2, now 3"),
        (("--variants", 2, "--seed", 1), "seed was 0, now 1"),
        (("--variants", 2, "--tasks", "sink", "--folds", 5), "tasks was"),
    ],
)
def test_finished_data_set_refuses_other_settings(raw, built, change, words):
    before = listing(built)
    ran = build(raw, "--out", built, *change)
    assert ran.status == 2
    assert words in ran.error
    assert "--out" in ran.error
    assert listing(built) == before


def test_finished_data_set_refuses_other_inputs(built, tmp_path):
    raw = write_pictures(tmp_path / "raw", 13)
    ran = build(raw, "--out", built, *FEW)
    assert ran.status == 2
    assert "images new: 1, the first p12" in ran.error
    assert "images changed: 12" in ran.error  # written again: other times


def test_donors_are_of_the_own_fold_and_another_subject(built):
    with DataSet.open(built) as data:
        seen = 0
        for row in range(data.rows("intra_blend")):
            recipe = json.loads(data.recipe("intra_blend", row))
            own = recipe["sample"]["id"]
            for anomaly in recipe["anomalies"]:
                donor = anomaly["donor"]
                assert donor["set"] == "own"
                assert donor["id"] != own
                assert data.folds[donor["id"]] == data.folds[own]
                seen += 1
        assert seen >= 24
        for row in range(data.rows("inter_blend")):
            recipe = json.loads(data.recipe("inter_blend", row))
            fold = data.folds[recipe["sample"]["id"]]
            for anomaly in recipe["anomalies"]:
                assert anomaly["donor"]["set"] == "procedural-textures"
                assert int(anomaly["donor"]["id"].removeprefix("texture-")) // 32 == fold


def test_goes_on_where_it_stopped_and_remakes_only_what_is_damaged(raw, built, tmp_path, monkeypatch):
    out = tmp_path / "data"

    def fail(*_):
        raise SynthanomError("stopped before the manifest")

    with monkeypatch.context() as patch:
        patch.setattr(finishing, "write_manifest", fail)
        assert "stopped before" in build(raw, "--out", out, *FEW).error
    assert "unfinished" in check(out)[0]
    flipped, gone = out / "anomalies/sink/00000.h5", out / "anomalies/source/00000.h5"
    content = bytearray(flipped.read_bytes())
    content[len(content) // 2] ^= 1
    flipped.write_bytes(content)
    gone.unlink()
    (out / ".dataset.json.999999999.tmp").write_bytes(b"left by a dead process")
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.h5")}
    ran = build(raw, "--out", out, *FEW)
    assert ran.status == 0
    assert "3 of 5 units were there" in ran.err
    assert shards(out) == shards(built)
    assert (out / "dataset.json").read_bytes() == (built / "dataset.json").read_bytes()
    remade = {path for path, time in before.items() if path.stat().st_mtime_ns != time}
    assert remade == {flipped}
    assert not [path for path in out.iterdir() if path.name.startswith(".")]


def test_unfinished_build_refuses_another_command_and_another_machine(raw, tmp_path, monkeypatch):
    out = tmp_path / "data"
    with monkeypatch.context() as patch:
        patch.setattr(finishing, "write_manifest", lambda *_: (_ for _ in ()).throw(SynthanomError("stop")))
        build(raw, "--out", out, *QUICK)
    assert "seed was 0, now 4" in build(raw, "--out", out, *QUICK, "--seed", 4).error
    plan = json.loads((out / "plan.json").read_text())
    plan["environment"]["numpy"] = "1.0"
    (out / "plan.json").write_text(json.dumps(plan))
    assert "plan.json: its digest must match its content" in build(raw, "--out", out, *QUICK).error
    del plan["digest"]  # as plans of older versions have none
    (out / "plan.json").write_text(json.dumps(plan))
    assert "begun with numpy 1.0" in build(raw, "--out", out, *QUICK).error


def test_bad_files_are_skipped_and_move_nobody(tmp_path):
    raw = write_volumes(tmp_path / "raw", 7)
    (raw / "sub-01/sub-01_T1.nii").write_bytes((raw / "sub-01/sub-01_T1.nii").read_bytes()[:-100])
    write_nifti(raw / "sub-03/sub-03_T1.nii", np.full((14, 15, 16), 3.0))
    bad = smooth((14, 15, 16), 5)
    bad[3, 3, 3] = np.nan
    write_nifti(raw / "sub-05/sub-05_T1.nii", bad)
    block = np.zeros((14, 15, 16))
    block[3:9, 3:9, 3:9] = 7
    write_nifti(raw / "sub-06/sub-06_T1.nii", block)  # varies, but not in its foreground
    ran = build(raw, "--out", tmp_path / "data", *QUICK)
    assert ran.status == 3
    rows = skipped_rows(tmp_path / "data")
    assert [row["id"] for row in rows] == [f"sub-0{i}/sub-0{i}_T1" for i in (1, 3, 5, 6)]
    assert [row["stage"] for row in rows] == ["read", "read", "read", "prepare"]
    assert "constant" in rows[1]["reason"]
    assert "NaN" in rows[2]["reason"]
    assert str(tmp_path) not in (tmp_path / "data/skipped.csv").read_text()
    whole = write_volumes(tmp_path / "whole", 7)
    assert build(whole, "--out", tmp_path / "all", *QUICK).status == 0
    with DataSet.open(tmp_path / "data") as some, DataSet.open(tmp_path / "all") as every:
        assert some.folds == every.folds
        assert check(tmp_path / "data") == []
        for here, name in enumerate(some.healthy_ids):
            there = every.healthy_ids.index(name)
            one, two = some.anomaly("sink", here), every.anomaly("sink", there)
            assert one.healthy_index == here
            assert np.array_equal(one.image, two.image)


def test_rows_that_cannot_be_made_are_left_out_and_listed(raw, tmp_path):
    (tmp_path / "tasks.yaml").write_text("label: {visible: 0.97}\nsink: {push: [0.5, 2.0]}\n")
    ran = build(
        raw, "--out", tmp_path / "data", "--variants", 2, "--tasks", "sink", "--folds", 1, "--workers", 2,
        "--task-config", tmp_path / "tasks.yaml",
    )  # fmt: skip
    rows = skipped_rows(tmp_path / "data")
    assert ran.status == 3
    assert rows
    assert {row["stage"] for row in rows} == {"sink"}
    manifest = read_manifest(tmp_path / "data")
    assert manifest.counts == {"healthy": 12, "anomalies": 24 - len(rows)}
    assert manifest.tasks[0].settings["push"] == [0.5, 2.0]
    assert manifest.configuration["labeller"]["visible"] == 0.97
    with DataSet.open(tmp_path / "data") as data:
        first = rows[0]
        assert data.row_of("sink", data.healthy_ids.index(first["id"]), int(first["variant"])) is None
    assert check(tmp_path / "data") == []
    assert check_replay(tmp_path / "data").problems == ()


@pytest.mark.parametrize("config", ["", "label: {k: 30.0}\n", "label: {name: logistic, k: 30.0}\n"])
def test_other_labels_are_stored_and_replay(raw, config, tmp_path):
    (tmp_path / "tasks.yaml").write_text(config)
    given = (*QUICK, "--label", "logistic", "--task-config", tmp_path / "tasks.yaml")
    assert build(raw, "--out", tmp_path / "data", *given).status == 0
    stored = read_manifest(tmp_path / "data").configuration["labeller"]
    assert (stored["name"], stored["k"]) == ("logistic", 30.0 if config else 20.0)
    assert check_replay(tmp_path / "data").problems == ()
    assert "finished already" in build(raw, "--out", tmp_path / "data", *given).out
    with DataSet.open(tmp_path / "data") as data:
        labels = np.concatenate([data.anomaly("sink", row).label.ravel() for row in range(data.rows("sink"))])
    jump = 1 / (1 + np.exp(stored["k"] * stored["x0"]))
    assert 0.99 * jump < labels[labels > 0].min() and labels.max() > 0.5


def test_labels_that_contradict_each_other_are_refused(raw, tmp_path):
    (tmp_path / "tasks.yaml").write_text("label: {name: binary}\n")
    given = (raw, "--out", tmp_path / "data", *QUICK)
    ran = build(*given, "--label", "factor", "--task-config", tmp_path / "tasks.yaml")
    assert ran.status == 2 and "--label must be binary" in ran.error and "tasks.yaml" in ran.error
    assert "one of flipped_gaussian" in build(*given, "--label", "loud").error
    assert not (tmp_path / "data").exists()


def test_tasks_beyond_the_papers_are_built_when_named_and_replay(raw, tmp_path):
    others = [name for name in TASKS if name not in PAPER_TASKS]
    given = ("--out", tmp_path / "data", "--variants", 1, "--workers", 2, "--tasks", ",".join(others), "--folds", 2)
    ran = build(raw, *given, "--label", "factor")
    assert ran.status in (0, 3), ran.err  # rows that cannot be made in 16 x 16 are listed
    manifest = read_manifest(tmp_path / "data")
    assert [task.name for task in manifest.tasks] == others and all(task.rows > 6 for task in manifest.tasks)
    assert check(tmp_path / "data") == [] and check_replay(tmp_path / "data").problems == ()
    with DataSet.open(tmp_path / "data") as data:
        for row in range(data.rows("fpi")):
            recipe = json.loads(data.recipe("fpi", row))
            fold = data.folds[recipe["sample"]["id"]]
            assert all(a["donor"]["set"] == "own" and data.folds[a["donor"]["id"]] == fold for a in recipe["anomalies"])


def test_dry_run_writes_nothing(raw, tmp_path):
    ran = build(raw, "--out", tmp_path / "data", *FEW, "--dry-run")
    assert ran.status == 0
    assert not (tmp_path / "data").exists()
    for words in ("p11", "12 of 12", "up to 120 anomalous", "16 x 16", "5 folds", "disk: about"):
        assert words in ran.out


def test_plan_without_work_may_be_replaced(raw, tmp_path):
    out = tmp_path / "data"
    ran = build(raw, "--out", out, *QUICK)
    assert ran.status == 0
    for name in ("healthy", "anomalies"):
        shutil.rmtree(out / name)
    (out / "dataset.json").unlink()
    (out / "skipped.csv").unlink()
    assert build(raw, "--out", out, *QUICK, "--seed", 3).status == 0
    assert read_manifest(out).seed == 3


def test_external_donors_stay_in_their_fold(raw, built, tmp_path):
    out = tmp_path / "data"
    arguments = ("--out", out, "--variants", 1, "--workers", 2, "--tasks", "inter_blend,sink", "--donors", built)
    assert build(raw, *arguments).status == 0
    manifest = read_manifest(out)
    with DataSet.open(out) as data:
        for row in range(data.rows("inter_blend")):
            recipe = json.loads(data.recipe("inter_blend", row))
            for anomaly in recipe["anomalies"]:
                assert anomaly["donor"]["set"] == "data"
                assert manifest.donor_folds[anomaly["donor"]["id"]] == data.folds[recipe["sample"]["id"]]
    assert check_replay(out).problems == ()
    moved = shutil.copytree(built, tmp_path / "moved" / "data")
    assert check_replay(out, moved).problems == ()
    assert "finished already" in build(raw, *arguments[:-1], moved).out  # the same donors elsewhere
    assert check_replay(out, out).problems == ()  # others than the donors, which still lie where they lay


def test_contrasts_become_channels(tmp_path):
    raw = tmp_path / "raw"
    for i in range(3):
        for contrast in ("T2", "T1"):
            write_nifti(raw / f"s{i}_{contrast}.nii.gz", smooth((14, 14, 14), 10 * i + len(contrast)))
    write_nifti(raw / "s0_FLAIR.nii.gz", smooth((14, 14, 14), 99))
    write_nifti(raw / "s3_T2.nii.gz", smooth((14, 14, 14), 98))
    ran = build(raw, "--out", tmp_path / "data", *QUICK, "--channels", r"_(T2|T1)\.nii")
    assert ran.status == 3
    assert "left out: 1 images" in ran.err
    assert skipped_rows(tmp_path / "data")[0]["id"] == "s3"
    assert "contrast T1 is missing" in skipped_rows(tmp_path / "data")[0]["reason"]
    with DataSet.open(tmp_path / "data") as data:
        assert data.healthy_ids == ("s0", "s1", "s2")
        assert data.channels == 2
        assert data.manifest.configuration["contrasts"] == ["T2", "T1"]
        assert data.manifest.preprocessing["channels"]["contrasts"] == ["T2", "T1"]
    write_nifti(raw / "s1_T1.nii.gz", smooth((14, 14, 14), 11), np.diag([2.0, 1, 1, 1]))
    ran = build(raw, "--out", tmp_path / "other", *QUICK, "--channels", r"_(T2|T1)\.nii")
    assert "s1_T1" in skipped_rows(tmp_path / "other")[0]["reason"]  # geometry differs


def test_masks_are_the_foreground(tmp_path):
    raw = tmp_path / "raw"
    mask = np.zeros((14, 14, 14))
    mask[3:11, 2:12, 4:13] = 1
    for i in (1, 2, 10):
        write_nifti(raw / f"s{i}.nii", smooth((14, 14, 14), i))
    for i in (1, 10):
        write_nifti(raw / f"s{i}_mask.nii", np.roll(mask, i == 10, axis=0))
    ran = build(raw, "--out", tmp_path / "data", *QUICK, "--foreground", "*_mask.nii")
    assert ran.status == 3
    assert "no foreground mask" in skipped_rows(tmp_path / "data")[0]["reason"]
    with DataSet.open(tmp_path / "data") as data:
        assert data.manifest.preprocessing["masks"] == {"pattern": "*_mask.nii"}
        assert data.healthy_ids == ("s1", "s10")
        assert np.array_equal(data.healthy(0).foreground, mask.T > 0)
        assert np.array_equal(data.healthy(1).foreground, np.roll(mask, 1, axis=0).T > 0)


def test_subjects_by_path_table_and_pattern(tmp_path):
    raw = tmp_path / "raw"
    for name in ("sub-a_run-1", "sub-a_run-2", "sub-b", "x"):
        write_pictures(raw / "one", 1)
        (raw / "one/p00.png").rename(raw / f"{name}.png")
    (raw / "one").rmdir()
    one = ("--variants", 1, "--tasks", "sink", "--folds", 1, "--workers", 1)
    assert build(raw, "--out", tmp_path / "bids", *one).status == 0
    assert set(read_manifest(tmp_path / "bids").folds) == {"sub-a", "sub-b", "x"}
    table = tmp_path / "subjects.csv"
    table.write_text("id,subject\nsub-a_run-1,p\nsub-a_run-2.png,p\nsub-b,q\nx,r\n")
    assert build(raw, "--out", tmp_path / "table", *one, "--subjects", table).status == 0
    assert set(read_manifest(tmp_path / "table").folds) == {"p", "q", "r"}
    table.write_text("id,subject\nsub-b,q\n")
    assert "sub-a_run-1" in build(raw, "--out", tmp_path / "no", *one, "--subjects", table).error
    assert build(raw, "--out", tmp_path / "pattern", *one, "--subjects", "([a-z])(?:_|[.])").status == 0
    assert set(read_manifest(tmp_path / "pattern").folds) == {"a", "b", "x"}


def test_shapes_are_padded_to_the_smallest_that_holds_all(tmp_path):
    raw = write_volumes(tmp_path / "raw", 2)
    write_nifti(raw / "sub-02_T1.nii", smooth((12, 16, 16), 2))
    ran = build(raw, "--out", tmp_path / "data", *QUICK)
    assert ran.status == 0
    assert "the smallest that holds all" in ran.err
    with DataSet.open(tmp_path / "data") as data:
        assert data.shape == (16, 16, 14)
        # bytes of the small image, shifted by the padding: 12 -> 14 on the last axis of our order
        assert data.offset(data.healthy_ids.index("sub-02_T1")) == (0, 0, 1)
        assert data.manifest.preprocessing["steps"][-2] == {"name": "fit-shape", "shape": [16, 16, 14]}


def test_pictures_are_resized_and_volumes_resampled_on_request(tmp_path):
    raw = write_pictures(tmp_path / "raw", 2)
    Image.fromarray(smooth((20, 30), 5).astype(np.uint8)).save(raw / "wide.png")
    assert "--shape 16,16 resizes all" in build(raw, "--out", tmp_path / "no", *QUICK).error
    assert build(raw, "--out", tmp_path / "yes", *QUICK, "--shape", "18,18").status == 0
    assert read_manifest(tmp_path / "yes").shape == (18, 18)
    volumes = write_volumes(tmp_path / "volumes", 3, (28, 30, 32))
    assert build(volumes, "--out", tmp_path / "coarse", *QUICK, "--spacing", "2").status == 0
    with DataSet.open(tmp_path / "coarse") as data:
        assert data.shape == (16, 15, 14)
        assert data.healthy(0).spacing == (2.0, 2.0, 2.0)


def test_output_inside_the_raw_folder_is_passed_over(tmp_path):
    raw = write_pictures(tmp_path / "raw", 4)
    assert build(raw, "--out", raw / "data", *QUICK).status == 0
    shutil.copy(raw / "p00.png", raw / "data" / "preview.png")
    ran = build(raw, "--out", raw / "data", *QUICK)
    assert ran.status == 0
    assert "finished already" in ran.out


def test_real_radiographs_build_whole(shared_data, tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    for path in sorted((shared_data / "cxr_kermany224/train").rglob("*.jpeg"))[:10]:
        shutil.copy(path, raw)
    assert build(raw, "--out", tmp_path / "data", "--variants", 1, "--workers", 2, "--shape", "96,96").status == 0
    assert check(tmp_path / "data") == []
    assert read_manifest(tmp_path / "data").counts == {"healthy": 10, "anomalies": 50}


def test_real_brains_are_too_few_and_not_alike(shared_data, tmp_path):
    brains = shared_data / "brain_3d"
    ran = build(brains, "--out", tmp_path / "data", "--channels", r"/(T1)\.nii", "--workers", 2, "--dry-run")
    assert ran.status == 2
    assert "voxel sizes differ" in ran.err
    assert "got 3 in 3 images" in ran.error
