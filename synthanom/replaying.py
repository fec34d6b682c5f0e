"""Making stored anomalies again from their recipes, and comparing."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from synthanom.donor_finding import DonorFinder, Folders, finding_donors
from synthanom.errors import MissingDonor, SynthanomError
from synthanom.labels import AbstractLabeller, labeller_from
from synthanom.progress import Track, untold
from synthanom.recipe import Recipe
from synthanom.shards import AnomalyPicture, DataSet, fingerprint
from synthanom.shards.codecs import DEFAULT
from synthanom.synthesis import Result, replay

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


def check_replay(folder: Path | str, donors: Folders = None, *, track: Track = untold) -> ReplayReport:
    """Make every anomaly of a data set again from its recipe and compare it with what is stored.

    Parameters
    ----------
    folder : path
        A finished data set.
    donors : path or sequence of paths, optional
        Data sets to look for external donors in. These are known by their digests, whatever the folders are called.
        Without it they are looked for where they lay when the data set was built, and beside it.
    track : Track
        Shows how many rows were made.

    Raises
    ------
    MissingDonor
        If a donor is in none of them.
    SynthanomError
        If a data set cannot be opened; rows that cannot be read or made are problems in the report.
    """
    with DataSet.open(folder) as data:
        same = _same_fingerprint(data)
        with finding_donors(data, donors, remade=not same) as finder:
            rows = ((task.name, row) for task in data.manifest.tasks for row in _by_fold(data, task.name))
            found = [
                (task, row, *_compared(data, task, row, (finder, same)))
                for task, row in track("replaying rows", rows, data.manifest.counts["anomalies"])
            ]
    order = {task.name: place for place, task in enumerate(data.manifest.tasks)}
    problems = sorted((order[task], row, f"{task} row {row}: {words}") for task, row, words, _ in found if words)
    return ReplayReport(
        rows=len(found),
        problems=tuple(words for _, _, words in problems),
        same_fingerprint=same,
        largest_difference=max((difference for *_, difference in found), default=0.0),
    )


def replay_row(folder: Path | str, task: str, row: int, donors: Folders = None) -> Result:
    """Make one stored anomaly again from its recipe; no raw file is needed.

    Parameters
    ----------
    folder : path
        A finished data set.
    task : str
        Stored name.
    row : int
        Counted over all shards of the task in name order.
    donors : path or sequence of paths, optional
        As for `check_replay`; looked for only if the row borrowed from external ones.

    Raises
    ------
    MissingDonor
        If a donor is in none of the data sets.
    SynthanomError
        If there is no such row, or it is damaged.
    """
    with DataSet.open(folder) as data:
        stored = data.anomaly(task, row)
        with finding_donors(data, donors, remade=not _same_fingerprint(data)) as finder:
            return _again(data, stored, finder)


def replay_recipe(folder: Path | str, recipe: Recipe, donors: Folders = None) -> Result:
    """Make the picture of a recipe that no row holds, as live training drew it, from a data set's healthy image.

    Parameters
    ----------
    folder : path
        The finished data set that the recipe's sample is in.
    recipe : Recipe
    donors : path or sequence of paths, optional
        As for `replay_row`.

    Raises
    ------
    MissingDonor
        If a donor is in none of the data sets.
    SynthanomError
        If the data set has no such sample, or another one of that name.
    """
    with DataSet.open(folder) as data:
        sample = data.healthy(row_of_sample(data, recipe))
        with finding_donors(data, donors, remade=not _same_fingerprint(data), live=True) as finder:
            return replay(sample, recipe, stored_labeller(data), donors=finder.of(recipe))


def row_of_sample(data: DataSet, recipe: Recipe) -> int:
    """The healthy row of a recipe's sample.

    Raises
    ------
    SynthanomError
        If there is none of that id.
    """
    if recipe.sample.id not in data.healthy_ids:
        raise SynthanomError(
            f"{data.folder}: must hold the sample {recipe.sample.id!r} that the recipe is of, and does not; name the "
            "data set that it was drawn for"
        )
    return data.healthy_ids.index(recipe.sample.id)


def stored_labeller(data: DataSet) -> AbstractLabeller:
    """The labeller that a data set was built with.

    Raises
    ------
    SynthanomError
        If this version does not know it.
    """
    try:
        return labeller_from(data.manifest.configuration.get("labeller") or {})
    except SynthanomError as error:
        raise SynthanomError(f"{data.folder}: its labeller is not known here ({error}); upgrade synthanom") from error


def _same_fingerprint(data: DataSet) -> bool:
    return dict(data.manifest.fingerprint) == fingerprint(data.manifest.configuration.get("codec", DEFAULT))


def _by_fold(data: DataSet, task: str) -> Iterator[int]:
    """Every row of a task, fold by fold: rows of one fold share their donors."""
    subjects = data.healthy_subjects
    for index in sorted(range(len(subjects)), key=lambda index: data.folds[subjects[index]]):
        yield from data.rows_of(task, index)


def _again(data: DataSet, stored: AnomalyPicture, finder: DonorFinder) -> Result:
    recipe = Recipe.from_json(stored.recipe)
    return replay(data.healthy(stored.healthy_index), recipe, stored_labeller(data), donors=finder.of(recipe))


def _compared(data: DataSet, task: str, row: int, how: tuple[DonorFinder, bool]) -> tuple[str, float]:
    """What is wrong with a row (empty if nothing), and the largest difference as a share of the image's range."""
    finder, same = how
    try:
        stored = data.anomaly(task, row)
        made = _again(data, stored, finder)
    except MissingDonor:  # one for all rows, not a problem of each
        raise
    except SynthanomError as error:
        return str(error), 0.0
    span = float(np.ptp(data.healthy(stored.healthy_index).image)) or 1.0
    image = float(np.abs(made.image - stored.image).max()) / span
    apart = np.abs(made.label - stored.label)
    label = float(apart.max())
    words = f"differs by {image:.3g} of the image's range, its label by {label:.3g}"
    if same:
        equal = (
            np.array_equal(made.image, stored.image)
            and np.array_equal(made.label, stored.label)
            and np.array_equal(made.region, stored.region)
        )
        return ("" if equal else f"{words}; equality is required under the same fingerprint"), image
    # a label that jumps may do so in a few voxels more or less: as a whole it must be the same
    off = float(apart.sum() / max(stored.label.sum(), 1)) if stored_labeller(data).jumps else label
    far = not (image <= IMAGE_TOLERANCE and off <= LABEL_TOLERANCE)  # true for NaN too
    return (f"{words}; at most {IMAGE_TOLERANCE} and {LABEL_TOLERANCE} are allowed" if far else ""), image
