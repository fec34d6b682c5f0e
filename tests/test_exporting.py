"""Exports hold what the reader returns, whole or not at all, and are gone on with after an interruption."""

import csv
import json
import shutil
import signal
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
from real_data import write_real
from small_data import reseal, write_small

from synthanom.errors import SynthanomError
from synthanom.exporting import Selection, export, planned
from synthanom.exporting import room as rooms
from synthanom.exporting.nifti import _name
from synthanom.shards import DataSet
from synthanom.volumes import read


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    return write_real(tmp_path_factory.mktemp("pictures") / "data")


@pytest.fixture(scope="module")
def volumes(tmp_path_factory) -> Path:
    """Volumes of two channels with an affine."""
    return write_real(tmp_path_factory.mktemp("volumes") / "data", shape=(14, 16, 18), channels=2, subjects=3)


@pytest.fixture(scope="module")
def sparse(tmp_path_factory) -> Path:
    """Of which some images have no affine and no spacing, one row is missing, and ids are not ASCII."""
    folder = tmp_path_factory.mktemp("sparse") / "data"
    write_small(folder, channels=3)
    return folder


def same_nifti(path: Path, array: np.ndarray, affine) -> bool:
    """Whether nibabel finds the values of (x, y, z) or (x, y, z, c), and the affine."""
    image = nibabel.load(path)
    found = np.asarray(image.dataobj)
    return np.array_equal(found, array) and (affine is None or np.allclose(image.affine, affine, atol=1e-6))


@pytest.mark.parametrize("name", ["pictures", "volumes", "sparse"])
def test_hdf5_holds_what_the_reader_returns(name, request, tmp_path):
    folder = request.getfixturevalue(name)
    done = export(folder, tmp_path / "out")
    with DataSet.open(folder) as data:
        assert done.rows == {"healthy": len(data), **{task: data.rows(task) for task in data.tasks}}
        with h5py.File(tmp_path / "out/healthy.h5") as file:
            for row, sample in enumerate(data):
                np.testing.assert_array_equal(file["image"][row], sample.image)
                np.testing.assert_array_equal(file["foreground"][row].astype(bool), sample.foreground)
                np.testing.assert_array_equal(file["offset"][row], data.offset(row))
                assert file["id"].asstr()[row] == sample.id and file["subject"].asstr()[row] == sample.subject
                assert file["fold"][row] == data.folds[sample.subject]
                unknown = sample.affine is None
                assert np.isnan(file["affine"][row]).all() == np.isnan(file["spacing"][row]).all() == unknown
                assert unknown or np.array_equal(file["affine"][row], sample.affine)
                assert unknown or tuple(file["spacing"][row]) == sample.spacing
        for task in data.tasks:
            with h5py.File(tmp_path / "out" / f"{task}.h5") as file:
                for row in range(data.rows(task)):
                    made = data.anomaly(task, row)
                    np.testing.assert_array_equal(file["image"][row], made.image)
                    np.testing.assert_array_equal(file["label"][row], made.label)
                    np.testing.assert_array_equal(file["region"][row].astype(bool), made.region)
                    assert file["recipe"].asstr()[row].encode() == made.recipe
                    assert (file["healthy_index"][row], file["variant"][row]) == (made.healthy_index, made.variant)
                    assert file["id"].asstr()[row] == data.healthy_ids[made.healthy_index]
                assert file["image"].chunks == (1, *file["image"].shape[1:])
                assert file["image"].compression == "gzip" and file["label"].fletcher32
                assert file.attrs["task"] == task and len(file.attrs["data_sha256"]) == 64
                assert json.loads(file.attrs["preprocessing"]) == data.manifest.preprocessing
                assert file["image"].attrs["axes"].startswith("row, channel, ")


@pytest.mark.parametrize("name", ["pictures", "volumes", "sparse"])
def test_nifti_is_what_the_reader_returns(name, request, tmp_path):
    folder, out = request.getfixturevalue(name), tmp_path / "out"
    done = export(folder, out, "nifti")
    rows = list(csv.DictReader((out / "rows.csv").open(encoding="utf-8")))
    assert len(rows) == sum(done.rows.values())
    files = [row[column] for row in rows for column in ("image", "label", "region", "foreground", "recipe")]
    files = [file for file in files if file]
    on_disk = {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()}
    assert len(set(files)) == len(files) and on_disk == {*files, "rows.csv", "export.json"}
    with DataSet.open(folder) as data:
        for row in rows:
            sample = data.healthy(int(row["healthy_index"]))
            assert (row["id"], row["subject"]) == (sample.id, sample.subject)
            assert row["orientation"] == ("unknown" if sample.affine is None else "known")
            assert int(row["fold"]) == data.folds[sample.subject]
            if row["task"]:
                made = data.anomaly(row["task"], int(row["row"]))
                assert int(row["variant"]) == made.variant
                image, others = made.image, {"label": made.label, "region": made.region}
                assert (out / row["recipe"]).read_bytes() == made.recipe
            else:
                image, others = sample.image, {"foreground": sample.foreground}
            planes = image if image.ndim == 4 else image[:, None]  # 2D: a third axis of length 1
            wanted = planes.transpose(3, 2, 1, 0)
            assert same_nifti(out / row["image"], wanted[..., 0] if len(image) == 1 else wanted, sample.affine)
            for column, array in others.items():
                plane = array if array.ndim == 3 else array[None]
                assert same_nifti(out / row[column], plane.T, sample.affine)
            if len(image) == 1:
                again = read(out / row["image"])
                assert np.array_equal(again.image.reshape(image.shape), image) and again.spacing is not None


def test_unknown_orientation_stays_unknown(tmp_path, sparse):
    export(sparse, tmp_path / "out", "nifti", selection=Selection(limit=2, tasks=()))
    codes = [
        (int(image.header["sform_code"]) > 0, image.shape)
        for image in (nibabel.load(p) for p in sorted((tmp_path / "out/healthy").glob("*-[0-9].nii.gz")))
    ]
    assert codes == [(False, (13, 12, 1, 3)), (True, (13, 12, 1, 3))]


@pytest.mark.parametrize("form", ["hdf5", "nifti"])
def test_the_same_export_gives_the_same_bytes_and_is_finished_once(form, pictures, tmp_path):
    first, second = (export(pictures, tmp_path / name, form) for name in "ab")
    assert contents(tmp_path / "a") == contents(tmp_path / "b") and first.bytes == second.bytes
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "a").rglob("*")}
    again = export(pictures, tmp_path / "a", form)
    assert again.already and again.bytes == first.bytes
    assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / "a").rglob("*")}
    renamed = shutil.copytree(pictures, tmp_path / "renamed")
    assert export(renamed, tmp_path / "a", form).already  # known by its digest


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_selection(pictures, sparse, tmp_path):
    done = export(sparse, tmp_path / "a", selection=Selection(folds=(1,), tasks=("sink",), variants=1))
    with h5py.File(tmp_path / "a/sink.h5") as file, h5py.File(tmp_path / "a/healthy.h5") as healthy:
        assert file["fold"][:].tolist() == [1, 1] and file["variant"][:].tolist() == [0, 0]
        assert healthy["row"][:].tolist() == file["healthy_index"][:].tolist() == [2, 3]
    assert done.rows == {"healthy": 2, "sink": 2}
    assert export(pictures, tmp_path / "b", selection=Selection(limit=3, healthy=False)).rows == {
        "inter_blend": 3, "sink": 3,
    }  # fmt: skip
    assert export(pictures, tmp_path / "c", selection=Selection(tasks=())).rows == {"healthy": 4}
    for selection, words in (
        (Selection(tasks=("swirl",)), "no task 'swirl'; it has inter_blend, sink"),
        (Selection(folds=(7,)), "no fold 7; it has 0"),
        (Selection(tasks=(), healthy=False), "nothing to export"),
    ):
        with pytest.raises(SynthanomError, match=words):
            export(pictures, tmp_path / "d", selection=selection)
    with pytest.raises(SynthanomError, match="--limit must be at least 1"):
        Selection(limit=0)
    assert not (tmp_path / "d").exists()


def test_without_compression(volumes, tmp_path):
    export(volumes, tmp_path / "out", codec="none")
    with h5py.File(tmp_path / "out/sink.h5") as file, DataSet.open(volumes) as data:
        assert file["image"].compression is None and file["image"].fletcher32
        np.testing.assert_array_equal(file["label"][2], data.anomaly("sink", 2).label)
    with pytest.raises(SynthanomError, match="leave it out, or export hdf5"):
        export(volumes, tmp_path / "n", "nifti", codec="none")
    with pytest.raises(SynthanomError, match="--codec must be one of gzip, none"):
        export(volumes, tmp_path / "n", codec="zstd")
    with pytest.raises(SynthanomError, match="--format must be hdf5 or nifti"):
        export(volumes, tmp_path / "n", "png")


@pytest.mark.parametrize(("form", "codec"), [("hdf5", "gzip"), ("hdf5", "none"), ("nifti", "gzip")])
def test_the_size_is_foretold(form, codec, tmp_path):
    folder = write_real(tmp_path / "data", shape=(40, 48, 44), subjects=3, tasks=("sink",))
    plan, free = planned(folder, tmp_path / "out", form, codec=codec)
    assert not (tmp_path / "out").exists() and free > plan.room.plain > 0
    done = export(folder, tmp_path / "out", form, codec=codec)
    assert done.bytes == pytest.approx(plan.room.needed, rel=0.15)
    assert done.rows == plan.rows


def test_what_will_not_fit_is_refused(pictures, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(rooms.shutil, "disk_usage", lambda place: usage._replace(free=1000))
    with pytest.raises(SynthanomError, match=r"out: needs about [\d.]+ kB, 1 kB are free there; name another --out"):
        export(pictures, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("form", ["hdf5", "nifti"])
def test_a_damaged_row_leaves_nothing_half_written(form, pictures, tmp_path):
    folder = Path(shutil.copytree(pictures, tmp_path / "data"))
    path = folder / "anomalies/sink/00000.h5"
    with h5py.File(path) as file:
        place = file["values"].id.get_chunk_info(0).byte_offset + 9
    content = bytearray(path.read_bytes())
    content[place] ^= 4
    path.write_bytes(content)
    damaged = Selection(tasks=("inter_blend", "sink"), healthy=True)
    with pytest.raises(SynthanomError, match=r"sink/00000\.h5: row \d must be readable"):
        export(folder, tmp_path / "out", form, selection=damaged)
    if (tmp_path / "out").exists():
        assert not (tmp_path / "out/sink.h5").exists() and not list(tmp_path.rglob("*.tmp"))
        assert json.loads((tmp_path / "out/export.json").read_text())["finished"] is False


def test_a_row_damaged_in_the_middle_keeps_what_was_finished(volumes, tmp_path, monkeypatch):
    original = DataSet.anomaly_row

    def broken(self, task, row):
        if (task, row) == ("sink", 4):
            raise SynthanomError("sink row 4 is damaged")
        return original(self, task, row)

    for form in ("hdf5", "nifti"):
        out = tmp_path / form
        monkeypatch.setattr(DataSet, "anomaly_row", broken)
        with pytest.raises(SynthanomError, match="row 4 is damaged"):
            export(volumes, out, form)
        assert not [p for p in out.rglob("*") if p.name.startswith(".")]
        finished = contents(out)
        assert not any(name.startswith("sink.h5") for name in finished) and len(finished) > 2
        monkeypatch.setattr(DataSet, "anomaly_row", original)
        done = export(volumes, out, form)
        assert done.kept >= done.rows["healthy"] + done.rows["inter_blend"]
        straight = export(volumes, tmp_path / f"straight-{form}", form)
        assert contents(out) == contents(tmp_path / f"straight-{form}") and straight.kept == 0


def test_folders_of_others_are_refused(pictures, volumes, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/a.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for out, words in (
        (tmp_path / "full", "holds something else than an export"),
        (tmp_path / "file", "is a file"),
        (pictures, "outside the data set"),
        (pictures / "inside", "outside the data set"),
        (pictures.parent, "outside the data set"),
    ):
        with pytest.raises(SynthanomError, match=words):
            export(pictures, out)
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["a.txt"]
    export(pictures, tmp_path / "out")
    for given, words in (
        ((volumes, "hdf5"), "data_sha256 was"),
        ((pictures, "nifti"), 'form was "hdf5", now "nifti"'),
    ):
        with pytest.raises(SynthanomError, match=f"holds an export of other settings .{words}"):
            export(given[0], tmp_path / "out", given[1])
    with pytest.raises(SynthanomError, match=r"other settings \(selection was"):
        export(pictures, tmp_path / "out", selection=Selection(limit=1))
    with pytest.raises(SynthanomError, match=r"other settings \(codec was"):
        export(pictures, tmp_path / "out", codec="none")
    (tmp_path / "out/export.json").write_text("{}")
    with pytest.raises(SynthanomError, match="must be written by synthanom export"):
        export(pictures, tmp_path / "out")


@pytest.mark.parametrize("form", ["hdf5", "nifti"])
def test_what_somebody_changed_is_not_written_over(form, pictures, tmp_path):
    out = tmp_path / "out"
    export(pictures, out, form)
    file = out / "sink.h5" if form == "hdf5" else next(iter(sorted((out / "sink").glob("*v0.nii.gz"))))
    kept = file.read_bytes()
    file.write_bytes(kept[:-20])
    with pytest.raises(SynthanomError, match=f"{file.name}: must have {len(kept)} bytes"):
        export(pictures, out, form)
    other = out / "inter_blend.h5" if form == "hdf5" else next(iter(sorted((out / "sink").glob("*v1.nii.gz"))))
    file.unlink()
    assert not export(pictures, out, form).already and file.read_bytes() == kept  # missing files are made again
    file.unlink()
    shutil.copy(other, file)
    record = json.loads((out / "export.json").read_text())
    (out / "export.json").write_text(json.dumps(record | {"finished": False}))
    with pytest.raises(SynthanomError, match=f"{file.name}: holds something else; delete it"):
        export(pictures, out, form)
    assert file.read_bytes() == other.read_bytes()


def test_names_are_safe_and_tell_rows_apart():
    assert _name(3, "../../etc/pass wd") == "00003-etc-pass-wd"
    assert _name(4, "Größe/1") != _name(5, "Größe/1") and _name(4, "Größe/1").isascii()
    assert _name(7, "日本") == "00007" and len(_name(1, "x" * 300)) < 100


def test_resealed_data_are_another_data_set(pictures, tmp_path):
    folder = Path(shutil.copytree(pictures, tmp_path / "data"))
    export(folder, tmp_path / "out")
    with h5py.File(folder / "healthy/00000.h5", "r+") as file:
        file["image"][0] = file["image"][0] + np.float32(1)
    reseal(folder)
    with pytest.raises(SynthanomError, match="data_sha256"):
        export(folder, tmp_path / "out")


def test_a_full_disk_is_one_error_and_leaves_nothing(volumes, tmp_path):
    """HDF5 cannot be left with a file that it could not write; a limit on the size of files stands for the disk."""
    resource = pytest.importorskip("resource")
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, limits[1]))
        with pytest.raises(SynthanomError, match=r"healthy\.h5: must be writable, got 'File too large'"):
            export(volumes, tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["export.json"]
