"""Examples to look at: rows of a data set, or anomalies made in a single scan without building anything."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from synthanom.donors import DonorSet
from synthanom.errors import NoPlace, NormalisationWarning, NothingVisible, SynthanomError, UnsuitableRegion
from synthanom.labels import FlippedGaussian
from synthanom.manifest import NAME
from synthanom.nearest import meant
from synthanom.pictures import Example
from synthanom.preprocess import default_pipeline
from synthanom.preprocess.pipeline import Normalise
from synthanom.progress import Track, untold
from synthanom.recipe import Recipe
from synthanom.sample import Sample
from synthanom.shards import DataSet
from synthanom.streams import stream
from synthanom.synthesis import synthesise
from synthanom.tasks import PAPER_TASKS, TASKS
from synthanom.tasks.abstract import DonorKind
from synthanom.tasks.deformation import DeformationParams
from synthanom.textures import SET_NAME, TextureDonors
from synthanom.volumes import read
from synthanom.volumes.volume import Kind

BORROWED: Mapping[DonorKind, str] = {"other_subject": "this scan mirrored", "external": "procedural texture"}
BEGINNINGS = ("plan.json", "skipped.csv")  # of a data set; cases.csv comes after them, and is what others call theirs
TEXTURES = 8


@dataclass(frozen=True, kw_only=True, eq=False)
class Preview:
    """What `pictures.panel` is to draw.

    Attributes
    ----------
    examples : tuple of Example
    heading : str
    notes : tuple of str
        One line for each task that has nothing to show.
    """

    examples: tuple[Example, ...]
    heading: str
    notes: tuple[str, ...]


def is_dataset(path: Path) -> bool:
    """Whether a path is meant as a data set: a folder with its manifest, or with the beginnings of one."""
    return any((path / name).is_file() for name in (NAME, *BEGINNINGS))


def preview_dataset(folder: Path, *, seed: int, tasks: Sequence[str] | None = None) -> Preview:
    """Choose one healthy image of a data set by the seed, and one stored anomaly of each task in it.

    Raises
    ------
    SynthanomError
        If the data set cannot be read, lacks a task that is asked for, or holds no anomaly of any.
    """
    with DataSet.open(folder) as data:
        chosen = _known(tasks, data.tasks, str(folder))
        rng = stream(seed, "", "preview", 0)
        first = int(rng.integers(data.healthy_count))
        variant = int(rng.integers(max(data.manifest.variants, 1)))
        examples, notes = [], []
        for task in chosen:
            row = _stored_row(data, task, first, variant)
            if row is None:
                notes.append(f"{task}: the data set holds no row of it")
            else:
                examples.append(stored_example(data, task, row))
        _refuse_nothing(examples, str(folder), notes)
        heading = f"{Path(folder).resolve().name}: stored anomalies in {data.healthy_ids[first]}"
    return Preview(examples=tuple(examples), heading=heading, notes=tuple(notes))


def preview_scan(
    path: Path,
    *,
    seed: int,
    tasks: Sequence[str] | None = None,
    normalise: Normalise = "auto",
    track: Track = untold,
) -> Preview:
    """Make one anomaly of each task, the paper's if none is named, in one scan, preprocessed as the builder does.

    What borrows from other subjects takes the scan's mirror image, what borrows from another data set procedural
    textures; the titles say so. `track` shows how many tasks are done.

    Raises
    ------
    SynthanomError
        If the scan cannot be read or is not in the units that the tasks need, or no task finds a place.
    """
    chosen = _known(PAPER_TASKS if tasks is None else tasks, tuple(TASKS), "synthanom")
    sample, kind = _scan(path, normalise)
    donors = _own_donors(sample)
    examples, notes = [], []
    for name in track("making anomalies", chosen, len(chosen)):
        try:
            examples.append(_made_example(sample, name, seed, donors))
        except (NoPlace, NothingVisible, UnsuitableRegion) as reason:
            notes.append(f"{name}: {reason}")
    _refuse_nothing(examples, str(path), notes)
    how = {"auto": "z-scored" if kind == "volume" else "scaled to [-1, 1]", "zscore": "z-scored"}
    units = how.get(normalise, "scaled to [-1, 1]" if normalise == "minus-one-one" else "as stored")
    heading = f"{path.name}: synthetic anomalies ({units}, seed {seed})"
    return Preview(examples=tuple(examples), heading=heading, notes=tuple(notes))


def _known(tasks: Sequence[str] | None, available: Sequence[str], where: str) -> tuple[str, ...]:
    if tasks is None:
        return tuple(available)
    for name in tasks:
        if name not in available:
            raise SynthanomError(f"{where} has no task {name!r}; it has {', '.join(available)}{meant(name, available)}")
    return tuple(name for name in available if name in tasks)


def _refuse_nothing(examples: Sequence[Example], where: str, notes: Sequence[str]) -> None:
    if not examples:
        raise SynthanomError(f"{where}: nothing to show: {'; '.join(notes) or 'no task'}")


def _stored_row(data: DataSet, task: str, first: int, variant: int) -> int | None:
    """The row of the chosen image and variant, else the nearest that could be made."""
    for step in range(data.healthy_count):
        healthy = (first + step) % data.healthy_count
        row = data.row_of(task, healthy, variant)
        rows = data.rows_of(task, healthy)
        if row is not None or rows:
            return row if row is not None else rows[0]
    return None


def stored_example(data: DataSet, task: str, row: int) -> Example:
    """A stored anomaly made ready for pictures.

    Raises
    ------
    SynthanomError
        If the row is damaged.
    """
    picture = data.anomaly(task, row)
    sample = data.healthy(picture.healthy_index)
    recipe = Recipe.from_json(picture.recipe)
    textures = any(a.donor is not None and a.donor.set == SET_NAME for a in recipe.anomalies)
    return Example(
        title=f"{task}, row {row}" + (f"\n({BORROWED['external']})" if textures else ""),
        before=sample.image,
        after=picture.image,
        label=picture.label,
        spacing=sample.spacing,
        affine=sample.affine,
        foreground=sample.foreground,
        centres=_centres(recipe),
    )


def _made_example(sample: Sample, name: str, seed: int, donors: Mapping[str, DonorSet]) -> Example:
    rng, lender = stream(seed, sample.id, name, 0), TASKS[name].donor
    made = synthesise(sample, TASKS[name](), FlippedGaussian(), rng=rng, donors=donors, max_anomalies=1)
    return Example(
        title=name + (f"\n({BORROWED[lender]})" if lender in BORROWED else ""),
        before=sample.image,
        after=made.image,
        label=made.label,
        spacing=sample.spacing,
        affine=sample.affine,
        foreground=sample.foreground,
        centres=_centres(made.recipe),
    )


def _scan(path: Path, normalise: Normalise) -> tuple[Sample, Kind]:
    volume = read(path)
    prepared = default_pipeline(volume.kind, normalise=normalise).prepare(volume)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NormalisationWarning)  # refused below, naming the file
        sample = prepared.sample(path.name)
    unusual = sample.unusual_scale()
    if unusual is not None:
        raise SynthanomError(f"{path}: {unusual}")
    return sample, volume.kind


def _own_donors(sample: Sample) -> dict[str, DonorSet]:
    """The scan's mirror image as another subject, textures of the scan's own deviation as another data set."""
    name = f"{sample.id}, mirrored"
    mirrored = Sample.from_array(
        np.ascontiguousarray(sample.image[..., ::-1]),
        np.ascontiguousarray(sample.foreground[..., ::-1]),
        id=name,
        subject=name,
    )
    deviation = float(sample.image[:, sample.foreground].std(dtype=np.float64))
    textures = TextureDonors(
        shape=sample.shape, channels=sample.image.shape[0], total=TEXTURES, deviation=max(deviation, 0.05)
    )
    lenders: dict[DonorKind, DonorSet] = {
        "other_subject": DonorSet(name="mirrored", samples=(mirrored,)),
        "external": DonorSet(name=SET_NAME, samples=textures),
    }
    return {name: lenders[task.donor] for name, task in TASKS.items() if task.donor in lenders}


def _centres(recipe: Recipe) -> tuple[tuple[float, ...], ...]:
    return tuple(
        tuple(float(v) for v in anomaly.params.centre)
        for anomaly in recipe.anomalies
        if isinstance(anomaly.params, DeformationParams)
    )
