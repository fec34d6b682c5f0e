"""Streaming AP and AUROC beside scikit-learn: python benchmarks/metrics.py [--pixels 20000000]

Each way runs in a fresh process, with compiled kernels warm: seconds from the first score to both metrics, peak memory
beyond the process that already holds scores and labels, and the difference to the exact answer. One thread.
The difference is chance as much as method: look at several --seed before quoting it, and at --scores sigmoid.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

WAYS = ("bins", "exact", "scikit-learn")
PIECE = 2**20  # pixels per update
DISTRIBUTIONS = ("normal", "uniform", "sigmoid", "noise")


def main() -> None:
    """Print a line per way, or what one way measured as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pixels", type=int, default=20_000_000)
    parser.add_argument("--scores", choices=DISTRIBUTIONS, default="normal")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--one", choices=WAYS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measured(arguments.one, *pixels(arguments.pixels, arguments.scores, arguments.seed))))
        return
    single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    found = {}
    for way in arguments.ways:
        command = [sys.executable, __file__, "--pixels", str(arguments.pixels), "--scores", arguments.scores]
        command += ["--seed", str(arguments.seed), "--one", way]
        run = subprocess.run(command, check=True, capture_output=True, env=os.environ | single)
        found[way] = json.loads(run.stdout)
    print(f"{arguments.pixels:,} pixels, {arguments.scores} scores, 2 % positive")
    exact = found.get("exact")
    for way, row in found.items():
        line = f"{way:14s} {row['seconds']:7.2f} s  {row['mebibytes']:6.0f} MiB  "
        line += f"AP {row['ap']:.9f}  AUROC {row['roc']:.9f}"
        if exact:
            line += f"  off by {abs(row['ap'] - exact['ap']):.1e}, {abs(row['roc'] - exact['roc']):.1e}"
        print(line)


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
            scores[part] = drawn if kind == "normal" else 1 / (1 + np.exp(-2 * drawn))
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
