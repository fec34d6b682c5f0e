"""Reports on one run and on several: losses, unseen tasks, thresholds, similarity, settings."""

import csv
import json
import shutil

import numpy as np
import pytest
from scored_maps import HOSTILE, reported, text_of, write_maps
from tiny_dataset import TASKS, write_tiny

from synthanom.evaluation.history import history_plot, read_history
from synthanom.report.run import calibration_plots
from synthanom.report.run_numbers import read_run
from synthanom.report.runs_numbers import loss_plots, read_runs
from synthanom.shards import DataSet
from synthanom.training.config import parse_config
from synthanom.training.run import train
from synthanom.training.summary import similarity_table

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = {
    "network": {"name": "unet", "settings": {"base": 2, "resolutions": 2}},
    "batch_size": 4,
    "epochs": 2,
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two finished runs of a single task, and one that has only begun."""
    root = tmp_path_factory.mktemp("runs")
    with DataSet.open(write_tiny(root / "data")) as data:
        for number in range(2):
            train(data, root / "all" / f"tasks-1-run-{number}", config=parse_config(SMALL), run=number)
    begun = root / "all" / "tasks-1-run-2"
    begun.mkdir()
    for name in ("folds.json", "config.yaml", "environment.json"):
        shutil.copy(root / "all" / "tasks-1-run-0" / name, begun / name)
    return root / "all"


@pytest.fixture(scope="module")
def one(runs):
    return runs / "tasks-1-run-0"


def card(folder):
    return json.loads((folder / "best" / "model.json").read_text())


def test_a_run(run, one, tmp_path):
    html, page = reported(run, one, out=tmp_path / "r.html")
    text = text_of(page)
    about = card(one)
    for task in TASKS[1:]:
        figures = about["training"]["validation"]["tasks"][task]
        assert task in text and f"{100 * figures['sample_average_precision']:.1f}" in text
    for value in about["thresholds"].values():
        assert f"{value:.4g}" in text
    epoch = about["training"]["epoch"]
    assert f"kept: epoch {epoch}" in text and "intra_blend" in text
    for words in ("network.settings.base", "batch_size", "torch", "2 epochs (all epochs done)", "F1.1"):
        assert words in text, words
    assert [found for found in page.named("img") if found["src"].startswith("data:image/png")]
    assert len(html) < 1_000_000


def test_losses_are_the_logged_ones_and_the_kept_epoch_is_marked(one):
    (log,) = one.glob("logs/**/metrics.csv")
    rows = list(csv.DictReader(log.open()))
    wanted = [(float(r["step"]), float(r["validation_loss"])) for r in rows if r["validation_loss"]]
    epoch = card(one)["training"]["epoch"]
    plot = history_plot(read_history(one), "t", best_epoch=epoch)
    line = next(line for line in plot.lines if line.name == "validation loss")
    assert list(zip(line.x.tolist(), line.y.tolist(), strict=True)) == wanted
    assert plot.marks[0].y == pytest.approx(min(loss for _, loss in wanted))
    assert plot.marks[0].y == pytest.approx(card(one)["training"]["loss"])


def test_the_calibration_curve_is_that_of_the_model(one):
    about = card(one)
    curves = about["training"]["threshold_curves"]
    for level in ("sample", "pixel"):
        curve = curves[level]
        assert len({len(values) for values in curve.values()}) == 1 and curve["cut"] == sorted(curve["cut"])
        assert curve["false_positive_rate"] == sorted(curve["false_positive_rate"], reverse=True)
        assert curve["false_positive_rate"][0] == 1.0 and max(curve["f_beta"]) <= 1
        # at the stored cut of F, no other cut on the curve is better
        best = np.interp(about["thresholds"][f"{level}_f_beta"], curve["cut"], curve["f_beta"])
        assert best == pytest.approx(max(curve["f_beta"]), abs=0.05)
        above = [r for c, r in zip(curve["cut"], curve["false_positive_rate"], strict=True)
                 if c >= about["thresholds"][f"{level}_false_positive_rate"]]  # fmt: skip
        assert all(rate <= 0.05 for rate in above)
    titles = [plot.title for plot in calibration_plots(read_run(one))]
    assert "images: what a cut gives" in titles and "pixels: what a cut gives" in titles


def test_an_older_model_has_no_curve(run, one, tmp_path):
    copy = tmp_path / "older"
    shutil.copytree(one, copy)
    about = card(copy)
    del about["training"]["threshold_curves"], about["training"]["held_out"], about["training"]["aggregations_tried"]
    (copy / "best" / "model.json").write_text(json.dumps(about))
    _, page = reported(run, copy, out=tmp_path / "r.html")
    assert "what a cut gives" not in text_of(page) and "where scores are cut" in text_of(page)


def test_several_runs(run, runs, tmp_path):
    html, page = reported(run, runs, out=tmp_path / "r.html")
    text = text_of(page)
    found = read_runs(runs)
    assert "2 finished runs" in text and "1 runs are not finished and left out: tasks-1-run-2" in text
    for row in similarity_table(found.trained)[1]:
        for value in row[4:]:
            assert not value or f"{100 * float(value):.1f}" in text
    assert "--shade:" in html and "How alike the tasks are" in text
    (_, validation) = loss_plots(found)
    assert len(validation.lines) == 2 and len(validation.marks) == 2


def test_a_begun_run_shows_its_settings(run, runs, tmp_path):
    _, page = reported(run, runs / "tasks-1-run-2", out=tmp_path / "r.html")
    for words in ("It is not finished.", "there is no model", "batch_size"):
        assert words in text_of(page)


def test_maps_with_their_run(run, one, tmp_path):
    root = write_maps(tmp_path / "c", count=4)
    _, page = reported(run, root / "maps", "--truth", root / "truth", "--run", one, out=tmp_path / "r.html")
    assert "validation loss" in text_of(page) and "where scores are cut" in text_of(page)


def test_text_of_a_run_stays_text(run, one, tmp_path):
    copy = tmp_path / "hostile"
    shutil.copytree(one, copy)
    about, folds = card(copy), json.loads((copy / "folds.json").read_text())
    tasks = about["training"]["validation"]["tasks"]
    tasks[HOSTILE] = tasks.pop("sink")
    folds["dataset"] = folds["run"]["validation_tasks"][0] = HOSTILE
    (copy / "best" / "model.json").write_text(json.dumps(about))
    (copy / "folds.json").write_text(json.dumps(folds))
    html, page = reported(run, copy, out=tmp_path / "r.html")
    assert "<script>alert" not in html and text_of(page).count(HOSTILE) >= 3


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("folds.json", "{", "readable JSON"),
        ("folds.json", "{}", "which run this is"),
        ("config.yaml", "a: [", "readable YAML"),
        ("best/model.json", "{}", "no model of synthanom"),
        ("logs/version_0/metrics.csv", "step,train_loss\n1,much\n", "readable log"),
    ],
)
def test_a_damaged_run_is_one_line(run, one, tmp_path, name, content, word):
    copy = tmp_path / "copy"
    shutil.copytree(one, copy)
    (copy / name).write_text(content)
    status, text, err = run("report", copy, "--out", tmp_path / "r.html")
    assert status == 2 and text == "" and word in err and len(err.strip().splitlines()) == 1, err
    assert not (tmp_path / "r.html").exists()


def test_options_for_maps_are_refused_for_runs(run, one, runs, tmp_path):
    for path in (one, runs):
        status, _, err = run("report", path, "--truth", tmp_path, "--out", tmp_path / "r.html")
        assert status == 2 and "--truth is for a folder of maps" in err
