"""Reports: one file that loads nothing, the same bytes every time, whatever names the data carry."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from building import build, write_pictures
from real_data import write_real
from report_pages import Parsed, strip_heights
from scipy import ndimage
from tiny_dataset import write_tiny

from synthanom.errors import SynthanomError
from synthanom.pictures.charts import Chart, Series
from synthanom.pictures.plots import Line, Mark, Plot
from synthanom.pictures.views import planes
from synthanom.progress import untold
from synthanom.report import is_our_report, page_of, rendered
from synthanom.report.axes import Axis, span
from synthanom.report.charts import chart_svg, plot_svg
from synthanom.report.measures import measure_charts, measured
from synthanom.report.rows import evenly
from synthanom.report.viewer import PICTURES, VOLUMES, Cuts, Layer, sliding_plane, viewer
from synthanom.shards import DataSet
from synthanom.training.folds import runs

HOSTILE = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>{{ 7 * 7 }}$\\frac{1}{2}$-"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """A data set that the builder made of twelve pictures, five tasks and folds, a file of them not readable."""
    folder = tmp_path_factory.mktemp("pictures")
    write_pictures(folder / "raw", side=32)
    (folder / "raw" / "broken.png").write_bytes(b"no picture")
    done = build(folder / "raw", "--out", folder / "data", "--variants", 1)
    assert done.status == 3, done.err
    return folder / "data"


@pytest.fixture(scope="module")
def volumes(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("volumes") / "data"
    return write_real(folder, shape=(20, 24, 22), tasks=("inter_blend", "sink"), subjects=3, channels=2, variants=1)


@pytest.fixture(scope="module")
def of_pictures(pictures) -> str:
    return rendered(page_of(pictures)).decode()


@pytest.fixture(scope="module")
def of_volumes(volumes) -> str:
    return rendered(page_of(volumes)).decode()


@pytest.mark.parametrize("made", ["of_pictures", "of_volumes"])
def test_a_report_is_sound_and_loads_nothing(made, request):
    html = request.getfixturevalue(made)
    page = Parsed(html)
    assert page.problems == []
    assert is_our_report(html.encode()[:64]) and not is_our_report(b"<!DOCTYPE html><html>")
    policy = page.named("meta")[1]["content"]
    assert policy.startswith("default-src 'none'; img-src data:;") and "sha256-" in policy
    assert len(page.named("script")) == 1 and page.named("script")[0] == {}
    sections = [a["href"] for a in page.named("a")][1:]
    assert sections == [
        f"#{name}" for name in ("summary", "gallery", "distributions", "folds", "skipped", "provenance")
    ]
    assert len(page.named("h1")) == 1 and len(page.named("h2")) == 6


def test_the_checks_of_a_page_find_what_they_are_for():
    bad = '<p id="a" id="b"><img src="http://x/y.png"><a href="#z" onclick="x">@import fetch(</a><iframe></iframe>'
    bad += '<svg viewBox="0">'
    found = " ".join(Parsed(bad).problems)
    for word in (
        "twice",
        "outside the page",
        "alt text",
        "leads nowhere",
        "onclick",
        "@import",
        "fetch(",
        "iframe",
        "never closed",
        "neither named",
    ):
        assert word in found, word


def test_the_same_data_set_gives_the_same_bytes(pictures, of_pictures):
    assert rendered(page_of(pictures)).decode() == of_pictures


def test_what_the_gallery_shows(pictures, of_pictures):
    page = Parsed(of_pictures)
    text = " ".join("".join(page.texts).split())
    with DataSet.open(pictures) as data:
        assert len(data.tasks) == 5
        for task in data.tasks:
            rows = evenly(data.rows(task), 4)
            assert of_pictures.count(f'alt="{task} in ') == 4 * len(rows)
            for row in rows:
                stored = data.anomaly_row(task, row)
                fold = data.folds[data.healthy_subjects[stored.healthy_index]]
                assert (
                    f"{data.healthy_ids[stored.healthy_index]} row {row}, variant {stored.variant}, fold {fold}" in text
                )
                recipe = json.loads(stored.recipe)
                for anomaly in recipe["anomalies"]:
                    if anomaly["donor"] is not None:
                        assert anomaly["donor"]["id"] in text and anomaly["donor"]["sha256"] in text
        sink = json.loads(data.recipe("sink", evenly(data.rows("sink"), 4)[0]))["anomalies"][0]
        assert f"{sink['params']['factor']:.5g}" in text
    assert 'type="range"' not in of_pictures  # pictures have one slice
    assert of_pictures.count('class="star') >= 2 * 4 * 2  # deformation centres in sink and source, before and after


def test_slices_of_volumes(volumes, of_volumes):
    page = Parsed(of_volumes)
    sliders = [a for a in page.named("input") if a.get("type") == "range"]
    assert len(sliders) == 2 * 3
    numbers = [[int(n) for n in a["data-numbers"].split()] for a in sliders]
    assert all(len(n) == int(a["max"]) + 1 for n, a in zip(numbers, sliders, strict=True))
    heights = strip_heights(of_volumes)
    for k, own in enumerate(numbers):
        assert {height % len(own) for height in heights[4 * k : 4 * k + 4]} == {0}
    with DataSet.open(volumes) as data:
        # phantoms are stored with growing z upwards, so that numbers are those of the array's first axis
        for task, own in zip((t for t in data.tasks for _ in range(3)), numbers, strict=True):
            assert set(own) <= set(range(1, data.shape[0] + 1)) and task in data.tasks
        label = data.anomaly("sink", evenly(data.rows("sink"), 3)[0]).label
    inside = 1 + np.flatnonzero(label.any(axis=(1, 2)))
    assert set(inside) <= set(numbers[3])
    assert "channel" in "".join(page.texts)


def test_names_from_data_are_text(tmp_path):
    skipped = '"<b onclick=alert(2)>x</b>.nii",read,"<script src=""http://evil/x.js""></script> & so on"\n'
    folder = write_real(tmp_path / "<b>data", prefix=HOSTILE, skipped=skipped, subjects=3)
    html = rendered(page_of(folder)).decode()
    page = Parsed(html)
    assert page.problems == []
    assert len(page.named("script")) == 1 and not page.named("b")
    text = "".join(page.texts)
    assert f"{HOSTILE}1" in text and "<b onclick=alert(2)>x</b>.nii" in text and "<b>data" in text
    assert any(f"sink in {HOSTILE}" in str(a["alt"]) for a in page.named("img"))


def test_folds_and_runs_are_those_of_training(pictures, of_pictures):
    page = Parsed(of_pictures)
    drawn = [str(a["aria-label"]) for a in page.named("svg") if str(a.get("aria-label", "")).startswith("run ")]
    with DataSet.open(pictures) as data:
        every = [run for count in range(1, 5) for run in runs(data.tasks, count)]
    assert len(drawn) == len(every) == 30
    for words, run in zip(drawn, every, strict=True):
        assert words.startswith(f"run {run.number}: trains {', '.join(run.train_tasks)} on folds")
    rects = page.named("rect")
    cells = [str(a["class"]) for a in rects if str(a.get("class")) in ("train", "validate", "unused")]
    assert len(cells) == 30 * 25
    for k, run in enumerate(every):
        own = cells[25 * k : 25 * (k + 1)]
        assert own.count("train") == len(run.train_tasks) * len(run.train_folds)
        assert own.count("validate") == len(run.validation_tasks) * len(run.validation_folds)
        first = data.tasks.index(run.train_tasks[0])
        assert own[5 * first + run.train_folds[0]] == "train"
    text = " ".join("".join(page.texts).split())
    for fold in range(5):
        assert f"fold {fold}" in text
    assert "broken.png" in text and "1 row left out" in text


def test_a_data_set_that_cannot_be_trained_on_says_why(of_volumes):
    text = "".join(Parsed(of_volumes).texts)
    assert "must have as many folds as tasks" in text and "run 0" not in text


def test_provenance(pictures, of_pictures):
    text = "".join(Parsed(of_pictures).texts)
    stored = json.loads((pictures / "dataset.json").read_text())
    assert stored["digest"] in text
    for file in stored["files"]:
        assert file["path"] in text and file["sha256"] in text
    for name, value in stored["fingerprint"].items():
        assert name in text and value in text
    assert '"variants": 1' in text


def test_what_there_is_no_report_for_is_refused(tmp_path):
    (tmp_path / "file.html").write_text("x")
    for path, word in ((tmp_path, "a folder"), (tmp_path / "none", "no such path"), (tmp_path / "file.html", "a file")):
        with pytest.raises(SynthanomError, match=word):
            page_of(path)
    (tmp_path / "plan.json").write_text("{}")
    with pytest.raises(SynthanomError, match="unfinished"):
        page_of(tmp_path)


def test_the_command(run, volumes, tmp_path):
    out = tmp_path / "größe mit raum" / "report.html"
    status, text, err = run("report", volumes, "--out", out)
    assert status == 0 and "report on a data set, 6 sections" in text and err == ""
    first = out.read_bytes()
    assert is_our_report(first[:64])
    assert run("report", volumes, "--out", out)[0] == 0 and out.read_bytes() == first
    assert [p.name for p in out.parent.iterdir()] == ["report.html"]
    other = tmp_path / "mine.html"
    other.write_text("<!DOCTYPE html>\n<html>my own</html>")
    for path, arguments, words in (
        (volumes, other, "no report of synthanom"),
        (volumes, tmp_path / "report.pdf", "end --out in .html"),
        (volumes, tmp_path, "end --out in .html"),
        (tmp_path, out, "a report needs"),
        (tmp_path / "none", out, "no such path"),
    ):
        status, text, err = run("report", path, "--out", arguments)
        assert status == 2 and text == "" and len(err.strip().splitlines()) == 1 and words in err, err
    assert other.read_text().endswith("my own</html>") and out.read_bytes() == first


def test_an_empty_task_has_its_place(tmp_path):
    folder = write_real(tmp_path / "data", subjects=2, tasks=("sink", "source"), variants=0)
    html = rendered(page_of(folder)).decode()
    assert Parsed(html).problems == [] and html.count("The data set holds no row of it") == 2


def test_a_recipe_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(SynthanomError, match="recipe"):
        page_of(write_tiny(tmp_path / "data"))


def test_measures_are_what_the_docs_say(volumes):
    with DataSet.open(volumes) as data:
        found = {each.name: each for each in measured(data, untold)}
        assert list(found) == list(data.tasks)
        for task, each in found.items():
            rows = [data.anomaly(task, row) for row in range(data.rows(task))]
            assert len(each.depth) == len(rows) == 3
            for k, row in enumerate(rows):
                outside = ndimage.distance_transform_edt(np.pad(row.region, 1))
                assert each.depth[k] == pytest.approx(outside.max(), rel=1e-6)
                assert each.mass[k] == pytest.approx(row.label.sum(dtype=np.float64), rel=1e-6)
                change = np.abs(row.image.astype(np.float64) - data.healthy(row.healthy_index).image)
                assert each.change[k] == pytest.approx(change[:, row.label > 0].mean(), rel=1e-6)
    assert [chart.title for chart in measure_charts(list(found.values()))] == [
        "depth of the anomalies",
        "label mass",
        "change",
    ]
    for chart in measure_charts(list(found.values())):
        assert all(series.counts.sum() == pytest.approx(100) for series in chart.series)


@pytest.mark.parametrize("count", [0, 1, 3, 7, 1000])
def test_rows_are_evenly_spread(count):
    rows = evenly(count, 4)
    assert len(rows) == min(count, 4) and rows == sorted(set(rows)) and all(0 <= row < count for row in rows)
    if count == 1000:
        assert rows == [125, 375, 625, 875]


def noisy(shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("shape", [(700, 900), (200, 230, 210)])
def test_viewers_keep_to_the_bytes_allowed_or_their_smallest_size(shape):
    values = noisy(shape)
    layers = [Layer(name=n, alt=n, values=values, limits=(-2, 2), colours="gray") for n in ("before", "after")]
    plane = sliding_plane(planes([n // 2 for n in shape], (1.0,) * len(shape)))
    wanted = range(1) if plane.axis is None else range(10, 190)
    for allowed in (1_500_000, 200_000):
        seen = viewer(layers, Cuts(plane=plane, wanted=wanted, total=shape[0]), allowed)
        assert seen.characters <= allowed
    least, most = (PICTURES if plane.axis is None else VOLUMES)[-1]
    small = viewer(layers, Cuts(plane=plane, wanted=wanted, before=7, total=shape[0]), 10)
    assert len(small.numbers) <= most and small.characters < len(layers) * 1.4 * (least**2 * most + 3000)
    if plane.axis is not None:
        assert small.numbers[small.first] == shape[0] // 2 + 7 + 1
        steps = np.diff(small.numbers)
        assert len(set(steps.tolist())) == 1 and small.numbers[0] > 17 and small.numbers[-1] <= 197


def test_volumes_with_thick_slices_are_cut_across_them():
    def axis(*spacing):
        return sliding_plane(planes((5, 5, 5), spacing)).axis

    assert (axis(1, 1, 1), axis(1, 1, 4), axis(1, 4, 1), axis(4, 1, 1), axis(1, 1.2, 1.2)) == (0, 2, 1, 0, 0)


def test_axes():
    up = Axis(low=0.0, high=10.0, length=100.0, upwards=True)
    assert up.places([0, 5, 10]).tolist() == [100, 50, 0]
    assert [words for _, words in up.ticks()] == ["0", "2", "4", "6", "8", "10"]
    across = Axis(low=1.0, high=1000.0, length=300.0, logarithmic=True)
    assert across.places([1, 10, 1000]) == pytest.approx([0, 100, 300])
    assert [words for _, words in across.ticks()] == ["1", "10", "100", "1000"]
    assert [words for _, words in Axis(low=-1.0, high=1.0, length=1.0).ticks()] == ["−1", "−0.5", "0", "0.5", "1"]
    narrow = Axis(low=0.006, high=0.018, length=300.0, logarithmic=True)
    assert [words for _, words in narrow.ticks()] == ["0.0075", "0.01", "0.0125", "0.015", "0.0175"]
    assert span([np.array([1.0, np.nan, 3.0])], room=0.5) == (0.0, 4.0)
    assert span([], floor=0.0) == (0.0, 1.0) and span([np.array([2.0])]) == (1.5, 2.5)
    assert span([np.array([0.0])], floor=0.0) == (0.0, 1.0)


def test_charts_draw_their_counts():
    chart = Chart(
        title="<i>t</i>", x="x", y="y", series=(Series(name="a", counts=np.array([0, 4]), edges=np.array([0.0, 1, 2])),)
    )
    html = str(chart_svg(chart))
    assert "<i>" not in html and "&lt;i&gt;t" in html
    (path,) = re.findall(r'class="curve c0" d="([^"]*)"', html)
    points = [tuple(map(float, p.split())) for p in path[1:].split("L")]
    assert points[0] == (0.0, 196.0) and points[-1] == (352.0, 196.0)
    assert min(y for _, y in points) == pytest.approx(196 * (1 - 4 / 4.16), abs=0.1)
    stacked = Chart(
        title="t", x="x", y="y", columns=("0", "1"),
        series=(Series(name="a", counts=np.array([1, 2])), Series(name="b", counts=np.array([3, 0]))),
    )  # fmt: skip
    heights = [float(a["height"]) for a in Parsed(str(chart_svg(stacked))).named("rect")]
    assert heights[0] * 3 == pytest.approx(heights[2], abs=0.4) and len(heights) == 3


def test_plots_draw_lines_and_marks():
    x = np.linspace(0, 1, 50)
    plot = Plot(
        title="t", x="x", y="y", lines=(Line(name="one", x=x, y=x**2, colour=0), Line(name="two", x=x, y=x, colour=1)),
        marks=(Mark(words="here & now", x=0.5, y=0.25, shape="star"), Mark(words="cut", x=0.2)),
        limits=((0, 1), (0, 1)),
    )  # fmt: skip
    html = str(plot_svg(plot))
    assert Parsed(html).problems == [] and "here &amp; now" in html and 'class="star"' in html
    paths = re.findall(r'class="curve solid c\d" d="([^"]*)"', html)
    assert [p.split("L")[-1] for p in paths] == ["352.0 0.0", "352.0 0.0"] and [p[:6] for p in paths] == 2 * ["M0.0 1"]
    assert html.count("<li class") == 2
