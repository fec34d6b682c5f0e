"""Subjects and image ids that lie on both sides, also where they are spelled differently."""

import json
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from synthanom.leaks.finding import Leak, Place
from synthanom.manifest import NAME
from synthanom.shards import DataSet


def spelling(name: str) -> str:
    """A name without what people vary: case, surrounding blanks, the encoding of accents."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).strip()


def subjects_in_two_folds(data: DataSet) -> Iterator[Leak]:
    """Subjects that `dataset.json` puts into two folds: by two spellings, or by naming one twice."""
    found: dict[str, Place] = {}
    for subject, fold in _fold_entries(data.folder):
        place = Place(data=str(data.folder), subject=subject, fold=fold)
        known = found.setdefault(spelling(subject), place)
        if known.fold != fold:
            yield Leak(kind="subject-in-two-folds", first=known, second=place)


def ids_in_two_folds(places: Sequence[Place]) -> Iterator[Leak]:
    """Ids that images of two folds share."""
    found: dict[str, Place] = {}
    for place in places:
        known = found.setdefault(spelling(str(place.id)), place)
        if known.fold != place.fold:
            yield Leak(kind="id-in-two-folds", first=known, second=place)


def names_in_both(places: Sequence[Place], others: Sequence[Place]) -> Iterator[Leak]:
    """Subjects that two data sets share, and ids that other subjects share."""
    subjects, ids = _by_name(places, "subject"), _by_name(others, "id")
    both = set()
    for name, other in _by_name(others, "subject").items():
        if name in subjects:
            both.add(name)
            first, second = (Place(data=p.data, subject=p.subject, fold=p.fold) for p in (subjects[name], other))
            yield Leak(kind="subject-in-both", first=first, second=second)
    for name, place in _by_name(places, "id").items():
        if name in ids and not {spelling(str(p.subject)) for p in (place, ids[name])} & both:
            yield Leak(kind="id-in-both", first=place, second=ids[name])


def _by_name(places: Sequence[Place], field: str) -> dict[str, Place]:
    """The first place of every name, in the order of the rows."""
    found: dict[str, Place] = {}
    for place in places:
        found.setdefault(spelling(str(getattr(place, field))), place)
    return found


def _fold_entries(folder: Path) -> list[tuple[str, int]]:
    """Subject and fold as `dataset.json` lists them; an object that names a subject twice loses one when parsed."""
    pairs: Any = json.loads((folder / NAME).read_text(encoding="utf-8"), object_pairs_hook=list)
    return [entry for key, value in pairs if key == "folds" for entry in value]
