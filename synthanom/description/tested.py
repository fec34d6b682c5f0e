"""Reading what a detector is tested on: a data set of ours, or a list of scans with known truth."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from synthanom.errors import NormalisationWarning, SynthanomError
from synthanom.leaks import ImageKeys, Place, Tested, places_of
from synthanom.preprocess import Pipeline, align
from synthanom.progress import Track
from synthanom.sample import Sample
from synthanom.shards import DataSet
from synthanom.truth_set import TruthCase, TruthSet, holds_truth, open_truth_set, read_truth_set
from synthanom.volumes import Reading, read
from synthanom.volumes.reading import reading_of


def read_tested(folder: Path, data: DataSet, *, quick: bool, track: Track) -> tuple[Tested, list[str]]:
    """Read what images are compared by, and say what could not be compared.

    Parameters
    ----------
    folder : Path
    data : DataSet
        That it is compared with: scans on a list are prepared by its steps.
    quick : bool
        Names only.

    Raises
    ------
    SynthanomError
        If the folder is neither a data set nor a list of scans, or a row is damaged.
    """
    if holds_truth(folder):
        truth = read_truth_set(folder) if quick else open_truth_set(folder)
        return _listed(folder, truth, data, quick=quick, track=track)
    with DataSet.open(folder) as other:
        places = tuple(places_of(other, folds=False))
        if quick:
            return Tested(places=places), []
        rows = track(f"reading {folder.name}", range(len(other)), len(other))
        keys = ImageKeys.of(other.healthy(row) for row in rows)
        alike = (len(other.shape), other.channels) == (len(data.shape), data.channels)
        note = _unlike(folder, len(other.shape), other.channels, data)
    return Tested(places=places, keys=keys, keyed=places), [] if alike else [note]


def _listed(folder: Path, truth: TruthSet, data: DataSet, *, quick: bool, track: Track) -> tuple[Tested, list[str]]:
    places = tuple(Place(data=str(folder), id=case.id, subject=case.subject) for case in truth.cases)
    channels = max((len(case.images) for case in truth.cases), default=data.channels)
    if quick or channels != data.channels:
        return Tested(places=places), [] if quick else [_unlike(folder, len(data.shape), channels, data)]
    preparing = Preparing(
        pipeline=Pipeline.from_dict(data.manifest.preprocessing), reading=reading_of(data.manifest.preprocessing)
    )
    readable: list[int] = []
    problems: list[str] = []

    def passed() -> Iterator[Sample]:
        for row in track(f"reading {folder.name}", range(len(places)), len(places)):
            try:
                sample = preparing.sample(truth.cases[row], len(data.shape))
            except (SynthanomError, OSError) as error:
                problems.append(f"{truth.cases[row].id}: {error}")
                continue
            readable.append(row)
            yield sample

    keys = ImageKeys.of(passed())
    keyed = tuple(places[row] for row in readable)
    notes = [f"{folder}: {len(problems)} scans could not be compared, the first {problems[0]}"] if problems else []
    return Tested(places=places, keys=keys if keyed else None, keyed=keyed), notes


@dataclass(frozen=True, kw_only=True)
class Preparing:
    """How a data set's images were read and prepared."""

    pipeline: Pipeline
    reading: Reading

    def sample(self, case: TruthCase, dims: int) -> Sample:
        """A scan as the data set would hold it.

        Raises
        ------
        SynthanomError
            If it cannot be read, or is of another number of axes or channels.
        """
        volume = align([read(image, self.reading) for image in case.images])
        if volume.image.ndim - 1 != dims:
            raise SynthanomError(f"{volume.path}: must have {dims} axes, got {volume.image.ndim - 1}")
        prepared = self.pipeline.prepare(volume)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NormalisationWarning)  # it is only looked at
            return prepared.sample(case.id, case.subject)


def _unlike(folder: Path, dims: int, channels: int, data: DataSet) -> str:
    return (
        f"{folder}: has {dims} axes and {channels} channels, not {len(data.shape)} and {data.channels}: look-alikes "
        "were not looked for"
    )
