"""Looking at every case before anything is planned: what can be read, and which shape fits all."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from synthanom.arrays import MaskArray
from synthanom.errors import SynthanomError
from synthanom.preprocess import Pipeline, Resample
from synthanom.sample import MIN_SIDE, USUAL_DEVIATION
from synthanom.volumes.orientation import canonical_axes
from synthanom.volumes.reading import Reading
from synthanom.volumes.volume import Kind, Volume
from synthanom_builders.cases import Case, read_case, relative
from synthanom_builders.folder import preprocessing
from synthanom_builders.inputs import digest_of
from synthanom_builders.memory import not_for_memory
from synthanom_builders.named import named
from synthanom_builders.priors import prior_of
from synthanom_builders.settings import BuildSettings

MAX_PADDING = 2.0  # times an image's own voxels
SPACINGS_DIFFER = 1.05  # ratio between the largest and the smallest voxel side of different images worth a note


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one case turned out to be; only `path` and `problem` count where it cannot be used."""

    path: str
    problem: str = ""
    kind: Kind = "volume"
    channels: int = 0
    shape: tuple[int, ...] = ()  # canonical, resampled, not yet cropped or padded
    spacing: tuple[float, ...] | None = None
    deviation: float | None = None  # in the foreground; known only where nothing normalises
    digest: str = ""  # of its files


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What all cases have in common.

    Attributes
    ----------
    kind : {"volume", "picture"}
    shape : tuple of D ints
        Of every image in the data set.
    channels : int
    pipeline : Pipeline
    problems : tuple of str
        One per case, in order; empty where the case can be used.
    digests : tuple of str
        One per case: of its files' bytes; empty where it cannot be used.
    notes : tuple of str
        What was chosen, one line each.
    """

    kind: Kind
    shape: tuple[int, ...]
    channels: int
    pipeline: Pipeline
    problems: tuple[str, ...]
    digests: tuple[str, ...]
    notes: tuple[str, ...]


def look_at(raw: Path, case: Case, settings: BuildSettings) -> Finding:
    """Read a case and say what it is; nothing of it is kept.

    Raises
    ------
    MemoryError
        If it does not fit; whatever else is wrong is said in the finding.
    """
    try:
        volume, mask = reader_of(settings.dataset)(raw, case, settings.reading)
        if min(volume.image.shape[1:]) >= MIN_SIDE:
            prior = prior_of(volume, case, raw, settings.reading)
            Pipeline(()).prepare(volume, mask, prior)  # no step at all: it refuses NaN and constant images
        shape, spacing = grid_of(volume, settings.spacing)
        if min(shape) < MIN_SIDE:
            raise SynthanomError(
                f"{case.path}: every side must be at least {MIN_SIDE} voxels, got {shape}; leave the image out or "
                "resample it to a finer spacing"
            )
        deviation = None
        if settings.normalise == "none":
            prepared = pipeline_of(settings, volume.kind, None).prepare(volume, mask)
            deviation = float(prepared.image[:, prepared.foreground].std(dtype=float))
        digest = digest_of(raw, case)
    except (SynthanomError, OSError) as error:
        not_for_memory(error)
        return Finding(path=case.path, problem=relative(error, raw))
    return Finding(
        path=case.path,
        kind=volume.kind,
        channels=len(volume.image),
        shape=shape,
        spacing=spacing,
        deviation=deviation,
        digest=digest,
    )


def pipeline_of(settings: BuildSettings, kind: Kind, shape: tuple[int, ...] | None) -> Pipeline:
    """The steps for these images: a named data set's own, else those that suit their kind."""
    if settings.dataset is None or shape is None:
        return preprocessing(settings, kind, shape)
    return named(settings.dataset).pipeline(settings, shape)


def reader_of(dataset: str | None) -> Callable[[Path, Case, Reading], tuple[Volume, MaskArray | None]]:
    """What reads the cases of a data set: its own function where they are no files, else `read_case`."""
    return (None if dataset is None else named(dataset).read) or read_case


def grid_of(
    volume: Volume, wanted: tuple[float, ...] | float | None
) -> tuple[tuple[int, ...], tuple[float, ...] | None]:
    """Shape and spacing of a scan in canonical orientation after resampling, without computing a voxel.

    Raises
    ------
    SynthanomError
        If it is to be resampled and its voxel size is unknown or has another number of axes.
    """
    shape, spacing = tuple(volume.image.shape[1:]), volume.spacing
    if volume.kind == "volume" and volume.affine is not None and len(shape) == 3:
        order = canonical_axes(volume.affine)[1]
        shape = tuple(shape[axis] for axis in order)
        spacing = None if spacing is None else tuple(spacing[axis] for axis in order)
    if wanted is None:
        return shape, spacing
    new = wanted if isinstance(wanted, tuple) else (float(wanted),) * len(shape)
    if spacing is None or len(new) != len(shape):
        raise SynthanomError(
            f"{volume.path}: --spacing {new} needs a voxel size per axis of {shape}, the file says {spacing}; "
            "leave --spacing out or repair the header"
        )
    sides = zip(shape, spacing, new, strict=True)
    return tuple(max(1, round(side * have / want)) for side, have, want in sides), new


def survey(findings: Sequence[Finding], settings: BuildSettings) -> Survey:
    """Decide on the kind, the shape and the preprocessing that all usable cases share.

    Raises
    ------
    SynthanomError
        If no case can be used, kinds, axes or channels are mixed, images are not normalised and nothing is to do so,
        or no shape fits all.
    """
    usable = [finding for finding in findings if not finding.problem]
    if not usable:
        raise SynthanomError(f"none of the {len(findings)} images can be used; the first: {findings[0].problem}")
    first = usable[0]
    for other in usable[1:]:
        _check_alike(first, other)
    for finding in usable:
        _check_scale(finding)
        _check_voxel_size(finding, settings)
    shape, note = _volume_shape(usable, settings) if first.kind == "volume" else _picture_shape(usable, settings)
    pipeline = pipeline_of(settings, first.kind, shape)
    return Survey(
        kind=first.kind,
        shape=shape,
        channels=first.channels,
        pipeline=pipeline,
        problems=tuple(finding.problem for finding in findings),
        digests=tuple(finding.digest for finding in findings),
        notes=(*_notes(usable, settings, pipeline), note),
    )


def _check_alike(first: Finding, other: Finding) -> None:
    for what, one, two in (
        ("kind", first.kind, other.kind),
        ("number of axes", len(first.shape), len(other.shape)),
        ("number of channels", first.channels, other.channels),
    ):
        if one != two:
            raise SynthanomError(
                f"all images must be of one kind, got {what} {one} for {first.path} and {two} for {other.path}; "
                "build them as two data sets"
            )


def _check_scale(finding: Finding) -> None:
    low, high = USUAL_DEVIATION
    if finding.deviation is not None and not low <= finding.deviation <= high:
        raise SynthanomError(
            f"{finding.path}: with --normalise none the standard deviation in the foreground must lie in "
            f"[{low}, {high}], got {finding.deviation:.3g}; use --normalise zscore or minus-one-one"
        )


def _check_voxel_size(finding: Finding, settings: BuildSettings) -> None:
    physical = [task.name for task in settings.tasks if task.physical]
    if physical and finding.spacing is None:
        raise SynthanomError(
            f"{finding.path}: unit 'mm' of {', '.join(physical)} needs the voxel size, and the file does not say it; "
            "repair the header, or leave unit out of --task-config"
        )


def _volume_shape(usable: Sequence[Finding], settings: BuildSettings) -> tuple[tuple[int, ...], str]:
    """The asked-for shape, else the smallest that holds every image without more than doubling its voxels."""
    shapes = {finding.shape: finding for finding in reversed(usable)}  # the first of each shape
    if settings.shape is not None:
        _check_axes(settings.shape, usable[0])
        return settings.shape, f"shape: {_times(settings.shape)} voxels as asked for (cropped and padded at the centre)"
    if len(shapes) == 1:
        return usable[0].shape, f"shape: {_times(usable[0].shape)} voxels, all alike"
    largest = tuple(max(sides) for sides in zip(*shapes, strict=True))
    smallest = min(shapes, key=math.prod)
    if math.prod(largest) > MAX_PADDING * math.prod(smallest):
        raise SynthanomError(
            f"{shapes[smallest].path}: padding {_times(smallest)} to {_times(largest)}, which holds all images, would "
            f"more than double its voxels; {_proposal(usable)}"
        )
    return largest, f"shape: {_times(largest)} voxels, the smallest that holds all (the others are padded)"


def _proposal(usable: Sequence[Finding]) -> str:
    middle = tuple(int(median(sides)) for sides in zip(*(finding.shape for finding in usable), strict=True))
    shape = f"--shape {','.join(map(str, middle))} crops and pads to the usual size"
    known = [finding.spacing for finding in usable if finding.spacing is not None]
    if len(known) < len(usable) or not _differ(known):
        return shape
    spacing = ",".join(f"{median(sides):.3g}" for sides in zip(*known, strict=True))
    return f"voxel sizes differ: --spacing {spacing} resamples all to one, {shape}"


def _picture_shape(usable: Sequence[Finding], settings: BuildSettings) -> tuple[tuple[int, ...], str]:
    """The asked-for shape, else the one that all pictures have."""
    if settings.shape is not None:
        _check_axes(settings.shape, usable[0])
        return settings.shape, f"shape: {_times(settings.shape)} pixels as asked for (resized)"
    other = next((finding for finding in usable if finding.shape != usable[0].shape), None)
    if other is not None:
        middle = tuple(int(median(sides)) for sides in zip(*(finding.shape for finding in usable), strict=True))
        raise SynthanomError(
            f"pictures must be of one size, got {_times(usable[0].shape)} for {usable[0].path} and "
            f"{_times(other.shape)} for {other.path}; --shape {','.join(map(str, middle))} resizes all"
        )
    return usable[0].shape, f"shape: {_times(usable[0].shape)} pixels, all alike"


def _check_axes(shape: tuple[int, ...], first: Finding) -> None:
    if len(shape) != len(first.shape) or min(shape) < MIN_SIDE:
        raise SynthanomError(
            f"--shape must name {len(first.shape)} sides of at least {MIN_SIDE} for images such as {first.path} "
            f"({_times(first.shape)}), got {','.join(map(str, shape))}"
        )


def _notes(usable: Sequence[Finding], settings: BuildSettings, pipeline: Pipeline) -> list[str]:
    first = usable[0]
    names: dict[str, Any] = {step["name"]: step for step in pipeline.to_dict()["steps"]}
    scaling = {"z-score": "z-score in the foreground", "minus-one-one": "each image to [-1, 1]"}
    used = next((words for name, words in scaling.items() if name in names), "none")
    rule = "corners" if "foreground" not in names else names["foreground"]["rule"]
    words = {"nonzero": "what is not 0, holes filled", "otsu": "above Otsu's threshold", "none": "the whole image"}
    words["corners"] = "what is not dark and connected with a corner"
    usual = "the default for this kind" if settings.dataset is None else "as this data set has it"
    by_mask = settings.foreground not in ("auto", *words)
    own = f"masks {settings.foreground!r}; on new scans without a mask: " if by_mask else ""
    notes = [
        f"kind: {len(usable)} {first.kind}s of {first.channels} channel{'s' if first.channels > 1 else ''}",
        f"normalisation: {used}" + (f" ({usual})" if settings.normalise == "auto" else ""),
        f"foreground: {own}{words[rule]}" + (f" ({usual})" if settings.foreground == "auto" else ""),
    ]
    known = [finding.spacing for finding in usable if finding.spacing is not None]
    if settings.spacing is None and _differ(known):
        low, high = min(min(sides) for sides in known), max(max(sides) for sides in known)
        notes.append(
            f"voxel sizes differ between images ({low:.3g} to {high:.3g} mm) and are kept; --spacing resamples"
        )
    elif any(isinstance(step, Resample) for step in pipeline.steps):
        notes.append(f"voxel size: resampled to {settings.spacing} mm")
    return notes


def _differ(spacings: Sequence[tuple[float, ...]]) -> bool:
    return any(max(sides) > SPACINGS_DIFFER * min(sides) for sides in zip(*spacings, strict=True))


def _times(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
