"""A build in parts, as jobs of their own: in one folder or in several, together or in turn, the same bytes."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from building import COMMAND, build, listing, shards, write_pictures
from hypothesis import given, settings
from hypothesis import strategies as st

from synthanom.cli import main as synthanom_main
from synthanom.errors import SynthanomError
from synthanom.shards import check
from synthanom.unfinished.finishing import joined_fingerprints
from synthanom.unfinished.lock import locked
from synthanom.unfinished.merging import merge_parts
from synthanom.unfinished.parts import Part, in_turn, parsed_part

FEW = ("--variants", "22", "--tasks", "intra_blend,sink", "--folds", "2", "--workers", "1")
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("raw"))


@pytest.fixture(scope="module")
def expected(raw, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("expected") / "data"
    assert build(raw, "--out", out, *FEW).status == 0
    return out


def content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def started(raw: Path, out: Path, *arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [*COMMAND, "folder", str(raw), "--out", str(out), *FEW, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def merged(*arguments: object) -> tuple[int, str, str]:
    """`synthanom merge` as a process."""
    ran = subprocess.run(
        [sys.executable, "-c", "from synthanom.cli import main; main()", "merge", *map(str, arguments)],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert "Traceback" not in ran.stderr
    return ran.returncode, ran.stdout, ran.stderr


def test_parts_at_the_same_time_in_one_folder(raw, expected, tmp_path):
    out = tmp_path / "data"
    jobs = [started(raw, out, "--part", f"{number}/3") for number in (1, 2, 3)]
    said = [job.communicate(timeout=120) for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0, 0], said
    assert all(f"part {number}/3 done" in answer for number, (answer, _) in enumerate(said, 1))
    assert sum("looking at the images" in errors for _, errors in said) == 1, "one plans, the others wait"
    assert not (out / "dataset.json").exists() and "unfinished" in check(out)[0]
    status, answer, _ = merged(out)
    assert status == 0 and "12 healthy images, 528 anomalies" in answer
    assert content(out) == content(expected), "and nothing hidden is left"
    before = listing(out)
    assert merged(out)[:2] == (0, f"{out}: 12 healthy images, 528 anomalies; finished already, nothing was written\n")
    assert build(raw, "--out", out, *FEW, "--part", "2/3").status == 0 and listing(out) == before


def test_parts_in_folders_of_their_own_are_gathered(raw, expected, tmp_path):
    folders = [tmp_path / f"part{number}" for number in (1, 2, 3)]
    for number in (3, 1):
        ran = build(raw, "--out", folders[number - 1], *FEW, "--part", f"{number}/3")
        assert ran.status == 0 and f"synthanom merge {folders[number - 1]}" in ran.out
    status, _, errors = merged(folders[2], folders[0], "--out", tmp_path / "data")
    assert status == 2 and "run again part 2/3 (" in errors
    assert not (tmp_path / "data" / "dataset.json").exists()
    assert build(raw, "--out", folders[1], *FEW, "--part", "2/3").status == 0
    before = [listing(folder) for folder in folders]
    assert merged(*folders, "--out", tmp_path / "data")[0] == 0, "it goes on where the first merge stopped"
    assert content(tmp_path / "data") == content(expected)
    assert [listing(folder) for folder in folders] == before, "parts are only read"


def test_a_part_may_be_killed_and_a_whole_build_may_follow(raw, expected, tmp_path):
    out = tmp_path / "data"
    assert build(raw, "--out", out, *FEW, "--part", "2/2").status == 0
    job = started(raw, out, "--part", "1/2")
    for _ in range(1500):
        if len(list(out.glob(".units/*-*.json"))) > 6 or job.poll() is not None:
            break
        time.sleep(0.02)
    os.killpg(job.pid, signal.SIGKILL)
    job.communicate()
    (out / "healthy" / ".00000.h5.0badc0de-1.tmp").write_bytes(b"of another machine that was switched off")
    ran = build(raw, "--out", out, *FEW)
    assert ran.status == 0 and "were there" in ran.err
    assert content(out) == content(expected)


def test_only_one_job_makes_a_part_and_none_while_a_whole_build_runs(raw, tmp_path):
    out = tmp_path / "data"
    holding = (
        "import sys; from pathlib import Path; from synthanom.unfinished.lock import locked\n"
        "with locked(Path(sys.argv[1]), *sys.argv[2:]): print('held', flush=True); sys.stdin.read()"
    )
    for name, words in (
        (".part-1-of-2.lock", "another part 1/2 is writing there"),
        (".build.lock", "another build is"),
    ):
        holder = subprocess.Popen(
            [sys.executable, "-c", holding, out, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert holder.stdout.readline() == "held\n"
        ran = build(raw, "--out", out, *FEW, "--part", "1/2")
        holder.communicate("")
        assert ran.status == 2 and words in ran.error
    with locked(out, shared=True):
        ran = subprocess.run([*COMMAND, "folder", raw, "--out", out, *FEW], capture_output=True, text=True, check=False)
        assert ran.returncode == 2 and "another build is writing there" in ran.stderr, "a part is at work"


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "a/b", "1/2/3", "-1/3", "1/0"])
def test_parts_that_make_no_sense(raw, tmp_path, text):
    ran = build(raw, "--out", tmp_path / "data", "--part", text)
    assert ran.status == 2 and "--part must be K/N" in ran.error and not (tmp_path / "data").exists()


def test_parts_of_other_plans_are_refused(raw, tmp_path):
    for number, seed in ((1, 0), (2, 1)):
        folder = tmp_path / f"part{number}"
        assert build(raw, "--out", folder, *FEW, "--seed", seed, "--part", f"{number}/2").status == 0
    status, _, errors = merged(tmp_path / "part1", tmp_path / "part2", "--out", tmp_path / "data")
    assert status == 2 and "must follow the plan of" in errors and not (tmp_path / "data").exists()
    ran = build(raw, "--out", tmp_path / "part1", *FEW, "--seed", "1", "--part", "2/2")
    assert ran.status == 2 and "seed was 0, now 1" in ran.error
    (tmp_path / "part1" / "plan.json").write_text("{}")
    status, _, errors = merged(tmp_path / "part1")
    assert status == 2 and "must be the plan that the build was begun with" in errors
    status, _, errors = merged(tmp_path / "nowhere")
    assert status == 2 and "got no folder" in errors
    status, _, errors = merged(raw)
    assert status == 2 and "must hold a build that was begun" in errors


def test_units_under_other_fingerprints_need_a_word(raw, expected, tmp_path):
    out = tmp_path / "data"
    for number in (1, 2):
        assert build(raw, "--out", out, *FEW, "--part", f"{number}/2").status == 0
    path = out / ".units" / "sink-00002.json"
    record = json.loads(path.read_text())
    own = json.loads((expected / "dataset.json").read_text())["fingerprint"]
    record["environment"] = {**own, "blas_core": "openblas:Other"}
    path.write_text(json.dumps(record))
    with pytest.raises(SynthanomError, match=r"got 1 under others .*openblas:Other.*--mixed-fingerprints"):
        merge_parts([out])
    merge_parts([out], mixed=True)
    found = json.loads((out / "dataset.json").read_text())["fingerprint"]
    assert found == joined_fingerprints([own, record["environment"]]) and " | " in found["blas_core"]
    assert shards(out) == shards(expected)
    status, answer, _ = _synthanom("check", out, "--replay")
    assert status == 0 and "agreement within 1e-4" in answer, "no machine has that fingerprint"


def _synthanom(*arguments: object) -> tuple[int, str, str]:
    ran = subprocess.run(
        [sys.executable, "-c", f"from {synthanom_main.__module__} import main; main()", *map(str, arguments)],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    return ran.returncode, ran.stdout, ran.stderr


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(0, 70), st.integers(1, 5))
def test_parts_share_out_every_unit_once_and_evenly(count, units, tasks):
    names = [f"task{i}" for i in range(tasks)]
    whole = in_turn(dict.fromkeys(names, units), names)
    parts = [Part(number=number, of=count) for number in range(1, count + 1)]
    shares = [part.share(whole) for part in parts]
    assert list(itertools.chain(*shares)) == whole and len(whole) == units * tasks
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    for part, share in zip(parts, shares, strict=True):
        ahead = part.first_its_own(whole)
        assert ahead[: len(share)] == share and sorted(ahead) == sorted(whole)
    assert parsed_part(str(parts[-1])) == parts[-1]


def test_the_array_job_of_the_examples(raw, expected, tmp_path):
    """The scripts as a scheduler would run them, each task in a process of its own."""
    array, merge = ((ROOT / "examples" / "slurm" / name) for name in ("array.sh", "merge.sh"))
    wanted = [line for line in array.read_text().splitlines() if line.startswith("#SBATCH")]
    assert any(line.startswith("#SBATCH --array=1-") for line in wanted) and len(wanted) >= 4
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "RAW": str(raw),
        "DATA": str(tmp_path / "data"),
        "OPTIONS": " ".join(FEW[:-2]),
        "SLURM_CPUS_PER_TASK": "1",
        "SLURM_ARRAY_TASK_COUNT": "3",
    }
    jobs = [
        subprocess.Popen(
            ["bash", array], env={**environment, "SLURM_ARRAY_TASK_ID": str(number)}, stderr=subprocess.PIPE, text=True
        )
        for number in (1, 2, 3)
    ]
    said = [job.communicate(timeout=120)[1] for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0, 0], said
    subprocess.run(["bash", merge], env=environment, check=True, timeout=60, capture_output=True)
    assert content(tmp_path / "data") == content(expected)
