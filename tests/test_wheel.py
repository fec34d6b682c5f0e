"""What gets installed: the two packages, typed, and nothing else."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_wheel_holds_both_packages_and_nothing_named_builders(tmp_path):
    pytest.importorskip("hatchling", reason="builds a wheel; needs the extra `dev`")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(tmp_path),
    ]
    done = subprocess.run([*command, str(ROOT)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops - {t for t in tops if t.endswith(".dist-info")} == {"synthanom", "synthanom_builders"}
    for package, folder in (
        ("synthanom", ROOT / "synthanom"),
        ("synthanom_builders", ROOT / "builders/synthanom_builders"),
    ):
        assert f"{package}/py.typed" in names
        for path in folder.rglob("*.py"):
            assert f"{package}/{path.relative_to(folder).as_posix()}" in names
