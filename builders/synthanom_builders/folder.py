"""The data set `folder`: whatever images lie under a folder, with the preprocessing that suits their kind."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast

from synthanom.errors import SynthanomError
from synthanom.preprocess import Pipeline, default_pipeline
from synthanom.preprocess.intensities import Rule
from synthanom.volumes import discover
from synthanom.volumes.contrasts import Grouped, grouped
from synthanom.volumes.masks import mask_of, split_masks
from synthanom.volumes.volume import Kind
from synthanom_builders.cases import Case, Image, image_of, with_problem
from synthanom_builders.known import KnownListing
from synthanom_builders.settings import BuildSettings
from synthanom_builders.subjects import with_subjects

RULES = ("auto", "nonzero", "otsu", "none")
NO_MASK = "no foreground mask matches it; add one, change --foreground, or leave the image out"


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
        images, masks = _images_and_masks(images, settings.foreground)
    contrasts: tuple[str, ...] = ()
    if settings.channels is None:
        cases = [Case(id=image.id, subject=image.id, images=(image,)) for image in images]
    else:
        together = grouped(images, settings.channels)
        cases, contrasts = _cases(together), together.contrasts
        if together.unmatched:
            count, first = len(together.unmatched), together.unmatched[0]
            notes.append(f"left out: {count} images that --channels does not match, the first {first}")
        notes.append(f"channels: {', '.join(contrasts)}")
    if masks:
        cases, unused = with_masks(cases, masks)
        notes.append(f"masks: {len(masks)} files match {settings.foreground!r}, {unused} of them belong to no image")
    cases, rule = with_subjects(cases, settings.subjects)
    notes.append(f"subjects: {len({case.subject for case in cases})} ({rule})")
    return Listing(cases=tuple(cases), contrasts=contrasts, notes=tuple(notes))


def list_known(raw: Path, out: Path, settings: BuildSettings) -> KnownListing:
    """List the scans to test on of a folder whose layout says which those are.

    Raises
    ------
    SynthanomError
        If it does not.
    """
    del out, settings
    raise SynthanomError(
        f"{raw}: --test needs a layout that tells what to test on; without one, give synthanom predict a folder of "
        "scans and synthanom evaluate a folder of masks"
    )


def cases_under(raw: Path, place: Path, out: Path) -> list[Case]:
    """A case for every image under a part of the raw data, `out` passed over; the subject is still the id.

    Raises
    ------
    SynthanomError
        If there is none.
    """
    found = [source for source in discover(place) if not source.path.is_relative_to(out)]
    within = place.relative_to(raw).as_posix()
    images = [image_of(replace(source, id=f"{within}/{source.id}"), raw) for source in found]
    return [Case(id=image.id, subject=image.id, images=(image,)) for image in images]


def with_masks(cases: Sequence[Case], masks: Mapping[str, Image]) -> tuple[list[Case], int]:
    """Give every case its mask, or mark it as a case without one; and how many masks belong to no case.

    Parameters
    ----------
    masks : mapping
        As `synthanom.volumes.masks.split_masks` gives it.
    """
    named = [replace(case, mask=mask_of(case.path, masks)) for case in cases]
    used = {case.mask.id for case in named if case.mask is not None}
    marked = [with_problem(case, NO_MASK) if case.mask is None and not case.problem else case for case in named]
    return marked, len(masks) - len(used)


def preprocessing(settings: BuildSettings, kind: Kind, shape: tuple[int, ...] | None) -> Pipeline:
    """The steps for images of this kind; masks that are given count whatever the foreground rule."""
    rule = settings.foreground if settings.foreground in RULES else "auto"
    return default_pipeline(
        kind, shape, settings.spacing, normalise=settings.normalise, foreground=cast(Rule | Literal["auto"], rule)
    )


def _images_and_masks(images: Sequence[Image], pattern: str) -> tuple[list[Image], dict[str, Image]]:
    """Images, and masks as `split_masks` gives them, after checking that there are both."""
    left, masks = split_masks(images, pattern)
    if not masks or not left:
        what = "no file" if not masks else "every image"
        raise SynthanomError(
            f"--foreground {pattern!r} must be nonzero, otsu, none, or a pattern that matches the masks only, got "
            f"{what} matched; for example --foreground '*_mask.nii.gz'"
        )
    return left, masks


def _cases(together: Grouped[Image]) -> list[Case]:
    """A case per group; the subject is still the id."""
    return [
        Case(id=group.id, subject=group.id, images=group.images, problem=group.problem) for group in together.groups
    ]
