"""What is said of a data set: counts, intensities, sizes, labels; the table, the JSON, the picture."""

import io
import json
import sys

import numpy as np
import pytest
from leaky_data import picture, sample, spread, write
from PIL import Image
from real_data import write_real
from small_data import write_small

from synthanom.cli import main
from synthanom.description import Intensities, anomalies, describe
from synthanom.pictures import Chart, Series, charts_picture, is_our_picture
from synthanom.shards import DataSet


@pytest.fixture
def run(monkeypatch, capsys):
    """Run `synthanom describe` in this process: (status, stdout, stderr)."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["synthanom", "describe", *map(str, arguments)])
        with pytest.raises(SystemExit) as leave:
            main()
        captured = capsys.readouterr()
        return leave.value.code, captured.out, captured.err

    return call


@pytest.fixture(scope="module")
def leaky(tmp_path_factory):
    """Four subjects in two folds, and a copy of the first in the other fold."""
    samples = [sample(f"case-{i}", picture(i), subject=f"p-{i}") for i in range(4)]
    samples += [sample("fine", picture(8), subject="p-8"), sample("copy", picture(0), subject="p-9")]
    return write(tmp_path_factory.mktemp("leaky") / "data", spread(samples))


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    samples = [sample(f"t-{i}", picture(20 + i), subject=f"q-{i}") for i in range(4)]
    return write(tmp_path_factory.mktemp("clean") / "data", spread(samples))


@pytest.mark.parametrize("scale", [1.0, 1e-3, 3e4])
def test_intensities_agree_with_the_values_themselves(scale):
    rng = np.random.default_rng(0)
    values = (scale * (rng.standard_normal(50_000) - 0.5)).astype(np.float32)
    found = Intensities()
    for part in np.array_split(values, 7):
        found.add(part)
    found.add(values[:0])
    told = found.to_dict()
    assert (told["min"], told["max"], told["voxels"]) == (values.min(), values.max(), 50_000)
    for name, share in (("q01", 0.01), ("median", 0.5), ("q99", 0.99)):
        exact = float(np.quantile(values, share))
        assert told[name] == pytest.approx(exact, abs=1e-3 * abs(exact) + 1e-3 * scale)
    counts, edges = np.array(told["histogram"]["counts"]), np.array(told["histogram"]["edges"])
    assert np.abs(counts - np.histogram(values, edges)[0]).max() <= 30 and counts.sum() == pytest.approx(49_900, abs=20)
    assert found.counts.nbytes < 2**23 + 1


def test_intensities_of_one_value_and_of_zeros_of_both_signs():
    for value in (0.0, -1.0, 2.5):
        found = Intensities()
        found.add(np.full(10, value, np.float32))
        told = found.to_dict()
        assert told["min"] == told["q01"] == told["median"] == told["max"] == value
        assert sum(told["histogram"]["counts"]) == 10
    found = Intensities()  # a tenth at the lowest value
    found.add(np.concatenate([np.full(100, -1), np.linspace(-0.9, 1, 900)]).astype(np.float32))
    assert found.to_dict()["histogram"]["counts"][0] == pytest.approx(100, abs=1)
    found = Intensities()
    found.add(np.array([-0.0, 0.0, -1.0, 1.0], np.float32))
    assert found.quantiles([0, 1]).tolist() == [-1, 1]


def test_numbers_of_a_data_set(leaky):
    found = describe(leaky).to_dict()
    assert found["counts"] == {"healthy": 6, "anomalies": 12, "subjects": 6, "donor_subjects": 0}
    assert found["folds"] == {"0": 3, "1": 3} and found["shape"] == [32, 36]
    first, second = found["tasks"]
    assert first["share"] == 0.5 and first["folds"] == {"0": 3, "1": 3} and first["rows_read"] == 6
    assert set(first["region_voxels"].values()) == {20.0} and set(second["region_voxels"].values()) == {25.0}
    assert first["label_histogram"]["counts"] == [6 * 15, *[0] * 8, 6 * 5]
    values = np.concatenate([picture(i) for i in (0, 1, 2, 3, 8, 0)])
    (told,) = found["images"]["intensities"]
    assert told["voxels"] == values.size and told["min"] == values.min() and told["max"] == values.max()
    assert told["median"] == pytest.approx(np.median(values), abs=1e-3)
    assert found["images"]["foreground_share"] == {"min": 1.0, "median": 1.0, "max": 1.0}
    assert [leak["kind"] for leak in found["leaks"]] == ["identical-images"]


def test_only_the_foreground_and_the_right_channel_count(tmp_path):
    mask = np.zeros((32, 36), bool)
    mask[5:20, 6:30] = True
    image = np.concatenate([picture(0), 3 + picture(1)])
    folder = write(tmp_path / "d", spread([sample("a", image, foreground=mask)], folds=1, tasks=()))
    first, second = describe(folder).to_dict()["images"]["intensities"]
    assert first["max"] == image[0][mask].max() and second["min"] == image[1][mask].min()
    assert first["voxels"] == second["voxels"] == mask.sum()


def test_marks_are_those_of_the_pictures(tmp_path):
    write_small(tmp_path / "d")
    with DataSet.open(tmp_path / "d") as data:
        for task in data.tasks:
            for row in range(data.rows(task)):
                labels, region = data.marks(task, row)
                whole = data.anomaly(task, row)
                assert region.sum() == whole.region.sum()
                assert np.array_equal(np.sort(labels[labels > 0]), np.sort(whole.label[whole.label > 0]))
                assert data.made_from(task)[row] == whole.healthy_index


def test_reading_is_bounded(leaky, monkeypatch):
    monkeypatch.setattr(anomalies, "MARKED_ROWS", 3)
    rows = []
    monkeypatch.setattr(
        DataSet, "marks", lambda self, task, row, plain=DataSet.marks: rows.append(row) or plain(self, task, row)
    )
    found = describe(leaky)
    assert rows == [0, 2, 5] * 2 and [task.to_dict(0.5)["rows_read"] for task in found.tasks] == [3, 3]


def test_quick_reads_no_pixels(leaky, monkeypatch):
    def refuse(*_):
        raise AssertionError("pixels were read")

    monkeypatch.setattr(DataSet, "healthy", refuse)
    monkeypatch.setattr(DataSet, "marks", refuse)
    found = describe(leaky, quick=True)
    assert found.images is None and found.leaks == () and "were not looked for" in found.notes[0]
    assert found.to_dict()["tasks"][0]["region_voxels"] is None


def test_the_table_says_all_of_it(run, leaky, clean):
    status, out, err = run(leaky)
    assert status == 0
    assert err == (
        "warning: identical images: image 'case-0' of subject 'p-0' (fold 0) "
        "and image 'copy' of subject 'p-9' (fold 1)\n"
    )
    for line in (
        "images            6 healthy, 6 subjects",
        "leaks             1 identical-images (names, donors and images of 2 folds compared)",
        "intensities in the foreground",
        "  intra_blend  50.0 %       3       3",
        "  inter_blend   25   25    25      25    25    25   25",
    ):
        assert line in out.splitlines(), out
    status, out, err = run(clean)
    assert (status, err) == (0, "") and "none (names, donors and images of 2 folds compared)" in out
    status, out, err = run(clean, "--quick")
    assert (
        status == 0 and "none (names and donors of 2 folds compared)" in out and err.startswith("note: images were not")
    )


def test_strict_is_an_error_only_with_leaks(run, leaky, clean):
    status, out, err = run(leaky, "--strict")
    assert (
        status == 2 and err.startswith("error: identical images: ") and len(err.splitlines()) == 1 and "images" in out
    )
    assert run(clean, "--strict")[::2] == (0, "")
    assert run(clean, "--strict", "--against", leaky)[::2] == (0, "")  # what is in the other alone is not asked for
    status, _, err = run(leaky, "--against", clean, "--against", leaky.parent / "gone", "--strict")
    assert status == 2 and err.startswith("error: ") and "gone" in err and len(err.splitlines()) == 1


def test_json_is_one_object_with_the_documented_keys(run, leaky, clean):
    status, out, err = run(leaky, "--json", "--strict", "--against", clean)
    found = json.loads(out)
    assert status == 2 and err.startswith("error: identical")
    assert found == describe(leaky, [clean]).to_dict() | {"status": "refused", "exit": 2}
    assert list(found) == [
        "kind", "format", "data", "version", "seed", "counts", "shape", "channels", "variants", "preprocessing",
        "bytes", "folds", "images", "tasks", "against", "leaks", "notes", "status", "exit",
    ]  # fmt: skip
    assert (found["kind"], found["format"], found["against"]) == ("synthanom-description", 1, [str(clean)])
    assert set(found["images"]) == {"spacing_mm", "foreground_share", "intensities"}
    assert set(found["images"]["intensities"][0]) == {"voxels", "min", "q01", "median", "q99", "max", "histogram"}
    assert set(found["tasks"][0]) == {"name", "rows", "share", "folds", "rows_read", "region_voxels", "label_histogram"}
    assert set(found["tasks"][0]["region_voxels"]) == {"min", "q05", "q25", "median", "q75", "q95", "max"}
    assert set(found["leaks"][0]) == {"kind", "text", "first", "second", "distance"}
    assert set(found["leaks"][0]["first"]) == {"data", "id", "subject", "fold"}


def test_pictures_are_written_and_never_over_others(run, leaky, tmp_path):
    out = tmp_path / "p.png"
    status, text, _ = run(leaky, "--pictures", out)
    assert status == 0 and f"{out}: " in text and is_our_picture(out.read_bytes()[:256])
    image = Image.open(out)
    assert image.size == (1100, 858) and len(image.convert("RGB").getcolors(1 << 20)) > 20
    assert run(leaky, "--pictures", out)[0] == 0
    Image.new("L", (9, 9)).save(tmp_path / "mine.png")
    status, text, err = run(leaky, "--pictures", tmp_path / "mine.png")
    assert (status, text) == (2, "") and "did not draw" in err
    assert run(leaky, "--quick", "--pictures", out)[0] == run(leaky, "--quick", "--strict")[0] == 2


@pytest.mark.parametrize("tasks", [(), ("sink",)], ids=["without anomalies", "one task"])
def test_one_subject_and_no_anomalies(run, tmp_path, tasks):
    rows = [sample("only", picture(0)), sample("again", picture(0), subject="only")]
    folder = write(tmp_path / "d", spread(rows, folds=1, tasks=tasks))
    status, out, err = run(folder, "--strict", "--pictures", tmp_path / "p.png")
    assert (status, err) == (0, "") and "2 healthy, 1 subjects" in out and "names, donors and images of 1 fold c" in out
    assert json.loads(run(folder, "--json")[1])["counts"]["anomalies"] == 2 * len(tasks)


def test_volumes_of_phantoms(run, tmp_path):
    folder = write_real(tmp_path / "v", shape=(14, 16, 18), channels=2, subjects=3, variants=1)
    status, out, err = run(folder, "--strict", "--pictures", tmp_path / "v.png")
    assert (status, err) == (0, "") and "voxel size" in out and "1 x 1.5 x 2 mm" in out
    assert [line.split()[0] for line in out.split("foreground\n")[1].splitlines()[1:3]] == ["0", "1"]


def test_charts_hold_what_they_are_given():
    step = Series(name="a", counts=np.array([1, 3]), edges=np.array([0.0, 1, 2]))
    content = charts_picture([Chart(title="t", x="x", y="y", series=(step,))], "one")
    image = np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)
    blue = np.abs(image - (0, 114, 178)).sum(axis=2) < 30
    columns = np.flatnonzero(blue[:400].any(axis=0))
    tall = [blue[:400, c].nonzero()[0].min() for c in (columns[3], columns[-4])]
    assert tall[0] > tall[1] + 100  # the second bar is three times the first
