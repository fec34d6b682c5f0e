"""What commands print about data sets and figures, as text."""

from collections import Counter
from pathlib import Path

import numpy as np

from synthanom.manifest import ANOMALIES_NAME, HEALTHY_NAME, read_manifest
from synthanom.metrics import Interval


def describe(folder: Path) -> list[tuple[str, str]]:
    """Name and value of what a data set holds, from its manifest alone.

    Raises
    ------
    SynthanomError
        If it is unfinished, damaged or no data set.
    """
    manifest = read_manifest(folder)
    sides = " x ".join(str(side) for side in manifest.shape)
    sizes = Counter(manifest.folds.values())
    healthy = sum(file.bytes for file in manifest.files if HEALTHY_NAME.fullmatch(file.path))
    anomalies = sum(file.bytes for file in manifest.files if ANOMALIES_NAME.fullmatch(file.path))
    # what images and labels of all rows would take without compression
    voxels = int(np.prod(manifest.shape))
    dense = 4 * voxels * (manifest.counts["healthy"] * manifest.channels)
    dense += 4 * voxels * (manifest.counts["anomalies"] * (manifest.channels + 1))
    steps = [str(step.get("name")) for step in manifest.preprocessing.get("steps", [])]
    return [
        ("data set", str(folder)),
        ("images", f"{manifest.counts['healthy']} healthy, {len(manifest.folds)} subjects"),
        ("shape", f"{sides}, {manifest.channels} channel{'s' if manifest.channels > 1 else ''}"),
        ("preprocessing", ", ".join(steps) or "none"),
        ("folds", ", ".join(f"{fold}: {sizes[fold]} subjects" for fold in sorted(sizes))),
        *((f"task {task.name}", f"{task.rows} rows") for task in manifest.tasks),
        ("variants", f"{manifest.variants} per image and task"),
        ("seed", str(manifest.seed)),
        ("on disk", f"{_size(healthy)} healthy, {_size(anomalies)} anomalies ({_size(dense)} as plain arrays)"),
        ("built by", f"synthanom {manifest.version}"),
    ]


def interval_text(interval: Interval) -> str:
    """A figure in per cent with its interval, where it has one; a dash where it is undefined."""
    if np.isnan(interval.value):
        return "-"
    text = f"{100 * interval.value:.1f}"
    if interval.draws == 0 or np.isnan(interval.low):
        return text
    return f"{text} [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def _size(count: int) -> str:
    value, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.3g} {unit}"
