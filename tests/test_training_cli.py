"""The command itself, in real processes: exit statuses, streams, interruption, what it must not import."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_dataset import write_tiny

MAIN = "from synthanom.training.cli import main; main()"
CONFIG = "network: {settings: {base: 2, resolutions: 2}}\nbatch_size: 4\nepochs: 3\n"
BLOCK = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {names!r}:
            raise ImportError(f"{{name}} is blocked")
sys.meta_path.insert(0, Blocked())
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    write_tiny(folder / "data")
    (folder / "c.yaml").write_text(CONFIG)
    return folder


@pytest.fixture(scope="module")
def trained(place):
    """A run trained by the command, with the builders not importable."""
    arguments = ("data", "--train-tasks", "1", "--run", "0", "--out", "run", "--config", "c.yaml", "--device", "cpu")
    return arguments, command(place, *arguments, code=BLOCK.format(names=["synthanom_builders"]) + MAIN)


def command(place, *arguments, code=MAIN):
    """Run the command as its console script would, warnings from our modules being errors."""
    return subprocess.run(
        [sys.executable, "-W", "error:::synthanom", "-c", code, *map(str, arguments)],
        cwd=place,
        env={**os.environ, "OMP_NUM_THREADS": "1"},  # tiny networks are slower on several threads
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_names_of_configurations_are_kept_in_printed_commands(place):
    done = command(place, "data", "--list", "--train-tasks", "1", "--config", "cpu_small")
    assert done.returncode == 0 and all("--config cpu_small" in line for line in done.stdout.splitlines())
    wrong = command(place, "data", "--list", "--config", "cpu_smal")
    assert wrong.returncode == 2 and wrong.stderr.count("\n") == 1 and "did you mean cpu_small?" in wrong.stderr


def test_of_the_papers_settings_on_a_cpu_a_line_says_what_they_take(place):
    code = "import synthanom.training.run as r\nr._fit = lambda *a, **k: exit('here the run would begin')\n" + MAIN
    arguments = ("data", "--train-tasks", "1", "--run", "0", "--device", "cpu", "--out")
    done = command(place, *arguments, "papers", code=code)
    assert done.stderr.splitlines()[0].startswith("the paper's network and schedule take hours to days on a CPU")
    small = command(place, *arguments, "small", "--config", "c.yaml", code=code)
    assert "here the run would begin" in small.stderr and "hours to days" not in small.stderr


def test_trains_without_the_builders_and_quietly(place, trained):
    arguments, done = trained
    assert (done.returncode, done.stderr) == (0, "")  # not a line of progress or chatter into a pipe
    assert done.stdout.startswith("run: trained, 3 epochs") and done.stdout.count("\n") == 1
    again = command(place, *arguments)
    assert again.returncode == 0 and "already finished" in again.stdout


def broken_by(name, step):
    """The command, ended by a signal in the given step."""
    code = "import os, signal; from synthanom.training.fitting import Fitting as F; step = F.training_step\n"
    code += "def fatal(self, batch, n):\n"
    code += f"    if self.global_step == {step}: os.kill(os.getpid(), signal.{name})\n"
    code += "    return step(self, batch, n)\nF.training_step = fatal\n"
    return code + MAIN


def test_killed_without_warning_and_continued(place, trained):
    arguments = ("data", "--out", "killed", "--config", "c.yaml")
    assert command(place, *arguments, code=broken_by("SIGKILL", 5)).returncode == -9
    done = command(place, *arguments)
    assert done.returncode == 0, done.stderr
    for name in ("model.safetensors", "model.json"):
        assert (place / "killed/best" / name).read_bytes() == (place / "run/best" / name).read_bytes()


def test_ctrl_c_says_how_to_go_on(place):
    done = command(place, "data", "--out", "stopped", "--config", "c.yaml", code=broken_by("SIGINT", 1))
    assert done.returncode == 130 and "Traceback" not in done.stderr
    assert "interrupted; to go on, run the same command again" in done.stderr


def test_all_runs_of_one_number_of_tasks(place):
    done = command(place, "data", "--all", "--train-tasks", "4", "--out", "all", "--config", "c.yaml", "--epochs", "1")
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in (place / "all").iterdir() if p.is_dir()) == [f"tasks-4-run-{i}" for i in range(5)]
    assert sorted(p.name for p in (place / "all").glob("*.*")) == ["summary.csv", "summary.md"]  # no run of one task
    assert done.stdout.count("trained, 1 epochs") == 5


def test_the_list_is_commands_and_nothing_else(place):
    done = command(place, "data", "--list")
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and len(lines) == 30
    assert [sum(f"--train-tasks {t} " in line for line in lines) for t in (1, 2, 3, 4)] == [5, 10, 10, 5]
    assert all(shlex.split(line)[:2] == ["synthanom-train", "data"] for line in lines)
    assert len({line.split(" --out ")[1] for line in lines}) == 30
    rows = [line.split("\t") for line in done.stderr.splitlines()]  # for people
    assert rows[6] == ["2", "0", "intra_blend,inter_blend", "2,3,4", "sink,source,smooth_intensity", "0,1"]


def test_listed_commands_keep_every_option_and_are_never_wrapped(place):
    donors = ("--donors", "/a b", "--donors", "/c")
    options = ("--config", "c.yaml", "--seed", "3", "--live", *donors, "--epochs", "9", "--pairing", "full")
    options += ("--device", "cpu")
    long = "a folder/" + "x" * 300
    done = command(place, "data", "--list", "--train-tasks", "4", *options, "--workers", "2", "--out", long)
    lines = done.stdout.splitlines()
    assert len(lines) == 25
    assert shlex.split(lines[24]) == [
        *("synthanom-train", "data", "--train-tasks", "4", "--run", "24", "--out", f"{long}/tasks-4-run-24"),
        *("--config", "c.yaml", "--seed", "3", "--live", *donors, "--epochs", "9", "--pairing", "full"),
        *("--workers", "2", "--device", "cpu"),
    ]


def test_listed_commands_work_in_any_order_and_any_subset(place):
    listing = command(place, "data", "--list", "--train-tasks", "4", "--config", "c.yaml", "--out", "array")
    lines = listing.stdout.splitlines()
    done = command(place, *shlex.split(lines[4])[1:])
    assert done.returncode == 0, done.stderr
    # as a job of SLURM does it, whose variables must not disturb the run
    (place / "jobs.txt").write_text(listing.stdout)
    slurm = {"SLURM_ARRAY_TASK_ID": "2", "SLURM_JOB_ID": "7", "SLURM_NTASKS": "4", "SLURM_PROCID": "0"}
    environment = {**os.environ, **slurm, "JOBS": "jobs.txt", "OMP_NUM_THREADS": "1"}
    environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    script = Path(__file__).parents[1] / "examples" / "slurm" / "train.sh"
    words = ["bash", str(script)]
    done = subprocess.run(words, cwd=place, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in (place / "array").iterdir()) == ["tasks-4-run-1", "tasks-4-run-4"]
    tasks = json.loads((place / "array/tasks-4-run-4/folds.json").read_text())["run"]["validation_tasks"]
    assert tasks == ["intra_blend"]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("nowhere", "--out", "x"), "nowhere"),
        (("data",), "--out"),
        (("data", "--out", "x", "--train-tasks", "0"), "1 to 4"),
        (("data", "--out", "x", "--config", "none.yaml"), "none.yaml"),
        (("data", "--out", "data"), "something else"),
        (("data", "--out", "x", "--all", "--run", "1"), "--all"),
        (("unfinished", "--out", "x"), "run the same command again"),
        (("data", "--out", "x", "--device", "tpu"), "--help"),
    ],
)
def test_refusals_are_one_line_and_status_two(place, arguments, part):
    (place / "unfinished").mkdir(exist_ok=True)
    done = command(place, *arguments)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1 and part in done.stderr
    assert not (place / "x").exists()


def test_debug_shows_the_traceback(place):
    assert "Traceback" in command(place, "nowhere", "--out", "x", "--debug").stderr


def test_help_imports_nothing_heavy(place):
    heavy = ["torch", "lightning", "matplotlib", "SimpleITK", "h5py", "numba", "scipy", "nibabel", "pydantic"]
    done = command(place, "--help", code=BLOCK.format(names=heavy) + MAIN)
    assert done.returncode == 0 and "--train-tasks" in done.stdout


def test_only_the_fit_needs_lightning(place):
    modules = [
        "admission",
        "anisotropy",
        "attended",
        "batches",
        "calibrate",
        "checkpoint",
        "cli",
        "commands",
        "config",
        "culprits",
        "folder",
        "folds",
        "held_out",
        "jobs",
        "live",
        "orders",
        "own_process",
        "panel",
        "plan",
        "predict",
        "processes",
        "rows",
        "scored",
        "series",
        "summary",
        "thresholds",
        "worker_runs",
    ]
    code = BLOCK.format(names=["lightning", "pytorch_lightning", "synthanom_builders"])
    code += "".join(f"import synthanom.training.{name}\n" for name in modules)
    done = command(place, code=code)
    assert done.returncode == 0, done.stderr


def test_no_module_of_training_names_the_builders():
    folder = Path(__file__).parents[1] / "synthanom" / "training"
    assert [p.name for p in folder.glob("*.py") if "synthanom_builders" in p.read_text()] == []
