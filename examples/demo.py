"""The main job on real anatomy, start to finish: python examples/demo.py --out demo

A virtual cohort (seeded variations of the real MNI152 template; the subjects are virtual) is written as NIfTI. Then the
installed commands build a data set, train a detector that never sees a lesion, predict on unseen virtual subjects, half
of them with a simulated lesion that is none of the five tasks, and evaluate it beside two trivial baselines.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nibabel
import numpy as np
from virtual_cohort import write_cohort

CONFIG = Path(__file__).parents[1] / "configs" / "demo.yaml"
BASELINES = {"|z| within the image": "z-image", "|z| against the cohort's mean": "z-cohort"}
# level, and how the detector's map becomes one score there
SCORES = [("sample", "as the model aggregates"), ("slice", "mean"), ("pixel", "")]


def main() -> None:
    """Run every step and print the numbers and the paths of the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("demo"))
    parser.add_argument("--seed", type=int, default=0)
    out, seed = (arguments := parser.parse_args()).out, arguments.seed
    started = time.monotonic()
    empty(out)
    say("1/6  virtual cohort: 20 healthy subjects to learn from, 16 unseen ones, every second with a lesion")
    write_cohort(out / "cohort", seed=seed)
    say("2/6  data set of synthetic anomalies")
    command(
        "build-dataset", "folder", out / "cohort/train", "--out", out / "data", "--variants", "10", "--workers", "2"
    )
    command("synthanom", "check", out / "data")
    say("3/6  a detector, trained on three tasks, judged on the two others")
    command(
        "synthanom-train", out / "data", "--train-tasks", "3", "--run", "0", "--config", CONFIG, "--out", out / "run"
    )
    say("4/6  score maps of the unseen subjects, and of the two trivial baselines")
    command("synthanom", "predict", out / "run", "--input", out / "cohort/test", "--out", out / "maps")
    write_baselines(out / "cohort", out / "baselines")
    say("5/6  numbers")
    given = [f"--baseline={name}={out / 'baselines' / folder}" for name, folder in BASELINES.items()]
    truth, numbers = out / "cohort/truth", out / "numbers.json"
    command("synthanom", "evaluate", out / "maps", "--truth", truth, "--out", numbers, *given)
    say("6/6  pictures")
    command("synthanom", "preview", out / "data", "--out", out / "tasks.png")
    command("synthanom", "preview", out / "cohort/train/virtual-00.nii.gz", "--out", out / "single-scan.png")
    verdict(json.loads(numbers.read_text(encoding="utf-8")))
    say(f"pictures: {out / 'tasks.png'}, {out / 'single-scan.png'}, {out / 'run/pictures'}")
    say(f"{time.monotonic() - started:.0f} s in all; every file is under {out}")


def say(text: str) -> None:
    """Print at once, also into a pipe."""
    print(text, flush=True)


def command(name: str, *arguments: object) -> None:
    """Run an installed command; stop with its status if it fails."""
    words = [str(Path(sys.executable).parent / name), *(str(a) for a in arguments)]
    say("     $ " + " ".join([name, *words[1:]]))
    status = subprocess.run(words, check=False).returncode
    if status:
        sys.exit(status)


def empty(out: Path) -> None:
    """Make the output folder, emptied of an earlier demo; anything else in it is left alone and refused."""
    if out.exists() and any(out.iterdir()) and not (out / "cohort").is_dir():
        sys.exit(f"error: {out} holds something that is not a demo; choose another folder with --out")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)


def write_baselines(cohort: Path, out: Path) -> None:
    """Maps of |z| within each image, and of |z| against the voxelwise mean of the training cohort (aligned: strong)."""
    train = np.stack([zscored(path)[0] for path in sorted((cohort / "train").iterdir())])
    mean, deviation = train.mean(axis=0), train.std(axis=0) + 0.1
    for path in sorted((cohort / "test").iterdir()):
        values, affine = zscored(path)
        inside = values != 0
        maps = {"z-image": np.abs(values), "z-cohort": np.abs(values - mean) / deviation * inside}
        for folder, scores in maps.items():
            (out / folder).mkdir(parents=True, exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(scores.astype(np.float32), affine), out / folder / path.name)


def zscored(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """A scan, z-scored over its nonzero voxels, 0 elsewhere, and its affine."""
    image = nibabel.load(path)
    values = np.asarray(image.dataobj, dtype=np.float64)
    inside = values != 0
    return np.where(inside, (values - values[inside].mean()) / values[inside].std(), 0.0), image.affine


def verdict(numbers: dict) -> None:
    """Say plainly which baselines the detector beats, level by level, each baseline by the best of its scores."""
    for level, our_score in SCORES:
        rows = [row for row in numbers["rows"] if row["level"] == level]
        ours = next(row for row in rows if row["maps"] == "model" and row["score"] == our_score)
        for name in BASELINES:
            words = []
            for key, short in (("average_precision", "AP"), ("roc_auc", "AUROC")):
                a, b = ours[key]["value"], max(row[key]["value"] for row in rows if row["maps"] == name)
                words.append(f"{short} {100 * a:.1f} {'beats' if a > b else 'DOES NOT BEAT'} {100 * b:.1f}")
            say(f"     {level:6s} detector vs {name:30s} {', '.join(words)}")


if __name__ == "__main__":
    main()
