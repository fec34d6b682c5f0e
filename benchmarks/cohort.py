"""Raw scans of a cohort of any size: brains of smooth tissue with noise in black as NIfTI files, or pictures as PNG."""

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import nibabel
import numpy as np
from PIL import Image
from scipy import ndimage

SHAPE = (80, 112, 80)
SIDE = 256  # of pictures, pixels
SPACING = 2.0  # mm
RADII = (34, 46, 33)  # voxels
LEVEL, CONTRAST, NOISE = 600, 150, 20


def write_cohort(folder: Path, subjects: int, shape: tuple[int, ...] = SHAPE, workers: int = 2) -> Path:
    """One scan for each subject, the same on every machine within rounding."""
    folder.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(workers) as pool:
        list(pool.map(_write, [(folder, subject, shape) for subject in range(subjects)], chunksize=8))
    return folder


def _write(job: tuple[Path, int, tuple[int, ...]]) -> None:
    folder, subject, shape = job
    rng = np.random.default_rng(subject)
    grid, middle = np.indices(shape), (np.array(shape) - 1) / 2
    radii = np.array(RADII) * shape / np.array(SHAPE) * rng.uniform(0.92, 1.05, 3)
    inside = sum(((axis - at) / radius) ** 2 for axis, at, radius in zip(grid, middle, radii, strict=True)) < 1
    tissue = ndimage.gaussian_filter(rng.standard_normal(shape), 3)
    values = LEVEL + CONTRAST * tissue / tissue.std() + NOISE * rng.standard_normal(shape)
    stored = np.where(inside, np.clip(values, 1, None), 0).astype(np.int16)
    affine = np.diag([SPACING, SPACING, SPACING, 1.0])
    nibabel.save(nibabel.Nifti1Image(stored.T, affine), folder / f"sub-{subject:04}_T2w.nii.gz")


def write_pictures(folder: Path, count: int, side: int = SIDE) -> Path:
    """Smooth grey pictures with noise, one of each subject."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        rng = np.random.default_rng(number)
        tissue = ndimage.gaussian_filter(rng.standard_normal((side, side)), side / 16)
        grey = 120 + 50 * tissue / tissue.std() + 5 * rng.standard_normal((side, side))
        Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8)).save(folder / f"sub-{number:04}.png")
    return folder
