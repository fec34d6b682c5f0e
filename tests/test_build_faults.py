"""Interrupted, killed and starved builds: real processes, the same bytes in the end."""

import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from building import COMMAND, build, shards, write_pictures

from synthanom.manifest import read_manifest
from synthanom.shards import check

MANY = ("--variants", "32", "--tasks", "sink,source,smooth_intensity", "--folds", "3", "--workers", "2")


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("raw"))


@pytest.fixture(scope="module")
def expected(raw, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("expected") / "data"
    assert build(raw, "--out", out, *MANY).status == 0
    return out


def started(raw: Path, out: Path, *arguments: str, **options) -> subprocess.Popen:
    """The command as a process in a group of its own."""
    return subprocess.Popen(
        [*COMMAND, "folder", str(raw), "--out", str(out), *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, **options,
    )  # fmt: skip


def group_members(leader: int) -> list[int]:
    """Processes of a session, read from /proc."""
    members = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == leader and fields[0] != "Z":
                members.append(int(entry.name))
    return members


def wait_until(condition, seconds: float = 30.0) -> bool:
    """Poll a condition; whether it came true in time."""
    for _ in range(int(seconds / 0.02)):
        if condition():
            return True
        time.sleep(0.02)
    return False


def done_units(out: Path) -> int:
    return len(list(out.glob(".units/*.json")))


def begun(process: subprocess.Popen, out: Path, units: int) -> bool:
    """Wait until so many units are finished (0: until the plan is there); False if the build ended before."""
    wait_until(lambda: process.poll() is not None or (done_units(out) >= units and (out / "plan.json").exists()))
    return process.poll() is None


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_killed_at_ten_moments_the_same_command_finishes_with_the_same_bytes(raw, expected, tmp_path):
    out = tmp_path / "data"
    moments = random.Random(7)
    kills = 0
    for number in range(10):
        process = started(raw, out, *MANY)
        if number > 0:  # the first dies before there is a plan, or thereabouts
            begun(process, out, number - 1)
        time.sleep(moments.random() * 0.1)
        kills += process.poll() is None
        if number % 2:
            os.killpg(process.pid, signal.SIGKILL)  # workers too
        else:
            os.kill(process.pid, signal.SIGKILL)  # they must notice by themselves
        process.wait()
        outlived = not wait_until(lambda leader=process.pid: not group_members(leader), seconds=10)
        if outlived:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        assert not outlived, "a process outlived its parent"
        if (out / "dataset.json").exists():
            break
        assert "unfinished" in check(out)[0] or not out.exists() or "no such folder" in check(out)[0]
    assert kills >= 5
    process = started(raw, out, *MANY)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert shards(out) == shards(expected)
    assert (out / "dataset.json").read_bytes() == (expected / "dataset.json").read_bytes()
    assert not list(out.rglob(".*"))


def test_ctrl_c_ends_at_once_says_how_to_go_on_and_leaves_no_process(raw, expected, tmp_path):
    out = tmp_path / "data"
    process = started(raw, out, *MANY)
    assert begun(process, out, 2)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: every process of the group
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "run the same command again" in errors
    assert "Traceback" not in errors
    assert wait_until(lambda: not group_members(process.pid))
    assert not list(out.rglob(".*.tmp"))
    assert not (out / ".build.lock").exists()
    kept = done_units(out)
    assert kept >= 2
    ran = build(raw, "--out", out, *MANY)
    assert ran.status == 0
    assert shards(out) == shards(expected)


def test_killed_worker_is_one_clear_line(raw, expected, tmp_path):
    out = tmp_path / "data"
    process = started(raw, out, *MANY)
    assert begun(process, out, 1)
    children = [p for p in group_members(process.pid) if p != process.pid]
    command = {p: Path(f"/proc/{p}/cmdline").read_bytes() for p in children}
    parents = {p: int(Path(f"/proc/{p}/stat").read_text().rpartition(")")[2].split()[1]) for p in children}
    worker = next(p for p in children if b"forkserver" in command[p] and parents[p] in children)
    os.kill(worker, signal.SIGKILL)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 2, errors
    line = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert len(line) == 1
    assert "killed" in line[0]
    assert "--workers" in line[0]
    assert "Traceback" not in errors
    assert build(raw, "--out", out, *MANY).status == 0
    assert shards(out) == shards(expected)


def test_full_disk_is_one_line_and_leaves_nothing_half_written(raw, expected, tmp_path):
    out = tmp_path / "data"
    largest = max(len(content) for content in shards(expected).values())
    plan = (expected / "plan.json").stat().st_size
    limit = (max(plan, 8000) + largest) // 2
    assert plan < limit < largest
    # a limit on the size of files fails a write in its middle, as a full disk does
    process = started(raw, out, *MANY, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2, errors
    line = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert len(line) == 1
    assert ".h5: must be writable" in line[0]
    assert "run the same command again" in line[0]
    assert "Traceback" not in errors
    assert not list(out.rglob(".*.tmp"))
    for name, content in shards(out).items():
        assert content == shards(expected)[name]
    assert not (out / "dataset.json").exists()
    assert build(raw, "--out", out, *MANY).status == 0
    assert shards(out) == shards(expected)


def test_second_build_in_the_same_folder_is_refused(raw, tmp_path):
    out = tmp_path / "data"
    process = started(raw, out, *MANY)
    try:
        assert begun(process, out, 0)
        os.kill(process.pid, signal.SIGSTOP)
        ran = build(raw, "--out", out, *MANY)
        assert ran.status == 2
        assert "another build is writing there" in ran.error
    finally:
        os.kill(process.pid, signal.SIGCONT)
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert read_manifest(out).counts["healthy"] == 12
