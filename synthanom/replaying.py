"""Making stored anomalies again from their recipes, and comparing."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from synthanom.donors import DonorSet
from synthanom.errors import SynthanomError
from synthanom.fold_donors import fold_donors
from synthanom.labels import FlippedGaussian
from synthanom.manifest import NAME
from synthanom.progress import Track, untold
from synthanom.recipe import Recipe
from synthanom.shards import AnomalyPicture, DataSet, fingerprint
from synthanom.shards.codecs import DEFAULT
from synthanom.synthesis import Result, replay
from synthanom.textures import SET_NAME

IMAGE_TOLERANCE = 1e-4  # of the image's range, between machines of different fingerprints
# the label's steepest slope is 0.61 / sigma per unit of change: images within tolerance keep within this for sigma 0.2
LABEL_TOLERANCE = 1e-2


@dataclass(frozen=True, kw_only=True)
class ReplayReport:
    """What comparing every anomaly row with its replay showed.

    Attributes
    ----------
    rows : int
        Rows made again.
    problems : tuple of str
        One line per row that differs or cannot be made; none means that all agree.
    same_fingerprint : bool
        Whether equality was demanded; otherwise values may differ by 1e-4 of the image's range.
    largest_difference : float
        Between stored and replayed pictures, as a share of the image's range.
    """

    rows: int
    problems: tuple[str, ...]
    same_fingerprint: bool
    largest_difference: float


def check_replay(folder: Path | str, donors: Path | str | None = None, *, track: Track = untold) -> ReplayReport:
    """Make every anomaly of a data set again from its recipe and compare it with what is stored.

    Parameters
    ----------
    folder : path
        A finished data set.
    donors : path, optional
        Where the external donors' data set lies now; its place when the data set was built by default.
    track : Track
        Shows how many rows were made.

    Raises
    ------
    SynthanomError
        If the data set or its donors cannot be opened; rows that cannot be read or made are problems in the report.
    """
    with DataSet.open(folder) as data:
        same = dict(data.manifest.fingerprint) == fingerprint(data.manifest.configuration.get("codec", DEFAULT))
        external = open_donors(data, donors)
        tasks = [task.name for task in data.manifest.tasks]
        rows = ((task, row, known) for task in tasks for row, known in _by_fold(data, task, external))
        found = [
            (task, row, *_compared(data, task, row, (available, same)))
            for task, row, available in track("replaying rows", rows, data.manifest.counts["anomalies"])
        ]
    order = {task.name: place for place, task in enumerate(data.manifest.tasks)}
    problems = sorted((order[task], row, f"{task} row {row}: {words}") for task, row, words, _ in found if words)
    return ReplayReport(
        rows=len(found),
        problems=tuple(words for _, _, words in problems),
        same_fingerprint=same,
        largest_difference=max((difference for *_, difference in found), default=0.0),
    )


def replay_row(folder: Path | str, task: str, row: int, donors: Path | str | None = None) -> Result:
    """Make one stored anomaly again from its recipe.

    Parameters
    ----------
    folder : path
        A finished data set.
    task : str
        Stored name.
    row : int
        Counted over all shards of the task in name order.
    donors : path, optional
        As for `check_replay`.

    Raises
    ------
    SynthanomError
        If there is no such row, it is damaged, or its donors are missing.
    """
    with DataSet.open(folder) as data:
        stored = data.anomaly(task, row)
        fold = data.folds[data.healthy(stored.healthy_index).subject]
        available = fold_donors(data, fold, _donor_settings(data), open_donors(data, donors))
        return _again(data, stored, available)


def open_donors(data: DataSet, donors: Path | str | None = None) -> DataSet | None:
    """The data set that `inter_blend` borrowed from when `data` was built; None where those were textures.

    Parameters
    ----------
    donors : path, optional
        Where it lies now, if it was moved.

    Raises
    ------
    SynthanomError
        If it is not there, or is another one.
    """
    settings = _donor_settings(data)
    if settings["kind"] == SET_NAME:
        if donors is not None:
            raise SynthanomError(
                f"{data.folder}: was built with procedural textures, not with donors of {donors}; leave --donors out"
            )
        return None
    place = Path(settings["path"] if donors is None else donors)
    if not (place / NAME).is_file():
        raise SynthanomError(
            f"{data.folder}: inter_blend borrowed from data set {settings['name']!r}, which is not at {place}; "
            "say where it lies with --donors"
        )
    found = hashlib.sha256((place / NAME).read_bytes()).hexdigest()
    if found != settings["sha256"]:
        raise SynthanomError(
            f"{place}: must be the donors that {data.folder} was built with ({NAME} with digest "
            f"{settings['sha256'][:12]}), got {found[:12]}; pass that data set with --donors"
        )
    return DataSet.open(place)


def stored_labeller(data: DataSet) -> FlippedGaussian:
    """The labeller that a data set was built with.

    Raises
    ------
    SynthanomError
        If this version does not know it.
    """
    given = data.manifest.configuration.get("labeller", {"name": "flipped_gaussian"})
    settings = {name: value for name, value in given.items() if name != "name"}
    try:
        if given["name"] != "flipped_gaussian":
            raise SynthanomError(f"its name is {given['name']!r}")
        return FlippedGaussian(**settings)
    except (KeyError, TypeError, SynthanomError) as error:
        raise SynthanomError(f"{data.folder}: its labeller is not known here ({error}); upgrade synthanom") from error


def _donor_settings(data: DataSet) -> Mapping[str, Any]:
    """What the configuration says about donors."""
    settings = data.manifest.configuration.get("donors")
    if not isinstance(settings, Mapping) or "kind" not in settings:
        raise SynthanomError(f"{data.folder}: its configuration must say which donors were used, got {settings!r}")
    return settings


def _by_fold(data: DataSet, task: str, external: DataSet | None) -> Iterator[tuple[int, Mapping[str, DonorSet]]]:
    """Every row of a task with its donors, fold by fold: one fold's donors are in memory at a time."""
    subjects = data.healthy_subjects
    for fold in sorted(set(data.folds.values())):
        available = fold_donors(data, fold, _donor_settings(data), external)
        for index, subject in enumerate(subjects):
            if data.folds[subject] == fold:
                for row in data.rows_of(task, index):
                    yield row, available


def _again(data: DataSet, stored: AnomalyPicture, available: Mapping[str, DonorSet]) -> Result:
    recipe = Recipe.from_json(stored.recipe)
    return replay(data.healthy(stored.healthy_index), recipe, stored_labeller(data), donors=available)


def _compared(data: DataSet, task: str, row: int, how: tuple[Mapping[str, DonorSet], bool]) -> tuple[str, float]:
    """What is wrong with a row (empty if nothing), and the largest difference as a share of the image's range."""
    available, same = how
    try:
        stored = data.anomaly(task, row)
        made = _again(data, stored, available)
    except SynthanomError as error:
        return str(error), 0.0
    span = float(np.ptp(data.healthy(stored.healthy_index).image)) or 1.0
    image = float(np.abs(made.image - stored.image).max()) / span
    label = float(np.abs(made.label - stored.label).max())
    words = f"differs by {image:.3g} of the image's range, its label by {label:.3g}"
    if same:
        equal = (
            np.array_equal(made.image, stored.image)
            and np.array_equal(made.label, stored.label)
            and np.array_equal(made.region, stored.region)
        )
        return ("" if equal else f"{words}; equality is required under the same fingerprint"), image
    far = not (image <= IMAGE_TOLERANCE and label <= LABEL_TOLERANCE)  # true for NaN too
    return (f"{words}; at most {IMAGE_TOLERANCE} and {LABEL_TOLERANCE} are allowed" if far else ""), image
