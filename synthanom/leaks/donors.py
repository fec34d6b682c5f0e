"""Donors on both sides: borrowed patches carry what a donor looks like into the rows of a fold."""

import json
from collections.abc import Iterator, Mapping, Sequence

from synthanom.errors import SynthanomError
from synthanom.fold_donors import OWN_SET
from synthanom.leaks.finding import Leak, Place
from synthanom.leaks.images import ImageKeys
from synthanom.leaks.names import spelling
from synthanom.leaks.tested import Tested
from synthanom.manifest import DAMAGED
from synthanom.shards import DataSet
from synthanom.textures import SET_NAME

Donor = tuple[str, str, str]  # set, id, digest
UsedDonors = Mapping[Donor, set[int]]  # the folds that each serves


def used_donors(data: DataSet) -> UsedDonors:
    """The donors that the recipes name, textures aside, with the folds of the rows that borrowed from them.

    Raises
    ------
    SynthanomError
        If a recipe is damaged.
    """
    used: dict[Donor, set[int]] = {}
    row_folds = [data.folds[subject] for subject in data.healthy_subjects]
    for task in data.tasks:
        for row, healthy in enumerate(data.made_from(task).tolist()):
            for donor in _donors_in(data, task, row):
                used.setdefault(donor, set()).add(row_folds[healthy])
    return used


def borrowed_across_folds(
    data: DataSet, used: UsedDonors, places: Sequence[Place], keys: ImageKeys | None
) -> Iterator[Leak]:
    """Donors that rows of another fold than their own, or of more than one fold, borrowed from."""
    own = {str(place.id): place for place in places}
    same_image = {} if keys is None else dict(zip(keys.sample_digests, places, strict=True))
    dealt = data.manifest.donor_folds
    for (name, identity, digest), folds in sorted(used.items()):
        home = own.get(identity) if name == OWN_SET else same_image.get(digest)
        if home is None:
            # the donors' subjects are not stored; a subject defaults to the id
            home = Place(data=name, id=identity, fold=dealt.get(identity, min(folds)))
        for fold in sorted(folds - {home.fold}):
            yield Leak(kind="donor-in-two-folds", first=Place(data=name, id=identity, fold=fold), second=home)


def dealt_to_two_folds(data: DataSet) -> Iterator[Leak]:
    """External donors whose subject has another fold: under another spelling, or as a subject of the data set."""
    found = {
        spelling(subject): Place(data=str(data.folder), subject=subject, fold=fold)
        for subject, fold in data.folds.items()
    }
    for subject, fold in data.manifest.donor_folds.items():
        place = Place(data=_donor_set(data), subject=subject, fold=fold)
        known = found.setdefault(spelling(subject), place)
        if known.fold != fold:
            yield Leak(kind="donor-in-two-folds", first=place, second=known)


def donors_in_test(data: DataSet, used: UsedDonors, tested: Tested) -> Iterator[Leak]:
    """External donors that are subjects or images of the data set to test on: each once."""
    subjects = {spelling(str(place.subject)): place for place in reversed(tested.places)}
    met = set()
    for subject in data.manifest.donor_folds:
        place = subjects.get(spelling(subject))
        if place is not None:
            met.add(spelling(subject))
            second = Place(data=place.data, subject=place.subject)
            yield Leak(kind="donor-in-test", first=Place(data=_donor_set(data), subject=subject), second=second)
    digests = {} if tested.keys is None else dict(zip(tested.keys.sample_digests, tested.keyed, strict=True))
    ids = {spelling(str(place.id)): place for place in reversed(tested.places)}
    for name, identity, digest in sorted(used):
        place = None if name == OWN_SET else digests.get(digest) or ids.get(spelling(identity))
        if place is not None and spelling(str(place.subject)) not in met:
            yield Leak(kind="donor-in-test", first=Place(data=name, id=identity), second=place)


def _donor_set(data: DataSet) -> str:
    """The name of the data set of the external donors."""
    donors = data.manifest.configuration.get("donors")
    return str(donors.get("name", "donors")) if isinstance(donors, dict) else "donors"


def _donors_in(data: DataSet, task: str, row: int) -> list[Donor]:
    """Donors that a recipe names."""
    text = data.recipe(task, row)
    try:
        donors = [anomaly.get("donor") for anomaly in json.loads(text)["anomalies"]]
        named = [(str(d["set"]), str(d["id"]), str(d["sha256"])) for d in donors if d is not None]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SynthanomError(
            f"{data.folder}: the recipe of {task} row {row} must be a JSON object that names its donors, got "
            f"'{type(error).__name__}: {error}'; {DAMAGED}"
        ) from error
    return [donor for donor in named if donor[0] != SET_NAME]
