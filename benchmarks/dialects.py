"""Every file of the dialect folders, read or refused, with a second opinion: python benchmarks/dialects.py FOLDER...

A FOLDER holds manifest.csv (column `path`, and what each file is) and is called dicom_... or nifti_.... Each file is
read in a process of its own with limits of time and memory, and again by an independent library; where a refusal names
an option as the way out, that is tried too. `--write` puts the tables into docs/dialects.md.
"""

import argparse
import csv
import functools
import hashlib
import re
import sys
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel  # noqa: F401  # here, so that forked processes need not import it again
import numpy as np
import pydicom
import second_opinion
import SimpleITK
from guarded import guarded, peak_memory

from synthanom.errors import SynthanomError
from synthanom.volumes import Source, Volume, discover, read

PAGE = Path(__file__).parents[1] / "docs" / "dialects.md"
SECONDS = 60.0
TIMES_PIXELS = 4  # memory for reading, in multiples of the declared pixels as float32
ALLOWANCE = 32 << 20  # bytes, for code and tables that are loaded on first use
CLOSE = 1e-6  # of the range: the two libraries rescale in different precision
LOSSY = 2e-2  # of the range: two decoders of a lossy compression may round differently
ITK = "SimpleITK"
SAME_PLACE = 1e-2  # mm between the corners of the image by the two affines

LOSSY_SYNTAXES = tuple(f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 91, 203))  # JPEG, JPEG 2000, HTJ2K


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one file or series.

    Attributes
    ----------
    name, what : str
        Where it lies in its folder, and what the manifest says about it.
    outcome : {"read", "refused", "fault"}
    words : str
        Shape and voxel size, the refusal, or what went wrong.
    verified : str
        By which second opinion, or why there is none.
    """

    name: str
    what: str
    outcome: str
    words: str
    verified: str = ""


def main() -> int:
    """Print counts and faults; exit status 1 if there are any faults."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/dialects.md")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    SimpleITK.ProcessObject_SetGlobalWarningDisplay(False)
    faults = 0
    for folder in arguments.folders:
        outcomes = files_of(folder)
        several = series_of(folder) if folder.name.startswith("dicom") else []
        for outcome in (*outcomes, *several):
            if outcome.outcome == "fault" or outcome.verified.startswith("DIFFERS"):
                faults += 1
                print(f"FAULT {outcome.name}: {outcome.words} {outcome.verified}")
        print(f"{folder.name}: {counted(outcomes)}; series: {counted(several)}")
        if arguments.write:
            import pages

            pages.put(PAGE, folder.name, _section(outcomes, several))
    return 1 if faults else 0


def files_of(folder: Path) -> list[Outcome]:
    """One outcome per line of the manifest."""
    with (folder / "manifest.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    return [_file_outcome(folder, row) for row in rows]


def series_of(folder: Path) -> list[Outcome]:
    """One outcome per series of several files that is found in the folder."""
    outcomes = []
    for source in discover(folder):
        if len(source.files) > 1:
            job = functools.partial(_series, source)
            outcomes.append(_guarded(folder, source.id, f"{len(source.files)} slices", job, None))
    return outcomes


def counted(outcomes: Sequence[Outcome]) -> str:
    """How many of which kind, in words."""
    kinds = Counter(outcome.outcome for outcome in outcomes)
    agreed = sum(outcome.verified.startswith("same") for outcome in outcomes)
    return f"{kinds['read']} read ({agreed} verified), {kinds['refused']} refused, {kinds['fault']} faults"


def _file_outcome(folder: Path, row: Mapping[str, str]) -> Outcome:
    path = folder / row["path"]
    dicom = "photometric" in row
    job = functools.partial(_dicom if dicom else _nifti, path)
    return _guarded(folder, row["path"], _dicom_words(row) if dicom else _nifti_words(row), job, _declared(row))


def _guarded(folder: Path, name: str, what: str, job: Any, declared: int | None) -> Outcome:
    run = guarded(job, seconds=SECONDS, memory=TIMES_PIXELS * (declared or 1 << 30) + (1 << 30))
    if run.fault:
        return Outcome(name=name, what=what, outcome="fault", words=run.fault)
    kind, words, verified, peak, pixels = run.value
    words = " ".join(words.replace(f"{folder / name}: ", "").replace(f"{folder}/", "").split())
    limit = TIMES_PIXELS * max(pixels, declared or 0) + ALLOWANCE
    if peak > limit:
        return Outcome(name=name, what=what, outcome="fault", words=f"took {peak >> 20} MiB, at most {limit >> 20}")
    return Outcome(name=name, what=what, outcome=kind, words=words, verified=verified)


def _tried(source: Path | Source) -> tuple[Volume | None, str, int]:
    """The volume or the refusal, and the memory that it took."""
    words = ""

    def call() -> Volume | None:
        nonlocal words
        try:
            return read(source)
        except SynthanomError as error:
            words = str(error)
            return None

    volume, peak = peak_memory(call)
    return volume, words, peak


def _dicom(path: Path) -> tuple[str, str, str, int, int]:
    volume, words, peak = _tried(path)
    if volume is None:
        return "refused", words, "", peak, 0
    return "read", _volume_words(volume), _dicom_verdict(path, volume), peak, volume.image.nbytes


def _dicom_verdict(path: Path, volume: Volume) -> str:
    header = pydicom.dcmread(path, force=True, stop_before_pixels=False)
    syntax = header.file_meta.get("TransferSyntaxUID")
    lossy = str(syntax) in LOSSY_SYNTAXES
    try:
        other, name = second_opinion.dicom_picture(path), ITK
    except second_opinion.NoOpinion as error:
        if "FloatPixelData" not in header:
            return f"no second opinion: SimpleITK says {str(error)[-60:]}"
        other, name = second_opinion.raw_floats(path, volume.image.shape[1:]), "its bytes"
    ours = volume.image[0]
    if other.size != ours.size:
        return f"DIFFERS: {other.shape} by {name}"
    other = other.reshape(ours.shape)
    if volume.kind == "volume":  # frames are sorted by position, which SimpleITK does not do within a file
        ours, other = _sorted_frames(ours), _sorted_frames(other)
    return verdict(ours, other, name, lossy)


def _sorted_frames(array: np.ndarray) -> np.ndarray:
    return array[np.argsort([hashlib.sha256(frame.tobytes()).digest() for frame in array])]


def _series(source: Source) -> tuple[str, str, str, int, int]:
    volume, words, peak = _tried(source)
    if volume is None:
        return "refused", words, "", peak, 0
    try:
        other, affine = second_opinion.dicom_series(source.files)
    except second_opinion.NoOpinion as error:
        return "read", _volume_words(volume), f"no second opinion: {error}", peak, volume.image.nbytes
    answer = verdict(volume.image[0], other, ITK, False)
    return "read", _volume_words(volume), answer + _placed(volume, affine), peak, volume.image.nbytes


def _nifti(path: Path) -> tuple[str, str, str, int, int]:
    volume, words, peak = _tried(path)
    if volume is None:
        return "refused", words, "", peak, 0
    try:
        other, affine, name = second_opinion.nifti(path)
    except second_opinion.NoOpinion as error:
        return "read", _volume_words(volume), f"no second opinion: {error}", peak, volume.image.nbytes
    answer = verdict(volume.image[0], other.reshape(volume.image.shape[1:]), name, False)
    return "read", _volume_words(volume), answer + _placed(volume, affine), peak, volume.image.nbytes


def verdict(ours: np.ndarray, other: np.ndarray, name: str, lossy: bool) -> str:
    """Whether the pixels are the same: by their hashes, else within rounding."""
    if ours.shape != other.shape:
        return f"DIFFERS: {other.shape} by {name}"
    if _digest(ours) == _digest(other):
        return f"same hash by {name}"
    finite = np.isfinite(ours)
    if not (
        np.array_equal(ours[~finite], other[~finite], equal_nan=True) or (name == ITK and not other[~finite].any())
    ):
        return f"DIFFERS: not finite elsewhere by {name}"
    if not finite.all() and np.array_equal(ours[finite], other[finite]):
        return f"same by {name}, which reads {(~finite).sum()} NaN and infinite voxels as 0"
    off, span = float(np.abs(ours - other)[finite].max(initial=0)), float(np.ptp(ours[finite]))
    if off <= (LOSSY if lossy else CLOSE) * span:
        return f"same by {name} within {off:.1g} of {span:.4g}"
    return f"DIFFERS: by up to {off:.4g} of {span:.4g} by {name}"


def _digest(array: np.ndarray) -> str:
    array = np.ascontiguousarray(array, np.float32) + np.float32(0)  # no negative zeros
    return hashlib.sha256(np.where(np.isnan(array), np.float32(np.nan), array).tobytes()).hexdigest()


def _placed(volume: Volume, affine: np.ndarray | None) -> str:
    """Whether the corners of the image lie at the same places."""
    if volume.affine is None or affine is None:
        return ""
    shape = volume.image.shape[:0:-1]
    corners = np.array([[*c, 1.0] for c in np.ndindex(*(2,) * len(shape))], dtype=float)
    corners[:, :-1] *= np.array(shape) - 1
    corners = np.insert(corners, len(shape), [0.0] * (3 - len(shape)), axis=1) if len(shape) < 3 else corners
    off = float(np.abs(corners @ (volume.affine - affine).T).max())
    return ", same place" if off <= SAME_PLACE else f", corners elsewhere by up to {off:.3g} mm"


def _volume_words(volume: Volume) -> str:
    spacing = "unknown" if volume.spacing is None else " x ".join(f"{side:.4g}" for side in volume.spacing)
    place = "" if volume.affine is not None else ", orientation unknown"
    return f"{volume.kind} {' x '.join(map(str, volume.image.shape[1:]))}, voxel {spacing} mm{place}"


def _declared(row: Mapping[str, str]) -> int:
    """Bytes of the pixels that the manifest says a file declares, as float32 or as stored if that is larger."""
    if "photometric" in row:
        sides = [row["rows"], row["cols"], row["frames"] or "1", row["spp"] or "1"]
        return 4 * int(np.prod([int(side or 0) for side in sides]))
    sides = [int(side) for side in re.findall(r"\d+", row["shape"])]
    wide = re.fullmatch(r"[<>]?(float64|int64|complex64)", row["dtype"]) is not None
    return (8 if wide else 4) * int(np.prod(sides))


def _dicom_words(row: Mapping[str, str]) -> str:
    if not row["rows"]:
        return f"{row['modality'] or row['sop'] or 'no object'}, no image"
    size = " x ".join(filter(None, (row["frames"], row["rows"], row["cols"])))
    sign = ", signed" if row["signed"] == "1" else ""
    return f"{row['modality']} {row['photometric']} {size}, {row['stored']} of {row['alloc']} bits{sign}, {row['ts']}"


def _nifti_words(row: Mapping[str, str]) -> str:
    parts = [row["kind"], row["shape"], row["dtype"] + (" big-endian" if row["endian"] == ">" else "")]
    if row["scaled"] == "True":
        parts.append(f"slope {float(row['slope']):.4g}, intercept {float(row['inter']):.4g}")
    parts += [f"qform {row['qform']}, sform {row['sform']}"] if row["qform"] else []
    parts += [f"oblique {row['oblique_deg']}"] if row["oblique"] == "True" else []
    parts += [f"{row['nan']} NaN"] if row["nan"] not in ("", "0") else []
    return ", ".join(parts)


def _section(outcomes: Sequence[Outcome], several: Sequence[Outcome]) -> str:
    parts = [f"{len(outcomes)} files: {counted(outcomes)}.\n", _table("file", outcomes)]
    if several:
        parts += [f"\n{len(several)} series of several files: {counted(several)}.\n", _table("series", several)]
    return "\n".join(parts)


def _table(first: str, outcomes: Sequence[Outcome]) -> str:
    rows = [(first, "what it is", "outcome", "second opinion"), ("---",) * 4]
    rows += [(o.name, o.what, f"{o.outcome}: {o.words}", o.verified) for o in outcomes]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |\n" for row in rows)


if __name__ == "__main__":
    sys.exit(main())
