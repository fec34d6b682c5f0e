"""Writing test sets: the scans are listed, and masks are drawn where no file holds them."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from synthanom.errors import SynthanomError
from synthanom.pictures.png import grey_png
from synthanom.truth_set import NAME, TABLE, TruthCase, TruthSet, read_truth_set, write_truth_set
from synthanom.volumes import Source, write_picture, write_volume
from synthanom.volumes.write import write_bytes
from synthanom_builders.cases import relative
from synthanom_builders.known import KnownCase, KnownLister
from synthanom_builders.pool import Pool, workers
from synthanom_builders.progress import Progress
from synthanom_builders.settings import BuildSettings

IMAGES, MASKS = "images", "masks"  # folders of what is drawn
DRAWN_TOGETHER = 8  # cases per job


@dataclass(frozen=True, kw_only=True)
class TruthOutcome:
    """What was listed, and (path, reason) of what was left out."""

    truth: TruthSet
    skipped: tuple[tuple[str, str], ...]


def list_truth(
    raw: Path, out: Path, settings: BuildSettings, lister: KnownLister, *, size: int, progress: Progress, dry_run: bool
) -> TruthOutcome:
    """List the scans of a test set into the folder `out`, and draw their masks where no file holds them.

    Raises
    ------
    SynthanomError
        For inputs, settings or an output folder that do not allow it, or if no scan is left.
    """
    raw, out = raw.resolve(), out.resolve()
    _check_out(raw, out)
    known = lister(raw, out, settings)
    for note in known.notes:
        progress.note(note)
    usable = [one for one in known.cases if not one.case.problem]
    skipped = [(one.case.path, one.case.problem) for one in known.cases if one.case.problem]
    if not dry_run:
        _clear(out)
        if any(one.drawing is not None for one in usable):
            with workers(size) as pool:
                usable, undrawn = _draw_all(pool, progress, raw, out, usable)
            skipped += undrawn
    if not usable:
        reason = f"; the first: {skipped[0][0]}: {skipped[0][1]}" if skipped else ""
        raise SynthanomError(f"{raw}: no scan of the test part can be used{reason}; complete the download")
    truth = TruthSet(
        data_set=settings.dataset or "folder",
        raw=raw,
        contrasts=known.contrasts,
        cases=tuple(_truth_case(raw, out, one) for one in usable),
    )
    if not dry_run:
        write_truth_set(out, truth)
    return TruthOutcome(truth=truth, skipped=tuple(skipped))


def _check_out(raw: Path, out: Path) -> None:
    """Refuse to write over anything but an earlier list."""
    if out == raw or raw.is_relative_to(out):
        raise SynthanomError(f"{out}: must not be or hold the raw data; choose another --out")
    if out.exists() and not out.is_dir():
        raise SynthanomError(f"{out}: must be a folder, got a file; choose another --out")
    if not out.is_dir() or not any(out.iterdir()):
        return
    others = sorted(entry.name for entry in out.iterdir() if entry.name not in (NAME, TABLE, IMAGES, MASKS))
    if others or not (out / NAME).is_file():
        got = ", ".join(others[:3]) or "parts of one"
        raise SynthanomError(
            f"{out}: must be empty, new, or an earlier list of a test set, got {got}; choose another --out"
        )
    read_truth_set(out)


def _clear(out: Path) -> None:
    """Remove an earlier list, the part that makes it one first; an interrupted run leaves nothing that looks whole."""
    for name in (NAME, TABLE):
        (out / name).unlink(missing_ok=True)
    for name in (IMAGES, MASKS):
        if (out / name).is_dir():
            shutil.rmtree(out / name)
    out.mkdir(parents=True, exist_ok=True)


def _draw_all(
    pool: Pool, progress: Progress, raw: Path, out: Path, cases: Sequence[KnownCase]
) -> tuple[list[KnownCase], list[tuple[str, str]]]:
    """Draw for every case; those that could be drawn, and (path, reason) of the others."""
    jobs = [(raw, out, tuple(cases[i : i + DRAWN_TOGETHER])) for i in range(0, len(cases), DRAWN_TOGETHER)]
    results = dict(progress.track("drawing", pool.run(draw_cases, jobs), len(jobs)))
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
