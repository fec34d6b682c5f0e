"""NSA's anomalies beside a plain OpenCV pipeline, and all tasks in a volume: python benchmarks/seamless_clone.py

At 256 x 256 the pipeline crops the same patch from the same donor, resizes it, clones it to the same place with
cv2.seamlessClone and makes NSA's logistic label, on 8-bit pictures that it holds already; where the patch is from and
where it goes it is told, so that it need not draw. Ours draws, resizes, blends and labels. They take turns, pass by
pass over all samples, in one process and one thread; of each sample the fastest pass counts.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cases
import machine
import numpy as np
import pages
import synthesis

from synthanom import donors as donor_sets
from synthanom.labels import FlippedGaussian, Logistic
from synthanom.recipe import Anomaly
from synthanom.sample import Sample
from synthanom.synthesis import Result, synthesise
from synthanom.tasks import PAPER_TASKS, TASKS, Nsa

PAGE = Path(__file__).parents[1] / "docs" / "speed.md"
PICTURES = (
    cases.Case(name="grey", shape=(256, 256), seeds=48, passes=5),
    cases.Case(name="colour", shape=(256, 256), channels=3, seeds=48, passes=5),
)
VOLUME = cases.case_named("b")
QUICK_PICTURES = (cases.Case(name="grey", shape=(64, 72), seeds=4, passes=1),)
QUICK_VOLUME = cases.case_named("quick 3d")
GET = "error: this benchmark needs OpenCV; get it with: pip install -c constraints.txt opencv-python-headless"
GREYS = 255
TARGET = 3.0
HEAD = """Written by `make bench-opencv`, which needs OpenCV (`pip install -c constraints.txt opencv-python-headless`,
for this benchmark only) and takes under a minute.

Measured on {date}, {cpu}, OpenCV {opencv}; load of the machine {load:.1f} as it began, {load_end:.1f} as it ended.

One thread. Ours is everything: drawing one to three patches of other subjects, resizing, Poisson blending, the label.
The pipeline is what one would write with OpenCV: crop, `cv2.resize`, `cv2.seamlessClone`, difference, medians, logistic
function, for the same patches at the same places. It is spared drawing and the way from and to 8 bits, without which
OpenCV does not clone; `seamlessClone` takes three channels, so that a grey picture is repeated. Medians over the
samples; the ratio is the median of each sample's. Label "logistic" is NSA's, in both, with the majority of 5 x 5 and
the median of a disk of radius 5; "flipped Gaussian" is ours, and beside it stands the pipeline without any label. The
pictures are not the same: OpenCV works in 8 bits, leaves the patch's rim out and compares gradients otherwise; r is the
median over the samples of the correlation between what changed.
"""
VOLUMES = """
All tasks, one after another, in volumes of {shape}, label (flipped Gaussian) included: the paper's five make {core:.0f}
samples per second on average, at {per_voxel:.0f} ns per voxel of the boxes. Regions differ in size: the rate by the
voxel says more about the code, the rate by the sample about a build.
"""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A picture and its donors, as floats and as 8-bit pictures (Y, X, 3)."""

    sample: Sample
    donors: Sequence[Sample]
    eight_bit: dict[str, np.ndarray]
    scale: float  # image units of a grey value
    darkest: float


def main() -> None:
    """Measure, print, and with --write keep the table in docs/speed.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny pictures, few samples: is everything in order?")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.parent.name}/{PAGE.name}")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    given = parser.parse_args()
    try:
        import cv2
    except ImportError:
        sys.exit(GET)
    cv2.setNumThreads(1)
    about = {"date": time.strftime("%Y-%m-%d"), "cpu": machine.cpu_model(), "opencv": cv2.__version__}
    about["load"] = machine.load()
    with synthesis.one_thread():
        pairs = [row for case in (QUICK_PICTURES if given.quick else PICTURES) for row in beside_opencv(case)]
        volumes = all_tasks(QUICK_VOLUME if given.quick else VOLUME)
    about["load_end"] = machine.load()
    text = page(about, pairs, volumes, QUICK_VOLUME if given.quick else VOLUME)
    sys.stdout.write(json.dumps({"pictures": pairs, "volumes": volumes}) + "\n" if given.json else text)
    if given.write:
        pages.put(PAGE, "seamless clone", text)


def beside_opencv(case: cases.Case) -> list[dict]:
    """A row for mixed and for plain gradients, with either label."""
    pair = pictures(case)
    rows = []
    for mixed in (True, False):
        for label in ("logistic", "flipped Gaussian"):
            row = measure(case, pair, Nsa(mixed=mixed), label)
            rows.append({"picture": case.name, "gradients": "mixed" if mixed else "plain", "label": label, **row})
    return rows


def pictures(case: cases.Case) -> Pair:
    """Target and donors with one grey scale for all."""
    sample, donors = cases.picture(case), cases.donors(case)["nsa"]
    low = min(float(s.image.min()) for s in (sample, *donors))
    scale = (max(float(s.image.max()) for s in (sample, *donors)) - low) / GREYS
    stored = {}
    for one in (sample, *donors):
        grey = np.moveaxis(np.rint((one.image - low) / scale).astype(np.uint8), 0, -1)
        stored[one.id] = np.ascontiguousarray(grey if grey.shape[-1] == 3 else np.repeat(grey, 3, axis=-1))
    return Pair(sample=sample, donors=donors, eight_bit=stored, scale=scale, darkest=low)


def measure(case: cases.Case, pair: Pair, task: Nsa, label: str) -> dict:
    """Milliseconds of ours and of the pipeline, medians over the samples, and how alike the pictures are."""
    labeller = Logistic() if label == "logistic" else FlippedGaussian()

    def ours(seed: int) -> Result:
        return synthesise(pair.sample, task, labeller, rng=np.random.default_rng(seed), donors=pair.donors)

    results = [ours(seed) for seed in range(case.seeds)]  # compiles and warms every cache
    theirs = []
    alike = []
    for result in results:
        make = partial(pipeline, pair, result.recipe.anomalies, task.mixed, label == "logistic")
        alike.append(correlation(pair, result, make()[0]))
        theirs.append(make)
    patches = statistics.mean(len(result.recipe.anomalies) for result in results)
    del results
    times = in_turn([partial(ours, seed) for seed in range(case.seeds)], theirs, case.passes)
    return {
        "samples": case.seeds,
        "passes": case.passes,
        "patches": patches,
        "ours": float(np.median(times[0])) * 1e3,
        "opencv": float(np.median(times[1])) * 1e3,
        "ratio": float(np.median(times[1] / times[0])),
        "alike": statistics.median(alike),
    }


def in_turn(ours: Sequence[Callable], theirs: Sequence[Callable], passes: int) -> np.ndarray:
    """Seconds of each call, the fastest of interleaved passes: (2, samples)."""
    times = np.full((2, len(ours)), np.inf)
    for _ in range(passes):
        for k, calls in enumerate((ours, theirs)):
            calls[0]()  # the other variant has just emptied caches
            for i, call in enumerate(calls):
                start = time.perf_counter()
                call()
                times[k, i] = min(times[k, i], time.perf_counter() - start)
    return times


def pipeline(
    pair: Pair, anomalies: Sequence[Anomaly], mixed: bool, labelled: bool
) -> tuple[np.ndarray, np.ndarray | None]:
    """The picture, 8 bits (Y, X, 3), and the logistic label (Y, X) as one would make them with OpenCV."""
    import cv2

    before = pair.eight_bit[pair.sample.id]
    after, touched = before, np.zeros(before.shape[:2], bool)
    for anomaly in anomalies:
        donor = donor_sets.find(Nsa, anomaly.donor, pair.donors)
        source, landed = boxes(anomaly)
        size = tuple(place.stop - place.start for place in landed)
        patch = cv2.resize(pair.eight_bit[donor.id][source], size[::-1], interpolation=cv2.INTER_CUBIC)
        middle = tuple(place.start + n // 2 for place, n in zip(landed, size, strict=True))[::-1]
        how = cv2.MIXED_CLONE if mixed else cv2.NORMAL_CLONE
        after = cv2.seamlessClone(patch, after, np.full(size, GREYS, np.uint8), middle, how)
        touched[landed] = True
    if not labelled:
        return after, None
    difference = cv2.absdiff(before, after).mean(axis=-1).astype(np.uint8)
    changed = cv2.medianBlur(((difference > 0) & touched).astype(np.uint8), 5)
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (11, 11))
    change = disk_median(np.where(touched, difference, 0).astype(np.uint8), disk) * pair.scale
    settings = Logistic()
    return after, changed / (1 + np.exp(-settings.k * (change - settings.x0)))


def disk_median(grey: np.ndarray, disk: np.ndarray) -> np.ndarray:
    """The median of a disk around each pixel, by the sliding histogram of scikit-image: OpenCV has squares only."""
    from skimage.filters import rank

    return rank.median(grey, disk)


def boxes(anomaly: Anomaly) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Where the patch is in the donor, and where it lands."""
    shape, params = anomaly.region.geometry, anomaly.params
    inside = np.argwhere(anomaly.region.mask)
    low, end = inside.min(axis=0), inside.max(axis=0) + 1
    landed = tuple(slice(c + a, c + b) for c, a, b in zip(anomaly.region.corner, low, end, strict=True))
    scale = np.diag(np.array(params.matrix))
    middle = np.array(params.offset) + scale * (low + (end - low - 1) / 2)
    first = np.rint(middle - (np.array(shape.size) - 1) / 2).astype(int)
    return tuple(slice(a, a + n) for a, n in zip(first, shape.size, strict=True)), landed


def correlation(pair: Pair, result: Result, after: np.ndarray) -> float:
    """Of our change and the pipeline's, over the boxes in which the patches landed."""
    where = np.zeros(pair.sample.shape, bool)
    for anomaly in result.recipe.anomalies:
        where[boxes(anomaly)[1]] = True
    own = (result.image - pair.sample.image)[:, where]
    channels = np.moveaxis(after.astype(np.float32) - pair.eight_bit[pair.sample.id], -1, 0)
    return float(np.corrcoef(own.ravel(), channels[: len(own), where].ravel())[0, 1])


def all_tasks(case: cases.Case) -> list[dict]:
    """Samples per second of every task in a volume, passes over all tasks in turn; each sample's fastest counts."""
    sample, available = cases.picture(case), cases.donors(case)
    labeller = FlippedGaussian()

    def make(task: str, seed: int) -> Result:
        return synthesise(sample, TASKS[task](), labeller, rng=np.random.default_rng(seed), donors=available)

    times = {task: np.full(case.seeds, np.inf) for task in TASKS}
    voxels = {}
    for task in TASKS:
        found = [make(task, seed) for seed in range(case.seeds)]
        voxels[task] = statistics.mean(sum(a.region.mask.size for a in r.recipe.anomalies) for r in found)
    for _ in range(case.passes):
        for task, fastest in times.items():
            for seed in range(case.seeds):
                start = time.perf_counter()
                make(task, seed)
                fastest[seed] = min(fastest[seed], time.perf_counter() - start)
    rates = {task: 1 / float(own.mean()) for task, own in times.items()}
    core = statistics.mean(rates[task] for task in PAPER_TASKS)
    by_voxel = {task: 1e9 / rates[task] / voxels[task] for task in TASKS}
    core_by_voxel = statistics.mean(by_voxel[task] for task in PAPER_TASKS)
    return [
        {
            "task": task,
            "voxels": voxels[task],
            "per_second": rates[task],
            "of_core": rates[task] / core,
            "ns_per_voxel": by_voxel[task],
            "of_core_by_voxel": core_by_voxel / by_voxel[task],
        }
        for task in TASKS
    ]


def page(about: dict, pairs: Sequence[dict], volumes: Sequence[dict], case: cases.Case) -> str:
    """Both tables as Markdown."""
    head = ["picture", "gradients", "label", "patches", "ours, ms", "OpenCV, ms", "OpenCV / ours", "target", "r"]
    lines = [
        [
            row["picture"],
            row["gradients"],
            row["label"],
            f"{row['patches']:.2f}",
            f"{row['ours']:.3g}",
            f"{row['opencv']:.3g}",
            f"{row['ratio']:.1f}",
            f"{TARGET:g}",
            f"{row['alike']:.2f}",
        ]
        for row in pairs
    ]
    core = statistics.mean(row["per_second"] for row in volumes if row["task"] in PAPER_TASKS)
    rates = [
        [
            row["task"],
            "paper" if row["task"] in PAPER_TASKS else "further",
            f"{row['voxels']:.0f}",
            f"{row['per_second']:.0f}",
            f"{row['of_core']:.2f}",
            f"{row['ns_per_voxel']:.0f}",
            f"{row['of_core_by_voxel']:.2f}",
        ]
        for row in volumes
    ]
    names = ["task", "set", "voxels of the boxes", "samples per second", "of the five's average"]
    names += ["ns per voxel", "speed by the voxel, the five's average = 1"]
    per_voxel = statistics.mean(row["ns_per_voxel"] for row in volumes if row["task"] in PAPER_TASKS)
    told = VOLUMES.format(shape=" x ".join(map(str, case.shape)), core=core, per_voxel=per_voxel)
    return "\n".join([HEAD.format(**about), pages.table(head, lines), told, pages.table(names, rates)])


if __name__ == "__main__":
    main()
