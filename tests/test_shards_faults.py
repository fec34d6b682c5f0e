"""Damaged, foreign and half-written shards: refused or raised, never read as other values."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import pytest
from small_data import TASKS, reseal, rewrite, small_samples, write_small

from synthanom.errors import SynthanomError
from synthanom.sample import Sample
from synthanom.shards import DataSet, check, write_healthy

HEALTHY, ANOMALIES = "healthy/00000.h5", "anomalies/sink/00000.h5"


def everything(folder: Path) -> dict[str, bytes]:
    """What reading gives, row by row; the message where a row is refused."""
    data = DataSet.open(folder)
    found: dict[str, bytes] = {}
    questions: dict[str, Callable[[], bytes]] = {
        "ids": lambda: repr((data.healthy_ids, data.healthy_subjects)).encode()
    }
    for i in range(data.healthy_count):
        questions[f"healthy {i}"] = lambda i=i: _all_of(data.healthy(i)) + repr(data.offset(i)).encode()
    for task in TASKS:
        for row in range(data.rows(task)):
            questions[f"{task} {row}"] = lambda task=task, row=row: _picture(data, task, row)
    for name, question in questions.items():
        try:
            found[name] = question()
        except SynthanomError as error:
            found[name] = f"refused: {error}".encode()
    data.close()
    return found


def _all_of(sample: Sample) -> bytes:
    parts = vars(sample)
    return b"".join(
        v.tobytes() if isinstance(v, np.ndarray) else repr(v).encode()
        for k, v in sorted(parts.items())
        if k != "limits"
    )


def _picture(data: DataSet, task: str, row: int) -> bytes:
    p = data.anomaly(task, row)
    return p.image.tobytes() + p.label.tobytes() + p.region.tobytes() + p.recipe + bytes([p.healthy_index, p.variant])


def chunk_of(path: Path, column: str, row: int) -> tuple[int, int]:
    """Place and length in the file of the first chunk that holds part of `row`."""
    with h5py.File(path) as file:
        dataset = file[column]
        chunk = row // dataset.chunks[0] * dataset.chunks[0]
        info = dataset.id.get_chunk_info_by_coord((chunk,) + (0,) * (dataset.ndim - 1))
    return info.byte_offset, info.size


def flip(path: Path, place: int, bit: int = 3) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1 << bit
    path.write_bytes(content)


@pytest.mark.parametrize("seed", range(3))
def test_a_flipped_byte_in_an_image_raises_for_that_row_only(tmp_path: Path, seed: int) -> None:
    write_small(tmp_path)
    intact = everything(tmp_path)
    rng = np.random.default_rng(seed)
    start, size = chunk_of(tmp_path / HEALTHY, "image", 2)
    flip(tmp_path / HEALTHY, start + int(rng.integers(size)), int(rng.integers(8)))
    found = everything(tmp_path)
    refused = {name for name in found if found[name] != intact[name]}
    assert refused == {"healthy 2", "sink 3", "sink 4", "source 3", "source 4"}  # and the pictures made from it
    assert all(found[name].startswith(b"refused") for name in refused)
    assert f"{tmp_path / HEALTHY}: row 2 must be readable".encode() in found["sink 4"]
    problems = check(tmp_path)
    assert any("SHA-256" in p and HEALTHY in p for p in problems)
    assert any("row 2 must be readable" in p for p in problems)


@pytest.mark.parametrize("column", ["values", "labels", "region", "recipe"])
@pytest.mark.parametrize("seed", range(2))
def test_a_flipped_byte_in_an_anomaly_raises(tmp_path: Path, column: str, seed: int) -> None:
    write_small(tmp_path)
    rng = np.random.default_rng(seed)
    start, size = chunk_of(tmp_path / ANOMALIES, column, 0)
    flip(tmp_path / ANOMALIES, start + int(rng.integers(size)), int(rng.integers(8)))
    data = DataSet.open(tmp_path)
    with pytest.raises(SynthanomError, match=r"sink/00000\.h5: row 1 must be readable"):
        data.anomaly("sink", 1)
    assert data.anomaly("sink", 5).healthy_index == 3  # of the next file
    assert any("SHA-256" in problem for problem in check(tmp_path))


@pytest.mark.parametrize("name", [HEALTHY, "healthy/00001.h5", ANOMALIES, "anomalies/source/00002.h5"])
def test_no_flipped_byte_anywhere_reads_as_other_values(tmp_path: Path, name: str) -> None:
    """Seeded places over the whole file, headers and indices too: the same values, or one of our errors."""
    write_small(tmp_path)
    intact = everything(tmp_path)
    path = tmp_path / name
    content = path.read_bytes()
    rng = np.random.default_rng(len(content))
    noticed = 0
    for place in rng.integers(len(content), size=30).tolist():
        flip(path, place, int(rng.integers(8)))
        found = everything(tmp_path)
        wrong = [k for k in found if found[k] != intact[k] and not found[k].startswith(b"refused")]
        assert not wrong, f"byte {place} changed {wrong}"
        assert any("SHA-256" in p for p in check(tmp_path)), f"byte {place} went unnoticed"
        noticed += found != intact
        path.write_bytes(content)
    assert noticed > 3


def test_a_file_cut_short_or_emptied_is_named(tmp_path: Path) -> None:
    write_small(tmp_path)
    path = tmp_path / ANOMALIES
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(SynthanomError, match=r"sink/00000\.h5: must be \d+ bytes long, got 2000"):
        DataSet.open(tmp_path)
    reseal(tmp_path)
    with pytest.raises(SynthanomError, match=r"sink/00000\.h5: the file must be readable"):
        DataSet.open(tmp_path).anomaly("sink", 0)


@pytest.mark.parametrize("kind", ["external", "soft"])
def test_links_are_refused(tmp_path: Path, kind: str) -> None:
    write_small(tmp_path)
    other = tmp_path / "other.h5"
    other.write_bytes((tmp_path / HEALTHY).read_bytes())
    if kind == "external":
        column, link = "image", h5py.ExternalLink(str(other), "/image")
    else:
        column, link = "subject", h5py.SoftLink("/id")
    with h5py.File(tmp_path / HEALTHY, "r+") as file:
        del file[column]
        file[column] = link
    reseal(tmp_path)
    with pytest.raises(
        SynthanomError, match=r"healthy/00000\.h5: column \w+ must lie in the file itself, got a \w+Link"
    ):
        DataSet.open(tmp_path).healthy(0)
    assert any("Link" in problem for problem in check(tmp_path))


def test_data_outside_the_file_is_refused(tmp_path: Path) -> None:
    write_small(tmp_path)
    (tmp_path / "raw.bin").write_bytes(bytes(1 << 16))
    for case in ("virtual", "external"):
        with h5py.File(tmp_path / HEALTHY, "r+") as file:
            shape = file["image"].shape
            del file["image"]
            if case == "virtual":
                layout = h5py.VirtualLayout(shape=shape, dtype="<f4")
                layout[...] = h5py.VirtualSource(str(tmp_path / "healthy/00001.h5"), "image", shape=shape)
                file.create_virtual_dataset("image", layout)
            else:
                file.create_dataset("image", shape, "<f4", external=[(str(tmp_path / "raw.bin"), 0, 1 << 16)])
        reseal(tmp_path)
        with pytest.raises(SynthanomError, match="image must lie in the file itself, got data elsewhere"):
            DataSet.open(tmp_path).healthy(0)


def test_filters_that_it_does_not_know_are_refused(tmp_path: Path) -> None:
    write_small(tmp_path)
    rewrite(tmp_path / ANOMALIES, "variant", np.array([0, 1, 1, 0], "<i4"), **hdf5plugin.Bitshuffle())
    reseal(tmp_path)
    with pytest.raises(SynthanomError, match=r"column variant must use the filters .*\[32008\]; convert"):
        DataSet.open(tmp_path).anomaly("sink", 0)


def test_columns_without_checksums_are_refused(tmp_path: Path) -> None:
    write_small(tmp_path)
    rewrite(tmp_path / ANOMALIES, "variant", np.array([0, 1, 1, 0], "<i4"), fletcher32=False)
    reseal(tmp_path)
    with pytest.raises(SynthanomError, match="column variant must carry checksums"):
        DataSet.open(tmp_path).anomaly("sink", 0)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("format", np.int64(2), r"format must be at most 1, got 2.*upgrade"),
        ("format", "1", "attribute format must be an integer"),
        ("kind", np.bytes_("anomalies"), "attribute kind must be 'healthy'"),
        ("task", np.bytes_("sink"), "attribute task must be ''"),
        ("shape", np.array([13, 12]), r"attribute shape must be \[12, 13\]"),
        ("channels", np.int64(2), "attribute channels must be 1"),
    ],
)
def test_attributes(tmp_path: Path, name: str, value: object, message: str) -> None:
    write_small(tmp_path)
    with h5py.File(tmp_path / HEALTHY, "r+") as file:
        file.attrs[name] = value
    reseal(tmp_path)
    with pytest.raises(SynthanomError, match=message) as error:
        DataSet.open(tmp_path).healthy(0)
    assert str(tmp_path / HEALTHY) in str(error.value)


def test_unknown_and_missing_columns_and_wrong_types_are_refused(tmp_path: Path) -> None:
    write_small(tmp_path)
    path = tmp_path / HEALTHY
    content = path.read_bytes()

    def add(file: h5py.File) -> None:
        file["more"] = np.zeros(3)

    def remove(file: h5py.File) -> None:
        del file["offset"]

    def group(file: h5py.File) -> None:
        del file["offset"]
        file.create_group("offset")

    def widen(file: h5py.File) -> None:
        values = file["offset"][()].astype("<i8")
        del file["offset"]
        file["offset"] = values

    def vlen(file: h5py.File) -> None:
        del file["id"]
        file["id"] = np.array(["a", "b", "c"], dtype=h5py.string_dtype())

    for change, message in (
        (add, "must hold the columns"),
        (remove, "must hold the columns"),
        (group, "offset must be a dataset"),
        (widen, "column offset must be <i4"),
        (vlen, "column id must be text"),
    ):
        path.write_bytes(content)
        with h5py.File(path, "r+") as file:
            change(file)
        reseal(tmp_path)
        with pytest.raises(SynthanomError, match=message):
            DataSet.open(tmp_path).healthy(0)


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("healthy_index", np.array([0, 0, 1, 5], "<i8"), "healthy_index must name healthy rows"),
        ("healthy_index", np.array([-1, 0, 1, 2], "<i8"), "healthy_index must name healthy rows"),
        ("healthy_index", np.array([0, 0, 2, 1], "<i8"), "rows must be ordered"),
        ("variant", np.array([0, 1, 1, -1], "<i4"), "variant must not be negative"),
        ("variant", np.array([1, 1, 1, 0], "<i4"), "rows must be ordered"),
        ("row_offsets", np.array([0, 2, 4, 6, 7], "<i8"), "row_offsets must begin at 0 and end"),
        ("row_offsets", np.array([0, 0, 4, 6, 8], "<i8"), "1 to 4 boxes"),
        ("row_offsets", np.array([0, 6, 4, 6, 8], "<i8"), "1 to 4 boxes"),
        ("corner", np.full((8, 2), 11, "<i4"), "boxes must lie in the image"),
        ("corner", np.full((8, 2), -1, "<i4"), "boxes must lie in the image"),
        ("corner", np.ones((8, 2), "<i4"), "must be disjoint"),
        ("corner", np.ones((7, 2), "<i4"), "same boxes"),
        ("size", np.full((8, 2), 2**31 - 1, "<i4"), "sizes must fit the image"),
        ("size", np.zeros((8, 2), "<i4"), "sizes must fit the image"),
        ("size", np.ones((8, 2), "<i4"), "value_offsets must follow from the sizes"),
        ("value_offsets", np.zeros(9, "<i8"), "value_offsets must follow from the sizes"),
        ("value_offsets", np.zeros(3, "<i8"), "value_offsets must follow from the sizes"),
        ("values", np.zeros(3, "<f4"), "must be as long as the boxes"),
        ("labels", np.zeros(3, "<f4"), "must be as long as the boxes"),
        ("region", np.zeros(1, "|u1"), "must be as long as the boxes"),
        ("recipe", np.zeros(1, "|u1"), "recipe_offsets must end"),
        ("recipe_offsets", np.array([0, 9, 5, 20, 30], "<i8"), "recipe_offsets must begin at 0 and rise"),
    ],
)
def test_offsets_and_boxes_are_verified_before_use(
    tmp_path: Path, column: str, values: np.ndarray, message: str
) -> None:
    write_small(tmp_path)
    rewrite(tmp_path / ANOMALIES, column, values)
    reseal(tmp_path)
    with pytest.raises(SynthanomError, match=message) as error:
        DataSet.open(tmp_path).anomaly("sink", 0)
    assert str(tmp_path / ANOMALIES) in str(error.value)
    assert any(message.split()[0] in problem for problem in check(tmp_path))


def test_an_unfinished_folder_is_one_problem(tmp_path: Path) -> None:
    write_small(tmp_path)
    (tmp_path / "dataset.json").unlink()
    assert len(check(tmp_path)) == 1 and "run the same command again" in check(tmp_path)[0]
    with pytest.raises(SynthanomError, match="unfinished"):
        DataSet.open(tmp_path)


FULL_DISK = """
import resource, sys
from pathlib import Path
from small_data import small_row, small_samples
from synthanom.errors import SynthanomError
from synthanom.sample import Sample
from synthanom.shards import write_anomalies, write_healthy
folder = Path(sys.argv[1])
samples = small_samples(4, 1, (40, 40))
row = small_row("sink", 0, samples[0], 0)  # compiled before: where nothing can be written a warning says so
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
for write in (
    lambda: write_healthy(folder / "healthy/00000.h5", samples, [(0, 0)] * 4),
    lambda: write_anomalies(
        folder / "anomalies/sink/00000.h5", [row], shape=(40, 40), channels=1
    ),
):
    try:
        write()
    except SynthanomError as error:
        sys.stdout.write(f"{error}\\n")
"""


def test_full_disk_leaves_no_file_and_says_which(tmp_path: Path) -> None:
    """A process that may not write files of more than 3000 bytes."""
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)],
        env={"PYTHONPATH": str(Path(__file__).parent), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert f"{tmp_path / HEALTHY}: must be writable" in done.stdout
    assert f"{tmp_path / ANOMALIES}: must be writable" in done.stdout
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_an_interrupted_write_keeps_the_older_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    samples = small_samples(2, 1, (12, 13))
    path = tmp_path / HEALTHY
    write_healthy(path, samples, [(0, 0)] * 2)
    before = path.read_bytes()

    def fail(handle: int) -> None:
        raise failure

    monkeypatch.setattr("synthanom.manifest.os.fsync", fail)
    with pytest.raises((KeyboardInterrupt, SynthanomError)):
        write_healthy(path, samples[:1], [(0, 0)])
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["00000.h5"]
