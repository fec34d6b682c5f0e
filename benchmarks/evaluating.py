"""All pixel and lesion figures of many volumes: python benchmarks/evaluating.py [--pixels 200000000] [--subjects 100]

From maps and masks in memory to every figure with its interval: ranking, AUPRO, cuts, lesions, batches of 20. Seconds
by the clock and of the processor (which counts where other work runs beside), by part, and the peak memory of the whole
process. Maps are made one at a time, as they are read one at a time; making them is not counted. "Taking maps", which
is bins, ranking and a stored cut with its lesions, has two threads; all else has one.
"""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import argparse  # noqa: E402
import resource  # noqa: E402
import time  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from contextlib import contextmanager  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
import numpy.typing as npt  # noqa: E402

SLICES = 50
CUT = 0.9


def main() -> None:
    """Print a line for each part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pixels", type=int, default=200_000_000)
    parser.add_argument("--subjects", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    measure(20 * SLICES * 20 * 20, 20, arguments.seed)  # imports and compiled code
    before = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20
    found = measure(arguments.pixels, arguments.subjects, arguments.seed)
    print(f"{arguments.pixels:,} pixels of {arguments.subjects} subjects; load {os.getloadavg()[0]:.1f}")
    for name, (wall, cpu) in found.items():
        print(f"{name:<22} {wall:7.2f} s by the clock {cpu:7.2f} s of the processor")
    totals = [sum(times) for times in zip(*found.values(), strict=True)]
    print(f"{'all':<22} {totals[0]:7.2f} s by the clock {totals[1]:7.2f} s of the processor")
    print(f"{before:.0f} MiB after imports and compiling")
    print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB in all")


def measure(pixels: int, subjects: int, seed: int) -> dict[str, tuple[float, float]]:
    """Seconds by the clock and of the processor, by part."""
    from synthanom.evaluation.collect import Collected, Numbers
    from synthanom.evaluation.counting import PixelCounts
    from synthanom.evaluation.cutting import cut_pixels
    from synthanom.evaluation.ranking import batched_row, rank_pixels
    from synthanom.evaluation.rows import MODEL, Choices

    spent: dict[str, tuple[float, float]] = {}
    choices = Choices(seed=seed)
    with PixelCounts({"stored": CUT}, choices.overlap) as counts:
        for number, (scores, mask) in enumerate(volumes(pixels, subjects, seed)):
            with timed(spent, "taking maps"):
                counts.add(scores, mask, f"subject {number}")
    with timed(spent, "taking maps"):
        held = counts.store.finish()
    found = Collected(
        name=MODEL,
        ids=(),
        samples=Numbers(),
        slices=Numbers(),
        pixels=held,
        ranking=counts.ranking,
        at_cuts=counts.at_cuts,
    )
    with timed(spent, "intervals, AUPRO"):
        ranked = rank_pixels(found, held, choices)
    with timed(spent, "best cut, lesions"):
        list(cut_pixels(found, held, {"stored": CUT}, choices))
    with timed(spent, "batches of 20"):
        list(batched_row(held, ranked.row))
    return spent


def volumes(pixels: int, subjects: int, seed: int) -> Iterator[tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]]:
    """A map and a mask for each subject: noise, and boxes of higher scores, 2 % of the volume, none in every third."""
    side = max(12, int(np.sqrt(pixels / subjects / SLICES)))
    rng = np.random.default_rng(seed)
    for number in range(subjects):
        mask = np.zeros((SLICES, side, side), bool)
        for _ in range(5 * (number % 3 > 0)):
            low = [int(rng.integers(0, n - n // 6)) for n in mask.shape]
            mask[tuple(slice(a, a + max(2, n // 6)) for a, n in zip(low, mask.shape, strict=True))] = True
        drawn = rng.standard_normal(mask.shape, dtype=np.float32) + 1.5 * mask
        yield (1 / (1 + np.exp(-2 * drawn))).astype(np.float32), mask


@contextmanager
def timed(spent: dict[str, tuple[float, float]], name: str) -> Iterator[None]:
    """Add what the block takes to a part."""
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    before = spent.get(name, (0.0, 0.0))
    spent[name] = before[0] + time.perf_counter() - wall, before[1] + time.process_time() - cpu


if __name__ == "__main__":
    main()
