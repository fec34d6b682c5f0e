"""Damaged files, each read or refused in bounded time and memory: python benchmarks/mutants.py FOLDER... --count 5000

Mutant number i of a seed flips bytes, cuts the file short, or edits its header, by a generator of its own, so that any
one can be made again: `--only i`. Each is read in a process of its own; the only outcomes allowed are an image and an
error of ours in one line.
"""

import argparse
import functools
import gzip
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

import nibabel  # here, so that forked processes need not import it again
import numpy as np
import pydicom
import pydicom.pixels
import SimpleITK
from guarded import guarded, peak_memory

from synthanom.errors import SynthanomError
from synthanom.volumes import Reading, read
from synthanom.volumes.discover import format_of

SECONDS = 30.0
TIMES_PIXELS = 4
ALLOWANCE = 64 << 20  # bytes: code loaded on first use, and what a decoder takes before it finds the damage
LARGEST = 4 << 20  # files beyond that only slow the others down
HEADER = 4096  # bytes from the start in which headers are edited
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF)
WAYS = (Reading(), Reading(volume=0, allow_gaps=True, grey=True))


def main() -> int:
    """Print counts and faults; exit status 1 if there are any faults."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="this mutant alone")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    SimpleITK.ProcessObject_SetGlobalWarningDisplay(False)
    files = images_in(arguments.folders)
    numbers = range(arguments.count) if arguments.only is None else (arguments.only,)
    start, kinds, slowest, largest = time.perf_counter(), Counter[str](), 0.0, 0
    with tempfile.TemporaryDirectory() as folder:
        for number in numbers:
            original, change, data = mutant(files, arguments.seed, number)
            outcome, seconds, peak = tried(Path(folder), original, data)
            kinds[outcome.split(":")[0]] += 1
            slowest, largest = max(slowest, seconds), max(largest, peak)
            if outcome.startswith("FAULT"):
                print(f"{outcome} (mutant {number}: {original}, {change})", flush=True)
    print(
        f"{sum(kinds.values())} mutants of {len(files)} files, seed {arguments.seed}: {kinds['read']} read, "
        f"{kinds['refused']} refused, {kinds['FAULT']} faults; slowest {slowest:.1f} s, most memory "
        f"{largest >> 20} MiB, {time.perf_counter() - start:.0f} s in all"
    )
    return 1 if kinds["FAULT"] else 0


def images_in(folders: list[Path]) -> list[Path]:
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
    change = ("flips", "truncation", "header edit")[rng.integers(3)]
    if change == "flips":
        for at in rng.integers(0, len(data), rng.integers(1, 20)):
            data[at] ^= 1 << int(rng.integers(8))
    elif change == "truncation":
        del data[int(rng.integers(len(data))) :]
    else:
        _edit(data, rng)
    return original, change, gzip.compress(bytes(data), 1) if packed else bytes(data)


def tried(folder: Path, original: Path, data: bytes) -> tuple[str, float, int]:
    """`read`, `refused` or `FAULT: why`; seconds; bytes of memory."""
    path = folder / original.name
    path.write_bytes(data)
    beside = [other for pair in ((".hdr", ".img"), (".img", ".hdr")) if (other := _partner(original, pair))]
    for other in beside:
        (folder / other.name).write_bytes(other.read_bytes())
    try:
        run = guarded(functools.partial(_read, path), seconds=SECONDS, memory=1 << 30)
    finally:
        for file in (path, *(folder / other.name for other in beside)):
            file.unlink()
    if run.fault:
        return f"FAULT: {run.fault}", run.seconds, 0
    kind, words, peak, pixels = run.value
    limit = TIMES_PIXELS * pixels + ALLOWANCE
    if peak > limit:
        return f"FAULT: took {peak >> 20} MiB, at most {limit >> 20}: {kind} {words}", run.seconds, peak
    if not words.isprintable() or (kind == "refused" and path.name not in words):
        return f"FAULT: must be one printable line with the name: {words!r}", run.seconds, peak
    return f"{kind}: {words}", run.seconds, peak


def _edit(data: bytearray, rng: np.random.Generator) -> None:
    """Overwrite one to four fields of one to eight bytes in the header, of DICOM often a length or a value."""
    end = min(HEADER, len(data))
    for _ in range(rng.integers(1, 5)):
        width = int(rng.choice((1, 2, 4, 8)))
        at = int(rng.integers(max(1, end - width)))
        if rng.random() < 0.5:
            data[at : at + width] = bytes([int(rng.choice(EXTREMES))]) * width
        else:
            data[at : at + width] = rng.bytes(width)


def _partner(file: Path, pair: tuple[str, str]) -> Path | None:
    """The other file of a header with its voxels, where it exists."""
    if pair[0] not in file.name:
        return None
    other = file.with_name(file.name.replace(*pair))
    return other if other.is_file() and other != file else None


def _read(path: Path) -> tuple[str, str, int, int]:
    """By default, then with everything allowed; the worse of both."""
    answers = [_one(path, reading) for reading in WAYS]
    kind, words, _, _ = answers[0]
    return kind, words, max(peak for _, _, peak, _ in answers), max(pixels for _, _, _, pixels in answers)


def _one(path: Path, reading: Reading) -> tuple[str, str, int, int]:
    words, pixels = "", 0

    def call() -> str:
        nonlocal words, pixels
        try:
            volume = read(path, reading)
        except SynthanomError as error:
            words = str(error)
            return "refused"
        pixels = volume.image.nbytes
        return "read"

    kind, peak = peak_memory(call)
    return kind, words, peak, max(pixels, path.stat().st_size, _declared(path))


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
