"""Small raw trees of brains in the layouts of HCP, BraTS and ISLES 2015."""

from pathlib import Path

import nibabel
import numpy as np
from building import smooth

SHAPE = (60, 76, 64)  # x, y, z as stored; millimetres
MIDDLE, RADIUS = (31.0, 36.0, 30.0), (22.0, 30.0, 21.0)


def brain(seed: int, spacing: float = 1.0, size: float = 1.0) -> np.ndarray:
    """An ellipsoid of smooth grey values in black, on nibabel's axes (x, y, z), off the centre; `size` scales all."""
    sides = [round(side * size / spacing) for side in SHAPE]
    grid = np.stack(np.meshgrid(*(np.arange(side) * spacing for side in sides), indexing="ij"))
    middle, radius = (np.reshape(values, (3, 1, 1, 1)) * size for values in (MIDDLE, RADIUS))
    inside = (((grid - middle) / radius) ** 2).sum(axis=0) < 1
    return np.where(inside, smooth(inside.shape, seed) + 100, 0.0).astype(np.float32)


def lesion(values: np.ndarray, where: tuple[int, int, int] = (28, 40, 32), radius: int = 6) -> np.ndarray:
    """A ball of label 1 with a core of label 4, as BraTS numbers a tumour's parts."""
    grid = np.indices(values.shape)
    distance = np.sqrt(sum((axis - at) ** 2 for axis, at in zip(grid, where, strict=True)))
    return (np.where(distance < radius, 1, 0) + np.where(distance < radius / 2, 3, 0)).astype(np.uint8)


def affine(spacing: float = 1.0) -> np.ndarray:
    """RAS+ with an origin somewhere."""
    matrix = np.diag([spacing, spacing, spacing, 1.0])
    matrix[:3, 3] = [-30, -40, -25]
    return matrix


def save(path: Path, values: np.ndarray, matrix: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values, matrix), path)
    return path


def reversed_y(values: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same image with its y axis stored the other way round, as BraTS has it."""
    turned = np.diag([1.0, -1.0, 1.0, 1.0])
    turned[1, 3] = values.shape[1] - 1
    return np.ascontiguousarray(values[:, ::-1]), matrix @ turned


def write_hcp(root: Path, count: int = 6, spacing: float = 1.4, size: float = 2.5) -> Path:
    """Subjects with both contrasts, the masks that lie beside them, and one without a T2w image."""
    for i in range(count):
        place = root / str(100206 + 101 * i) / "T1w"
        for contrast, seed in (("T1w", 100 + i), ("T2w", i))[: 1 if i == count - 1 else 2]:
            values = brain(seed, spacing, size)
            save(place / f"{contrast}_acpc_dc_restore_brain.nii.gz", values, affine(spacing))
        save(place / "brainmask_fs.nii.gz", (values > 0).astype(np.uint8), affine(spacing))
    (root / "release-notes").mkdir()
    return root
