"""What a dry run foretells against what a build takes."""

import re

import numpy as np
import pytest
from building import build, smooth, write_nifti
from PIL import Image

UNITS = {"GB": 10**9, "MB": 10**6, "kB": 10**3, "bytes": 1}


def foretold(text):
    """Bytes, by a dry run."""
    pattern = r"disk: about ([0-9.e+]+) (GB|MB|kB|bytes); time: about [0-9.]+ (?:s|min|h) with"
    size, unit = re.search(pattern, text).groups()
    return float(size) * UNITS[unit]


def pictures(folder):
    folder.mkdir()
    for i in range(40):
        noisy = smooth((72, 64), i) + np.random.default_rng(i).normal(0, 4, (72, 64))
        Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(folder / f"p{i:02}.png")
    return folder


def volumes(folder):
    for i in range(12):
        values = smooth((26, 30, 28), i)
        grid = np.indices(values.shape) - 13
        write_nifti(folder / f"s{i:02}.nii.gz", np.where((grid**2).sum(axis=0) < 150, values, 0))
    return folder


@pytest.mark.parametrize(
    ("write", "options"),
    [
        (pictures, ("--variants", 3)),
        (pictures, ("--variants", 8, "--tasks", "smooth_intensity,sink", "--codec", "lz4")),
        (volumes, ("--variants", 6)),
        (volumes, ("--variants", 10, "--codec", "zstd", "--tasks", "source")),
    ],
)
def test_the_disk_that_a_dry_run_foretells(tmp_path, write, options):
    raw = write(tmp_path / "raw")
    dry = build(raw, "--out", tmp_path / "data", *options, "--dry-run", "--workers", 1)
    assert dry.status == 0 and not (tmp_path / "data").exists()
    assert build(raw, "--out", tmp_path / "data", *options, "--workers", 2).status == 0
    taken = sum(path.stat().st_size for path in (tmp_path / "data").rglob("*.h5"))
    assert foretold(dry.out) == pytest.approx(taken, rel=0.3)


def test_nothing_is_foretold_of_what_cannot_be_prepared(tmp_path):
    raw = volumes(tmp_path / "raw")
    options = ("--tasks", "sink", "--shape", "26,30,28", "--foreground", "otsu")
    assert "disk: about" in build(raw, "--out", tmp_path / "d", *options, "--dry-run").out
    for path in raw.iterdir():  # flat everywhere but in one voxel: z-scoring refuses them
        values = np.zeros((26, 30, 28))
        values[3, 4, 5] = 1
        write_nifti(path, values)
    ran = build(raw, "--out", tmp_path / "d", *options, "--dry-run")
    assert ran.status == 0 and "disk and time: unknown" in ran.out
