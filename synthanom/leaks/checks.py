"""All leak checks of a data set, and of it against others."""

from collections.abc import Sequence

from synthanom.errors import SynthanomError
from synthanom.leaks.donors import borrowed_across_folds, dealt_to_two_folds, donors_in_test, used_donors
from synthanom.leaks.finding import Leak, Place
from synthanom.leaks.images import ImageKeys, across_folds, across_sets
from synthanom.leaks.names import ids_in_two_folds, names_in_both, subjects_in_two_folds
from synthanom.leaks.tested import Tested
from synthanom.shards import DataSet


def find_leaks(data: DataSet, keys: ImageKeys | None, against: Sequence[Tested] = ()) -> tuple[Leak, ...]:
    """Look for what is on both sides: of two folds, or of this data set and one to test on.

    Parameters
    ----------
    data : DataSet
    keys : ImageKeys or None
        Of its healthy rows; without them images are not compared, names and donors are.
    against : sequence of Tested
        What a detector trained on `data` is tested on; folds do not matter there.

    Returns
    -------
    tuple of Leak
        By kind of check: names, donors, images; in the order of the rows.

    Raises
    ------
    SynthanomError
        If a row's subject has no fold, or a recipe is damaged.
    """
    places = places_of(data, folds=True)
    used = used_donors(data)
    found = [*subjects_in_two_folds(data), *ids_in_two_folds(places)]
    found += [*dealt_to_two_folds(data), *borrowed_across_folds(data, used, places, keys)]
    found += [] if keys is None else across_folds(keys, places)
    for other in against:
        found += names_in_both(places, other.places)
        found += donors_in_test(data, used, other)
        if keys is not None and other.keys is not None:
            found += across_sets(keys, places, other.keys, other.keyed)
    return tuple(found)


def places_of(data: DataSet, *, folds: bool) -> list[Place]:
    """Where every healthy row is.

    Parameters
    ----------
    data : DataSet
    folds : bool
        Whether places name folds.

    Returns
    -------
    list of Place
        In the order of the rows.

    Raises
    ------
    SynthanomError
        If a row's subject has no fold.
    """
    places = []
    for identity, subject in zip(data.healthy_ids, data.healthy_subjects, strict=True):
        if folds and subject not in data.folds:
            raise SynthanomError(
                f"{data.folder}: every subject needs a fold, got none for {subject!r}; build the data set again"
            )
        fold = data.folds[subject] if folds else None
        places.append(Place(data=str(data.folder), id=identity, subject=subject, fold=fold))
    return places
