"""Data sets that were built apart become one with valid folds, or the reason why not is told."""

import dataclasses
import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from building import build, shards, smooth, write_pictures
from PIL import Image
from small_data import write_small

from synthanom.errors import SynthanomError
from synthanom.fold_donors import fold_donors
from synthanom.joining import join, joinable
from synthanom.manifest import read_manifest, write_manifest
from synthanom.replaying import check_replay
from synthanom.shards import DataSet, check
from synthanom.training.folds import check_folds

FEW = (
    "--variants",
    "3",
    "--tasks",
    "intra_blend,inter_blend,sink",
    "--folds",
    "3",
    "--workers",
    "1",
    "--shape",
    "16,16",
)


def second_hospital(folder: Path, count: int = 9) -> Path:
    folder.mkdir()
    for i in range(count):
        Image.fromarray(smooth((16, 16), 100 + i).astype(np.uint8)).save(folder / f"z{i}.png")
    return folder


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("hospitals")
    raws = write_pictures(folder / "raw-a"), second_hospital(folder / "raw-b")
    outs = tuple(folder / name for name in "ab")
    for raw, out in zip(raws, outs, strict=True):
        assert build(raw, "--out", out, *FEW).status == 0
    return outs


def changed(folder: Path, **values: object) -> None:
    """Give a data set another manifest."""
    manifest = dataclasses.replace(read_manifest(folder), **values)
    (folder / "dataset.json").unlink()
    write_manifest(folder, manifest)


def test_two_hospitals_become_one_data_set(hospitals, tmp_path):
    before = [shards(folder) for folder in hospitals]
    done = join(hospitals, tmp_path / "both")
    assert [shards(folder) for folder in hospitals] == before
    assert check(done.folder) == [] and [p.name for p in tmp_path.iterdir()] == ["both"]
    report = check_replay(done.folder)
    assert report.problems == () and report.same_fingerprint and report.rows == 21 * 9
    with DataSet.open(done.folder) as both:
        opened = [DataSet.open(folder) for folder in hospitals]
        assert both.healthy_ids == (*opened[0].healthy_ids, *opened[1].healthy_ids)
        assert dict(both.folds) == {**opened[0].folds, **opened[1].folds}
        for task in both.tasks:
            rows = opened[0].rows(task)
            for row, (data, inside) in ((0, (opened[0], 0)), (rows + 4, (opened[1], 4))):
                ours, theirs = both.anomaly(task, row), data.anomaly(task, inside)
                np.testing.assert_array_equal(ours.image, theirs.image)
                np.testing.assert_array_equal(ours.label, theirs.label)
                assert ours.recipe == theirs.recipe
                assert ours.healthy_index == theirs.healthy_index + (0 if data is opened[0] else 12)
        for fold in range(3):
            donors = fold_donors(both, fold, both.manifest.configuration["donors"], None)["intra_blend"]
            assert {both.folds[subject] for subject in donors.subjects} == {fold}
        check_folds(both.tasks, both.folds)  # as training does
    named = done.manifest.configuration["merged_from"]
    assert [source["name"] for source in named] == ["a", "b"]
    assert done.manifest.files[-1].path == "skipped.csv"


def test_the_command_joins_too(hospitals, tmp_path):
    from test_parts import _synthanom

    status, answer, errors = _synthanom("merge", *hospitals, "--out", tmp_path / "both", "--json")
    assert status == 0 and "Traceback" not in errors
    assert json.loads(answer)["counts"] == {"healthy": 21, "anomalies": 189}
    status, _, errors = _synthanom("merge", *hospitals, "--out", tmp_path / "both")
    assert status == 2 and "must be new or empty" in errors


def test_folds_that_would_leak_are_refused(hospitals, tmp_path):
    write_small(tmp_path / "one")
    write_small(tmp_path / "two")
    with pytest.raises(SynthanomError, match="id cäse-0 must be in one data set"):
        join([tmp_path / "one", tmp_path / "two"], tmp_path / "out")
    folds = dict(read_manifest(tmp_path / "two").folds)
    changed(tmp_path / "two", folds={name: 1 - fold for name, fold in folds.items()})
    with pytest.raises(SynthanomError, match=r"subject p-0 must lie in fold 0 as in .*one, got fold 1"):
        join([tmp_path / "one", tmp_path / "two"], tmp_path / "out")
    raw = tmp_path / "raw"
    raw.mkdir()
    for path in (hospitals[0].parent / "raw-a").iterdir():
        (raw / f"renamed-{path.name}").write_bytes(path.read_bytes())
    assert build(raw, "--out", tmp_path / "copy", *FEW).status == 0
    with pytest.raises(SynthanomError, match="must lie in one fold, got the same pixels in fold"):
        join([hospitals[0], tmp_path / "copy"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_changed_table_is_not_joined(hospitals, tmp_path):
    copy = Path(shutil.copytree(hospitals[1], tmp_path / "copy"))
    (copy / "skipped.csv").write_bytes((copy / "skipped.csv").read_bytes().replace(b"id", b"ie"))
    with pytest.raises(SynthanomError, match=r"copy/skipped\.csv: must be as dataset\.json lists it"):
        join([hospitals[0], copy], tmp_path / "both")
    assert not (tmp_path / "both").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 8}, "seed must be as in .*got 8"),
        ({"variants": 3}, "variants must be as in"),
        ({"preprocessing": {"steps": [1]}}, "preprocessing must be as in"),
        ({"configuration": {"labeller": {"name": "x"}}}, "labeller must be as in"),
        ({"configuration": {"donors": {"kind": "data set", "sha256": "0"}}}, "donors must be as in"),
        ({"folds": {"p-0": 0, "p-1": 1, "p-2": 2}}, "the number of folds must be as in"),
        ({"fingerprint": {"numpy": "1"}}, "must be built under the fingerprint of .*--mixed-fingerprints"),
    ],
)
def test_what_a_data_set_has_one_of_must_agree(tmp_path, change, words):
    for name in ("one", "two"):
        write_small(tmp_path / name)
    changed(tmp_path / "two", **change)
    with pytest.raises(SynthanomError, match=words):
        join([tmp_path / "one", tmp_path / "two"], tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one", "two"]


def test_other_shapes_and_tasks_are_refused(tmp_path):
    write_small(tmp_path / "one")
    write_small(tmp_path / "wide", shape=(12, 14))
    with pytest.raises(SynthanomError, match=r"shape must be as in .* \(\[12,13\]\), got \[12,14\]"):
        join([tmp_path / "one", tmp_path / "wide"], tmp_path / "out")


def test_finished_and_unfinished_do_not_mix(hospitals, tmp_path):
    with pytest.raises(SynthanomError, match="must be a finished data set like"):
        joinable([hospitals[0], tmp_path], tmp_path / "out")
    assert joinable(hospitals, tmp_path / "out") and not joinable([tmp_path], None)
    assert not joinable(hospitals[:1], None), "a data set alone has nothing to be joined with"
    with pytest.raises(SynthanomError, match="at least two different data sets"):
        join([hospitals[0], hospitals[0]], tmp_path / "out")
    with pytest.raises(SynthanomError, match="--out must name"):
        join(hospitals, None)


def test_a_damaged_shard_is_not_taken_over(hospitals, tmp_path):
    shutil.copytree(hospitals[1], tmp_path / "b")
    with h5py.File(tmp_path / "b" / "anomalies/sink/00000.h5") as file:
        place = file["values"].id.get_chunk_info(0).byte_offset + 9
    path = tmp_path / "b" / "anomalies/sink/00000.h5"
    content = bytearray(path.read_bytes())
    content[place] ^= 4
    path.write_bytes(content)
    with pytest.raises(SynthanomError, match=r"b/anomalies/sink/00000\.h5: row 0 must be readable"):
        join([hospitals[0], tmp_path / "b"], tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["b"], "nothing half-made"
