"""Tables in the layout of the paper, from evaluations of several models and data sets."""

import json
import sys

import numpy as np
import pytest

from synthanom.cli import main
from synthanom.errors import SynthanomError
from synthanom.evaluation.paper import paper_tables
from synthanom.evaluation.tables import comma_separated, markdown
from synthanom.tasks import PAPER_TASKS
from synthanom.volumes import write_picture

TASKS = list(PAPER_TASKS)
# average precision of slices and pixels of the paper's five single models of the 1/4 split, and of their ensemble
SLICES, PIXELS = [80.5, 83.1, 86.2, 89.1, 78.2], [32.2, 59.6, 29.1, 57.8, 55.6]


def interval(value):
    return {"value": value, "low": None, "high": None, "draws": 0}


def numbers(models, data_set="BraTS", ours=(0.8, 0.9), pixel=(0.3, 0.95), level="slice", setup="own"):
    figures = {
        (level, "top quarter", "model"): ours,
        (level, "mean", "model"): (0.01, 0.01),
        (level, "top quarter", "|z| in the image"): (0.5, 0.6),
        (level, "", "random or constant"): (0.4, 0.5),
        ("pixel", "", "model"): pixel,
        ("pixel", "", "|z| in the image"): (0.99, 0.99),
        ("pixel", "", "random or constant"): (0.017, None),
    }
    rows = [
        {"level": a, "score": b, "maps": c, "average_precision": interval(ap), "roc_auc": interval(roc)}
        for (a, b, c), (ap, roc) in figures.items()
    ]
    kind = {"kind": "synthanom-evaluation", "format": 1, "choices": {"setup": setup}}
    return kind | {"data_set": data_set, "models": models, "rows": rows}


def model(number, count=1):
    run = {"number": number, "train_tasks": TASKS[:count], "validation_tasks": TASKS[count:]}
    return {"name": f"run{number}", "sha256": "0", "run": run}


@pytest.fixture
def evaluations():
    singles = [
        numbers([model(k)], ours=(s / 100, 0.9), pixel=(p / 100, 0.9))
        for k, (s, p) in enumerate(zip(SLICES, PIXELS, strict=True))
    ]
    every = [model(k) for k in range(5)]
    together = numbers(every, ours=(0.876, 0.922), pixel=(0.762, 0.991))
    other = numbers(every, "DDAD", ours=(0.784, 0.766), pixel=(0.211, 0.756), level="sample")
    return [together, other, *singles[::-1], numbers(every, ours=(0.8761, 0.894), setup="cradl")]


def cells(table, *start):
    (row,) = [row for row in table.rows if row[: len(start)] == start]
    return row[len(start) :]


def test_table_1_has_methods_above_and_splits_below(evaluations):
    table = paper_tables(evaluations)["table1"]
    assert table.columns[3:] == ("slice-wise BraTS", "pixel-wise BraTS", "sample-wise DDAD", "pixel-wise DDAD")
    assert cells(table, "method", "", "ours") == ("**87.6/92.2**", "76.2/99.1", "**78.4/76.6**", "21.1/75.6")
    assert cells(table, "method", "", "random") == ("40.0/50.0", "1.7/-", "40.0/50.0", "1.7/-")
    assert cells(table, "method", "", "|z| in the image")[1] == "**99.0/99.0**"
    assert cells(table, "method", "", "ours (CRADL setup)") == ("**87.6/89.4**", "30.0/95.0", "", "")
    # the paper's own summary of these models
    assert cells(table, "split", "1/4", "all") == ("83.4±4.4", "46.9±14.9", "", "")
    assert cells(table, "split", "1/4", "ens.") == ("87.6", "76.2", "78.4", "21.1")
    assert [row[2] for row in table.rows if row[0] == "method"][:3] == ["|z| in the image", "random", "ours"]


def test_table_2_has_a_line_for_each_model(evaluations):
    table = paper_tables(evaluations)["table2"]
    assert [row[:2] for row in table.rows][:6] == [("1/4", str(k)) for k in range(5)] + [("1/4", "ens.")]
    assert cells(table, "1/4", "3") == ("89.1/90.0", "57.8/90.0", "", "")
    assert cells(table, "1/4", "ens.") == ("87.6/92.2", "76.2/99.1", "78.4/76.6", "21.1/75.6")
    assert cells(table, "1/4 (CRADL setup)", "ens.")[0] == "87.6/89.4"
    assert cells(table, "", "random")[0] == "40.0/50.0" and "**" not in markdown(table)
    assert comma_separated(table).splitlines()[0] == ",".join(table.columns)


def test_splits_stand_in_order_of_their_training_tasks():
    given = [numbers([model(10, 4)]), numbers([model(9, 2)]), numbers([model(10, 2)]), numbers([{"name": "x"}])]
    rows = [row[:2] for row in paper_tables(given)["table2"].rows]
    assert rows[:4] == [("2/3", "9"), ("2/3", "10"), ("4/1", "10"), ("?", "x")]
    assert next(r for r in paper_tables(given)["table1"].rows if r[0] == "split")[3] == "80.0±0.0"


def test_one_model_counts_once(evaluations):
    with pytest.raises(SynthanomError, match="model 2 of split 1/4 twice on 'BraTS'"):
        paper_tables([*evaluations, numbers([model(2)])])
    with pytest.raises(SynthanomError, match="at least one evaluation"):
        paper_tables([])


def test_the_command_puts_evaluations_together(monkeypatch, capsys, tmp_path):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["synthanom", *map(str, arguments)])
        with pytest.raises(SystemExit) as leave:
            main()
        captured = capsys.readouterr()
        return leave.value.code, captured.out, captured.err

    rng = np.random.default_rng(0)
    for k in range(4):
        mask = np.zeros((16, 16))
        mask[4:8, 4:8] = k % 2
        for name, values in (("maps", 0.5 * rng.random((16, 16)) + mask / 2), ("one", mask)):
            (tmp_path / name).mkdir(exist_ok=True)
            write_picture(tmp_path / name / f"x{k}.png", values)
    assert run("evaluate", tmp_path / "maps", "--truth", tmp_path / "one", "--out", tmp_path / "report")[0] == 0
    status, out, _ = run("tables", tmp_path / "report", "--out", tmp_path / "tables")
    assert status == 0 and "sample-wise one" in out and "pixel-wise one" in out and "random" in out
    assert {p.name for p in (tmp_path / "tables").iterdir()} == {f"table{k}.{e}" for k in (1, 2) for e in ("md", "csv")}
    assert (tmp_path / "report/tables/table1.md").read_text() == (tmp_path / "tables/table1.md").read_text()
    (tmp_path / "x.json").write_text(json.dumps({"kind": "other"}))
    for bad in (tmp_path / "x.json", tmp_path / "maps", tmp_path / "gone.json"):
        status, out, err = run("tables", bad, "--out", tmp_path / "tables")
        assert status == 2 and out == "" and "synthanom evaluate" in err and "Traceback" not in err
