"""Filling a folder of maps: scans prepared in portions, scored model by model, written one by one."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from synthanom.arrays import ImageArray
from synthanom.detectors.scoring import Scoring
from synthanom.errors import SynthanomError
from synthanom.pictures.png import grey_png
from synthanom.predicting.inputs import Ready, Scan, prepare
from synthanom.predicting.within import Within, score_within
from synthanom.preprocess import Pipeline
from synthanom.training.checkpoint import ModelCard
from synthanom.training.device import DeviceChoice
from synthanom.training.predict import score_steps
from synthanom.volumes import write_volume
from synthanom.volumes.dicom_seg import segmentation
from synthanom.volumes.reading import reading_of
from synthanom.volumes.write import write_bytes

HELD_BYTES = 256 * 1024**2  # of prepared images at a time: each model is loaded once for so many scans


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is computed with, and where the maps go; as `synthanom.predicting.predict` takes it."""

    out: Path
    runs: tuple[Path, ...]
    card: ModelCard
    device: DeviceChoice
    allow_import: bool
    scoring: Scoring
    within: Within | None = None
    dicom_seg: bool = False


@dataclass(frozen=True, kw_only=True)
class Made:
    """What has been done so far.

    Attributes
    ----------
    scores, maps : dict
        Scores and paths of maps by id.
    windows : dict
        Sides of the windows by id, of what was scored in windows.
    skipped : list of (path, reason)
        What could not be scored.
    segmentations : dict
        Paths of DICOM Segmentations by id.
    unsegmented : list of (path, reason)
        What they could not be written for.
    """

    scores: dict[str, float] = field(default_factory=dict)
    maps: dict[str, str] = field(default_factory=dict)
    windows: dict[str, list[int]] = field(default_factory=dict)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    segmentations: dict[str, str] = field(default_factory=dict)
    unsegmented: list[tuple[str, str]] = field(default_factory=list)

    def skip(self, scan: Scan, reason: str) -> None:
        """List a scan with the reason why it has no map."""
        path = scan.path.as_posix()
        self.skipped.append((path, reason.removeprefix(f"{path}: ")))
        self.windows.pop(scan.id, None)


def fill(job: Job, scans: Sequence[Scan], made: Made) -> Iterator[None]:
    """Score the scans and write their maps; yields once per scan and model.

    Raises
    ------
    SynthanomError
        What stops everything: models that cannot be loaded, settings that cannot be met, a folder that cannot be
        written.
    """
    pipeline = Pipeline.from_dict(job.card.preprocessing)
    told = 0  # of the skipped ones
    for ready in _portions(scans, pipeline, job, made):
        unprepared = len(made.skipped) - told
        found: dict[int, ImageArray] = {}
        yield from _scored(job, ready, found, made)
        for i, score_map in found.items():
            _finish(job, ready[i], score_map, pipeline, made)
        yield from [None] * (len(job.runs) * unprepared)
        told = len(made.skipped)


def _scored(job: Job, ready: Sequence[Ready], found: dict[int, ImageArray], made: Made) -> Iterator[None]:
    """Compute the maps of a portion into `found`, by index; what memory does not suffice for is skipped."""
    if not ready:
        return
    images = [r.image for r in ready]
    failed: dict[int, str] = {}
    steps = score_steps(
        job.runs,
        images,
        found,
        device=job.device,
        allow_import=job.allow_import,
        scoring=job.scoring,
        failed=failed,
    )
    for i, window in steps:
        if window != images[i].shape[1:]:
            made.windows[ready[i].scan.id] = list(window)
        yield
    for i, reason in failed.items():
        made.skip(ready[i].scan, reason)


def _finish(job: Job, ready: Ready, score_map: ImageArray, pipeline: Pipeline, made: Made) -> None:
    """Aggregate a map and write it on the scan's own grid."""
    name = ready.scan.id
    values = np.clip(pipeline.restore(score_map, ready.prepared), 0.0, 1.0)
    try:
        score = _score(job, ready, score_map, values, pipeline)
    except SynthanomError as reason:
        made.skip(ready.scan, str(reason))
        return
    if ready.inside is not None:
        values[~ready.inside] = 0.0
    made.maps[name] = _write_map(job.out, ready, values)
    made.scores[name] = score
    if job.dicom_seg:
        _segment(job, ready, values, made)


def _segment(job: Job, ready: Ready, values: ImageArray, made: Made) -> None:
    """Write a map once more as DICOM Segmentation, where the scan is DICOM."""
    name, source = f"{ready.scan.id}.seg.dcm", ready.scan.sources[0]
    try:
        content = segmentation(values, source, reading_of(job.card.preprocessing))
    except SynthanomError as reason:
        path = source.path.as_posix()
        made.unsegmented.append((path, str(reason).removeprefix(f"{path}: ")))
        return
    write_bytes(job.out / name, content)
    made.segmentations[ready.scan.id] = name


def _score(job: Job, ready: Ready, score_map: ImageArray, values: ImageArray, pipeline: Pipeline) -> float:
    """The scan's score: of the map as the model sees the scan; inside a region, of `values` on the scan's own grid."""
    aggregation, foreground = job.card.sample_score(), ready.prepared.foreground
    if ready.inside is None:
        return aggregation(score_map, foreground)
    seen = np.ones(foreground.shape, np.float32)
    both = (pipeline.restore(mask, ready.prepared, order=0) > 0.5 for mask in (seen, foreground.astype(np.float32)))
    seen_there, foreground_there = both
    return score_within(aggregation, values, ready.inside & seen_there, foreground_there)


def _portions(scans: Iterable[Scan], pipeline: Pipeline, job: Job, made: Made) -> Iterator[list[Ready]]:
    """Prepared scans, as many at a time as memory is meant for; what cannot be prepared is skipped."""
    held: list[Ready] = []
    for scan in scans:
        try:
            held.append(prepare(scan, pipeline, job.card, job.within))
        except SynthanomError as reason:
            made.skip(scan, str(reason))
        if sum(r.image.nbytes + r.volume.image.nbytes for r in held) > HELD_BYTES:
            yield held
            held = []
    yield held


def _write_map(out: Path, ready: Ready, values: ImageArray) -> str:
    """Write a map of values in [0, 1]; its path relative to `out`."""
    volume = ready.volume
    picture = volume.kind == "picture" and volume.affine is None
    name = f"{ready.scan.id}{'.png' if picture else '.nii.gz'}"
    target = out / name
    target.parent.mkdir(parents=True, exist_ok=True)
    if picture:
        write_bytes(target, grey_png(values))
    else:
        write_volume(target, values, volume.affine, volume.spacing)
    return name
