"""How long a person waits before anything happens: python benchmarks/start.py

Import of synthanom, `--help` of every command, and the first anomaly in a fresh process with a warm cache of compiled
kernels; medians of interleaved runs in fresh processes. The targets: import 0.3 s, --help 0.5 s, first anomaly 1 s.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

BIN = Path(sys.executable).parent
FIRST = (
    "import numpy as np; from synthanom import tasks; "
    "tasks.Sink()(np.random.default_rng(0).standard_normal((1, 64, 64)).astype('f4'), rng=np.random.default_rng(1))"
)
CASES = {
    "python -c pass": ([sys.executable, "-c", "pass"], None),
    "import synthanom": ([sys.executable, "-c", "import synthanom"], 0.3),
    "import synthanom.tasks": ([sys.executable, "-c", "import synthanom.tasks"], None),
    "synthanom --help": ([str(BIN / "synthanom"), "--help"], 0.5),
    "synthanom predict --help": ([str(BIN / "synthanom"), "predict", "--help"], 0.5),
    "synthanom-train --help": ([str(BIN / "synthanom-train"), "--help"], 0.5),
    "build-dataset --help": ([str(BIN / "build-dataset"), "--help"], 0.5),
    "build-dataset folder --help": ([str(BIN / "build-dataset"), "folder", "--help"], 0.5),
    "first anomaly": ([sys.executable, "-c", FIRST], 1.0),
}


def main() -> None:
    """Print a line per case, or one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passes", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    seconds: dict[str, list[float]] = {name: [] for name in CASES}
    for number in range(arguments.passes + 1):
        for name, (command, _) in CASES.items():
            elapsed = wait(command)
            if number:  # the first pass warms the caches
                seconds[name].append(elapsed)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    if arguments.json:
        print(json.dumps(medians))
        return
    for name, median in medians.items():
        target = CASES[name][1]
        verdict = "" if target is None else f"  target {target:.1f} s: {'met' if median <= target else 'MISSED'}"
        print(
            f"{name:28s} median {median:6.3f} s  (min {min(seconds[name]):.3f}, max {max(seconds[name]):.3f}){verdict}"
        )


def wait(command: list[str]) -> float:
    """Seconds until a command ends."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
