"""One anomaly with each label, and the labels against the change: python examples/compare_labels.py --out labels.png"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy import ndimage

from synthanom import Sample, labels, replay, synthesise, tasks

SIDE = 128
FACTOR = 0.6
SEED = 4
KINDS = (labels.FlippedGaussian(), labels.Logistic(), labels.Binary(), labels.Factor())


def subject(seed: int) -> Sample:
    """A smooth random field of deviation 1 in a disk."""
    rows, columns = np.indices((SIDE, SIDE)) - (SIDE - 1) / 2
    disk = rows**2 + columns**2 < (0.46 * SIDE) ** 2
    values = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((SIDE, SIDE)), 5)
    return Sample.from_array((values / values[disk].std() * disk)[None], disk, id=f"subject-{seed}")


def against_change(label: labels.AbstractLabeller, changes: np.ndarray) -> np.ndarray:
    """The label of voxels that changed by so much, none of them smoothed: each is a component of its own."""
    before = np.zeros((1, 2, 2 * changes.size), np.float32)
    after, region = before.copy(), np.zeros(before.shape[1:], bool)
    after[0, 0, ::2], region[0, ::2] = changes, True
    return label(before, after, region, np.full(region.shape, FACTOR, np.float32))[0, ::2]


def main() -> None:
    """Draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("labels.png"))
    out = parser.parse_args().out
    sample, donor = subject(0), subject(1)
    task = tasks.Fpi.from_dict({"factor": [FACTOR, FACTOR], "shape": {"smallest": 0.15, "core": 0.4}})
    rng = np.random.default_rng(SEED)
    first = synthesise(sample, task, KINDS[0], rng=rng, donors=[donor], max_anomalies=1)
    made = [replay(sample, first.recipe, label, donors=[donor]) for label in KINDS]
    figure = Figure(figsize=(15, 6.4), layout="constrained")
    grid = figure.subplot_mosaic(
        [["before", *"0123", "whole"], ["after", *"abcd", "small"]], width_ratios=[1] * 5 + [1.5]
    )
    for name, image in (("before", sample.image[0]), ("after", first.image[0])):
        grid[name].imshow(image, cmap="gray", vmin=-3, vmax=3)
        grid[name].set_title(name)
    (row, column), (height, width) = first.boxes[0]
    for kind, result, whole, profile in zip(KINDS, made, "0123", "abcd", strict=True):
        grid[whole].imshow(result.label, cmap="magma", vmin=0, vmax=1)
        grid[whole].set_title(type(kind).__name__)
        line = row + height // 2
        across = np.arange(column - 3, column + width + 3)
        grid[profile].plot(across, np.abs(first.image - sample.image)[0, line, across], color="0.6", label="change")
        grid[profile].plot(across, result.label[line, across], color="C3", label="label")
        grid[profile].set(ylim=(-0.05, 1.55), title="through the middle")
    grid["a"].legend()
    for panel, most in (("whole", 1.0), ("small", 0.1)):
        changes = np.linspace(0, most, 401).astype(np.float32)
        for kind in KINDS:
            grid[panel].plot(changes, against_change(kind, changes), label=type(kind).__name__)
        grid[panel].set(xlabel="change, image intensity units", ylabel="label", ylim=(-0.03, 1.03))
    grid["whole"].legend()
    grid["whole"].set_title("saturation")
    grid["small"].set_title("at the smallest changes")
    for name in ("before", "after", *"0123"):
        grid[name].set_axis_off()
    figure.savefig(out, dpi=80)


if __name__ == "__main__":
    main()
