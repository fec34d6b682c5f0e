"""What lies in a folder of raw data, and the cases that its images make."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from synthanom.volumes.contrasts import grouped
from synthanom_builders.cases import Case, Image


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """The images of a folder.

    Attributes
    ----------
    raw : Path
    images : tuple of Image
        In the order of their ids, those that ``--foreground`` and ``--within`` name left out.
    masks : mapping
        Those masks, as `synthanom.volumes.masks.split_masks` gives them.
    priors : mapping
        Likewise, those that ``--within`` names.
    """

    raw: Path
    images: tuple[Image, ...]
    masks: Mapping[str, Image] = field(default_factory=dict)
    priors: Mapping[str, Image] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Cases:
    """Cases and how they were told apart.

    Attributes
    ----------
    cases : tuple of Case
        Ordered by id.
    contrasts : tuple of str
        As the files' names have them, one per channel; empty where each image is a case.
    pattern : str or None
        That told them apart.
    names : tuple of str
        What the data set calls the contrasts, if not as its files do; else empty.
    notes : tuple of str
        What was understood, one line each.
    """

    cases: tuple[Case, ...]
    contrasts: tuple[str, ...] = ()
    pattern: str | None = None
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def cases_of(images: Sequence[Image], channels: str | None) -> Cases:
    """A case per image, or per group of contrasts that a pattern tells apart; the subject is still the id.

    Raises
    ------
    SynthanomError
        If the pattern does not fit the images.
    """
    if channels is None:
        return Cases(cases=tuple(Case(id=image.id, subject=image.id, images=(image,)) for image in images))
    together = grouped(images, channels)
    notes = []
    if together.unmatched:
        count, first = len(together.unmatched), together.unmatched[0]
        notes.append(f"left out: {count} images that --channels does not match, the first {first}")
    notes.append(f"channels: {', '.join(together.contrasts)}")
    cases = [
        Case(id=group.id, subject=group.id, images=group.images, problem=group.problem) for group in together.groups
    ]
    return Cases(cases=tuple(cases), contrasts=together.contrasts, pattern=channels, notes=tuple(notes))
