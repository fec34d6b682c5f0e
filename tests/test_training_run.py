"""A run from a hand-made data set to a scored map: what it writes, going on after an interruption, refusals."""

import csv
import json
import signal

import numpy as np
import pytest
import torch
from tiny_dataset import TASKS, write_tiny

from synthanom.errors import SynthanomError
from synthanom.shards import DataSet
from synthanom.training.config import load_config, parse_config
from synthanom.training.fitting import Fitting
from synthanom.training.keeper import Keeper
from synthanom.training.predict import score_map
from synthanom.training.rows import training_picks
from synthanom.training.run import train

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = {
    "network": {"name": "unet", "settings": {"base": 2, "resolutions": 2}},
    "optimiser": {"learning_rate": 0.02, "warmup_steps": 2, "decay": 0.99},
    "batch_size": 3,
    "epochs": 4,
    "flip": 0.5,
}
DROPOUT = {**SMALL, "network": {"name": "tiny_dataset:DropoutNetwork", "settings": {"width": 3}}}


def configured(content=None, **changes):
    return parse_config({**(content or SMALL), **changes})


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    with DataSet.open(write_tiny(tmp_path_factory.mktemp("run") / "data")) as opened:
        yield opened


@pytest.fixture(scope="module")
def finished_run(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("finished") / "run"
    lines = []
    return train(data, out, config=configured(), report=lines.append), lines


def weights(out):
    """Weights, optimiser and schedule of the resume file."""
    state = torch.load(out / "last/resume.ckpt", weights_only=True)
    flat = dict(state["state_dict"])
    for number, moments in state["optimizer_states"][0]["state"].items():
        flat |= {f"{number}.{k}": torch.as_tensor(v) for k, v in moments.items()}
    return flat, state["lr_schedulers"][0]["last_epoch"], state["epoch"], state["global_step"]


def same_weights(a, b):
    (first, *rest), (second, *others) = weights(a), weights(b)
    assert rest == others and first.keys() == second.keys()
    return all(torch.equal(first[k], second[k]) for k in first)


def test_the_run_folder(finished_run, data):
    outcome, lines = finished_run
    out = outcome.folder
    visible = sorted(p.name for p in out.iterdir() if not p.name.startswith("."))
    assert visible == ["best", "config.yaml", "environment.json", "folds.json", "last", "logs", "pictures"]
    assert (outcome.reason, outcome.epochs, outcome.trained) == ("epochs", 4, True)
    assert 0 <= outcome.best_epoch < 4 and np.isfinite(outcome.best_loss)
    assert load_config(out / "config.yaml", data.shape) == configured()
    folds = json.loads((out / "folds.json").read_text())
    assert folds["run"]["train_tasks"] == ["intra_blend"] and folds["run"]["validation_folds"] == [0]
    assert folds["same_kind_on_both_sides"] == [["intra_blend", "inter_blend"]]
    assert folds["subjects"]["0"] == ["p-0", "p-5"]
    assert json.loads((out / "environment.json").read_text())["starts"][0]["torch"] == torch.__version__
    (log,) = out.glob("logs/*/metrics.csv")
    rows = list(csv.DictReader(log.open()))
    logged = [float(r["validation_loss"]) for r in rows if r["validation_loss"]]
    assert min(logged) == pytest.approx(outcome.best_loss, rel=1e-5) and {"train_loss", "train_bce"} <= rows[0].keys()
    assert logged.index(min(logged)) == outcome.best_epoch
    assert len(lines) == 4 and lines[2].startswith("epoch 2: train ") and "validation" in lines[2]
    assert (out / "pictures/validation.png").read_bytes().startswith(b"\x89PNG")


def test_the_model_names_where_it_comes_from(finished_run, data):
    card = json.loads((finished_run[0].folder / "best/model.json").read_text())
    assert card["training"]["epoch"] == finished_run[0].best_epoch
    assert card["training"]["loss"] == finished_run[0].best_loss
    assert card["training"]["dataset_digest"] == data.manifest.to_dict()["digest"]
    assert card["preprocessing"] == {"format": 1, "steps": []} and card["shape"] == [16, 16]
    rules = {f"{level}_{rule}" for level in ("sample", "pixel") for rule in ("false_positive_rate", "f_beta")}
    assert set(card["thresholds"]) == {"pixel", "sample", *rules}
    assert card["thresholds"]["sample"] == card["thresholds"]["sample_false_positive_rate"]
    assert card["thresholds"]["pixel"] == card["thresholds"]["pixel_f_beta"]
    assert card["training"]["validation"]["pictures"] == 10
    assert set(card["training"]["validation"]["tasks"]) == set(TASKS[1:])
    tried = card["training"]["aggregations_tried"]
    best = max(entry["average_precision"] for entry in tried)
    assert len(tried) == 12 and {**card["aggregation"], "average_precision": best} in tried
    assert card["training"]["held_out"]["subjects"] == 2


def test_the_best_model_has_the_best_loss(finished_run, data):
    # the validation loss, computed again from the kept model: variant 0 of 4 tasks x 2 rows, and the 2 healthy rows
    from synthanom.training.checkpoint import load_model
    from synthanom.training.predict import raw_score_map

    model = load_model(finished_run[0].folder)
    errors = []
    for healthy in (0, 5):
        errors.append(np.mean(raw_score_map(model, data.healthy(healthy).image) ** 2))
        for task in TASKS[1:]:
            picture = data.anomaly(task, data.rows_of(task, healthy)[0])
            errors.append(np.mean((raw_score_map(model, picture.image) - picture.label) ** 2))
    assert np.mean(errors) == pytest.approx(finished_run[0].best_loss, rel=1e-4)


def test_a_later_worse_model_does_not_replace_the_best(data, tmp_path, monkeypatch):
    losses = {0: 3.0, 1: 1.0, 2: 2.0, 3: 1.0}

    def dictated(self, batch, number):
        self.log("validation_loss", torch.tensor(losses[self.current_epoch]), batch_size=len(batch.images))

    monkeypatch.setattr(Fitting, "validation_step", dictated)
    outcome = train(data, tmp_path / "run", config=configured())
    assert (outcome.best_epoch, outcome.best_loss) == (1, 1.0)
    card = json.loads((tmp_path / "run/best/model.json").read_text())
    assert (card["training"]["epoch"], card["training"]["step"]) == (1, 6)


def test_each_epoch_shows_its_own_pictures(data, tmp_path, monkeypatch):
    asked = []

    def recorded(index, run, **rest):
        asked.append(rest["epoch"])
        return training_picks(index, run, **rest)

    monkeypatch.setattr("synthanom.training.fitting.training_picks", recorded)
    train(data, tmp_path / "run", config=configured())
    assert asked == [0, 1, 2, 3]


def test_a_finished_run_is_left_alone(finished_run, data):
    out = finished_run[0].folder
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file() and not p.name.startswith(".")}
    again = train(data, out, config=configured())
    assert again.trained is False and again.best_loss == finished_run[0].best_loss
    assert before == {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file() and not p.name.startswith(".")}


def test_training_learns_the_squares(data, tmp_path):
    easy = configured(
        network={"name": "unet", "settings": {"base": 8, "resolutions": 2}}, epochs=40, validate_every=10, batch_size=2
    )
    outcome = train(data, tmp_path / "run", config=easy)
    card = json.loads((outcome.folder / "best/model.json").read_text())
    assert card["training"]["validation"]["pixel_average_precision"] > 0.8
    picture = data.anomaly("source", data.rows_of("source", 0)[0])
    found = score_map([outcome.folder], picture.image, device="cpu")
    assert found.min() >= 0 and found.max() <= 1 and found.dtype == np.float32
    assert found[picture.label > 0].mean() > 0.5 > 0.1 > found[picture.label == 0].mean()
    threshold = card["thresholds"]["pixel"]
    assert ((found >= threshold) & (picture.label > 0)).sum() > 25


def test_seed_and_run_decide_the_weights(data, tmp_path):
    one = configured(epochs=1)
    train(data, tmp_path / "a", config=one)
    train(data, tmp_path / "b", config=one, workers=2)
    assert same_weights(tmp_path / "a", tmp_path / "b")
    train(data, tmp_path / "c", config=configured(epochs=1, seed=1))
    train(data, tmp_path / "d", config=one, run=1)
    assert not same_weights(tmp_path / "a", tmp_path / "c") and not same_weights(tmp_path / "a", tmp_path / "d")


def test_the_callers_random_state_is_given_back(data, tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train(data, tmp_path / "run", config=configured(epochs=1))
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("content", [SMALL, DROPOUT], ids=["unet", "dropout"])
@pytest.mark.parametrize("step", [0, 4, 6])
def test_ctrl_c_and_going_on_gives_the_same_weights(data, tmp_path, monkeypatch, content, step):
    # steps 0, 4, 6 of three a epoch: before the first save, in mid-epoch, and right after an epoch's end
    straight, broken = tmp_path / "straight", tmp_path / "broken"
    train(data, straight, config=configured(content))
    original = Fitting.training_step

    def interrupted(self, batch, number):
        if self.global_step == step:
            signal.raise_signal(signal.SIGINT)
        return original(self, batch, number)

    handler = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        patch.setattr(Fitting, "training_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(data, broken, config=configured(content))
    assert signal.getsignal(signal.SIGINT) is handler
    assert not (broken / "last/finished.json").exists()
    lines = []
    outcome = train(data, broken, config=configured(content), report=lines.append)
    assert len(lines) == 4 - step // 3  # at most one epoch is done again
    assert same_weights(straight, broken)
    assert (straight / "best/model.safetensors").read_bytes() == (broken / "best/model.safetensors").read_bytes()
    assert (straight / "best/model.json").read_bytes() == (broken / "best/model.json").read_bytes()
    assert outcome.best_loss == json.loads((straight / "last/finished.json").read_text())["best_loss"]


def test_interrupted_between_the_last_epoch_and_the_end(data, tmp_path, monkeypatch):
    def broken(*args):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("synthanom.training.run.write_panel", broken)
        with pytest.raises(OSError, match="No space left"):
            train(data, tmp_path / "run", config=configured())
    lines = []
    outcome = train(data, tmp_path / "run", config=configured(), report=lines.append)
    assert lines == [] and outcome.trained and outcome.epochs == 4


def test_patience_ends_the_run_and_holds_over_an_interruption(data, tmp_path, monkeypatch):
    still = configured(optimiser={"learning_rate": 1e-12, "warmup_steps": 0, "decay": 1.0}, epochs=30, patience_steps=5)
    with monkeypatch.context() as patch:
        patch.setattr(Keeper, "on_validation_end", _first_validation_is_best)
        outcome = train(data, tmp_path / "run", config=still)
    assert (outcome.reason, outcome.epochs, outcome.best_epoch) == ("patience", 3, 0)  # 3 steps each: 9 - 3 >= 5
    (tmp_path / "run/last/finished.json").unlink()
    lines = []
    again = train(data, tmp_path / "run", config=still, report=lines.append)
    assert lines == [] and (again.reason, again.epochs) == ("patience", 3)


def _first_validation_is_best(self, trainer, pl_module):
    """As if no later loss were better, whatever rounding does at a learning rate of almost nothing."""
    if self.best_epoch < 0:
        KEEP(self, trainer, pl_module)


KEEP = Keeper.on_validation_end


def test_a_full_disk_leaves_the_last_state_whole(data, tmp_path, monkeypatch):
    from pathlib import Path

    out = tmp_path / "run"
    replace, calls = Path.replace, []

    def full(self, target):
        if Path(target).name == "resume.ckpt":
            calls.append(target)
            if len(calls) == 3:
                raise OSError(28, "No space left on device")
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        with pytest.raises(SynthanomError, match=r"resume\.ckpt: cannot be written.*No space left.*before is kept"):
            train(data, out, config=configured())
    assert [p.name for p in out.rglob(".*.tmp")] == []  # what was written of it frees its place again
    assert weights(out)[2] == 1  # the second epoch's state
    train(data, out, config=configured())
    train(data, tmp_path / "straight", config=configured())
    assert same_weights(out, tmp_path / "straight")
    assert [p.name for p in out.rglob("*.tmp")] == []


@pytest.mark.parametrize("damage", ["truncated", "pickle", "text"])
def test_a_damaged_resume_file_is_refused_and_runs_no_code(data, tmp_path, damage):
    out = tmp_path / "run"
    train(data, out, config=configured(epochs=1))
    (out / "last/finished.json").unlink()
    path = out / "last/resume.ckpt"
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:2000])
    elif damage == "text":
        path.write_text("hello")
    else:
        import pathlib

        torch.save({"state_dict": pathlib.Path("x"), "touch": _Touch(str(tmp_path / "touched"))}, path)
    with pytest.raises(SynthanomError, match=r"resume\.ckpt: must be the resume file.*delete it"):
        train(data, out, config=configured(epochs=1))
    assert not (tmp_path / "touched").exists()


class _Touch:
    """Creates a file when unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_a_loss_that_is_not_finite_is_refused(data, tmp_path, monkeypatch):
    original = Fitting.validation_step

    def spoiled(self, batch, number):
        original(self, type(batch)(batch.images * torch.nan, batch.labels), number)

    monkeypatch.setattr(Fitting, "validation_step", spoiled)
    with pytest.raises(SynthanomError, match=r"must stay finite.*learning_rate"):
        train(data, tmp_path / "run", config=configured())


def test_other_settings_and_foreign_folders_are_refused(finished_run, data, tmp_path):
    out = finished_run[0].folder
    with pytest.raises(SynthanomError, match=r"config\.yaml: .*batch_size = 3, asked for is 2"):
        train(data, out, config=configured(batch_size=2))
    with pytest.raises(SynthanomError, match=r"network\.settings = .*another --out"):
        train(data, out, config=configured(network={"name": "unet", "settings": {"base": 3, "resolutions": 2}}))
    with pytest.raises(SynthanomError, match=r"folds\.json: .*run\.number = 0, asked for is 1"):
        train(data, out, config=configured(), run=1)
    other = DataSet.open(write_tiny(tmp_path / "other", variants=1))
    with other, pytest.raises(SynthanomError, match="dataset_digest"):
        train(other, out, config=configured())
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(SynthanomError, match=r"something else \(thesis\.txt\)"):
        train(data, tmp_path / "mine", config=configured())
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
    (tmp_path / "file").write_text("x")
    with pytest.raises(SynthanomError, match="got a file"):
        train(data, tmp_path / "file", config=configured())


def test_two_processes_in_one_folder_are_refused(data, tmp_path):
    import subprocess
    import sys

    out = tmp_path / "run"
    out.mkdir()
    code = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.lockf(f, fcntl.LOCK_EX); print('held', flush=True)"
    code += "; input()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(out / ".lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(SynthanomError, match="only one process may train here"):
            train(data, out, config=configured(epochs=1))
        holder.communicate("\n")
    assert train(data, out, config=configured(epochs=1)).trained


@pytest.mark.parametrize(
    ("made", "asked", "part"),
    [
        ({"tasks": TASKS[:1]}, {}, "at least 2 tasks"),
        ({"subjects": 3}, {}, "3 folds and 5 tasks"),
        ({"folds": {f"p-{i}": i % 4 for i in range(10)}}, {}, "4 folds and 5 tasks"),
        ({}, {"train_tasks": 5}, "1 to 4"),
        ({}, {"run": 7}, "0 to 4"),
        ({"variants": 0}, {}, "--variants"),
        ({}, {"workers": -1}, "workers must be at least 0"),
    ],
)
def test_refused_before_anything_is_written(tmp_path, made, asked, part):
    with DataSet.open(write_tiny(tmp_path / "data", **made)) as data, pytest.raises(SynthanomError, match=part):
        train(data, tmp_path / "run", config=configured(), **asked)
    assert not (tmp_path / "run").exists()


def test_volumes_train_too(tmp_path):
    with DataSet.open(write_tiny(tmp_path / "data", subjects=5, shape=(12, 14, 16))) as data:
        config = load_config(None, data.shape, {"epochs": 1, "network": {"settings": {"base": 2}}})
        outcome = train(data, tmp_path / "run", config=config, train_tasks=3)
        found = score_map([outcome.folder], data.healthy(0).image, device="cpu")
    assert found.shape == (12, 14, 16)
