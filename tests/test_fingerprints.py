"""Between fingerprints recipes are equal and values agree: the same build with BLAS kernels for other processors."""

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest
from building import COMMAND, write_volumes

from synthanom.tasks import TASKS

TOLERANCE = 1e-4  # of an image's range
CORES = ("Haswell", "Nehalem", "Prescott")  # with AVX2, with SSE4.2, with SSE3


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> dict[str, Path]:
    """A data set for every core type that OpenBLAS has here."""
    folder = tmp_path_factory.mktemp("fingerprints")
    raw = write_volumes(folder / "raw", 4, (26, 30, 34))
    given = ("--variants", "3", "--folds", "2", "--workers", "1", "--tasks", ",".join(TASKS))
    found, seen = {}, set()
    for core in CORES:
        out = folder / core
        words = [*COMMAND, "folder", str(raw), "--out", str(out), *given]
        environment = {**os.environ, "OPENBLAS_CORETYPE": core}
        ran = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert ran.returncode == 0, ran.stderr
        seen.add(json.loads((out / "dataset.json").read_text())["fingerprint"]["blas_core"])
        found[core] = out
    if len(seen) < len(CORES):
        pytest.skip(f"needs an OpenBLAS that can be told its core type, got {seen}")
    return found


def rows(folder: Path, task: str) -> tuple[list[bytes], dict[str, np.ndarray]]:
    """The recipes of a task, and all other columns."""
    with h5py.File(folder / "anomalies" / task / "00000.h5") as file:
        columns = {name: column[()] for name, column in file.items()}
    recipes, offsets = columns.pop("recipe").tobytes(), columns["recipe_offsets"]
    return [recipes[a:b] for a, b in pairwise(offsets.tolist())], columns


def image_range(folder: Path) -> float:
    with h5py.File(folder / "healthy" / "00000.h5") as file:
        return float(np.ptp(file["image"][()]))


@pytest.mark.skipif(sys.platform != "linux", reason="sets the core type of OpenBLAS")
@pytest.mark.parametrize("task", TASKS)
def test_recipes_are_equal_and_values_agree(task, built):
    recipes, columns = rows(built[CORES[0]], task)
    assert len(recipes) == 12
    for core in CORES[1:]:
        others, other = rows(built[core], task)
        assert others == recipes, core
        for name, column in columns.items():
            if name in ("values", "labels"):
                assert column.shape == other[name].shape, (core, name)
                allowed = TOLERANCE * (image_range(built[CORES[0]]) if name == "values" else 1.0)
                np.testing.assert_allclose(column, other[name], rtol=0, atol=allowed, err_msg=f"{core} {name}")
            else:
                np.testing.assert_array_equal(column, other[name], err_msg=f"{core} {name}")


def test_a_replay_elsewhere_says_that_it_allows_for_rounding(built):
    code = "from synthanom.cli import main; main()"
    words = [sys.executable, "-c", code, "check", str(built[CORES[1]]), "--replay", "--json"]
    environment = {**os.environ, "OPENBLAS_CORETYPE": CORES[2]}
    ran = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120, check=False)
    answer = json.loads(ran.stdout)
    assert ran.returncode == 0 and answer["replay"]["same_fingerprint"] is False
    assert answer["replay"]["rows"] == 12 * len(TASKS) and answer["replay"]["largest_difference"] <= TOLERANCE
