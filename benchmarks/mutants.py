"""Damaged files, each read or refused in bounded time and memory: python benchmarks/mutants.py FOLDER... --count 5000

Mutant number i of a seed flips bytes, cuts the file short, or edits its header, by a generator of its own, so that any
one can be made again: `--only i`. Each is read in a process of its own; the only outcomes allowed are an image and an
error of ours in one line. `--series 500` does the same with whole DICOM series, those of the folders and some written
for it, of which slices are damaged, edited, repeated, left out or exchanged; again: `--count 0 --series 1 --only i`.
"""

import argparse
import functools
import gzip
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import nibabel  # here, so that forked processes need not import it again
import numpy as np
import pydicom
import pydicom.pixels  # noqa: F401 (loaded before the copies are read)
import SimpleITK
from damage import damage
from damaged_series import damaged_series, series_in
from guarded import Run, guarded, peak_memory
from made_series import write_series

from synthanom.errors import SynthanomError
from synthanom.volumes import Reading, Source, discover, read
from synthanom.volumes.discover import format_of

SECONDS = 30.0
TIMES_PIXELS = 4
ALLOWANCE = 64 << 20  # bytes: code loaded on first use, and what a decoder takes before it finds the damage
LARGEST = 4 << 20  # files beyond that only slow the others down
WAYS = (Reading(), Reading(volume=0, allow_gaps=True, grey=True))
Judged = tuple[str, float, int]  # `read`, `refused: words` or `FAULT: why`; seconds; bytes of memory
Answer = tuple[str, tuple[str, ...], int, int]  # kind; lines of words; bytes of memory; bytes of pixels


def main() -> int:
    """Print counts and faults; exit status 1 if there are any faults."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--count", type=int, default=5000, help="of damaged files")
    parser.add_argument("--series", type=int, default=0, help="how many damaged series")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="this mutant alone")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    SimpleITK.ProcessObject_SetGlobalWarningDisplay(False)
    faults = 0
    with tempfile.TemporaryDirectory() as place:
        for count, run in ((arguments.count, of_files), (arguments.series, of_series)):
            numbers = range(count) if arguments.only is None else (arguments.only,)
            faults += run(arguments.folders, arguments.seed, numbers, Path(place)) if count else 0
    return 1 if faults else 0


def of_files(folders: Sequence[Path], seed: int, numbers: Iterable[int], place: Path) -> int:
    """Damage single files, print faults and counts; the number of faults."""
    files = images_in(folders)

    def attempt(number: int) -> tuple[str, Judged]:
        original, change, data = mutant(files, seed, number)
        return f"mutant {number}: {original}, {change}", tried(place, original, data)

    return _tally(attempt, numbers, f"{len(files)} files, seed {seed}")


def of_series(folders: Sequence[Path], seed: int, numbers: Iterable[int], place: Path) -> int:
    """Damage whole series, print faults and counts; the number of faults."""
    made = place / "made"
    made.mkdir()
    write_series(made)
    series = series_in([*folders, made])

    def attempt(number: int) -> tuple[str, Judged]:
        original, change, slices = damaged_series(series, seed, number)
        return f"mutant {number} of series: {original}, {change}", tried_series(place / "mutant", slices)

    return _tally(attempt, numbers, f"{len(series)} series, seed {seed}")


def images_in(folders: Sequence[Path]) -> list[Path]:
    """Files that are taken for images, in sorted order, without the very large ones."""
    files = sorted(file for folder in folders for file in folder.rglob("*") if file.is_file())
    return [file for file in files if file.stat().st_size <= LARGEST and format_of(file) is not None]


def mutant(files: list[Path], seed: int, number: int) -> tuple[Path, str, bytes]:
    """The file it was made from, what was done to it, and its bytes."""
    rng = np.random.default_rng([seed, number])
    original = files[rng.integers(len(files))]
    data = bytearray(original.read_bytes())
    packed = data[:2] == b"\x1f\x8b" and rng.random() < 0.7  # most damage inside, some to the compression itself
    if packed:
        data = bytearray(gzip.decompress(bytes(data)))
    change = damage(data, rng)
    return original, change, gzip.compress(bytes(data), 1) if packed else bytes(data)


def tried(folder: Path, original: Path, data: bytes) -> Judged:
    """Read a damaged file, beside the file that holds its voxels where there is one."""
    path = folder / original.name
    path.write_bytes(data)
    beside = [other for pair in ((".hdr", ".img"), (".img", ".hdr")) if (other := _partner(original, pair))]
    for other in beside:
        (folder / other.name).write_bytes(other.read_bytes())
    try:
        return judged(guarded(functools.partial(_read, path), seconds=SECONDS, memory=1 << 30), path.name)
    finally:
        for file in (path, *(folder / other.name for other in beside)):
            file.unlink()


def tried_series(folder: Path, slices: Mapping[str, bytes]) -> Judged:
    """Find and read the series that slices in a folder of their own form."""
    folder.mkdir()
    try:
        for name, data in slices.items():
            (folder / name).write_bytes(data)
        return judged(guarded(functools.partial(_read_series, folder), seconds=SECONDS, memory=1 << 30), str(folder))
    finally:
        shutil.rmtree(folder)


def judged(run: Run, name: str) -> Judged:
    """A fault where the call did not end as it must, took too much memory, or said what is not a line with the name."""
    if run.fault:
        return f"FAULT: {run.fault}", run.seconds, 0
    kind, words, peak, pixels = run.value
    limit = TIMES_PIXELS * pixels + ALLOWANCE
    if peak > limit:
        return f"FAULT: took {peak >> 20} MiB, at most {limit >> 20}: {kind} {words}", run.seconds, peak
    for line in words:
        if not line.isprintable() or name not in line:
            return f"FAULT: must be one printable line with the name: {line!r}", run.seconds, peak
    return f"{kind}: {'; '.join(words)}", run.seconds, peak


def _tally(attempt: Callable[[int], tuple[str, Judged]], numbers: Iterable[int], of_what: str) -> int:
    """Try every mutant; the number of faults."""
    start, kinds, slowest, largest = time.perf_counter(), Counter[str](), 0.0, 0
    for number in numbers:
        what, (outcome, seconds, peak) = attempt(number)
        kinds[outcome.split(":")[0]] += 1
        slowest, largest = max(slowest, seconds), max(largest, peak)
        if outcome.startswith("FAULT"):
            print(f"{outcome} ({what})", flush=True)
    print(
        f"{sum(kinds.values())} mutants of {of_what}: {kinds['read']} read, {kinds['refused']} refused, "
        f"{kinds['FAULT']} faults; slowest {slowest:.1f} s, most memory {largest >> 20} MiB, "
        f"{time.perf_counter() - start:.0f} s in all"
    )
    return kinds["FAULT"]


def _partner(file: Path, pair: tuple[str, str]) -> Path | None:
    """The other file of a header with its voxels, where it exists."""
    if pair[0] not in file.name:
        return None
    other = file.with_name(file.name.replace(*pair))
    return other if other.is_file() and other != file else None


def _read(path: Path) -> Answer:
    """By default, then with everything allowed: what came of the first, the most memory of both."""
    return _together([_one(path, path, reading) for reading in WAYS])


def _read_series(folder: Path) -> Answer:
    """Every image that is found in the folder, each in both ways; read where all of them are."""
    try:
        sources = discover(folder)
    except SynthanomError as error:
        return "refused", (str(error),), 0, 0
    found = [_together([_one(source, source.path, reading) for reading in WAYS]) for source in sources]
    refused = any(kind == "refused" for kind, _, _, _ in found)
    return ("refused" if refused else "read", *_together(found)[1:])


def _together(answers: Sequence[Answer]) -> Answer:
    """The kind of the first, the words of all, the most memory and pixels."""
    lines = tuple(line for _, words, _, _ in answers for line in words)
    return answers[0][0], lines, max(peak for _, _, peak, _ in answers), max(pixels for _, _, _, pixels in answers)


def _one(source: Source | Path, path: Path, reading: Reading) -> Answer:
    words: tuple[str, ...] = ()
    pixels = 0

    def call() -> str:
        nonlocal words, pixels
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always", RuntimeWarning)  # of NumPy: a fault, as it would reach the user
            try:
                pixels = read(source, reading).image.nbytes
                return "read"
            except SynthanomError as error:
                words = (str(error),)
                return "refused"
            finally:
                words += tuple(str(warning) for warning in told if warning.category is RuntimeWarning)

    kind, peak = peak_memory(call)
    files = source.files if isinstance(source, Source) else (path,)
    size, declared = sum(file.stat().st_size for file in files), sum(_declared(file) for file in files)
    return kind, words, peak, max(pixels, size, declared)


def _declared(path: Path) -> int:
    """Bytes of the pixels that the header of a DICOM or NIfTI file declares as float32, 0 where it cannot be read."""
    try:
        if format_of(path) == "nifti":
            shape = nibabel.load(path).shape
            return 4 * int(np.prod(shape[:3]))
        head = pydicom.dcmread(path, force=True, stop_before_pixels=True)
        sides = (head.Rows, head.Columns, head.get("NumberOfFrames") or 1, head.get("SamplesPerPixel") or 1)
        return 4 * int(np.prod([int(side) for side in sides]))
    except Exception:
        return 0


if __name__ == "__main__":
    sys.exit(main())
