"""Every compiled function of synthanom, and calls with all kinds of arrays that users may pass.

``python tests/dispatchers.py`` prints the signatures that each gets, which should be few. Run it twice: where compiled
code is at hand, functions that are called from compiled functions only get none.
"""

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numba.extending import is_jitted
from phantoms import CASES, phantom

import synthanom
from synthanom import Sample, kernels, labels, regions, replay, synthesise, tasks
from synthanom.metrics import RankingAccumulator

ROOT = Path(synthanom.__file__).parent


def dispatchers() -> dict[str, Any]:
    """Compiled functions by their full names."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        if "njit" not in path.read_text():
            continue
        name = ".".join(("synthanom", *path.relative_to(ROOT).with_suffix("").parts))
        for value in vars(import_module(name.removesuffix(".__init__"))).values():
            if is_jitted(value) and value.__module__.startswith("synthanom"):
                found[f"{value.__module__}.{value.__name__}"] = value
    return found


def exercise() -> None:
    """Samples of every task in 2D and 3D, of one and two channels, from arrays of every layout; kernels, metrics."""
    for _, shape, channels in CASES:
        sample = phantom(shape, channels, 0)
        for image, foreground in _layouts(sample):
            own = Sample.from_array(image, foreground, id="own")
            donors = [phantom(shape, channels, 1), own]
            for task in tasks.TASKS.values():
                result = synthesise(own, task(), labels.FlippedGaussian(), rng=np.random.default_rng(0), donors=donors)
                replay(own, result.recipe, labels.FlippedGaussian(), donors=donors)
                task()(image, foreground, rng=np.random.default_rng(1), donors=donors)
            _call_faces(image, foreground)
    for past in (0, 2**32):  # counts of 32 and of 64 bits
        made = RankingAccumulator(kept=0)
        made._grow(past, 0)
        made.update(np.arange(9.0), np.arange(9) > 4)
        made.roc_auc()
        RankingAccumulator.from_arrays(made.to_arrays())
    made = RankingAccumulator()
    made.update(np.arange(9.0), np.arange(9) > 4)
    made.roc_auc()


def _layouts(sample: Sample) -> list[tuple[np.ndarray, np.ndarray]]:
    """Own memory, read-only, in Fortran's order, every second row of a larger array, in double precision."""
    image, foreground = np.array(sample.image), np.array(sample.foreground)
    fixed = image.copy(), foreground.copy()
    for array in fixed:
        array.setflags(write=False)
    spread = np.repeat(image, 2, axis=1)[:, ::2], np.repeat(foreground, 2, axis=0)[::2]
    turned = np.asfortranarray(image), np.asfortranarray(foreground)
    return [(image, foreground), fixed, turned, spread, (image.astype(np.float64), foreground)]


def _call_faces(image: np.ndarray, foreground: np.ndarray) -> None:
    channels, *shape = image.shape
    corner, size = (2,) * len(shape), (9,) * len(shape)
    box = tuple(slice(c, c + n) for c, n in zip(corner, size, strict=True))
    region = foreground[tuple(slice(n // 2 - 4, n // 2 + 5) for n in shape)]
    centre = tuple(n / 2 for n in shape)
    geometry = regions.Geometry("ellipsoid", (6.0,) * len(shape), np.eye(len(shape)), centre)
    geometry.mask(shape)
    regions.bend_factor(region, (4.0,) * len(shape), 2.0)
    kernels.poisson.blend(image, image[(slice(None), *box)], region, corner)
    for direction in ("sink", "source"):
        kernels.radial_warp.warp(image, geometry, centre, 2.0, direction=direction)
    kernels.smooth_change.apply(image, region, corner, 2.0, np.full(channels, 0.5))
    labels.FlippedGaussian()(image, image + np.float32(0.5) * foreground, foreground)


if __name__ == "__main__":
    exercise()
    found = dispatchers()
    signatures = {name: [str(one) for one in kernel.signatures] for name, kernel in found.items()}
    sys.stdout.write(json.dumps(signatures, indent=1))
