"""Training sets into which diseased images were mixed, for examples/chest_xray.py.

The diseased images are those of every second patient with pneumonia of the test part (the training part's may not be
at hand); the others are left to judge on.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from synthanom_builders import zhanglab
from synthanom_builders.named import below

from synthanom.truth_set import TruthCase

SHARES = (0, 5, 10, 20, 40)  # per cent of the images
LARGEST = 480  # images of a mixed training set, unless there are fewer


def mix(raw: Path, cases: Sequence[TruthCase], share: int, out: Path) -> None:
    """Copy `share` per cent of diseased and the rest of healthy images to ``out/train/NORMAL``.

    Sets of all shares have one size, and a larger share's diseased images include those of a smaller.
    """
    if (out / "complete").exists():
        return
    healthy = shuffled(
        sorted(
            path for path in below(raw, zhanglab.PLACES, zhanglab.REMEDY).iterdir() if path.suffix.lower() == ".jpeg"
        )
    )
    sick = shuffled([case.images[0].path for case in cases if case.subject in mixed_in(cases)])
    count = min(LARGEST, len(healthy), len(sick) * 100 // max(SHARES))
    diseased = count * share // 100
    place = out / "train" / "NORMAL"
    place.mkdir(parents=True, exist_ok=True)
    for path in [*sick[:diseased], *healthy[: count - diseased]]:
        shutil.copyfile(path, place / path.name)
    (out / "complete").touch()


def mixed_in(cases: Sequence[TruthCase]) -> frozenset[str]:
    """The patients with pneumonia whose images may be mixed in: every second one."""
    return frozenset(sorted({case.subject for case in cases if case.anomalous})[::2])


def shuffled(paths: Sequence[Path]) -> list[Path]:
    """The same order every time."""
    return [paths[i] for i in np.random.default_rng(0).permutation(len(paths))]
