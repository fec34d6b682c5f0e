"""Whom a patch is borrowed from: sets of donors, choosing one, finding one again for a replay."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from synthanom.errors import SynthanomError
from synthanom.regions import uniform_index
from synthanom.sample import Sample
from synthanom.tasks.abstract import AbstractTask
from synthanom.textures import SET_NAME, TextureDonors

TRIES = 64  # donors drawn before all of them are looked through


@dataclass(frozen=True, kw_only=True, eq=False)
class DonorSet:
    """Samples with the name of the data set that they come from, which recipes store.

    Attributes
    ----------
    name : str
    samples : sequence of Samples
    ids, subjects : tuples of str, optional
        What `samples[i]` would say of itself, so that choosing one does not read the others.
    remade : bool
        Whether the samples are computed anew on another machine than the recipes' and may be rounded in another way
        there: `find` does not compare their digests.
    """

    name: str
    samples: Sequence[Sample]
    ids: tuple[str, ...] | None = None
    subjects: tuple[str, ...] | None = None
    remade: bool = False

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]

    def subject(self, index: int) -> str:
        """Whom donor `index` shows."""
        return self.subjects[index] if self.subjects is not None else self.samples[index].subject

    def find(self, name: str) -> Sample | None:
        """The donor with this id, or None."""
        for index in range(len(self.samples)):
            if (self.ids[index] if self.ids is not None else self.samples[index].id) == name:
                return self.samples[index]
        return None


Donors = Sequence[Sample] | DonorSet | Mapping[str, "Sequence[Sample] | DonorSet"]


@dataclass(frozen=True, kw_only=True)
class DonorRef:
    """A donor as a recipe names it.

    Attributes
    ----------
    set : str
        The donor set's name, empty for a plain sequence.
    id, sha256 : str
    """

    set: str  # the donor set's name, empty for a plain sequence
    id: str
    sha256: str

    def to_dict(self) -> dict[str, Any]:
        """The reference as JSON."""
        return {"set": self.set, "id": self.id, "sha256": self.sha256}


def donors_for(task: type[AbstractTask] | AbstractTask, donors: Donors | None) -> DonorSet | None:
    """The donors that a task may use: None if it needs none or there are none.

    Parameters
    ----------
    donors : sequence of Samples, DonorSet, or a mapping from task names to either
    """
    if task.donor == "none" or donors is None:
        return None
    chosen = donors.get(task.name) if isinstance(donors, Mapping) else donors
    if chosen is None or isinstance(chosen, DonorSet):
        return chosen
    name = SET_NAME if isinstance(chosen, TextureDonors) else ""
    return DonorSet(name=name, samples=chosen)


def choose(
    rng: np.random.Generator, task: AbstractTask, sample: Sample, donors: DonorSet | None
) -> tuple[Sample, DonorRef] | None:
    """Draw a donor uniformly from those that the task allows; None for tasks that need none.

    Raises
    ------
    SynthanomError
        If the task needs a donor and there is none that it may use.
    """
    if task.donor == "none":
        return None
    if donors is None or len(donors) == 0:
        raise SynthanomError(
            f"{task.name} needs donors, got none; pass donors=, a sequence of Samples "
            + ("of other subjects of the same data set" if task.donor == "other_subject" else "of another data set")
        )
    index = _draw_index(rng, sample, donors, task.donor == "other_subject")
    donor = donors[index]
    return donor, DonorRef(set=donors.name, id=donor.id, sha256=donor.sha256)


def _draw_index(rng: np.random.Generator, sample: Sample, donors: DonorSet, other_subject: bool) -> int:
    for _ in range(TRIES):
        index = uniform_index(rng.random(), len(donors))
        if not other_subject or donors.subject(index) != sample.subject:
            return index
    others = [i for i in range(len(donors)) if donors.subject(i) != sample.subject]
    if not others:
        raise SynthanomError(
            f"{sample.id} needs a donor of another subject than {sample.subject!r}, but all {len(donors)} donors show "
            "that one; add samples of other subjects to donors=, or set subject= so that subjects can be told apart"
        )
    return others[uniform_index(rng.random(), len(others))]


def find(task: type[AbstractTask], reference: DonorRef, donors: Donors | None) -> Sample:
    """The donor that a recipe names, its content verified.

    Raises
    ------
    SynthanomError
        If it is not among `donors`, or is no longer the same image.
    """
    given = donors_for(task, donors)
    where = f" of set {reference.set!r}" if reference.set else ""
    donor = given.find(reference.id) if given is not None else None
    if given is None or donor is None:
        raise SynthanomError(
            f"the recipe needs donor {reference.id!r}{where}, which is not in donors=; pass that data set"
        )
    if donor.sha256 != reference.sha256 and not given.remade:
        raise SynthanomError(
            f"donor {reference.id!r}{where} must have digest {reference.sha256[:12]}, got {donor.sha256[:12]}; "
            "the image or its preprocessing changed since the recipe was made"
        )
    return donor
