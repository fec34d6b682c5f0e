"""How long a synthetic sample takes, beside a straightforward implementation: python benchmarks/synthesis.py

Ours draws and makes; the baseline (benchmarks/baseline.py) only makes, from the same recipes. They take turns, pass by
pass over all samples, in one process and one thread with warm caches; of each sample the fastest pass counts. Every
result is compared.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import baseline
import cases
import machine
import numpy as np
import pages
import steps

from synthanom import donors as donor_sets
from synthanom import synthesis
from synthanom.kernels import affine_patch
from synthanom.labels import FlippedGaussian
from synthanom.sample import Sample
from synthanom.tasks import TASKS

PAGE = Path(__file__).parents[1] / "docs" / "speed.md"
TOLERANCE = 1e-3  # of the range of the picture, and of the label
MEMORY_SEEDS = 8
LABELLER = FlippedGaussian()


@dataclass(frozen=True, kw_only=True)
class Work:
    """A case and a task, with everything that they need."""

    case: cases.Case
    task: str
    sample: Sample
    donors: dict[str, list[Sample]]

    def ours(self, seed: int) -> synthesis.Result:
        """Draw and make a sample."""
        rng = np.random.default_rng(seed)
        return synthesis.synthesise(self.sample, TASKS[self.task](), LABELLER, rng=rng, donors=self.donors)

    def theirs(
        self, result: synthesis.Result, patch_of: baseline.PatchOf | None = None
    ) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
        """What makes the same sample with the baseline."""
        anomalies = result.recipe.anomalies
        chosen = [
            None if a.donor is None else donor_sets.find(TASKS[self.task], a.donor, self.donors) for a in anomalies
        ]
        return partial(baseline.make, self.sample, result.recipe, chosen, patch_of)


def main() -> None:
    """Measure, print, and with --write keep the tables in docs/speed.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny pictures, few samples: is everything in order?")
    parser.add_argument("--case", action="append", help="only this case; may be repeated")
    parser.add_argument("--seeds", type=int, help="samples per task, instead of the case's own number")
    parser.add_argument("--passes", type=int, help="timings per sample, instead of the case's own number")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.parent.name}/{PAGE.name}")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument("--memory", nargs=2, metavar=("CASE", "TASK"), help="peak memory of one case and task only")
    arguments = parser.parse_args()
    with one_thread():
        if arguments.memory:
            print(json.dumps(peaks(*arguments.memory)))
            return
        chosen = cases.QUICK if arguments.quick else cases.CASES
        if arguments.case:
            chosen = tuple(case for case in chosen if case.name in arguments.case)
        limits = {"date": time.strftime("%Y-%m-%d"), "cpu": machine.cpu_model()}
        limits |= {"copy": machine.copy_bandwidth(), "sgemm": machine.sgemm_rate()}
        if not arguments.quick:
            limits["cold"], limits["warm"] = machine.first_samples()
        rows = [row for case in chosen for row in measure_case(case, arguments.seeds, arguments.passes)]
    if arguments.json:
        print(json.dumps({"limits": limits, "rows": rows}))
    else:
        print(pages.page(limits, rows))
    if arguments.write:
        pages.put(PAGE, "one thread", pages.page(limits, rows))


@contextlib.contextmanager
def one_thread():
    """BLAS on one thread, in this process only."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        yield


def measure_case(case: cases.Case, seeds: int | None, passes: int | None) -> list[dict]:
    """A row per task."""
    sample, available = cases.picture(case), cases.donors(case)
    reference = machine.floor(sample)
    rows = []
    for task in TASKS:
        print(f"{case.name}: {task}", file=sys.stderr)
        work = Work(case=case, task=task, sample=sample, donors=available)
        row = measure(work, range(seeds or case.seeds), passes or case.passes)
        memory = memory_apart(case.name, task)
        rows.append({"case": case.name, "task": task, "floor": reference * 1e3, **row, "memory": memory})
    return rows


def measure(work: Work, seeds: Sequence[int], passes: int) -> dict:
    """Times in ms over the seeds, each the fastest of interleaved passes, and the share of each step."""
    results = [work.ours(seed) for seed in seeds]  # compiles and warms every cache
    theirs = [work.theirs(result) for result in results]
    ties = sum(not check_equal(work, result, *make()) for result, make in zip(results, theirs, strict=True))
    boxes = [sum(a.region.mask.size for a in result.recipe.anomalies) for result in results]
    anomalies = [len(result.recipe.anomalies) for result in results]
    attempts = [result.recipe.attempts for result in results]
    del results
    times = np.full((2, len(seeds)), np.inf)
    for _ in range(passes):
        for k, calls in enumerate(([partial(work.ours, seed) for seed in seeds], theirs)):
            calls[0]()  # the other variant has just emptied caches and given memory back
            for i, call in enumerate(calls):
                start = time.perf_counter()
                call()
                times[k, i] = min(times[k, i], time.perf_counter() - start)
    return {
        "samples": len(seeds),
        "passes": passes,
        "anomalies": statistics.mean(anomalies),
        "attempts": statistics.mean(attempts),
        "ties": ties,
        "voxels": statistics.mean(boxes),
        "ours": {"mean": times[0].mean() * 1e3, "median": float(np.median(times[0])) * 1e3},
        "baseline": {"mean": times[1].mean() * 1e3, "median": float(np.median(times[1])) * 1e3},
        "steps": steps.shares(partial(run_all, work, seeds), passes),
    }


def run_all(work: Work, seeds: Sequence[int]) -> None:
    """Make every sample and keep none: memory that grows costs time of its own."""
    for seed in seeds:
        work.ours(seed)


def check_equal(work: Work, result: synthesis.Result, picture: np.ndarray, label: np.ndarray) -> bool:
    """Stop unless both implementations made the same picture and label; False where only rounding decided.

    Mixed gradients take the larger of two. Where a target's and a donor's are opposite and equal to the last digits,
    the rounding of the resampled patch decides, and the pictures differ: they must agree once the patch is the same.
    """
    if apart(work, result, picture, label) <= TOLERANCE:
        return True
    same_patch = apart(work, result, *work.theirs(result, our_patch)())
    if same_patch > TOLERANCE or not work.donors.get(work.task):
        raise AssertionError(
            f"{work.case.name}, {work.task}: baseline and synthanom must agree within {TOLERANCE} of the range, got "
            f"{apart(work, result, picture, label):.2g}, and {same_patch:.2g} from the same patches, for "
            f"{result.recipe.to_json().decode()}"
        )
    return False


def apart(work: Work, result: synthesis.Result, picture: np.ndarray, label: np.ndarray) -> float:
    """The largest difference of pictures, as a share of the range, or of labels."""
    spread = float(work.sample.image.max() - work.sample.image.min())
    return max(float(np.abs(picture - result.image).max()) / spread, float(np.abs(label - result.label).max()))


def our_patch(donor: np.ndarray, matrix: np.ndarray, offset: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """The patch of one channel as our kernel resamples it, not clipped."""
    return affine_patch.sample(donor[None], matrix, offset, size, [[-np.inf], [np.inf]])[0]


def memory_apart(case: str, task: str) -> dict:
    """`peaks` in a process of its own, where arrays of 64 KiB and more go back to the system as they are freed."""
    command = [sys.executable, str(Path(__file__)), "--memory", case, task]
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}
    done = subprocess.run(command, check=True, env=environment, capture_output=True, text=True)
    return json.loads(done.stdout)


def peaks(name: str, task: str) -> dict:
    """MiB at most beyond the sample and the result, over some seeds, for ours and the baseline."""
    case = cases.case_named(name)
    work = Work(case=case, task=task, sample=cases.picture(case), donors=cases.donors(case))
    found: dict[str, list[int]] = {"ours": [], "baseline": []}
    for seed in range(min(MEMORY_SEEDS, case.seeds)):
        result = work.ours(seed)  # first, so that no compiler and no donor's digest is counted
        make = work.theirs(result)
        del result
        for variant, call in (("ours", partial(work.ours, seed)), ("baseline", make)):
            found[variant].append(machine.peak_above(call))
    return {variant: max(extra) / 2**20 for variant, extra in found.items()}


if __name__ == "__main__":
    main()
