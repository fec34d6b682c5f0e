"""Seeded pictures for the tests: smooth random fields in an ellipsoidal foreground."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from synthanom.sample import Sample

CASES = [  # one table for every test over shapes: id, spatial shape, channels
    ("2d", (40, 48), 1),
    ("2d-two-channels", (32, 28), 2),
    ("3d", (24, 20, 26), 1),
    ("3d-two-channels", (18, 20, 16), 2),
]


def field(shape: Sequence[int], channels: int = 1, seed: int = 0, smooth: float = 2.0) -> np.ndarray:
    """A smooth random field of deviation 1: float32 (C, *S)."""
    rng = np.random.default_rng(seed)
    image = np.stack([ndimage.gaussian_filter(rng.standard_normal(shape), smooth) for _ in range(channels)])
    return (image / image.std()).astype(np.float32)


def ellipsoid(shape: Sequence[int], share: float = 0.46) -> np.ndarray:
    """An ellipsoid in the middle of the image: bool (*S)."""
    grid = np.indices(shape)
    centred = [(grid[a] - (n - 1) / 2) / (share * n) for a, n in enumerate(shape)]
    return sum(c**2 for c in centred) <= 1


def phantom(shape: Sequence[int], channels: int = 1, seed: int = 0, name: str | None = None) -> Sample:
    """A sample with foreground, spacing and affine."""
    mask = ellipsoid(shape)
    image = field(shape, channels, seed) * mask
    spacing = tuple(1.0 + 0.5 * a for a in range(len(shape)))
    affine = np.diag([*spacing[::-1], *([1.0] * (3 - len(shape))), 1.0])
    return Sample.from_array(image, mask, spacing, affine, id=name or f"phantom-{seed}")
