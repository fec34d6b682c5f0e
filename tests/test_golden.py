"""The arrays of the released program, by the check that outsiders run."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("extra", [[], ["--torch"]])
def test_no_golden_array_falls_short(golden, extra):
    script = golden.parent / "tools" / "check_golden.py"
    run = subprocess.run(
        [sys.executable, str(script), str(golden), *extra], capture_output=True, text=True, timeout=600
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert " 0 fall short" in run.stdout
