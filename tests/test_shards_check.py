"""`check` finds what checksums cannot: values out of range, and parts that do not agree."""

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from small_data import reseal, rewrite, small_row, small_samples, write_small

from synthanom.arrays import canonical_json
from synthanom.errors import SynthanomError
from synthanom.shards import DataSet, check, write_anomalies, write_healthy

HEALTHY, ANOMALIES = "healthy/00000.h5", "anomalies/sink/00000.h5"


def changed(path: Path, column: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    with h5py.File(path) as file:
        values = file[column][()]
    rewrite(path, column, change(values))


def first(value: float) -> Callable[[np.ndarray], np.ndarray]:
    def put(values: np.ndarray) -> np.ndarray:
        values.flat[0] = value
        return values

    return put


@pytest.mark.parametrize(
    ("name", "column", "change", "message"),
    [
        (HEALTHY, "image", first(np.nan), r"row 0 \(cäse-0\): image must be finite"),
        (HEALTHY, "foreground", np.zeros_like, r"row 2 \(cäse-2\): foreground must not be empty"),
        (HEALTHY, "spacing", lambda v: v * -1, r"row 1 .*spacing must be positive"),
        (HEALTHY, "affine", first(1.0), r"row 0 .*affine must be finite"),
        (ANOMALIES, "values", first(np.inf), r"row 0: values must be finite"),
        (ANOMALIES, "labels", first(1.5), r"row 0: labels must lie in \[0, 1\]"),
        (ANOMALIES, "labels", first(np.nan), r"row 0: labels must lie in \[0, 1\]"),
        (ANOMALIES, "region", np.zeros_like, r"row 3: region must not be empty"),
        (ANOMALIES, "recipe", np.zeros_like, r"row 0: recipe must be JSON"),
        (
            ANOMALIES,
            "healthy_index",
            lambda v: v + np.array([0, 0, 1, 1]),
            r"row 2: recipe must be of the healthy row cäse-2",
        ),
    ],
)
def test_check_finds_what_checksums_cannot(
    tmp_path: Path, name: str, column: str, change: Callable[[np.ndarray], np.ndarray], message: str
) -> None:

    write_small(tmp_path)
    changed(tmp_path / name, column, change)
    reseal(tmp_path)
    problems = check(tmp_path)
    assert any(re.search(message, problem) and name in problem for problem in problems), problems
    assert not any("SHA-256" in problem for problem in problems)


def test_check_finds_subjects_without_fold_repeated_ids_and_strays(tmp_path: Path) -> None:
    write_small(tmp_path)
    samples = small_samples(5, 1, (12, 13))
    write_healthy(tmp_path / "healthy/00001.h5", [samples[3], samples[3]], [(0, 0)] * 2)

    lost = dataclasses.replace(samples[0], subject="nobody")
    write_healthy(tmp_path / HEALTHY, [lost, *samples[1:3]], [(0, 0)] * 3)
    (tmp_path / "healthy/00002.h5").write_bytes(b"")
    (tmp_path / "anomalies/smooth_intensity").mkdir()
    (tmp_path / "anomalies/smooth_intensity/00000.h5").write_bytes(b"")
    (tmp_path / "healthy/.00000.h5.77.tmp").write_bytes(b"")  # of a killed build: harmless
    reseal(tmp_path)
    problems = "\n".join(check(tmp_path))
    assert "subject nobody must have a fold" in problems
    assert "ids of healthy rows must differ, got more than one cäse-3" in problems
    assert "healthy/00002.h5: must be listed in the manifest" in problems
    assert "smooth_intensity/00000.h5: must be listed" in problems
    assert ".tmp" not in problems


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"format": 2}, "recipe must be of format 1, got 2"),
        ({"anomalies": [{"task": "sink"}, {"task": "source"}]}, r"must name the task sink, got \['sink', 'source'\]"),
        ({"anomalies": []}, "must name the task sink, got"),
        ({"anomalies": 3}, "recipe must be JSON with"),
        ({"sample": {"id": "x", "sha256": "0"}}, "recipe must be of the healthy row cäse-0"),
    ],
)
def test_check_reads_the_recipes(tmp_path: Path, recipe: dict[str, object], message: str) -> None:

    samples = write_small(tmp_path)
    row = small_row("sink", 0, samples[0], 0)
    content = canonical_json({**json.loads(row.recipe), **recipe})
    rows = [dataclasses.replace(row, recipe=content)]
    rows += [small_row("sink", i, samples[i], v) for i, v in ((0, 1), (1, 1), (2, 0))]
    write_anomalies(tmp_path / ANOMALIES, rows, shape=(12, 13), channels=1)
    reseal(tmp_path)
    problems = check(tmp_path)
    assert len(problems) == 1 and re.search(message, problems[0]) and "row 0" in problems[0]


def test_rows_out_of_order_over_files_are_noticed(tmp_path: Path) -> None:
    write_small(tmp_path)
    one, two = tmp_path / ANOMALIES, tmp_path / "anomalies/sink/00001.h5"
    content = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(content)
    reseal(tmp_path)
    assert any("rows of sink must be ordered" in problem for problem in check(tmp_path))
    with pytest.raises(SynthanomError, match="must be ordered by healthy row and variant over its files"):
        DataSet.open(tmp_path).rows_of("sink", 0)
