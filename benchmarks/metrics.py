"""Streaming AP and AUROC beside scikit-learn: python benchmarks/metrics.py [--pixels 20000000] [--scores sigmoid]

Each way runs in a fresh process, with compiled kernels warm: seconds from the first score to both metrics, peak memory
beyond the process that already holds scores and labels, and the difference to the exact answer. One thread.
The difference is chance as much as method: look at several --seed before quoting it.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import machine
import numpy as np
import numpy.typing as npt
import pages

PAGE = Path(__file__).parents[1] / "docs" / "speed.md"
WAYS = ("bins", "exact", "scikit-learn")
PIXELS = (20_000_000, 200_000_000)
PIECE = 2**20  # pixels per update
DISTRIBUTIONS = ("normal", "uniform", "sigmoid", "percent", "noise")
SIGMOIDS = {"sigmoid": 1, "percent": 100}
PASSES = 3  # the median counts; scikit-learn runs once beyond LONG pixels
LONG = 50_000_000
NEEDED = 80  # bytes per pixel, scores and labels included, that scikit-learn may take
HEAD = """Written by `make bench-metrics` on {date}, {cpu}; numpy {numpy}, scikit-learn {sklearn}. One thread; 2 %
of the pixels are positive, seed {seed}. Seconds from the first score to both metrics, medians of {passes} fresh
processes (one for scikit-learn beyond 50 million pixels); memory beyond the scores and labels themselves; the
difference to scikit-learn, or to the exact answer where that did not run. `bins` is `RankingAccumulator` made to count
in bins from the first score on, `exact` is `exact=True`; `percent` is 100 times a sigmoid, the kind of scores that bins
serve worst.
"""


def main() -> None:
    """Print a table, and with --write keep it in docs/speed.md; or print what one way measured as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pixels", type=int, nargs="+", default=list(PIXELS))
    parser.add_argument("--scores", choices=DISTRIBUTIONS, nargs="+", default=["normal", "sigmoid", "percent"])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--passes", type=int, default=PASSES)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.parent.name}/{PAGE.name}")
    parser.add_argument("--one", choices=WAYS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        made = pixels(arguments.pixels[0], arguments.scores[0], arguments.seed)
        print(json.dumps(measured(arguments.one, *made)))
        return
    lines = []
    for count in arguments.pixels:
        for number, kind in enumerate(arguments.scores):
            # how long scikit-learn takes hardly depends on the scores
            ways = arguments.ways if number == 0 else [way for way in arguments.ways if way != "scikit-learn"]
            lines += compared(count, kind, ways, arguments)
    text = page(lines, arguments)
    print(text)
    if arguments.write:
        pages.put(PAGE, "metrics", text)


def compared(count: int, kind: str, ways: list[str], arguments: argparse.Namespace) -> list[list[str]]:
    """A line of the table per way."""
    found = {}
    for way in ways:
        print(f"{count:,} pixels, {kind}: {way}", file=sys.stderr)
        reason = left_out(way, count)
        passes = 1 if way == "scikit-learn" and count > LONG else arguments.passes
        found[way] = reason or [apart(way, count, kind, arguments.seed) for _ in range(passes)]
    exact = next((rows[0] for way in ("scikit-learn", "exact") if isinstance(rows := found.get(way), list)), None)
    return [line(count, kind, way, rows, exact) for way, rows in found.items()]


def left_out(way: str, count: int) -> str | None:
    """Why a way cannot run here, if it cannot."""
    memory = Path("/proc/meminfo")
    if way != "scikit-learn" or not memory.exists():
        return None
    words = next(line for line in memory.read_text().splitlines() if line.startswith("MemAvailable"))
    free = int(words.split()[1]) * 1024
    if free >= NEEDED * count:
        return None
    return f"left out: may need {NEEDED * count / 1e9:.0f} GB of memory, {free / 1e9:.0f} GB were free"


def apart(way: str, count: int, kind: str, seed: int) -> dict[str, float]:
    """`measured` in a process of its own."""
    single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    command = [sys.executable, __file__, "--pixels", str(count), "--scores", kind, "--seed", str(seed), "--one", way]
    run = subprocess.run(command, check=True, capture_output=True, env=os.environ | single)
    return json.loads(run.stdout)


def line(count: int, kind: str, way: str, rows: str | list[dict], exact: dict | None) -> list[str]:
    """Cells of the table."""
    start = [f"{count / 1e6:g} million", kind, way]
    if isinstance(rows, str):
        return [*start, rows, "", "", ""]
    seconds = statistics.median(row["seconds"] for row in rows)
    off = ["-", "-"] if exact is None else [f"{abs(rows[0][name] - exact[name]):.1e}" for name in ("ap", "roc")]
    return [*start, f"{seconds:.2f}", f"{max(row['mebibytes'] for row in rows):.0f}", *off]


def page(lines: list[list[str]], arguments: argparse.Namespace) -> str:
    """The table as Markdown."""
    from importlib.metadata import version

    words = {"date": time.strftime("%Y-%m-%d"), "cpu": machine.cpu_model(), "seed": arguments.seed}
    versions = {"numpy": version("numpy"), "sklearn": version("scikit-learn")}
    head = ["pixels", "scores", "way", "seconds", "MiB", "AP off by", "AUROC off by"]
    return HEAD.format(**words, **versions, passes=arguments.passes) + "\n" + pages.table(head, lines)


def pixels(count: int, kind: str, seed: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Scores and labels, 2 % of them positive; made in pieces, so that making them is not the peak."""
    rng = np.random.default_rng(seed)
    scores, labels = np.empty(count, np.float32), np.empty(count, bool)
    for start in range(0, count, PIECE):
        part = slice(start, min(start + PIECE, count))
        size = part.stop - part.start
        labels[part] = rng.random(size, dtype=np.float32) < 0.02
        if kind in ("noise", "uniform"):
            drawn = rng.random(size, dtype=np.float32)
            scores[part] = drawn if kind == "noise" else np.where(labels[part], np.sqrt(drawn), drawn)
        else:
            drawn = rng.standard_normal(size, dtype=np.float32) + labels[part]
            scores[part] = drawn if kind == "normal" else SIGMOIDS[kind] / (1 + np.exp(-2 * drawn))
    return scores, labels


def measured(way: str, scores: npt.NDArray[np.float32], labels: npt.NDArray[np.bool_]) -> dict[str, float]:
    """Seconds, peak MiB and both metrics of one way."""
    answer(way, scores[:1000], labels[:1000])  # imports and compiled code
    # what is resident now, not the peak so far: the warming above may have touched the bins already
    before = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1024
    start = time.perf_counter()
    precision, roc = answer(way, scores, labels)
    seconds = time.perf_counter() - start
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {"seconds": seconds, "mebibytes": float(grown / 1024), "ap": precision, "roc": roc}


def answer(way: str, scores: npt.NDArray[np.float32], labels: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Both metrics."""
    if way == "scikit-learn":
        from sklearn.metrics import average_precision_score, roc_auc_score

        return float(average_precision_score(labels, scores)), float(roc_auc_score(labels, scores))
    from synthanom.metrics import RankingAccumulator

    # without `kept` a short run would be answered exactly
    stream = RankingAccumulator(exact=True) if way == "exact" else RankingAccumulator(kept=0)
    for start in range(0, scores.size, PIECE):
        stream.update(scores[start : start + PIECE], labels[start : start + PIECE])
    return stream.average_precision(), stream.roc_auc()


if __name__ == "__main__":
    main()
