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
from pydicom.pixels import get_decoder, pixel_array

from synthanom.errors import SynthanomError
from synthanom.volumes import Reading, Source, Volume, discover, read
from synthanom.volumes.dicom_codecs import BY_SIMPLEITK, stored_pixels

PAGE = Path(__file__).parents[1] / "docs" / "dialects.md"
WAYS_OUT = {
    "--volume": Reading(volume=0),
    "--grey": Reading(grey=True),
    "--allow-gaps": Reading(allow_gaps=True),
}
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
            if outcome.outcome == "fault" or "DIFFERS" in outcome.verified:
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
    job = functools.partial(_dicom, path, row) if dicom else functools.partial(_nifti, path)
    return _guarded(folder, row["path"], _dicom_words(row) if dicom else _nifti_words(row), job, _declared(row))


def _guarded(folder: Path, name: str, what: str, job: Any, declared: int | None) -> Outcome:
    run = guarded(job, seconds=SECONDS, memory=TIMES_PIXELS * (declared or 1 << 30) + (1 << 30))
    if run.fault:
        return Outcome(name=name, what=what, outcome="fault", words=run.fault)
    kind, words, verified, peak, pixels = run.value
    words, verified = (_relative(text, folder, name) for text in (words, verified))
    limit = TIMES_PIXELS * max(pixels, declared or 0) + ALLOWANCE
    if peak > limit:
        return Outcome(name=name, what=what, outcome="fault", words=f"took {peak >> 20} MiB, at most {limit >> 20}")
    return Outcome(name=name, what=what, outcome=kind, words=words, verified=verified)


def _relative(text: str, folder: Path, name: str) -> str:
    return " ".join(text.replace(f"{folder / name}: ", "").replace(f"{folder}/", "").split())


def _judged(source: Path | Source, judge: Any) -> tuple[str, str, str, int, int]:
    """Outcome, words, verdict, memory and size of the pixels; where a refusal names an option, that is tried too."""
    volume, words, peak = _tried(source, Reading())
    if volume is not None:
        return "read", _volume_words(volume), judge(volume, Reading()), peak, volume.image.nbytes
    option = next((name for name in WAYS_OUT if f"{name} " in f"{words} " or f"{name}," in words), None)
    if option is None:
        return "refused", words, "", peak, 0
    volume, again, more = _tried(source, WAYS_OUT[option])
    if volume is None:
        return "refused", words, f"{option} too: {again}", max(peak, more), 0
    answer = f"with {option}: {_volume_words(volume)}, {judge(volume, WAYS_OUT[option])}"
    return "refused", words, answer, max(peak, more), volume.image.nbytes


def _tried(source: Path | Source, reading: Reading) -> tuple[Volume | None, str, int]:
    """The volume or the refusal, and the memory that it took."""
    words = ""

    def call() -> Volume | None:
        nonlocal words
        try:
            return read(source, reading) if reading != Reading() else read(source)
        except SynthanomError as error:
            words = str(error)
            return None

    volume, peak = peak_memory(call)
    return volume, words, peak


def _dicom(path: Path, row: Mapping[str, str]) -> tuple[str, str, str, int, int]:
    return _judged(path, lambda volume, reading: _dicom_verdict(path, volume) + _range_verdict(path, row))


def _range_verdict(path: Path, row: Mapping[str, str]) -> str:
    """Where SimpleITK is on both sides: whether the stored range is what the manifest's decoder (libjpeg) found."""
    header = pydicom.dcmread(path, force=True)
    if header.file_meta.get("TransferSyntaxUID") not in BY_SIMPLEITK or not row.get("vmin"):
        return ""
    stored = stored_pixels(header)
    if str(header.file_meta.TransferSyntaxUID) in LOSSY_SYNTAXES:
        return ""
    same = (float(stored.min()), float(stored.max())) == (float(row["vmin"]), float(row["vmax"]))
    return ", range as by libjpeg" if same else f", DIFFERS: range {stored.min()} to {stored.max()}, not the manifest's"


def _dicom_verdict(path: Path, volume: Volume) -> str:
    header = pydicom.dcmread(path, force=True)
    colours = str(header.get("PhotometricInterpretation"))
    lossy = str(header.file_meta.get("TransferSyntaxUID")) in LOSSY_SYNTAXES or colours.startswith(("YBR", "PALETTE"))
    try:
        other, name = second_opinion.dicom_picture(path), ITK
    except second_opinion.NoOpinion as error:
        if "FloatPixelData" not in header:
            return _other_decoder(header) or f"no second opinion: SimpleITK says {str(error)[-60:]}"
        other, name = second_opinion.raw_floats(path, volume.image.shape[1:]), "its bytes"
    ours = volume.image[0]
    if colours == "PALETTE COLOR" and ours.max() > 255:
        other = other * np.float32(257)  # SimpleITK gives 8 of 16 bits
    if volume.kind == "volume":  # frames are sorted by position, which SimpleITK does not do within a file
        return _among(ours, other)
    tables = header.get("VOILUTSequence") or []
    if tables and tables[0].get("LUTDescriptor") and not header.get("WindowCenter"):
        descriptor = [int(v) for v in tables[0].LUTDescriptor]
        data = tables[0].LUTData
        table = np.frombuffer(data, "<u2") if isinstance(data, bytes) else np.array(data)
        other = second_opinion.through_table(other, descriptor, table)
    answer = verdict(ours, other.reshape(ours.shape) if other.size == ours.size else other, name, lossy)
    return _explained(path, header, ours, answer) if answer.startswith("DIFFERS") else answer


def _explained(path: Path, header: Any, ours: np.ndarray, answer: str) -> str:
    """A difference that is known to be the other library's, put in words; else as it is."""
    if str(header.get("PhotometricInterpretation")) != "RGB":
        return answer
    if b"JFIF" in header.PixelData[:256]:
        ybr = verdict(ours, second_opinion.from_ybr(path).reshape(ours.shape), ITK, True)
        return f"{ybr}, which trusts the header's RGB where the stream's JFIF means YBR"
    if header.file_meta.TransferSyntaxUID.name == "RLE Lossless" and header.BitsAllocated == 16:
        return f"{_other_decoder(header) or answer}; {ITK} mixes up the bytes of 16-bit RLE colour"
    return answer


def _other_decoder(header: Any) -> str:
    """Whether another of pydicom's decoders gives the same stored pixels; empty where there is none."""
    names = header.file_meta.TransferSyntaxUID.is_compressed and get_decoder(header.file_meta.TransferSyntaxUID)
    for name in names.available_plugins[1:] if names else ():
        try:
            other = pixel_array(header, decoding_plugin=name)
        except Exception:
            continue
        first = names.available_plugins[0]
        if np.array_equal(pixel_array(header, decoding_plugin=first), other):
            return f"same stored pixels by {name} and {first}"
        return f"DIFFERS: {name} and {first} decode different pixels"
    return ""


def _among(ours: np.ndarray, other: np.ndarray) -> str:
    """Whether each of our slices is one of the other library's, and each only once."""
    theirs = {_digest(slice_) for slice_ in other}
    found = {_digest(slice_) for slice_ in ours} & theirs
    if len(found) < len({_digest(slice_) for slice_ in ours}):
        return f"DIFFERS: {len(found)} of {len(ours)} slices by {ITK}"
    return f"same hash by {ITK}, slice by slice" + (f", {len(ours)} of {len(other)}" if len(ours) < len(other) else "")


def _series(source: Source) -> tuple[str, str, str, int, int]:
    def judge(volume: Volume, reading: Reading) -> str:
        try:
            other, affine = second_opinion.dicom_series(source.files)
        except second_opinion.NoOpinion as error:
            return f"no second opinion: {error}"
        if reading.allow_gaps:
            kept = sum(_digest(slice_) in {_digest(theirs) for theirs in other} for slice_ in volume.image[0])
            return f"{kept} slices by {ITK}, the others interpolated"
        if reading.volume is not None:
            return _among(volume.image[0], other)
        return verdict(volume.image[0], other, ITK, False) + _placed(volume, affine)

    return _judged(source, judge)


def _nifti(path: Path) -> tuple[str, str, str, int, int]:
    def judge(volume: Volume, reading: Reading) -> str:
        try:
            other, affine, name = second_opinion.nifti(path, reading.volume or 0)
        except second_opinion.NoOpinion as error:
            return f"no second opinion: {error}"
        shaped = other.reshape(volume.image.shape[1:]) if other.size == volume.image[0].size else other
        answer, place = verdict(volume.image[0], shaped, name, False), _placed(volume, affine)
        if "elsewhere" in place and not path.name.endswith(".mgz"):
            sform = second_opinion.plain_nifti(path)[1]
            by_sform = "same place" in _placed(volume, sform)
            place = f", placed by the sform; by {name}{place[1:]}" if by_sform else f", DIFFERS{place[1:]}"
        return answer + place

    return _judged(path, judge)


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
