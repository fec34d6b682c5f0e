"""Anomalies made while training, instead of read: never the same picture twice, no storage, more work per step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np

from synthanom.arrays import ImageArray
from synthanom.donor_finding import Folders, check_use, folders, lender_of
from synthanom.donors import DonorSet
from synthanom.errors import SynthanomError
from synthanom.fold_donors import fold_donors, live_settings
from synthanom.labels import AbstractLabeller
from synthanom.mixture import UNSUITABLE, synthesise_first
from synthanom.recipe import Recipe, SynthesisOptions
from synthanom.replaying import stored_labeller
from synthanom.sample import Sample
from synthanom.shards import DataSet
from synthanom.synthesis import Result
from synthanom.tasks import TASKS
from synthanom.tasks.abstract import AbstractTask
from synthanom.training.batches import StoredPictures
from synthanom.training.folds import Run
from synthanom.training.rows import Pick, rotated


@dataclass(frozen=True, kw_only=True, eq=False)
class LivePictures:
    """Makes a new anomaly for every (sample, task, epoch); validation pictures are read as ever.

    A row on which the task finds no place, or changes nothing that can be seen, takes the next training task; one that
    none suits is shown healthy with an empty label in that epoch.

    Attributes
    ----------
    stored : StoredPictures
    tasks : tuple of AbstractTask
        The training tasks with their settings.
    labeller : AbstractLabeller
        As in the data set.
    options : SynthesisOptions
        How anomalies are combined, as in the data set.
    donors : mapping of int to mapping of str to DonorSet
        Fold -> task -> whom to borrow from; never another fold.
    folds : tuple of int
        Fold of each healthy row.
    seed : int
    """

    stored: StoredPictures
    tasks: tuple[AbstractTask, ...]
    labeller: AbstractLabeller
    options: SynthesisOptions
    donors: Mapping[int, Mapping[str, DonorSet]]
    folds: tuple[int, ...]
    seed: int

    def picture(self, pick: Pick) -> tuple[ImageArray, ImageArray]:
        """Image (C, *S) and label (*S) of a pick; the same for the same seed, sample, task and epoch.

        Raises
        ------
        SynthanomError
            If a donor is missing or a row is damaged.
        """
        if pick.task is None or pick.row is not None:
            return self.stored.picture(pick)
        sample = self.stored.data.healthy(pick.healthy)
        result = self._made(pick, sample)
        if result is None:
            return sample.image, np.zeros(sample.shape, dtype=np.float32)
        return result.image, result.label

    def recipe(self, pick: Pick) -> Recipe | None:
        """What was drawn for a pick that has no stored row; None where no training task suits its sample.

        Raises
        ------
        SynthanomError
            As `picture`.
        """
        result = self._made(pick, self.stored.data.healthy(pick.healthy))
        return None if result is None else result.recipe

    def _made(self, pick: Pick, sample: Sample) -> Result | None:
        names = tuple(task.name for task in self.tasks)
        order = [self.tasks[names.index(name)] for name in rotated(names, names.index(str(pick.task)))]
        try:
            return synthesise_first(
                sample,
                order,
                self.labeller,
                seed=self.seed,
                draw=f"epoch-{pick.epoch}",
                donors=self.donors[self.folds[pick.healthy]],
                options=self.options,
            )
        except UNSUITABLE:
            return None


def live_pictures(data: DataSet, run: Run, *, seed: int, donors: Folders = None) -> LivePictures:
    """Live pictures with the tasks, settings and donors of a data set.

    Parameters
    ----------
    data : DataSet
    run : Run
    seed : int
    donors : path or sequence of paths, optional
        Where to look for the data set of external donors, besides where it lay and beside `data`.

    Raises
    ------
    SynthanomError
        A task that this version does not know, settings it refuses, or donors that are missing, cannot be opened or
        are of no use.
    """
    folds = tuple(data.folds[subject] for subject in data.healthy_subjects)
    return LivePictures(
        stored=StoredPictures(data=data),
        tasks=_tasks(data, run.train_tasks),
        labeller=stored_labeller(data),
        options=_options(data),
        donors=_donors(data, run.train_folds, donors),
        folds=folds,
        seed=seed,
    )


def _tasks(data: DataSet, names: Sequence[str]) -> tuple[AbstractTask, ...]:
    settings = {task.name: task.settings for task in data.manifest.tasks}
    for name in names:
        if name not in TASKS:
            raise SynthanomError(
                f"{data.folder}: --live needs tasks that this version can make, got {name!r}; known are "
                f"{', '.join(TASKS)}; train on the stored anomalies instead"
            )
    return tuple(TASKS[name].from_dict(settings[name]) for name in names)


def _options(data: DataSet) -> SynthesisOptions:
    """The options that the data set was built with; the usual ones where it names none."""
    given = data.manifest.configuration.get("options") or {}
    known = {field.name for field in fields(SynthesisOptions)}
    unknown = sorted(set(given) - known)
    if unknown:
        raise SynthanomError(
            f"{data.folder}: its options must be among {sorted(known)}, got {unknown}; upgrade synthanom, or "
            "train on the stored anomalies"
        )
    return SynthesisOptions(**given)


def _donors(data: DataSet, folds: Sequence[int], given: Folders) -> dict[int, dict[str, DonorSet]]:
    """Whom the samples of each fold borrow from, as when the data set was built."""
    check_use(data, folders(given))
    settings = live_settings(data)
    external = lender_of(data, given) if settings.get("kind") == "data set" else None
    return {fold: fold_donors(data, fold, settings, external) for fold in folds}
