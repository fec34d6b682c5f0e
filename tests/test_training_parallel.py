"""Two processes that share every batch against one process with the same batches; real processes, over gloo."""

import contextlib
import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_dataset import write_tiny

from synthanom.errors import SynthanomError
from synthanom.shards import DataSet
from synthanom.training.batches import portions, share
from synthanom.training.rows import Pick

# ten subjects: batches of three with a last one of two, so that shares differ, and one of one picture
CONFIG = "network: {settings: {base: 4, resolutions: 2}}\nbatch_size: 3\nepochs: 2\nselect_by: average_precision\n"
MAIN = "from synthanom.training.cli import main; main()"
HERE = Path(__file__).parent


def command(place, *arguments, code=MAIN, path=HERE):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([str(path), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parallel")
    write_tiny(folder / "data")
    (folder / "c.yaml").write_text(CONFIG)
    return folder


@pytest.fixture(scope="module")
def both(place):
    found = []
    for name, devices in (("one", 1), ("two", 2)):
        arguments = ("data", "--config", "c.yaml", "--device", "cpu", "--devices", devices, "--out", name)
        done = command(place, *arguments)
        assert done.returncode == 0, done.stderr
        found.append(place / name)
    return found


@pytest.mark.parametrize("ranks", [1, 2, 3, 5])
def test_shares_make_up_the_batch(ranks):
    picks = [Pick(healthy=i) for i in range(13)]
    parts = [portions(picks, 4, rank=rank, ranks=ranks) for rank in range(ranks)]
    assert {len(part) for part in parts} == {4}
    for number in range(4):
        batch = picks[4 * number : 4 * number + 4]
        own = [pick for rank in range(ranks) for pick in _real(parts[rank][number], len(batch), rank, ranks)]
        assert own == batch
        assert all(part[number] for part in parts)  # a process with nothing to do has a stand-in


def _real(part, count, rank, ranks):
    low, high = share(count, rank, ranks)
    return part[: high - low]


def figures(out, name):
    (log,) = out.glob("logs/*/metrics.csv")
    return [float(row[name]) for row in csv.DictReader(log.open()) if row.get(name)]


@pytest.mark.parametrize("name", ["train_loss", "validation_loss", "validation_average_precision"])
def test_two_processes_have_the_loss_of_one(both, name):
    one, two = (figures(out, name) for out in both)
    assert len(one) == 2 and two == pytest.approx(one, rel=1e-5)


def test_two_processes_have_the_weights_of_one(both):
    one, two = (torch.load(out / "last/resume.ckpt", weights_only=True)["state_dict"] for out in both)
    assert one.keys() == two.keys()
    # the bias of a convolution before an instance norm does nothing: its gradient is rounding, which AdamW blows up
    idle = {key for key in one if key.endswith(".0.bias")}
    worst = max(float((one[key] - two[key]).abs().max()) for key in one.keys() - idle)
    moved = max(float(one[key].abs().max()) for key in one.keys() - idle)
    assert worst < 1e-6 < 1e-2 < moved


def test_only_the_first_process_writes(both):
    one, two = (sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()) for out in both)
    assert one == two


def test_the_number_of_processes_may_change_in_between(place, both):
    import shutil

    out = place / "changed"
    shutil.copytree(both[1], out)
    (out / "last/finished.json").unlink()
    done = command(place, "data", "--config", "c.yaml", "--device", "cpu", "--devices", 1, "--out", "changed")
    assert done.returncode == 0, done.stderr
    assert json.loads((out / "last/finished.json").read_text())["epochs"] == 2


def test_a_process_that_fails_is_named_and_nobody_hangs(place):
    # the second process finds no network: its module is only importable in the first
    code = "import sys, types, torch\n"
    code += "class Net(torch.nn.Conv2d):\n    def __init__(self, in_channels): super().__init__(in_channels, 1, 1)\n"
    code += "sys.modules['only_here'] = types.SimpleNamespace(Net=Net)\n" + MAIN
    (place / "foreign.yaml").write_text("network: only_here:Net\nbatch_size: 4\nepochs: 1\n")
    arguments = ("data", "--config", "foreign.yaml", "--device", "cpu", "--devices", "2", "--out", "foreign")
    done = command(place, *arguments, code=code)
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert "process 2 of 2 ended with status 2" in done.stderr and "only_here" in done.stderr


def test_pictures_that_spoil_the_loss_in_another_process_are_named_and_nobody_hangs(place):
    """The NaN is in the second process's part of a batch, and what it finds is what the command says."""
    member = place / "member.py"
    member.write_text(
        "import sys, numpy as np\n"
        "from synthanom.training import batches, member\n"
        "original = batches.StoredPictures.picture\n"
        "def picture(self, pick):\n"
        "    image, label = original(self, pick)\n"
        "    return (image * np.nan if pick.task else image), label\n"
        "batches.StoredPictures.picture = picture\n"
        "sys.exit(member.main(sys.argv[1], int(sys.argv[2])))\n"
    )
    code = f"import sys; sys.path.append({str(place)!r})\nfrom synthanom.training import processes\n"
    code += "processes.MEMBER = 'member'\n" + MAIN
    arguments = ("data", "--config", "c.yaml", "--device", "cpu", "--devices", "2", "--out", "nan")
    done = command(place, *arguments, code=code, path=place)
    *_, line = done.stderr.splitlines()  # the one before says where the log is
    assert done.returncode == 2 and line.startswith("error: ") and "Traceback" not in done.stderr, done.stderr
    assert "process 2 of 2 ended with status 2: the training loss must stay finite, got nan in step 0" in line
    found = json.loads((place / "nan/logs/not_finite/training-step-0-process-2.json").read_text())
    named = ", ".join(f"{p['task']} row {p['row']}" for p in found["pictures"] if not p["image_finite"])
    assert named and f"on {named};" in line
    assert not [line for line in running() if str(place / "nan") in line], "no process is left"


def running():
    """Command lines of all processes."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            lines.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return lines


def test_a_process_that_is_killed_ends_the_run_and_the_same_command_goes_on(place, both):
    code = "from synthanom.training import fitting, processes\nstarted, held = processes._started, []\n"
    code += "def kept(*given):\n    held.append(started(*given))\n    return held[-1]\nprocesses._started = kept\n"
    code += "step = fitting.Fitting.training_step\ndef fatal(self, batch, number):\n"
    code += "    if self.global_step == 4: held[0].process.kill(), held[0].process.wait()\n"
    code += "    return step(self, batch, number)\nfitting.Fitting.training_step = fatal\n" + MAIN
    arguments = ("data", "--config", "c.yaml", "--device", "cpu", "--devices", "2", "--out", "killed")
    done = command(place, *arguments, code=code)
    assert done.returncode == 2, done.stderr
    assert "process 2 of 2 ended with status -9" in done.stderr and "Traceback" not in done.stderr
    done = command(place, *arguments)
    assert done.returncode == 0, done.stderr
    assert not list((place / "killed/logs").glob("process-*.txt"))
    one, two = (torch.load(place / name / "last/resume.ckpt", weights_only=True) for name in ("two", "killed"))
    assert one["global_step"] == two["global_step"]
    assert all(torch.equal(one["state_dict"][key], two["state_dict"][key]) for key in one["state_dict"])


def test_too_many_devices_are_refused(place):
    from synthanom.training.config import parse_config
    from synthanom.training.run import train

    config = parse_config({"batch_size": 2, "epochs": 1})
    with DataSet.open(place / "data") as data, pytest.raises(SynthanomError, match="1 to batch_size, 2"):
        train(data, place / "many", config=config, devices=3, device="cpu")
    assert not (place / "many").exists()
