"""Small raw folders, and `build-dataset` run in this process or as a process of its own."""

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from PIL import Image
from scipy import ndimage
from synthanom_builders import cli

COMMAND = [sys.executable, "-c", "from synthanom_builders.cli import main; main()"]


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one error line."""
        lines = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, self.err
        assert "Traceback" not in self.err
        return lines[0]


def build(*arguments: object, command: str = "folder") -> Ran:
    """`build-dataset folder ...`, or another command, through its entry point."""
    out, err = io.StringIO(), io.StringIO()
    argv = sys.argv
    sys.argv = ["build-dataset", command, *map(str, arguments)]
    try:
        with redirect_stdout(out), redirect_stderr(err):
            cli.main()
    except SystemExit as stop:
        return Ran(status=int(stop.code or 0), out=out.getvalue(), err=err.getvalue())
    finally:
        sys.argv = argv
    raise AssertionError("main returned without an exit status")


def smooth(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """A smooth field from 1 to 200."""
    field = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 1.5)
    return 1 + 199 * (field - field.min()) / np.ptp(field)


def write_pictures(folder: Path, count: int = 12, side: int = 16) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        Image.fromarray(smooth((side, side), i).astype(np.uint8)).save(folder / f"p{i:02}.png")
    return folder


def write_nifti(path: Path, array: np.ndarray, affine: np.ndarray | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array.astype(np.float32), np.eye(4) if affine is None else affine), path)
    return path


def write_volumes(folder: Path, count: int = 4, shape: tuple[int, ...] = (14, 15, 16)) -> Path:
    for i in range(count):
        write_nifti(folder / f"sub-{i:02}" / f"sub-{i:02}_T1.nii", smooth(shape, i))
    return folder


def shards(folder: Path) -> dict[str, bytes]:
    """Every .h5 file's bytes."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.h5"))}


def listing(folder: Path) -> list[tuple[str, int, int]]:
    """Names, sizes and times of everything in a folder."""
    return sorted((p.as_posix(), p.lstat().st_size, p.lstat().st_mtime_ns) for p in [folder, *folder.rglob("*")])
