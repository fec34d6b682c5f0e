"""The benchmark of scale runs, counts what it says it counts, and sees what a build's processes take."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from small_data import write_small

from synthanom.manifest import read_manifest

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def scale():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        yield importlib.import_module("scale")
        for name in ("scale", "cohort", "machine", "pages", "stored_sizes", "watching"):
            sys.modules.pop(name, None)


@pytest.mark.slow
def test_a_quick_run(scale):
    command = [
        sys.executable,
        FOLDER / "scale.py",
        "--quick",
        "--subjects",
        "10",
        "--variants",
        "1",
        "--json",
        "--pictures",
        "12",
    ]
    ran = subprocess.run([*map(str, command), "--codec", "lzf"], capture_output=True, text=True, check=True)
    row, flat = json.loads(ran.stdout.splitlines()[-1])
    assert (row["codec"], row["subjects"], row["rows"]) == ("lzf", 10, 50)
    assert row["memory"] > 50 << 20 and row["memory_of_few"] > 50 << 20 and 0 < row["plain_share"] < 1
    assert row["reading"] > 0 and row["foretold"] > 0
    assert 0 < row["made_and_packed"] < row["seconds"] and row["surveyed"] > 0
    assert (flat["codec"], flat["subjects"], flat["rows"]) == ("gzip", 12, 60)
    text = scale.page([scale.Row(**row), scale.Row(**flat)], ((20, 28, 20), 32), 1)
    assert text.count("|") == 4 * (len(scale.COLUMNS) + 1)
    assert "| gzip, pictures |" in text


def test_shares_are_of_dense_arrays(scale, tmp_path):
    write_small(tmp_path, channels=2, shape=(12, 13, 14))
    plain, packed = scale.shares(tmp_path, "gzip")
    manifest, voxels = read_manifest(tmp_path), 12 * 13 * 14
    dense = manifest.counts["anomalies"] * voxels * (12 + 1 / 8) + manifest.counts["healthy"] * voxels * (8 + 1 / 8)
    assert manifest.counts["healthy"] * voxels * 8 / dense < plain < 1.2
    assert 0 < packed < 2 and np.isfinite(packed)
