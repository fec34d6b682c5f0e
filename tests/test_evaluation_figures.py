"""Figures of evaluations, from what they are drawn, and the folder that holds them."""

import json

import numpy as np
import pytest
from phantoms import field
from PIL import Image
from sklearn import metrics as oracle

from synthanom.errors import SynthanomError
from synthanom.evaluation import evaluate
from synthanom.evaluation.figures import _density, _figures, _range, by_level, curve_figures, history_figure
from synthanom.evaluation.rows import Curve, SampleScore
from synthanom.evaluation.shown import extremes
from synthanom.pictures.overlays import Overlay, overlays_picture
from synthanom.pictures.plots import Line, Plot, plots_picture
from synthanom.volumes import write_volume

SHAPE = (14, 18, 16)


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    root = tmp_path_factory.mktemp("case")
    for k in range(6):
        mask = (field(SHAPE, 1, k, smooth=1.5)[0] > 1.3) & (k % 2 == 1)
        score = 1 / (1 + np.exp(-field(SHAPE, 1, 40 + k)[0] - 2 * mask))
        for name, values in (("maps", score), ("truth", mask), ("images", field(SHAPE, 1, 80 + k)[0] + mask)):
            (root / name).mkdir(exist_ok=True)
            write_volume(root / name / f"s{k}.nii.gz", values.astype(np.float32), np.diag([1.0, 1, 2, 1]))
    return root


def test_the_folder_of_an_evaluation(run, case, tmp_path):
    logs = tmp_path / "run/logs/version_0"
    logs.mkdir(parents=True)
    (logs / "metrics.csv").write_text("step,train_loss,validation_loss\n1,0.5,\n2,0.4,0.6\n3,0.3,0.5\n")
    out = tmp_path / "report"
    command = ("evaluate", case / "maps", "--truth", case / "truth", "--images", case / "images", "--out", out)
    status, text, err = run(*command, "--run", tmp_path / "run", "--against", case / "maps", "--prevalence", "0.1")
    assert status == 0 and err == "" and "tables and figures" in text and "precision at prevalence" in text
    assert json.loads((out / "evaluation.json").read_text())["choices"]["prevalence"] == {"sample": 0.1}
    tables = {f"{name}.{kind}" for name in ("ranking", "cuts", "differences") for kind in ("md", "csv")}
    assert {path.name for path in (out / "tables").iterdir()} >= tables | {"samples.csv"}
    pictures = {path.stem: Image.open(path) for path in (out / "figures").iterdir()}
    names = {"roc", "precision-recall", "cuts", "densities", "examples", "extremes", "history"}
    assert set(pictures) == names
    for picture in pictures.values():
        assert min(picture.size) > 300 and len(picture.convert("RGB").getcolors(2**24)) > 20
    assert sum(path.stat().st_size for path in (out / "figures").iterdir()) < 1_000_000
    # the red outline is there
    red = np.asarray(pictures["examples"].convert("RGB")).astype(int)
    assert ((red[..., 0] > 200) & (red[..., 1] < 90) & (red[..., 2] < 90)).sum() > 50
    again = run(*command)
    assert again[0] == 0, again  # its own folder
    (tmp_path / "else").mkdir()
    (tmp_path / "else/notes.txt").write_text("mine")
    status, text, err = run(*command[:-1], tmp_path / "else")
    assert status == 2 and "something else" in err and text == ""


def test_options_that_do_not_fit_are_refused(run, case, tmp_path):
    given = ("evaluate", case / "maps", "--truth", case / "truth")
    for more, word in (
        (("--prevalence", "2"), "0.02 is 2 %"),
        (("--prevalence", "lesion=0.1"), "--prevalence"),
        (("--prevalence", "0.1", "--prevalence", "sample=0.2"), "once"),
        (("--run", tmp_path), "name one with --out"),
        (("--setup", "cradl"), "more than 20 axial slices"),
        (("--against", case / "maps", "--against", case / "maps"), "--baseline NAME="),
    ):
        status, out, err = run(*given, *more)
        assert status == 2 and word in err and out == "" and "Traceback" not in err, (more, err)
    out = tmp_path / "r"
    status, _, err = run(*given, "--run", tmp_path, "--out", out)
    assert status == 2 and "metrics.csv" in err and not out.exists()


def curve():
    rng = np.random.default_rng(0)
    truth = rng.random(500) < 0.3
    scores = np.round(rng.standard_normal(500) + truth, 1)
    lowest, place = np.unique(scores, return_inverse=True)
    counts = np.zeros((lowest.size, 2))
    np.add.at(counts, (place, truth.astype(int)), 1)
    made = Curve(
        level="sample", score="mean", maps="model", lowest=lowest[::-1],
        positives=counts[::-1, 1], negatives=counts[::-1, 0],
    )  # fmt: skip
    return made, scores, truth


def test_lines_are_the_figures_at_every_cut():
    made, scores, truth = curve()
    precision, recall, score = _figures(made, 1.1)
    for k, cut in enumerate(made.lowest):
        called = scores >= cut
        assert precision[k] == pytest.approx(oracle.precision_score(truth, called))
        assert recall[k] == pytest.approx(oracle.recall_score(truth, called))
        assert score[k] == pytest.approx(oracle.fbeta_score(truth, called, beta=1.1))


def test_densities_sum_to_one_and_show_medians(case):
    made, scores, truth = curve()
    plot = _density(evaluate(case / "maps", case / "truth"), [made])
    assert [line.y.sum() for line in plot.lines] == pytest.approx([100, 100])
    for mark, wanted in zip(plot.marks, (False, True), strict=True):
        assert mark.x == pytest.approx(np.median(scores[truth == wanted]), abs=0.11)
        assert mark.words == f"median {mark.x:.3g}"
    low, high = _range(made)
    assert scores.min() <= low < high <= scores.max()


def test_the_models_curve_comes_first_in_every_level(case):
    found = evaluate(case / "maps", case / "truth", baselines={"again": case / "maps"})
    levels = dict(by_level(found))
    assert list(levels) == ["sample", "slice", "pixel"]
    assert all([c.maps for c in curves] == ["model", "again"] for curves in levels.values())
    assert levels["sample"][0].score == levels["slice"][0].score == "top quarter"


def test_without_two_classes_there_is_no_curve(case, tmp_path):
    for k in (0, 2):
        for name in ("maps", "truth"):
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / f"s{k}.nii.gz").write_bytes((case / name / f"s{k}.nii.gz").read_bytes())
    assert list(curve_figures(evaluate(tmp_path / "maps", tmp_path / "truth"))) == []


def test_extremes_are_the_lowest_and_highest_of_each_class():
    samples = [
        SampleScore(id=f"s{k}", subject="s", anomalous=k % 2 == 1, scores={"top quarter": float(v)})
        for k, v in enumerate([5, 1, 4, 2, 9, 8, 7, 3])
    ]
    found = [(words.split(",")[0], sample.id) for words, sample in extremes(samples)]
    assert found == [
        *(("healthy", name) for name in ("s2", "s0", "s4", "s6")),
        *(("anomalous", name) for name in ("s1", "s3", "s5", "s7")),
    ]
    assert [s.id for _, s in extremes(samples[:2])] == ["s0", "s1"]


def test_pictures_need_something_to_show(tmp_path):
    with pytest.raises(SynthanomError, match="at least one plot"):
        plots_picture([], "x")
    with pytest.raises(SynthanomError, match="at least one map"):
        overlays_picture([], "x")
    with pytest.raises(SynthanomError, match=r"metrics\.csv"):
        history_figure(tmp_path)
    flat = np.zeros((12, 14), np.float32)
    assert overlays_picture([Overlay(title="a", image=None, scores=flat, truth=None)], "x")[:4] == b"\x89PNG"
    line = Line(name="a", x=np.array([0.0, 1]), y=np.array([0.0, 1]), colour=0)
    assert plots_picture([Plot(title="t", x="x", y="y", lines=(line,))], "x")[:4] == b"\x89PNG"
