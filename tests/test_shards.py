"""Shards: what is written is read back to the bit, in every process, and the same rows make the same bytes."""

import multiprocessing
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import ndimage
from small_data import TASKS, small_pictures, small_recipe, small_row, small_samples, write_small

from synthanom.errors import SynthanomError
from synthanom.sample import Sample
from synthanom.shards import AnomalyRow, DataSet, check, fingerprint, unit_rows, write_anomalies, write_healthy
from synthanom.shards.boxes import MAX_PARTS, covering_boxes, paste
from synthanom.shards.layout import chunks_of

ROOT = Path(__file__).parents[1]
CASES = [
    pytest.param(1, (12, 13), id="2d-1"),
    pytest.param(2, (12, 70), id="2d-2"),
    pytest.param(1, (12, 13, 14), id="3d-1"),
    pytest.param(2, (66, 12, 13), id="3d-2"),
]


@pytest.mark.parametrize(("channels", "shape"), CASES)
def test_round_trip(tmp_path: Path, channels: int, shape: tuple[int, ...]) -> None:
    samples = write_small(tmp_path, channels=channels, shape=shape)
    with DataSet.open(tmp_path) as data:
        assert (data.shape, data.channels, data.tasks) == (shape, channels, TASKS)
        assert data.healthy_ids == tuple(s.id for s in samples)
        assert data.healthy_subjects == tuple(s.subject for s in samples)
        assert len(data) == data.healthy_count == 5
        for i, sample in enumerate(samples):
            assert_same_sample(data.healthy(i), sample)
            assert data.offset(i) == (i // 3 * 3, *range(1, len(shape)))
        for task in TASKS:
            expected = [(i, v) for i in range(5) for v in range(2) if (i, v) != (1, 0)]
            assert data.rows(task) == len(expected)
            for row, (i, v) in enumerate(expected):
                picture = data.anomaly(task, row)
                after, label, region = small_pictures(task, samples[i], v)
                np.testing.assert_array_equal(picture.image, after)
                np.testing.assert_array_equal(picture.label, label)
                np.testing.assert_array_equal(picture.region, region)
                for found, expected_array in zip(data.shown(task, row), (after, label), strict=True):
                    np.testing.assert_array_equal(found, expected_array)
                assert (picture.healthy_index, picture.variant) == (i, v)
                assert picture.recipe == data.recipe(task, row) == small_recipe(task, samples[i], v)
            assert data.rows_of(task, 0) == [0, 1]
            assert data.rows_of(task, 1) == [2]
            assert data.row_of(task, 1, 0) is None
            assert data.row_of(task, 4, 1) == 8
    assert check(tmp_path) == []


def assert_same_sample(found: Sample, expected: Sample) -> None:
    np.testing.assert_array_equal(found.image, expected.image)
    np.testing.assert_array_equal(found.foreground, expected.foreground)
    assert found.image.dtype == np.float32 and found.foreground.dtype == bool
    assert not found.image.flags.writeable and not found.foreground.flags.writeable
    assert (found.id, found.subject, found.spacing) == (expected.id, expected.subject, expected.spacing)
    assert (found.affine is None) == (expected.affine is None)
    if found.affine is not None and expected.affine is not None:
        np.testing.assert_array_equal(found.affine, expected.affine)
    assert found.sha256 == expected.sha256


def test_a_data_set_is_a_sequence_of_samples(tmp_path: Path) -> None:
    samples = write_small(tmp_path)
    data = DataSet.open(tmp_path)
    assert [s.id for s in data] == [s.id for s in samples]
    assert data[-1].id == samples[-1].id
    with pytest.raises(IndexError):
        data[5]


@pytest.mark.parametrize(
    "ask",
    [
        lambda d: d.healthy(5),
        lambda d: d.healthy(-1),
        lambda d: d.offset(5),
        lambda d: d.anomaly("sink", 9),
        lambda d: d.anomaly("sink", -1),
        lambda d: d.anomaly("", 0),
        lambda d: d.rows("nothing"),
        lambda d: d.rows_of("nothing", 0),
    ],
)
def test_rows_that_are_not_there(tmp_path: Path, ask: Callable[[DataSet], object]) -> None:
    write_small(tmp_path)
    with pytest.raises(SynthanomError, match=str(tmp_path)):
        ask(DataSet.open(tmp_path))


@st.composite
def changes(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Before, after, label, region with changes in arbitrary boxes, single voxels and signs of zero."""
    channels = draw(st.integers(1, 2))
    shape = tuple(draw(st.lists(st.integers(12, 15), min_size=2, max_size=3)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    before = (rng.standard_normal((channels, *shape)) * (rng.random((channels, *shape)) < 0.8)).astype(np.float32)
    after, label, region = before.copy(), np.zeros(shape, np.float32), np.zeros(shape, bool)
    for _ in range(draw(st.integers(1, 9))):
        corner = [draw(st.integers(0, side - 1)) for side in shape]
        box = tuple(slice(c, c + draw(st.integers(1, 6))) for c in corner)
        kind = draw(st.sampled_from(["values", "label", "region", "sign"]))
        if kind == "values":
            after[(draw(st.integers(0, channels - 1)), *box)] += 1
        elif kind == "label":
            label[box] = 0.5
        elif kind == "region":
            region[box] = True
        else:
            after[(slice(None), *box)] *= -1
    return before, after, label, region


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(changes())
def test_cut_and_paste_give_the_picture_back_to_the_bit(
    arrays: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
) -> None:
    before, after, label, region = arrays
    changed = (before.view(np.uint32) != after.view(np.uint32)).any(0) | (label > 0) | region
    if not changed.any():  # only zeros of a foreground had their sign turned
        with pytest.raises(SynthanomError, match="at least one voxel must change"):
            AnomalyRow.from_arrays(0, 0, before=before, after=after, label=label, region=region, recipe=b"{}")
        return
    row = AnomalyRow.from_arrays(0, 0, before=before, after=after, label=label, region=region, recipe=b"{}")
    picture, pasted_label, pasted_region = paste(before.copy(), row.boxes)
    assert picture.tobytes() == after.tobytes()
    assert pasted_label.tobytes() == label.tobytes()
    assert pasted_region.tobytes() == region.tobytes()
    covered = np.zeros(region.shape, int)
    for box in row.boxes:
        covered[tuple(slice(c, c + s) for c, s in zip(box.corner, box.size, strict=True))] += 1
    assert 1 <= len(row.boxes) <= 4
    assert covered.max() == 1, "boxes overlap"
    parts, count = ndimage.label(changed)
    boxes = {tuple((s.start, s.stop) for s in part) for part in ndimage.find_objects(parts)}
    if len(row.boxes) == count:  # nothing was merged
        assert {tuple((c, c + s) for c, s in zip(b.corner, b.size, strict=True)) for b in row.boxes} == boxes


def test_boxes_of_the_parts_are_tight_and_the_cheapest_pair_is_merged() -> None:
    mask = np.zeros((30, 30), bool)
    for y, x in ((0, 0), (0, 20), (20, 0), (28, 28), (28, 25)):
        mask[y, x] = True
    found = [(low.tolist(), size.tolist()) for low, size in covering_boxes(mask)]
    assert found == [([0, 0], [1, 1]), ([0, 20], [1, 1]), ([20, 0], [1, 1]), ([28, 25], [1, 4])]


def test_boxes_that_only_touch_stay_apart() -> None:
    mask = np.zeros((12, 12), bool)
    mask[3, 3] = mask[4, 4] = True
    assert [(low.tolist(), size.tolist()) for low, size in covering_boxes(mask)] == [([3, 3], [1, 1]), ([4, 4], [1, 1])]


def test_a_merged_pair_swallows_a_third_part_that_it_crosses() -> None:
    mask = np.zeros((30, 30), bool)
    mask[0, 0] = mask[4, 4] = mask[29, 0] = mask[29, 29] = True
    mask[2, 3:21] = True
    found = [(low.tolist(), size.tolist()) for low, size in covering_boxes(mask)]
    assert found == [([0, 0], [5, 21]), ([29, 0], [1, 1]), ([29, 29], [1, 1])]


def test_a_merged_box_swallows_what_it_overlaps() -> None:
    """Two arms of one L-shaped part enclose another part: bounding boxes overlap, so one box holds both."""
    mask = np.zeros((20, 20), bool)
    mask[2:12, 2] = mask[11, 2:12] = True
    mask[5, 8] = True
    found = [(low.tolist(), size.tolist()) for low, size in covering_boxes(mask)]
    assert found == [([2, 2], [10, 10])]


def test_thousands_of_specks_stay_bounded_and_covered() -> None:
    mask = np.random.default_rng(0).random((61, 64, 35)) < 0.02
    assert ndimage.label(mask)[1] > 4 * MAX_PARTS
    found = covering_boxes(mask)
    left = mask.copy()
    for low, size in found:
        left[tuple(slice(c, c + s) for c, s in zip(low, size, strict=True))] = False
    assert len(found) <= 4 and not left.any()


def test_bounds_only_save_work() -> None:
    sample = small_samples(1, 2, (12, 20, 14))[0]
    after, label, region = small_pictures("sink", sample, 0)
    arrays = {"before": sample.image, "after": after, "label": label, "region": region, "recipe": b"{}"}
    whole = AnomalyRow.from_arrays(0, 0, **arrays)
    bounded = AnomalyRow.from_arrays(0, 0, **arrays, bounds=[((1, 1, 1), (5, 5, 5)), ((6, 6, 6), (9, 30, 9))])
    assert len(whole.boxes) == len(bounded.boxes) == 2
    for one, other in zip(whole.boxes, bounded.boxes, strict=True):
        assert one.corner == other.corner
        np.testing.assert_array_equal(one.values, other.values)
        np.testing.assert_array_equal(one.region, other.region)


def test_arrays_of_another_shape_or_dtype_are_refused() -> None:
    sample = small_samples(1, 1, (12, 13))[0]
    after, label, region = small_pictures("sink", sample, 0)
    for name, wrong in (
        ("after", after[:, :-1]),
        ("after", after.astype(np.float64)),
        ("label", label.astype(np.float64)),
        ("region", region.astype(np.uint8)),
    ):
        arrays = {"before": sample.image, "after": after, "label": label, "region": region, name: wrong}
        with pytest.raises(SynthanomError, match=f"{name} must have shape"):
            AnomalyRow.from_arrays(0, 0, **arrays, recipe=b"{}")


WRITE_TWICE = """
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from small_data import write_small
write_small(Path(sys.argv[1]), channels=2, shape=(13, 14, 15))
"""


def test_the_same_rows_make_the_same_bytes(tmp_path: Path) -> None:
    """In processes whose fresh memory holds different bytes, so that nothing unwritten can reach a file."""
    for folder, filling in (("a", "0"), ("b", "170"), ("c", "85")):
        environment = {**os.environ, "MALLOC_PERTURB_": filling, "PYTHONPATH": str(ROOT / "tests")}
        subprocess.run([sys.executable, "-c", WRITE_TWICE, str(tmp_path / folder)], env=environment, check=True)
    names = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*.*"))
    assert len(names) == 2 + 3 + 3 + 3
    for name in names:
        first = (tmp_path / "a" / name).read_bytes()
        assert first == (tmp_path / "b" / name).read_bytes() == (tmp_path / "c" / name).read_bytes(), name


def test_the_snippet_in_the_docs_reads_an_anomaly(tmp_path: Path) -> None:
    samples = write_small(tmp_path, channels=2, shape=(12, 13, 14), count=3)
    text = (ROOT / "docs" / "shard-format.md").read_text()
    (snippet,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(snippet.strip().splitlines()) <= 10
    for row, (i, v) in enumerate([(0, 0), (0, 1), (1, 1), (2, 0)]):
        scope = {"folder": tmp_path, "task": "source", "row": row}
        exec(snippet, scope)  # the document's own code, run as a reader would
        after, label, _ = small_pictures("source", samples[i], v)
        np.testing.assert_array_equal(scope["image"], after)
        np.testing.assert_array_equal(scope["label"], label)


def test_every_column_is_compressed_and_checksummed(tmp_path: Path) -> None:
    write_small(tmp_path, shape=(70, 12, 13))
    for name in ("healthy/00000.h5", "anomalies/sink/00000.h5"):
        with h5py.File(tmp_path / name) as file:
            assert file.attrs["format"] == 1
            for column in file.values():
                assert (column.compression, column.compression_opts, column.shuffle) == ("gzip", 1, True)
                assert column.fletcher32 and h5py.check_vlen_dtype(column.dtype) is None
            if "image" in file:
                assert file["image"].chunks == (1, 1, 35, 12, 13)


def test_chunks() -> None:
    assert chunks_of("image", (64, 2, 256, 300), 4) == (1, 1, 256, 150)
    assert chunks_of("image", (64, 1, 160, 224, 100), 4) == (1, 1, 54, 56, 50)
    assert chunks_of("values", (10**6,), 4) == (16384,)
    assert chunks_of("corner", (10, 3), 4) == (10, 3)


def test_unit_rows() -> None:
    assert unit_rows(1, (256, 256)) == 64
    assert unit_rows(1, (160, 224, 160)) == 5
    assert unit_rows(8, (1000, 1000, 1000)) == 1


def test_a_shard_without_rows(tmp_path: Path) -> None:
    record = write_anomalies(tmp_path / "anomalies/sink/00000.h5", [], shape=(12, 13), channels=1)
    assert record.rows == 0
    with h5py.File(tmp_path / record.path) as file:
        assert file["values"].shape == (0,) and file["row_offsets"][()].tolist() == [0]


def test_what_cannot_be_stored_is_refused(tmp_path: Path) -> None:
    one, two = small_samples(2, 1, (12, 13))
    other = small_samples(1, 1, (13, 13))[0]
    healthy, anomalies = tmp_path / "healthy/00000.h5", tmp_path / "anomalies/sink/00000.h5"
    wrong_name = Sample.from_array(one.image, id="a\0b")
    surrogate = Sample.from_array(one.image, id="caf\udce9")
    for rows, message in (
        ([], "at least one row"),
        ([one, other], "every image must have shape"),
        ([wrong_name], "without NUL"),
        ([surrogate], "must be Unicode"),
    ):
        with pytest.raises(SynthanomError, match=message):
            write_healthy(healthy, rows, [(0, 0)] * len(rows))
    with pytest.raises(SynthanomError, match="must be named healthy/"):
        write_healthy(tmp_path / "healthy/0.h5", [one], [(0, 0)])
    with pytest.raises(SynthanomError, match="must be named anomalies/"):
        write_anomalies(tmp_path / "sink/00000.h5", [], shape=(12, 13), channels=1)
    first, second = small_row("sink", 0, one, 0), small_row("sink", 1, two, 0)
    double = AnomalyRow(healthy_index=0, variant=0, boxes=(first.boxes[0],) * 2, recipe=b"{}")
    for anomaly_rows, shape, channels, message in (
        ([second, first], (12, 13), 1, "must be ordered"),
        ([first, first], (12, 13), 1, "must be ordered"),
        ([first], (11, 11), 2, "each box must lie in the image"),
        ([first], (6, 13), 1, "each box must lie in the image"),
        ([double], (12, 13), 1, "must be disjoint"),
        ([AnomalyRow(healthy_index=0, variant=0, boxes=(), recipe=b"{}")], (12, 13), 1, "1 to 4 boxes"),
    ):
        with pytest.raises(SynthanomError, match=message):
            write_anomalies(anomalies, anomaly_rows, shape=shape, channels=channels)
    assert not list(tmp_path.rglob("*.h5"))


def read_some(data: DataSet, row: int) -> tuple[bytes, bytes]:
    return data.healthy(row % 5).image.tobytes(), data.anomaly("sink", row).image.tobytes()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_reading_in_worker_processes(tmp_path: Path, method: str) -> None:
    write_small(tmp_path)
    data = DataSet.open(tmp_path)
    expected = [read_some(data, row) for row in range(8)]  # files are open here when the workers start
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method)) as pool:
        found = list(pool.map(read_some, [data] * 8, range(8)))
    assert found == expected
    assert [read_some(data, row) for row in range(8)] == expected


INHERITED: list[DataSet] = []


def read_inherited(row: int) -> tuple[bytes, bytes]:
    return read_some(INHERITED[0], row)


def test_a_fork_does_not_read_through_inherited_files(tmp_path: Path) -> None:
    write_small(tmp_path)
    data = DataSet.open(tmp_path)
    expected = [read_some(data, row) for row in range(8)]
    INHERITED.append(data)
    try:
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
            assert list(pool.map(read_inherited, range(8))) == expected
            assert pool.submit(opened_by).result() != os.getpid()
    finally:
        INHERITED.clear()
    assert data._opened.process == os.getpid()


def opened_by() -> int:
    INHERITED[0].healthy(0)
    return INHERITED[0]._opened.process


def test_a_pickle_holds_no_open_file_and_keeps_the_tables(tmp_path: Path) -> None:
    write_small(tmp_path)
    data = DataSet.open(tmp_path)
    data.anomaly("sink", 0)
    data.rows_of("sink", 0)
    other = pickle.loads(pickle.dumps(data))
    assert not other._opened._open
    assert "sink" in other._tables.keys
    np.testing.assert_array_equal(other.anomaly("sink", 3).image, data.anomaly("sink", 3).image)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc to count open files")
def test_no_more_files_open_than_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_small(tmp_path)
    monkeypatch.setattr("synthanom.shards.reader.MAX_OPEN", 2)
    data = DataSet.open(tmp_path)
    for row in (0, 8, 4, 0):
        data.anomaly("sink", row)
        data.anomaly("source", row)
        descriptors = [str(p.readlink()) for p in Path("/proc/self/fd").iterdir() if p.is_symlink()]
        assert len([name for name in descriptors if name.startswith(str(tmp_path))]) <= 3
    data.close()
    data.close()
    assert data.healthy(0).id == "cäse-0"


def test_fingerprint_is_stable_and_says_what_bytes_depend_on() -> None:
    found = fingerprint()
    assert found == fingerprint()
    assert found["numpy"] == np.__version__ and found["hdf5"] == h5py.version.hdf5_version
    assert {"python", "scipy", "numba", "h5py", "zlib", "deflate", "product", "blas_core", "cpu_features"} <= set(found)
    assert all(isinstance(value, str) and value for value in found.values())
