"""What is measured: one table of shapes and channels, the pictures and donors that go with it, published figures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from synthanom.sample import Sample
from synthanom.tasks import TASKS

SMOOTHING = 4.0  # voxels, standard deviation of the Gaussian that makes noise a picture
DONORS = 3  # of either kind


@dataclass(frozen=True, kw_only=True)
class Case:
    """One shape of picture, and how often it is measured."""

    name: str
    shape: tuple[int, ...]
    channels: int = 1
    seeds: int  # samples drawn per task
    passes: int  # how often each of them is timed; its fastest time counts


CASES = (
    Case(name="a", shape=(256, 256), seeds=64, passes=5),
    Case(name="b", shape=(80, 112, 80), seeds=24, passes=5),
    Case(name="c", shape=(160, 224, 160), seeds=16, passes=3),
    Case(name="two channels", shape=(40, 56, 40), channels=2, seeds=24, passes=3),
)
QUICK = (  # for tests: every path, no figures worth keeping
    Case(name="quick 2d", shape=(40, 48), seeds=4, passes=1),
    Case(name="quick 3d", shape=(24, 20, 26), seeds=3, passes=1),
    Case(name="quick two channels", shape=(32, 28), channels=2, seeds=3, passes=1),
)

# ms per sample of the method's released program, one process, label included, as published with the task of making
# it faster: another run on another day, so these are for orientation; the baseline is what is measured beside ours
PREDECESSOR = {
    "a": {"intra_blend": 9.7, "inter_blend": 10.3, "sink": 8.4, "source": 8.2, "smooth_intensity": 6.5},
    "b": {"intra_blend": 89.5, "inter_blend": 85.4, "sink": 60.8, "source": 61.0, "smooth_intensity": 48.4},
    "c": {"intra_blend": 863.0, "inter_blend": 920.0, "sink": 583.0, "source": 644.0, "smooth_intensity": 447.0},
}
TARGETS = {"a": 25.0, "b": 50.0, "c": 50.0}  # times the predecessor's speed, one thread


def case_named(name: str) -> Case:
    """The case with this name."""
    return next(case for case in (*CASES, *QUICK) if case.name == name)


def picture(case: Case) -> Sample:
    """A smooth random field in an ellipsoidal foreground, 0 around it."""
    return _masked(case, 0, "target")


def donors(case: Case) -> dict[str, list[Sample]]:
    """By task: other subjects of the same kind, or fields without foreground for what borrows from another data set."""
    others = [_masked(case, 1 + i, f"other-{i}") for i in range(DONORS)]
    fields = [
        Sample.from_array(_field(case, 100 + i, SMOOTHING / 2), id=f"external-{i}", channels=case.channels)
        for i in range(DONORS)
    ]
    lenders = {"other_subject": others, "external": fields}
    return {name: lenders[task.donor] for name, task in TASKS.items() if task.donor in lenders}


def _masked(case: Case, seed: int, name: str) -> Sample:
    inside = _ellipsoid(case.shape)
    return Sample.from_array(_field(case, seed, SMOOTHING) * inside, inside, id=name, channels=case.channels)


def _field(case: Case, seed: int, smoothing: float) -> np.ndarray:
    """Smoothed white noise of deviation 1: float32 (C, *S)."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((case.channels, *case.shape), dtype=np.float32)
    values = ndimage.gaussian_filter(noise, (0, *(smoothing,) * len(case.shape)))
    return values / values.std()


def _ellipsoid(shape: Sequence[int]) -> np.ndarray:
    """The ellipsoid that spans 92 % of every side: bool (*S)."""
    axes = np.ogrid[tuple(slice(0, n) for n in shape)]
    return sum(((x - (n - 1) / 2) / (0.46 * n)) ** 2 for x, n in zip(axes, shape, strict=True)) <= 1
