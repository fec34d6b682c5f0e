"""Making stored rows again: equal to the bit, and differences found."""

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from building import build, write_pictures
from small_data import reseal

from synthanom import replaying
from synthanom.errors import SynthanomError
from synthanom.replaying import check_replay, replay_row, stored_labeller
from synthanom.shards import DataSet


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("replaying")
    raw = write_pictures(folder / "raw", 6)
    assert build(
        raw, "--out", folder / "data", "--variants", 2, "--workers", 2, "--folds", 3,
        "--tasks", "intra_blend,inter_blend,source",
    ).status == 0  # fmt: skip
    return folder / "data"


@pytest.fixture
def data(built, tmp_path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "data"))


def test_every_row_is_made_again_to_the_bit(built):
    report = check_replay(built)
    assert report.rows == 36
    assert report.problems == ()
    assert report.same_fingerprint
    assert report.largest_difference == 0


def test_a_row_is_what_is_stored(built):
    with DataSet.open(built) as data:
        for task in ("intra_blend", "inter_blend"):
            stored, made = data.anomaly(task, 3), replay_row(built, task, 3)
            assert np.array_equal(made.image, stored.image)
            assert np.array_equal(made.label, stored.label)
            assert made.recipe.to_json() == stored.recipe
    with pytest.raises(SynthanomError, match="row of source"):
        replay_row(built, "source", 99)
    with pytest.raises(SynthanomError, match="task must be one of"):
        replay_row(built, "sink", 0)


def change_values(folder: Path, by: float) -> None:
    with h5py.File(folder / "anomalies/source/00000.h5", "r+") as file:
        file["values"][...] = file["values"][...] + np.float32(by)
    reseal(folder)


def test_changed_values_are_found(data):
    change_values(data, 1e-6)
    report = check_replay(data)
    assert len(report.problems) == 12
    assert report.problems[0].startswith("source row 0: differs by")
    assert "equality" in report.problems[0]
    assert 0 < report.largest_difference < 1e-5


@pytest.mark.parametrize(("by", "problems"), [(1e-5, 0), (1e-3, 12)])
def test_another_machine_may_differ_a_little(data, by, problems, monkeypatch):
    change_values(data, by)
    monkeypatch.setattr(replaying, "fingerprint", lambda codec: {"machine": "another"})
    report = check_replay(data)
    assert not report.same_fingerprint
    assert len(report.problems) == problems
    assert by / 10 < report.largest_difference < by


def test_changed_labels_are_found(data):
    with h5py.File(data / "anomalies/source/00000.h5", "r+") as file:
        file["labels"][5] = 1.0 - file["labels"][5]
    reseal(data)
    assert len(check_replay(data).problems) == 1


def test_unreadable_rows_are_problems_not_crashes(data):
    with h5py.File(data / "anomalies/source/00000.h5", "r+") as file:
        end = file["recipe_offsets"][1]
        file["recipe"][:end] = np.frombuffer(b"x" * end, np.uint8)
    reseal(data)
    report = check_replay(data)
    assert len(report.problems) == 1
    assert "source row 0: a recipe must be JSON" in report.problems[0]


def test_donors_and_labellers_that_do_not_fit_are_refused(built, data):
    with pytest.raises(SynthanomError, match="procedural textures"):
        check_replay(built, built)
    content = json.loads((data / "dataset.json").read_text())
    external = {"kind": "data set", "name": "gone", "sha256": "0" * 64, "path": "/nowhere/gone", "folds": {}}
    content["configuration"] |= {"donors": external, "labeller": {"name": "other"}}
    (data / "dataset.json").write_text(json.dumps(content))
    reseal(data)
    with DataSet.open(data) as opened, pytest.raises(SynthanomError, match="labeller is not known"):
        stored_labeller(opened)
