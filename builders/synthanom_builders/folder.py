"""The data set `folder`: whatever images lie under a folder, with the preprocessing that suits their kind."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from synthanom.errors import SynthanomError
from synthanom.preprocess import Pipeline, default_pipeline
from synthanom.preprocess.intensities import Rule
from synthanom.volumes import discover
from synthanom.volumes.volume import Kind
from synthanom_builders.cases import Case, Image, image_of
from synthanom_builders.contrasts import grouped, single
from synthanom_builders.masks import split_masks, with_masks
from synthanom_builders.settings import BuildSettings
from synthanom_builders.subjects import with_subjects

RULES = ("auto", "nonzero", "otsu", "none")


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The cases of a data set and how they were told apart.

    Attributes
    ----------
    cases : tuple of Case
        Ordered by id: this order settles which unit and row a case belongs to.
    contrasts : tuple of str
        One per channel; empty where each image has one.
    notes : tuple of str
        What was understood, one line each.
    """

    cases: tuple[Case, ...]
    contrasts: tuple[str, ...]
    notes: tuple[str, ...]


def list_cases(raw: Path, out: Path, settings: BuildSettings) -> Listing:
    """Find the images under `raw`, tell masks and contrasts apart and name the subjects; `out` is passed over.

    Raises
    ------
    SynthanomError
        If there is no image, or a pattern or table does not fit what is there.
    """
    found = [source for source in discover(raw) if not source.path.is_relative_to(out)]
    if not found:
        raise SynthanomError(f"{raw}: no image found outside of {out}; name the folder of the raw data")
    images = [image_of(source, raw) for source in found]
    notes = []
    masks: dict[str, Image] = {}
    if settings.foreground not in RULES:
        images, masks = split_masks(images, settings.foreground)
    together = single(images) if settings.channels is None else grouped(images, settings.channels)
    if together.unmatched:
        count, first = len(together.unmatched), together.unmatched[0]
        notes.append(f"left out: {count} images that --channels does not match, the first {first}")
    if together.contrasts:
        notes.append(f"channels: {', '.join(together.contrasts)}")
    cases: Sequence[Case] = together.cases
    if masks:
        cases, unused = with_masks(cases, masks)
        notes.append(f"masks: {len(masks)} files match {settings.foreground!r}, {unused} of them belong to no image")
    cases, rule = with_subjects(cases, settings.subjects)
    notes.append(f"subjects: {len({case.subject for case in cases})} ({rule})")
    return Listing(cases=tuple(cases), contrasts=together.contrasts, notes=tuple(notes))


def preprocessing(settings: BuildSettings, kind: Kind, shape: tuple[int, ...] | None) -> Pipeline:
    """The steps for images of this kind; masks that are given count whatever the foreground rule."""
    rule = settings.foreground if settings.foreground in RULES else "auto"
    return default_pipeline(
        kind, shape, settings.spacing, normalise=settings.normalise, foreground=cast(Rule | Literal["auto"], rule)
    )
