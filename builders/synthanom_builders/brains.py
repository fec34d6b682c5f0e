"""What the data sets of brains share: a frame of 160 x 224 x 160 mm, filled with what the skull-stripped brain holds.

References
----------
Baugh et al., "Many tasks make light work", MICCAI 2023, doi:10.1007/978-3-031-43907-0_16 (preprocessing).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from synthanom.errors import SynthanomError
from synthanom.preprocess import (
    Canonical,
    EdgePreservingResample,
    Foreground,
    FrameForeground,
    Pipeline,
    ZScore,
)
from synthanom.volumes.discover import format_of
from synthanom.volumes.volume import Source
from synthanom_builders.cases import Case, image_of
from synthanom_builders.settings import BuildSettings

FRAME = (160, 224, 160)  # mm, Z, Y, X; also the voxels at full resolution
HALF = (80, 112, 80)
NIFTI = (".nii.gz", ".nii")


def pipeline(settings: BuildSettings, shape: tuple[int, ...]) -> Pipeline:
    """To 1 mm without mixing brain and surroundings, framed around the brain, shrunk, z-scored in it.

    Raises
    ------
    SynthanomError
        If the shape is not the frame divided by a whole number.
    """
    del settings
    divisor = FRAME[0] // shape[0]
    if tuple(side * divisor for side in shape) != FRAME:
        frame, half = (",".join(map(str, sides)) for sides in (FRAME, HALF))
        raise SynthanomError(
            f"--shape must be the frame of brains, {frame}, divided by a whole number, such as {half}, got "
            f"{','.join(map(str, shape))}"
        )
    # a second time where it shrinks: plainly halved, the brain's rim takes up the black around it (docs/decisions.md)
    shrinking = (EdgePreservingResample(spacing=float(divisor)),) if divisor > 1 else ()
    return Pipeline(
        (
            Canonical(),
            Foreground(rule="nonzero"),
            EdgePreservingResample(spacing=1.0),
            FrameForeground(shape=FRAME),
            *shrinking,
            ZScore(),
        )
    )


def case_of(raw: Path, name: str, subject: str, files: Mapping[str, Path | None], wanted: Sequence[str]) -> Case:
    """A case of one file for each wanted contrast; marked as one that cannot be built where a file is missing.

    Parameters
    ----------
    files : mapping
        Contrast to its file, None where there is none.
    """
    there = [file for contrast in wanted if (file := files[contrast]) is not None]
    missing = [contrast for contrast in wanted if files[contrast] is None]
    images = [image_of(Source(id=f"{name}/{file.name}", files=(file,), format="nifti"), raw) for file in there]
    problem = f"contrast {missing[0]} is missing; complete the download" if missing else ""
    if not images:
        raise SynthanomError(f"{raw / name}: {problem}")
    return Case(id=name, subject=subject, images=tuple(images), problem=problem)


def nifti_of(folder: Path, stem: str) -> Path | None:
    """The NIfTI file with this stem, compressed or not; upper and lower case are one."""
    names = {f"{stem}{ending}".lower() for ending in NIFTI}
    found = sorted(file for file in folder.iterdir() if file.name.lower() in names and file.is_file())
    return next((file for file in found if format_of(file) == "nifti"), None)
