"""Makes the data sets of this folder: `python tests/stored/make.py FOLDER`, new. They are kept, not made again."""

import subprocess
import sys
import tempfile
from pathlib import Path

import nibabel
import numpy as np
from PIL import Image
from scipy import ndimage

BUILD = [sys.executable, "-c", "from synthanom_builders.cli import main; main()", "folder"]
IN_VOLUMES = "inter_blend,source"
FEW = ("--workers", "1", "--folds", "1")


def field(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """A smooth random field from 1 to 200, 0 in the corners of the image."""
    values = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 1.5)
    grid = np.indices(shape)
    inside = sum(((grid[a] - (n - 1) / 2) / (0.55 * n)) ** 2 for a, n in enumerate(shape)) <= 1
    return (1 + 199 * (values - values.min()) / np.ptp(values)) * inside


def write_pictures(folder: Path, count: int, seed: int) -> None:
    """Grey pictures of 20 x 18 pixels."""
    folder.mkdir()
    for number in range(count):
        Image.fromarray(field((20, 18), seed + number).astype(np.uint8)).save(folder / f"{folder.name}-{number}.png")


def write_volumes(folder: Path, count: int) -> None:
    """Volumes of 12 x 13 x 14 voxels in two contrasts."""
    folder.mkdir()
    affine = np.array([[-1.0, 0, 0, 9], [0, 1.5, 0, -8], [0, 0, 2, 7], [0, 0, 0, 1]])
    for number in range(count):
        for place, contrast in enumerate(("T1", "T2")):
            image = nibabel.Nifti1Image(field((12, 13, 14), 300 + 10 * number + place).astype(np.float32), affine)
            nibabel.save(image, folder / f"sub-{number}_{contrast}.nii")


def main(out: Path) -> None:
    """Write the raw files, and build from them."""
    with tempfile.TemporaryDirectory() as temporary:
        raw = Path(temporary)
        write_pictures(raw / "lent", 3, 100)
        write_pictures(raw / "picture", 3, 200)
        write_volumes(raw / "volume", 2)
        for name, given, settings in (
            ("lenders", "lent", ("--variants", "1", "--tasks", "sink")),
            ("pictures", "picture", ("--variants", "2", "--donors", str(out / "lenders"))),
            ("volumes", "volume", ("--variants", "1", "--tasks", IN_VOLUMES, "--channels", r"_(T1|T2)\.nii")),
        ):
            command = [*BUILD, str(raw / given), "--out", str(out / name), *settings, *FEW]
            subprocess.run(command, check=True)
            (out / f"{name}.log").unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
