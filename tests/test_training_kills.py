"""A run that is killed (SIGKILL, no cleaning up) at any moment and goes on has the weights of one that was not."""

import os
import subprocess
import sys

import pytest
import torch
from tiny_dataset import write_tiny

from synthanom.shards import DataSet
from synthanom.training.config import load_config
from synthanom.training.run import train

CONFIG = "network: {settings: {base: 2, resolutions: 2}}\nbatch_size: 3\nepochs: 3\nflip: 0.5\nanisotropy: 0.5\n"
KILL = """
import os, signal
from pathlib import Path
from synthanom.training import checkpoint, fitting, keeper, run
K = keeper.Keeper
count = [0]
def at(call, function, when=lambda *given: True):
    def fatal(*given, **named):
        if when(*given):
            count[0] += 1
            if count[0] == call:
                os.kill(os.getpid(), signal.SIGKILL)
        return function(*given, **named)
    return fatal
"""
MAIN = "from synthanom.training.cli import main; main()"
MOMENTS = {
    "before the first state is kept": "K.on_train_epoch_end = at(1, K.on_train_epoch_end)",
    "in the middle of an epoch": "fitting.Fitting.training_step = at(5, fitting.Fitting.training_step)",
    "in the middle of a validation": "fitting.Fitting.validation_step = at(6, fitting.Fitting.validation_step)",
    "between the better model's card and weights": (
        "Path.replace = at(2, Path.replace, lambda path, target: Path(target).name == 'model.safetensors')"
    ),
    "while a state is written": "keeper.sync = at(2, keeper.sync)",
    "after the better model, before the state": "K.on_train_epoch_end = at(2, K.on_train_epoch_end)",
    "while thresholds are chosen": "run.calibrate = at(1, run.calibrate)",
    "before the end is noted": "run.mark_finished = at(1, run.mark_finished)",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kills")
    write_tiny(folder / "data")
    (folder / "c.yaml").write_text(CONFIG)
    return folder


@pytest.fixture(scope="module")
def straight(place):
    return going_on(place, place / "straight")


def going_on(place, out):
    """Train in this process, on one thread as the killed one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with DataSet.open(place / "data") as data:
            train(data, out, config=load_config(place / "c.yaml", data.shape), device="cpu")
    finally:
        torch.set_num_threads(before)
    return out


def state(out):
    found = torch.load(out / "last/resume.ckpt", weights_only=True)
    moments = found["optimizer_states"][0]["state"]
    flat = {**found["state_dict"], **{f"{k}.{n}": torch.as_tensor(v) for k, s in moments.items() for n, v in s.items()}}
    return flat, found["epoch"], found["global_step"], found["lr_schedulers"][0]["last_epoch"], found["callbacks"]


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_and_continued(place, straight, tmp_path, moment):
    out = tmp_path / "run"
    arguments = ("data", "--out", out, "--config", "c.yaml", "--device", "cpu")
    killed = subprocess.run(
        [sys.executable, "-c", f"{KILL}{MOMENTS[moment]}\n{MAIN}", *arguments],
        cwd=place,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert killed.returncode == -9, killed.stderr
    assert not (out / "last/finished.json").exists()
    going_on(place, out)
    (first, *rest), (second, *others) = state(straight), state(out)
    assert first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first) and rest == others
    for name in ("best/model.safetensors", "best/model.json", "last/finished.json"):
        assert (out / name).read_bytes() == (straight / name).read_bytes(), name
    assert [p for p in out.rglob("*tmp*") if p.is_file()] == []
