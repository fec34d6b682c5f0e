"""Rows made again without raw files: donors are found by digest wherever they lie, or it is said what is missing."""

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from building import build, smooth, write_pictures
from PIL import Image
from running import SYNTHANOM, answer, ran
from small_data import reseal

from synthanom import donor_finding, replaying, textures
from synthanom.cli import main
from synthanom.errors import MissingDonor, SynthanomError
from synthanom.joining import join
from synthanom.manifest import read_manifest
from synthanom.replaying import check_replay, replay_row
from synthanom.shards import DataSet
from synthanom.volumes import read

FEW = ("--variants", 1, "--workers", 1, "--folds", 2)
DONORS = (*FEW, "--tasks", "sink")
BORROWING = (*FEW, "--tasks", "intra_blend,inter_blend,sink")


def others(folder: Path, name: str, count: int, seed: int) -> Path:
    folder.mkdir()
    for i in range(count):
        Image.fromarray(smooth((16, 16), seed + i).astype(np.uint8)).save(folder / f"{name}{i}.png")
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A folder with `data`, which borrowed from `lenders`, and no raw files any more."""
    folder = tmp_path_factory.mktemp("made")
    raw, lent = write_pictures(folder / "raw", 4), others(folder / "lent", "d", 4, 50)
    for number, (name, given, settings) in enumerate(
        (("lenders", lent, DONORS), ("data", raw, (*BORROWING, "--donors", folder / "lenders")))
    ):
        assert build(given, "--out", folder / name, *settings).status == 0, number
    assert build(lent, "--out", folder / "otherwise", *DONORS, "--normalise", "zscore").status == 0
    assert build(others(folder / "more", "m", 4, 80), "--out", folder / "more-lenders", *DONORS).status == 0
    for path in (raw, lent, folder / "more"):
        shutil.rmtree(path)
    return folder


@pytest.fixture
def moved(made, tmp_path) -> Path:
    """The data set alone, in another place: the donors lie where nobody looks."""
    folder = tmp_path / "moved"
    shutil.copytree(made / "data", folder / "renamed")
    shutil.copytree(made / "lenders", folder / "archive/2026/abdomens")
    content = json.loads((folder / "renamed/dataset.json").read_text())
    content["configuration"]["donors"]["path"] = str(folder / "gone")
    (folder / "renamed/dataset.json").write_text(json.dumps(content))
    reseal(folder / "renamed")
    return folder


def test_no_raw_file_is_needed_where_donors_lie_as_before(made):
    report = check_replay(made / "data")
    assert (report.rows, report.problems, report.largest_difference) == (12, (), 0.0)


def test_donors_are_known_by_their_digest_not_by_name_or_place(made, moved):
    lenders = moved / "archive/2026/abdomens"
    assert check_replay(moved / "renamed", lenders).problems == ()
    assert check_replay(moved / "renamed", [made / "otherwise", str(lenders)]).problems == ()
    shutil.copytree(lenders, moved / "lenders")  # beside the data set, under its name of then
    assert check_replay(moved / "renamed").problems == ()


def test_donors_that_were_joined_or_renamed_are_found_image_by_image(made, moved):
    joined = join([made / "lenders", made / "more-lenders"], moved / "joined").folder
    report = check_replay(moved / "renamed", joined)
    assert report.problems == () and report.rows == 12
    path = joined / "healthy/00000.h5"
    with h5py.File(path, "r+") as file:
        file["id"][...] = [f"x{i}" for i in range(len(file["id"]))]
    reseal(joined)
    assert check_replay(moved / "renamed", joined).problems == ()


def test_several_data_sets_together_hold_all_donors(made, moved):
    used = donors_of(made / "data")
    assert len(used) > 1
    join([made / "lenders", made / "more-lenders"], moved / "joined")
    half = moved / "joined"
    with h5py.File(half / "healthy/00000.h5", "r+") as file:  # one of the donors is another image here
        row = file["id"].asstr()[()].tolist().index(sorted(used)[0])
        file["image"][row] = file["image"][row] + np.float32(1)
    reseal(half)
    with pytest.raises(MissingDonor, match=f"joined: donor '{sorted(used)[0]}' must have digest"):
        check_replay(moved / "renamed", half)
    assert check_replay(moved / "renamed", [half, moved / "archive/2026/abdomens"]).problems == ()


def donors_of(folder: Path) -> set[str]:
    with DataSet.open(folder) as data:
        recipes = [json.loads(data.recipe("inter_blend", row)) for row in range(data.rows("inter_blend"))]
    return {anomaly["donor"]["id"] for recipe in recipes for anomaly in recipe["anomalies"]}


def test_what_is_missing_is_named(made, moved):
    digest = read_manifest(made / "data").configuration["donors"]["sha256"][:12]
    named = rf"data set 'lenders' \(dataset.json with digest {digest}, 4 subjects\)"
    for given in (None, ()):
        with pytest.raises(MissingDonor, match=f"borrowed from {named}, which is not at .*gone; say where .*--donors"):
            check_replay(moved / "renamed", given)
    with pytest.raises(
        MissingDonor, match=rf"donor 'd\d' \(digest .{{12}}\) must be in .*more-lenders, .*give {named}"
    ):
        replay_row(moved / "renamed", "inter_blend", 0, made / "more-lenders")
    with pytest.raises(SynthanomError, match=r"must hold dataset\.json"):
        check_replay(moved / "renamed", moved)
    for task in ("sink", "intra_blend"):  # of a row that needs no donors of others nothing is asked
        replay_row(moved / "renamed", task, 0)


def test_donors_built_with_other_preprocessing_are_refused(made, moved):
    with pytest.raises(MissingDonor, match=r"otherwise: donor 'd.' must have digest .* preprocessing is another; give"):
        check_replay(moved / "renamed", made / "otherwise")


def test_own_donors_must_be_what_they_were(made, tmp_path):
    data = Path(shutil.copytree(made / "data", tmp_path / "data"))
    with h5py.File(data / "healthy/00000.h5", "r+") as file:
        file["image"][0] = file["image"][0] + np.float32(0.5)
    reseal(data)
    problems = check_replay(data, made / "lenders").problems
    borrowed = [words for words in problems if "donor 'p00' must have digest" in words]
    assert len(borrowed) == 1 and borrowed[0].startswith("intra_blend row ") and "restore it from a copy" in borrowed[0]
    assert len(problems) == 4 and sum("the recipe was drawn for 'p00'" in words for words in problems) == 3


def test_a_joined_data_set_replays_with_the_donors_of_both(made, moved, tmp_path):
    raw = others(tmp_path / "raw", "z", 4, 120)
    assert build(raw, "--out", tmp_path / "second", *BORROWING, "--donors", made / "lenders").status == 0
    shutil.rmtree(raw)
    both = join([moved / "renamed", tmp_path / "second"], tmp_path / "both").folder
    report = check_replay(both, [moved / "archive/2026/abdomens"])
    assert (report.rows, report.problems) == (24, ())


def test_a_texture_may_be_rounded_otherwise_on_another_machine(tmp_path, monkeypatch):
    raw = write_pictures(tmp_path / "raw", 4)
    assert build(raw, "--out", tmp_path / "data", *FEW, "--tasks", "inter_blend").status == 0
    original = textures.texture

    def otherwise(rng, shape):
        return original(rng, shape) * (1 + 1e-6)

    monkeypatch.setattr(textures, "texture", otherwise)
    report = check_replay(tmp_path / "data")
    assert len(report.problems) == 4 and "must have digest" in report.problems[0]  # here they must be the same
    monkeypatch.setattr(replaying, "fingerprint", lambda codec: {"machine": "another"})
    report = check_replay(tmp_path / "data")
    assert report.problems == () and 0 < report.largest_difference < 1e-5
    with DataSet.open(tmp_path / "data") as data:
        stored = data.anomaly("inter_blend", 1)
    assert np.abs(replay_row(tmp_path / "data", "inter_blend", 1).image - stored.image).max() < 1e-4


def test_textures_need_no_data_set(tmp_path, made):
    raw = write_pictures(tmp_path / "raw", 4)
    assert build(raw, "--out", tmp_path / "data", *FEW, "--tasks", "inter_blend").status == 0
    with pytest.raises(SynthanomError, match=r"textures, not with donors of .*lenders; leave --donors out"):
        check_replay(tmp_path / "data", made / "lenders")


def test_the_commands_take_several_folders(made, moved, tmp_path):
    lenders = moved / "archive/2026/abdomens"
    given = ("--donors", made / "more-lenders", "--donors", lenders)
    done = ran(SYNTHANOM, "replay", moved / "renamed", "inter_blend", 2, "--out", tmp_path / "a.nii.gz", *given)
    assert (done.returncode, done.stderr) == (0, "")
    with DataSet.open(moved / "renamed") as data:
        assert np.array_equal(read(tmp_path / "a.nii.gz").image, data.anomaly("inter_blend", 2).image)
    done = ran(SYNTHANOM, "check", moved / "renamed", "--replay", *given)
    assert done.returncode == 0 and "12 rows replayed, equality" in done.stdout
    for command in (("check", moved / "renamed", "--replay"), ("replay", moved / "renamed", "inter_blend", 0)):
        out = () if command[0] == "check" else ("--out", tmp_path / "b.nii.gz")
        done = ran(SYNTHANOM, *command, *out)
        (line,) = done.stderr.splitlines()
        assert done.returncode == 2 and "data set 'lenders'" in line and line.endswith("--donors FOLDER")
    status, found, _ = answer(main, "check", moved / "renamed", "--replay", "--donors", made / "otherwise")
    assert status == 2 and found["status"] == "refused" and "must have digest" in found["error"]
    assert not (tmp_path / "b.nii.gz").exists()


def test_one_folder_or_several():
    assert donor_finding.folders(None) == donor_finding.folders(()) == ()
    assert donor_finding.folders("a") == donor_finding.folders([Path("a")]) == (Path("a"),)
