"""One leak: what kind, between what and what, as a sentence and as JSON."""

from dataclasses import dataclass
from typing import Any

KINDS = {  # stored name -> sentence
    "subject-in-two-folds": "one subject in two folds: {first} and {second}",
    "id-in-two-folds": "one image id in two folds: {first} and {second}",
    "subject-in-both": "one subject in both data sets: {first} and {second}",
    "id-in-both": "one image id in both data sets: {first} and {second}",
    "identical-images": "identical images: {first} and {second}",
    "near-identical-images": "nearly identical images ({distance:.1f} % of the hash differ): {first} and {second}",
    "donor-in-test": "a donor is in the data set to test on: {first} and {second}",
    "donor-in-two-folds": "a donor serves two folds: {first} and {second}",
}


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where something was found.

    Attributes
    ----------
    data : str
        Folder of the data set, or the name of a donors' set.
    id, subject : str or None
        None where it is not known, or where more than one image is meant.
    fold : int or None
        None where folds do not matter.
    """

    data: str
    id: str | None = None
    subject: str | None = None
    fold: int | None = None

    def __str__(self) -> str:
        parts = [] if self.id is None else [f"image {self.id!r}"]
        if self.subject is not None and self.subject != self.id:
            parts.append(f"subject {self.subject!r}")
        what = " of ".join(parts) or "all of it"
        return f"{what} (fold {self.fold})" if self.fold is not None else f"{what} in {self.data}"

    def to_dict(self) -> dict[str, Any]:
        """The place as JSON."""
        return {"data": self.data, "id": self.id, "subject": self.subject, "fold": self.fold}


@dataclass(frozen=True, kw_only=True)
class Leak:
    """One leak.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    first, second : Place
        `first` is in the data set that was asked about, or one of its donors.
    distance : float or None
        Of nearly identical images: the share of their hashes' bits that differ.
    """

    kind: str
    first: Place
    second: Place
    distance: float | None = None

    def __str__(self) -> str:
        percent = 100 * (self.distance or 0.0)
        return KINDS[self.kind].format(first=self.first, second=self.second, distance=percent)

    def to_dict(self) -> dict[str, Any]:
        """The leak as JSON."""
        return {
            "kind": self.kind,
            "text": str(self),
            "first": self.first.to_dict(),
            "second": self.second.to_dict(),
            "distance": self.distance,
        }
