"""`synthanom-train --scheduler` with real trainings: the weights of a local run, Ctrl-C, and what is refused."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from faulty import wait_until
from tiny_dataset import write_tiny
from typer.testing import CliRunner

pytest.importorskip("distributed", reason="needs the extra `dask`")

from clusters import dask_cluster

from synthanom.cluster import connection
from synthanom.errors import SynthanomError
from synthanom.training.cli import app

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
    pytest.mark.usefixtures("one_thread"),
]
MAIN = "from synthanom.training.cli import main; main()"
NOBODY = "tcp://127.0.0.1:1"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("command")
    write_tiny(folder / "data")
    (folder / "c.yaml").write_text("network: {settings: {base: 2, resolutions: 2}}\nbatch_size: 4\nepochs: 2\n")
    return folder


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """One worker, in another folder than the command."""
    with dask_cluster(tmp_path_factory.mktemp("dask")) as made:
        made.start_worker(nanny=False)
        yield made


def answer(*arguments):
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def test_the_weights_are_those_of_a_local_run_and_tables_are_written(place, cluster, monkeypatch):
    monkeypatch.chdir(place)
    given = ("data", "--run", 1, "--config", "c.yaml", "--device", "cpu", "--seed", 3)
    answer(*given, "--out", "local")
    assert not (place / "local/summary.csv").exists()
    found = json.loads(answer(*given, "--out", "runs/tasks-1-run-1", *cluster.option, "--json").stdout)
    assert [(run["folder"], run["seed"]) for run in found["runs"]] == [("runs/tasks-1-run-1", 3)]
    for name in ("best/model.safetensors", "best/model.json", "last/finished.json"):
        assert (place / "runs/tasks-1-run-1" / name).read_bytes() == (place / "local" / name).read_bytes(), name


@pytest.mark.slow
def test_ctrl_c_leaves_nothing_at_work_and_the_same_command_goes_on(place, cluster):
    words = ["data", "--run", "0", "--seeds", "2", "--config", "c.yaml", "--device", "cpu", "--epochs", "30"]
    words += ["--out", "seeds", *cluster.option]
    process = subprocess.Popen(
        [sys.executable, "-c", MAIN, *words], cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    state = place / "seeds/seed-0/last/resume.ckpt"
    assert wait_until(state.exists, seconds=120), cluster.said()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130 and "Traceback" not in said, said
    assert "interrupted; to go on, run the same command again" in said and said.count("\n") <= 2, said
    assert not any(b"attended" in words for words in children(cluster.workers[0].pid))
    assert not (place / "seeds/seed-0/last/finished.json").exists()
    before = state.stat().st_mtime_ns
    done = subprocess.run(
        [sys.executable, "-c", MAIN, *words], cwd=place, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0 and done.stdout.count(": trained, 30 epochs") == 2, done.stderr
    assert done.stderr == "" and state.stat().st_mtime_ns > before
    assert "seeds/summary.csv" in done.stdout and (place / "seeds/summary.md").exists()


def children(process: int) -> list[bytes]:
    """The command lines of the processes that one started."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
                found += [(entry / "cmdline").read_bytes()] if int(parent) == process else []
            except OSError:
                continue
    return found


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--all", "--jobs", 2), "--jobs counts runs at once on this machine"),
        (("--list",), "--list prints commands"),
        (("--summarise",), "--summarise reads what is finished"),
        (("--all",), f"--scheduler must be the address of a running Dask scheduler.*{NOBODY}"),
    ],
)
def test_what_does_not_go_together_is_refused_before_any_work(place, arguments, words, monkeypatch):
    monkeypatch.setattr(connection, "CONNECT_SECONDS", 1.0)
    with pytest.raises(SynthanomError, match=words):
        answer(place / "data", "--out", place / "x", *arguments, "--scheduler", NOBODY)
    assert not (place / "x").exists()


def test_without_dask_the_extra_is_named(place):
    code = f"import sys; sys.modules['distributed'] = None; {MAIN}"
    words = [sys.executable, "-c", code, "data", "--all", "--out", "x", "--scheduler", NOBODY]
    done = subprocess.run(words, cwd=place, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2 and "pip install 'synthanom[dask]'" in done.stderr and "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1 and not (place / "x").exists()
