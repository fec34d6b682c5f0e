"""What spoils a run is named: pictures with NaN, damaged or foreign states, a disk that is full between two files."""

import json
import os
import shlex
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_dataset import write_tiny
from typer.testing import CliRunner

from synthanom.errors import SynthanomError
from synthanom.shards import DataSet
from synthanom.training.batches import StoredPictures
from synthanom.training.checkpoint import load_model
from synthanom.training.config import parse_config
from synthanom.training.fitting import Fitting
from synthanom.training.run import train
from synthanom.volumes import read

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = {"network": {"name": "unet", "settings": {"base": 2, "resolutions": 2}}, "batch_size": 3, "epochs": 2}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    with DataSet.open(write_tiny(tmp_path_factory.mktemp("refusals") / "data")) as opened:
        yield opened


@pytest.fixture(scope="module")
def unfinished(data, tmp_path_factory):
    """A run whose last epoch is done and kept, without the mark that it is finished."""
    out = tmp_path_factory.mktemp("unfinished") / "run"
    train(data, out, config=parse_config(SMALL))
    (out / "last/finished.json").unlink()
    return out


def spoiled_from(monkeypatch, row):
    """One stored picture of the first task is NaN, as a fault of memory or disk would have it."""
    original = StoredPictures.picture

    def picture(self, pick):
        image, label = original(self, pick)
        return (np.full_like(image, np.nan), label) if (pick.task, pick.row) == ("intra_blend", row) else (image, label)

    monkeypatch.setattr(StoredPictures, "picture", picture)


def test_a_loss_that_is_nan_names_step_picture_and_recipe(data, tmp_path, monkeypatch):
    spoiled_from(monkeypatch, 6)  # of case 3, variant 0
    out = tmp_path / "run"
    with pytest.raises(
        SynthanomError, match=r"the training loss must stay finite, got nan in step \d+ .*learning_rate"
    ) as caught:
        train(data, out, config=parse_config({**SMALL, "epochs": 4}))
    assert "on intra_blend row 6;" in str(caught.value) and "\n" not in str(caught.value)
    (path,) = (out / "logs/not_finite").glob("training-step-*.json")
    found = json.loads(path.read_text())
    assert f"step {found['step']} " in str(caught.value) and str(path) in str(caught.value)
    assert found["weights_finite"] is True and len(found["pictures"]) in (2, 3)
    (culprit,) = [p for p in found["pictures"] if not p["image_finite"]]
    assert (culprit["id"], culprit["row"], culprit["loss"], culprit["largest"]) == ("case-3", 6, "nan", "nan")
    assert culprit["recipe"]["sample"]["id"] == "case-3"
    assert all(isinstance(p["loss"], float) for p in found["pictures"] if p is not culprit)
    words = shlex.split(culprit["command"])
    assert words[:5] == ["synthanom", "replay", str(data.folder), "intra_blend", "6"] and words[5] == "--out"


def test_weights_that_were_spoiled_before_are_told_from_pictures(data, tmp_path, monkeypatch):
    original = Fitting.training_step

    def ruined(self, batch, number):
        if self.global_step == 1:
            with torch.no_grad():
                next(self.module.parameters()).fill_(torch.nan)
        return original(self, batch, number)

    monkeypatch.setattr(Fitting, "training_step", ruined)
    with pytest.raises(SynthanomError, match=r"in step 1 .*the weights were spoiled before, by the step before"):
        train(data, tmp_path / "run", config=parse_config(SMALL))
    found = json.loads((tmp_path / "run/logs/not_finite/training-step-1.json").read_text())
    assert found["weights_finite"] is False and len(found["pictures_of_the_step_before"]) == 3


def test_live_pictures_are_named_with_the_recipe_that_was_drawn(tmp_path, monkeypatch):
    from synthanom.training.live import LivePictures

    with DataSet.open(write_tiny(tmp_path / "data", shape=(32, 32), variants=1)) as data:
        original = LivePictures.picture

        def picture(self, pick):
            image, label = original(self, pick)
            return (image * np.nan if pick.row is None and pick.task else image), label

        monkeypatch.setattr(LivePictures, "picture", picture)
        with pytest.raises(SynthanomError, match=r"must stay finite.* of case-"):
            train(data, tmp_path / "run", config=parse_config({**SMALL, "live": True}), run=2)
    found = json.loads((tmp_path / "run/logs/not_finite/training-step-0.json").read_text())
    assert {p["recipe"]["anomalies"][0]["task"] for p in found["pictures"]} == {"sink"}
    assert all(p["recipe"]["sample"]["id"] == p["id"] for p in found["pictures"])


@pytest.mark.parametrize("run", [0, 1, 2], ids=["intra_blend", "inter_blend", "sink"])
def test_live_culprits_are_shown_by_replay_as_training_saw_them(tmp_path, monkeypatch, run):
    from synthanom.cli.commands import app
    from synthanom.detectors.multitask import MultiTask

    seen, loss = [], MultiTask.loss

    def ruined(self, batch):
        seen.append(batch)
        found = loss(self, batch)
        return replace(found, total=found.total * torch.nan)

    monkeypatch.setattr(MultiTask, "loss", ruined)
    with DataSet.open(write_tiny(tmp_path / "a folder", shape=(32, 32), variants=1)) as data:
        with pytest.raises(SynthanomError, match=r"training loss must stay finite.* of case-"):
            train(data, tmp_path / "run", config=parse_config({**SMALL, "live": True, "flip": 0.5}), run=run)
        limits = {name: data.healthy(row).limits[:, 0] for row, name in enumerate(data.healthy_ids)}
    found = json.loads((tmp_path / "run/logs/not_finite/training-step-0.json").read_text())
    assert len(found["pictures"]) == len(seen[0].images) >= 2
    for picture, image, label in zip(found["pictures"], seen[0].images.numpy(), seen[0].labels.numpy(), strict=True):
        words = shlex.split(picture["command"])
        assert words[:4] == ["synthanom", "replay", str(tmp_path / "a folder"), "--recipe"]
        assert json.loads(Path(words[4]).read_text()) == picture["recipe"]
        out = tmp_path / f"{picture['healthy_row']}.nii.gz"
        done = CliRunner().invoke(app, [*words[1:-1], str(out)])
        assert done.exit_code == 0, done.exception
        turned = (slice(None), slice(None, None, -1)) if picture["flipped"] else ...
        assert np.array_equal(read(out).image[0][turned], image[0])
        assert np.array_equal(read(tmp_path / f"{picture['healthy_row']}_label.nii.gz").image[0][turned], label)
        done = CliRunner().invoke(app, [*words[1:-1], str(out.with_suffix("").with_suffix(".png"))])
        assert done.exit_code == 0 and words[-1].endswith(".png")
        grey = np.clip((read(out).image - limits[picture["id"]][0]) / np.ptp(limits[picture["id"]]), 0, 1) * 255
        assert np.abs(read(out.with_suffix("").with_suffix(".png")).image - grey).max() <= 1


def test_a_validation_loss_that_is_nan_names_its_pictures_too(data, tmp_path, monkeypatch):
    spoiled_from(monkeypatch, 0)
    # run 1 trains on inter_blend and validates on intra_blend, in fold 1
    with pytest.raises(SynthanomError, match=r"the validation loss must stay finite.*intra_blend row 2;"):
        spoiled_from(monkeypatch, 2)
        train(data, tmp_path / "run", config=parse_config(SMALL), run=1)


@pytest.mark.parametrize("part", ["data.pkl", "data/0", "data/7"])
def test_a_flipped_bit_in_the_resume_file_is_found(data, unfinished, tmp_path, part):
    out = tmp_path / "run"
    shutil.copytree(unfinished, out)
    path = out / "last/resume.ckpt"
    with zipfile.ZipFile(path) as archive:  # bits between its parts mean nothing
        info = next(entry for entry in archive.infolist() if entry.filename.endswith(f"/{part}"))
        inside = archive.read(info)
    content = bytearray(path.read_bytes())
    content[content.index(inside) + len(inside) // 2] ^= 16
    path.write_bytes(bytes(content))
    with pytest.raises(SynthanomError, match=r"resume\.ckpt: must be the resume file.*delete it"):
        train(data, out, config=parse_config(SMALL))


def test_the_state_of_another_network_or_version_is_refused(data, unfinished, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(unfinished, out)
    path = out / "last/resume.ckpt"
    state = torch.load(path, weights_only=True)
    name = next(iter(state["state_dict"]))
    torch.save({**state, "state_dict": {**state["state_dict"], name: torch.zeros(3)}}, path)
    with pytest.raises(SynthanomError, match=rf"another network or version \(they differ in {name}\)"):
        train(data, out, config=parse_config(SMALL))
    torch.save({**state, "callbacks": {"Keeper": {"best": 1.0}}}, path)
    with pytest.raises(SynthanomError, match="another network or version"):
        train(data, out, config=parse_config(SMALL))
    torch.save([1, 2], path)
    with pytest.raises(SynthanomError, match="must be the resume file"):
        train(data, out, config=parse_config(SMALL))
    path.unlink()
    assert train(data, out, config=parse_config(SMALL)).trained


@pytest.mark.parametrize("call", range(3))
def test_a_disk_that_fills_up_while_a_model_is_written_keeps_the_last_good_one(data, tmp_path, monkeypatch, call):
    out = tmp_path / "run"
    train(data, out, config=parse_config({**SMALL, "epochs": 1}))
    before = load_model(out)
    sync, calls = os.fsync, []

    def full(handle):
        calls.append(handle)
        if len(calls) == call + 1:
            raise OSError(28, "No space left on device")
        sync(handle)

    monkeypatch.setattr("os.fsync", full)
    from synthanom.training.checkpoint import save_model

    changed = load_model(out)
    with torch.no_grad():
        next(changed.detector.module.parameters()).add_(1.0)
    with pytest.raises(SynthanomError, match="No space left"):
        save_model(out / "best", changed.detector.module, changed.card)
    kept = load_model(out)  # weights and card belong together
    assert kept.card == before.card


def test_a_state_that_finds_no_room_keeps_the_one_before(data, tmp_path, monkeypatch):
    import resource

    config, out = parse_config({**SMALL, "epochs": 3}), tmp_path / "run"
    train(data, tmp_path / "straight", config=config)
    room = (tmp_path / "straight/last/resume.ckpt").stat().st_size * 2 // 3  # enough for a model, not for a state
    before, original = resource.getrlimit(resource.RLIMIT_FSIZE), Fitting.training_step

    def cramped(self, batch, number):
        if self.global_step == 3:  # the second epoch
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
        return original(self, batch, number)

    with monkeypatch.context() as patch:
        patch.setattr(Fitting, "training_step", cramped)
        try:
            with pytest.raises(SynthanomError, match=r"resume\.ckpt: cannot be written: .*before is kept: make room"):
                train(data, out, config=config)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert torch.load(out / "last/resume.ckpt", weights_only=True)["epoch"] == 0
    assert load_model(out).card.training["epoch"] in (0, 1)
    train(data, out, config=config)
    for name in ("best/model.safetensors", "best/model.json", "last/finished.json"):
        assert (out / name).read_bytes() == (tmp_path / "straight" / name).read_bytes()
