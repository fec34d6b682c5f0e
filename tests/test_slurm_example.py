"""The example that builds on workers that SLURM starts, with a scheduler of jobs that runs them on this machine."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from faulty import TINY, wait_until
from verdicts import differences

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
pytest.importorskip("dask_jobqueue", reason="needs the extra `slurm`")
EXAMPLE = Path(__file__).parents[1] / "examples" / "slurm" / "build_with_dask.py"
SBATCH = """#!{python}
import pathlib, subprocess, sys
jobs = pathlib.Path({jobs!r})
script = pathlib.Path(sys.argv[1]).read_text()
number = len(list(jobs.glob("*.sh"))) + 1
(jobs / f"{{number}}.sh").write_text(script)
with (jobs / f"{{number}}.txt").open("w") as said:
    job = subprocess.Popen(["bash", str(jobs / f"{{number}}.sh")], stdout=said, stderr=said, start_new_session=True)
(jobs / f"{{number}}.pid").write_text(str(job.pid))
print(f"Submitted batch job {{number}}")
"""
SCANCEL = """#!{python}
import os, pathlib, signal, sys
jobs = pathlib.Path({jobs!r})
try:
    os.killpg(int((jobs / f"{{sys.argv[1]}}.pid").read_text()), signal.SIGKILL)
except ProcessLookupError:
    pass
(jobs / f"{{sys.argv[1]}}.cancelled").touch()
"""


@pytest.fixture
def slurm(tmp_path) -> Path:
    """A folder of jobs, with commands that submit and cancel them."""
    jobs = tmp_path / "jobs"
    jobs.mkdir()
    for name, text in (("sbatch", SBATCH), ("scancel", SCANCEL)):
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.format(python=sys.executable, jobs=str(jobs)))
        path.chmod(0o755)
    return jobs


def test_workers_are_submitted_and_cancelled_and_the_bytes_are_right(slurm, whole, tmp_path):
    scene = whole.at(tmp_path)
    places = [str(tmp_path / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]
    environment = {
        **os.environ,
        "PATH": os.pathsep.join(places),
        "DASK_JOBQUEUE__SLURM__DEATH_TIMEOUT": "60",
        "DASK_JOBQUEUE__SLURM__SCHEDULER_OPTIONS": json.dumps({"host": "127.0.0.1", "dashboard_address": ":0"}),
    }
    words = [sys.executable, EXAMPLE, scene.raw, "--out", scene.out, "--workers", "2", "--memory", "2GB", *TINY]
    ran = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False)
    said = "\n".join(path.read_text() for path in slurm.glob("*.txt"))
    assert ran.returncode == 0 and "Traceback" not in ran.stderr, f"{ran.stdout}{ran.stderr}{said}"
    assert "12 healthy images, 144 anomalies" in ran.stdout and differences(scene) == []
    scripts = [path.read_text() for path in slurm.glob("*.sh")]
    assert scripts and all("#SBATCH --cpus-per-task=1" in text and "--nthreads 1" in text for text in scripts)
    assert wait_until(lambda: len(list(slurm.glob("*.cancelled"))) == len(scripts)), "none is left"


def test_it_is_as_long_as_an_example_may_be_and_explains_itself():
    tree = ast.parse(EXAMPLE.read_text())
    assert len(EXAMPLE.read_text().splitlines()) <= 80 and "srun" in (ast.get_docstring(tree) or "")
