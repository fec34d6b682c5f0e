"""Writing test sets: the scans are listed, and masks are drawn where no file holds them."""

import csv
import io
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from synthanom.errors import SynthanomError
from synthanom.manifest import replaced_file
from synthanom.pictures.png import grey_png
from synthanom.progress import Progress
from synthanom.truth_set import NAME, TABLE, TruthCase, TruthSet, holds_truth, write_truth_set
from synthanom.unfinished.lock import locked
from synthanom.volumes import Source, write_picture, write_volume
from synthanom.volumes.write import write_bytes
from synthanom_builders.cases import check_folder, relative
from synthanom_builders.known import KnownCase, KnownLister, KnownListing
from synthanom_builders.local_workers import LocalPool, local_workers
from synthanom_builders.settings import BuildSettings

IMAGES, MASKS, SKIPPED = "images", "masks", "skipped.csv"
PARTS = (NAME, TABLE, SKIPPED, IMAGES, MASKS)  # of a list: the first makes it one
UNFINISHED = ".truth-"  # begins the name of the folder in which a list comes into being
DRAWN_TOGETHER = 8  # cases per job

Skipped = list[tuple[str, str]]  # path, reason


@dataclass(frozen=True, kw_only=True)
class TruthOutcome:
    """What was listed, and (path, reason) of what was left out."""

    cases: tuple[KnownCase, ...]
    skipped: tuple[tuple[str, str], ...]


def list_truth(
    raw: Path, out: Path, settings: BuildSettings, lister: KnownLister, *, size: int, progress: Progress, dry_run: bool
) -> TruthOutcome:
    """List the scans of a test set into the folder `out`, and draw their masks where no file holds them.

    An earlier list stays as it is until the new one is whole.

    Raises
    ------
    SynthanomError
        For inputs, settings or an output folder that do not allow it, or if no scan is left.
    """
    raw, out = raw.resolve(), out.resolve()
    check_folder(raw)
    _check_out(raw, out)
    known = lister(raw, out, settings)
    for note in known.notes:
        progress.note(note)
    usable = [one for one in known.cases if not one.case.problem]
    skipped = [(one.case.path, one.case.problem) for one in known.cases if one.case.problem]
    if dry_run:
        _check_any(raw, usable, skipped)
        return TruthOutcome(cases=tuple(usable), skipped=tuple(skipped))
    with _new_folder(out) as folder:
        if any(one.drawing is not None for one in usable):
            with local_workers(size) as pool:
                usable, undrawn = _draw_all(pool, progress, raw, folder, usable)
            skipped += undrawn
        _check_any(raw, usable, skipped)
        _write_list(folder, raw, settings.dataset or "folder", (known, usable, skipped))
        _put_in_place(folder, out)
    return TruthOutcome(cases=tuple(usable), skipped=tuple(skipped))


def _check_out(raw: Path, out: Path) -> None:
    """Refuse to write over anything but an earlier list."""
    if out == raw or raw.is_relative_to(out):
        raise SynthanomError(f"{out}: must not be or hold the raw data; choose another --out")
    if out.exists() and not out.is_dir():
        raise SynthanomError(f"{out}: must be a folder, got a file; choose another --out")
    entries = sorted(entry.name for entry in out.iterdir()) if out.is_dir() else []
    shown = [name for name in entries if not name.startswith(".")]
    others = [name for name in shown if name not in PARTS]
    begun = any(name.startswith(UNFINISHED) for name in entries)
    if others or (shown and not holds_truth(out) and not begun):
        got = ", ".join(others[:3]) or f"no {NAME}"
        raise SynthanomError(
            f"{out}: must be empty, new, or an earlier list of a test set, got {got}; choose another --out"
        )


def _check_any(raw: Path, usable: Sequence[KnownCase], skipped: Skipped) -> None:
    if not usable:
        reason = f"; the first: {skipped[0][0]}: {skipped[0][1]}" if skipped else ""
        raise SynthanomError(f"{raw}: no scan of the test part can be used{reason}; complete the download")


@contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """A hidden folder in `out`, gone in the end: what is interrupted leaves an earlier list as it was.

    One that was killed leaves it behind, by which the next run knows that the rest is its own.
    """
    with locked(out):
        for left in out.glob(f"{UNFINISHED}*"):
            shutil.rmtree(left)
        with tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=out) as folder:
            yield Path(folder)


def _write_list(
    folder: Path, raw: Path, data_set: str, found: tuple[KnownListing, Sequence[KnownCase], Skipped]
) -> None:
    known, usable, skipped = found
    cases = tuple(_truth_case(raw, folder, one) for one in usable)
    write_truth_set(folder, TruthSet(data_set=data_set, raw=raw, contrasts=known.contrasts, cases=cases))
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([("path", "reason"), *skipped])
    with replaced_file(folder / SKIPPED) as file:
        file.write(text.getvalue().encode("utf-8"))


def _put_in_place(folder: Path, out: Path) -> None:
    """Exchange an earlier list for the new one: what makes a folder a list goes first and comes last."""
    for part in PARTS:
        if (out / part).is_dir():
            shutil.rmtree(out / part)
        else:
            (out / part).unlink(missing_ok=True)
    for part in reversed(PARTS):
        if (folder / part).exists():
            (folder / part).rename(out / part)


def _draw_all(
    pool: LocalPool, progress: Progress, raw: Path, out: Path, cases: Sequence[KnownCase]
) -> tuple[list[KnownCase], Skipped]:
    """Draw for every case; those that could be drawn, and (path, reason) of the others."""
    jobs = [(raw, out, tuple(cases[i : i + DRAWN_TOGETHER])) for i in range(0, len(cases), DRAWN_TOGETHER)]
    results = dict(progress.track("drawing", pool.run(draw_cases, jobs), len(jobs), unit="jobs"))
    problems = [problem for i in range(len(jobs)) for problem in results[i]]
    pairs = list(zip(cases, problems, strict=True))
    return [one for one, problem in pairs if not problem], [(one.case.path, p) for one, p in pairs if p]


def draw_cases(raw: Path, out: Path, cases: Sequence[KnownCase]) -> list[str]:
    """Draw and write what some cases need; why each could not be drawn, empty where it could."""
    problems = []
    for one in cases:
        try:
            _draw(raw, out, one)
            problems.append("")
        except (SynthanomError, OSError) as error:
            problems.append(relative(error, raw).removeprefix(f"{one.case.path}: "))
    return problems


def _draw(raw: Path, out: Path, one: KnownCase) -> None:
    if one.drawing is None:
        return
    image, mask = one.drawing.draw(raw, one.case)
    if image is not None:
        path = _target(out, IMAGES, one.case.id, ".png")
        write_bytes(path, grey_png(image))  # 16 bits: as good as what is drawn for training
    if mask is not None and mask.ndim == 2:
        write_picture(_target(out, MASKS, one.case.id, ".png"), mask)
    elif mask is not None:
        write_volume(_target(out, MASKS, one.case.id, ".nii.gz"), mask)


def _target(out: Path, folder: str, name: str, extension: str) -> Path:
    """Where something drawn goes; its name comes from data and may not lead out."""
    path = out / folder / f"{name}{extension}"
    if not path.resolve().is_relative_to(out / folder):
        raise SynthanomError(f"{name!r}: an id must not lead out of {out / folder}; correct the data set's table")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _truth_case(raw: Path, out: Path, one: KnownCase) -> TruthCase:
    """The case with the files that are there."""
    case = one.case
    drawn = {folder: _drawn(out, folder, case.id) for folder in (IMAGES, MASKS)}
    images = tuple(image.source(raw) for image in case.images)
    picture, mask = drawn[IMAGES], drawn[MASKS]
    if one.drawing is not None and picture is not None:
        images = (picture,)
    if one.mask is not None:
        mask = one.mask.source(raw)
    return TruthCase(
        id=case.id,
        subject=case.subject,
        images=images,
        anomalous=one.anomalous,
        kind=one.kind,
        mask=mask if one.mask is not None or one.drawing is not None else None,
        columns=one.columns,
    )


def _drawn(out: Path, folder: str, name: str) -> Source | None:
    for extension in (".png", ".nii.gz"):
        path = out / folder / f"{name}{extension}"
        if path.is_file():
            return Source(id=name, files=(path,), format="picture" if extension == ".png" else "nifti")
    return None
