"""The data set `folder`: whatever images lie under a folder, with the preprocessing that suits their kind."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast

from synthanom.errors import SynthanomError
from synthanom.nearest import meant
from synthanom.preprocess import Pipeline, default_pipeline
from synthanom.preprocess.intensities import Rule
from synthanom.volumes import discover
from synthanom.volumes.dicomdir import dicomdir_notes
from synthanom.volumes.masks import mask_of, split_masks
from synthanom.volumes.volume import Kind
from synthanom_builders.cases import Case, Image, image_of, with_problem
from synthanom_builders.inventory import Inventory, cases_of
from synthanom_builders.known import KnownListing
from synthanom_builders.layouts import known_cases, layout_of, training_cases
from synthanom_builders.priors import with_mask_priors
from synthanom_builders.settings import MASKS, BuildSettings, prior_kind
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
    pattern : str or None
        That told the contrasts apart and will do so in new scans; None where their files' names say nothing.
    names : tuple of str
        What the data set calls the contrasts, if not as its files do; else empty.
    """

    cases: tuple[Case, ...]
    contrasts: tuple[str, ...]
    notes: tuple[str, ...]
    pattern: str | None = None
    names: tuple[str, ...] = ()


def list_cases(raw: Path, out: Path, settings: BuildSettings) -> Listing:
    """Find the images under `raw`, tell masks and contrasts apart and name the subjects; `out` is passed over.

    Where the layout is one of `layouts.KNOWN`, only its images to train on are taken.

    Raises
    ------
    SynthanomError
        If there is no image, or a pattern, table or layout does not fit what is there.
    """
    inventory = inventory_of(raw, out, settings)
    layout = layout_of(inventory, settings.layout)
    if layout is None:
        together = cases_of(inventory.images, settings.channels)
    else:
        together = training_cases(inventory, layout, settings.channels, settings.layout)
    cases, notes = list(together.cases), list(together.notes)
    if inventory.masks:
        cases, unused = with_masks(cases, inventory.masks)
        count = len(inventory.masks)
        notes.append(f"masks: {count} files match {settings.foreground!r}, {unused} of them belong to no image")
    if settings.within is not None and inventory.priors:
        cases, note = with_mask_priors(cases, inventory.priors, settings.within)
        notes.append(note)
    cases, rule = with_subjects(cases, settings.subjects)
    notes.append(f"subjects: {len({case.subject for case in cases})} ({rule})")
    notes.extend(dicomdir_notes(raw))
    return Listing(
        cases=tuple(cases),
        contrasts=together.contrasts,
        notes=tuple(notes),
        pattern=together.pattern,
        names=together.names,
    )


def list_known(raw: Path, out: Path, settings: BuildSettings) -> KnownListing:
    """List the scans to test on of a folder whose layout says which those are.

    Raises
    ------
    SynthanomError
        If it does not, or a pattern or table does not fit what is there.
    """
    inventory = inventory_of(raw, out, settings)
    layout = layout_of(inventory, settings.layout)
    if layout is None:
        raise SynthanomError(
            f"{raw}: --test needs a layout that tells what to test on: BIDS with lesion masks in derivatives, nnU-Net "
            "with labels, or anomalib's test and ground_truth; without one, give synthanom predict a folder of scans "
            "and synthanom evaluate a folder of masks"
        )
    found = known_cases(inventory, layout, settings.channels, settings.layout)
    cases, rule = with_subjects([one.case for one in found.cases], settings.subjects)
    note = f"subjects: {len({case.subject for case in cases})} ({rule})"
    named = tuple(replace(one, case=case) for one, case in zip(found.cases, cases, strict=True))
    return replace(found, cases=named, notes=(*found.notes, note))


def inventory_of(raw: Path, out: Path, settings: BuildSettings) -> Inventory:
    """The images under `raw` but not under `out`, and the masks that ``--foreground`` names.

    Raises
    ------
    SynthanomError
        If there is no image, or the pattern of masks does not fit what is there.
    """
    found = [source for source in discover(raw) if not source.path.is_relative_to(out)]
    if not found:
        raise SynthanomError(f"{raw}: no image found outside of {out}; name the folder of the raw data")
    images = [image_of(source, raw) for source in found]
    priors: dict[str, Image] = {}
    if settings.within is not None and prior_kind(settings.within) == MASKS:
        remedy = "a table of boxes (.csv), a folder of text files of boxes, or a pattern that matches masks only"
        images, priors = _images_and_masks(images, settings.within, "--within", remedy)
    if settings.foreground in RULES:
        return Inventory(raw=raw, images=tuple(images), priors=priors)
    remedy = "nonzero, otsu, none, or a pattern that matches the masks only"
    left, masks = _images_and_masks(images, settings.foreground, "--foreground", remedy)
    return Inventory(raw=raw, images=tuple(left), masks=masks, priors=priors)


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


def _images_and_masks(
    images: Sequence[Image], pattern: str, option: str, needed: str
) -> tuple[list[Image], dict[str, Image]]:
    """Images, and masks as `split_masks` gives them, after checking that there are both."""
    left, masks = split_masks(images, pattern, option)
    if not masks or not left:
        what = "no file" if not masks else "every image"
        raise SynthanomError(
            f"{option} {pattern!r} must be {needed}, got {what} matched; for example {option} '*_mask.nii.gz'"
            f"{meant(pattern, RULES) if option == '--foreground' else ''}"
        )
    return left, masks
