"""Which scans to score: files, series, or several contrasts per case, each with its foreground mask if it has one."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from synthanom.arrays import ImageArray, MaskArray
from synthanom.errors import SynthanomError
from synthanom.predicting.listing import NONE, Found, list_images
from synthanom.predicting.stored import Remembered, remembered
from synthanom.predicting.within import Within
from synthanom.preprocess import Pipeline, Prepared, align, mask_on_grid
from synthanom.training.checkpoint import ModelCard
from synthanom.truth_set import NAME as TRUTH
from synthanom.truth_set import TruthSet, holds_truth, open_truth_set
from synthanom.volumes import Source, Volume, read
from synthanom.volumes.contrasts import Group, Grouped, grouped, shown_contrasts
from synthanom.volumes.masks import mask_of
from synthanom.volumes.reading import reading_of


@dataclass(frozen=True, kw_only=True)
class Scan:
    """One case: its id, its contrasts in channel order, its masks if any; `problem` says why it cannot be read."""

    id: str
    sources: tuple[Source, ...]
    mask: Source | None = None
    region: Source | None = None  # mask of where scores count
    problem: str = ""

    @property
    def path(self) -> Path:
        """What to call it."""
        return self.sources[0].path


@dataclass(frozen=True, kw_only=True)
class Scans:
    """What there is to score, and the patterns that told it apart.

    Attributes
    ----------
    scans : tuple of Scan
        Ordered by id.
    channels, masks : str or None
        Patterns of the contrast and of mask files; None where none was used.
    contrasts : tuple of str
        In channel order; empty without `channels`.
    unmatched : tuple of str
        Paths of images that `channels` does not match, left out.
    """

    scans: tuple[Scan, ...]
    channels: str | None
    contrasts: tuple[str, ...]
    masks: str | None
    unmatched: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Ready:
    """A scan as the model sees it, with what is needed to put its map back.

    Attributes
    ----------
    inside : ndarray of shape (*S), bool, or None
        Where its scores count, on its own grid; None: everywhere.
    """

    scan: Scan
    volume: Volume
    prepared: Prepared
    inside: MaskArray | None = None

    @property
    def image(self) -> ImageArray:
        """(C, *S), float32."""
        return self.prepared.image


def find_scans(
    given: Path,
    card: ModelCard,
    channels: str | None = None,
    foreground: str | None = None,
    within: Within | None = None,
) -> Scans:
    """The scans of a folder, or the one that a path names.

    Parameters
    ----------
    given : path of a folder, a file, a folder that holds one DICOM series, or one with a `truth.json`
    card : ModelCard
    channels : str, optional
        As `synthanom.volumes.contrasts.grouped` takes it; the model's own by default. Where it finds the contrasts of
        the model, these keep the model's order. For a model of one channel it picks the files to score; "none" takes
        all, and a single file needs no match.
    foreground : str, optional
        Pattern of mask files or "none", instead of the model's own; see `list_images`.
    within : Within, optional
        Its masks are no scans; its boxes must be of scans that are there.

    Raises
    ------
    SynthanomError
        Nothing there, boxes of other scans, a model of several channels without a pattern, or a pattern that does not
        fit the files.
    """
    found = _find(given, card, channels, foreground, None if within is None else within.pattern)
    if within is not None:
        within.check_ids(scan.id for scan in found.scans)
    return found


def _find(given: Path, card: ModelCard, channels: str | None, foreground: str | None, within: str | None) -> Scans:
    stored = remembered(card.preprocessing, card.channels)
    if holds_truth(given):
        return _of_test_set(open_truth_set(given), stored, given, (channels, foreground, within))
    listing = list_images(given, stored.masks, foreground, within)
    if card.channels > 1 and not given.is_dir():
        raise SynthanomError(
            f"{given}: the model takes {card.channels} contrasts as channels, this is one file; name their folder"
        )
    own = channels is None and given.is_dir()
    pattern = stored.channels if own else channels
    if pattern is None or (pattern == NONE and card.channels == 1):
        pattern, together = None, _single_channel(listing.images, card)
    elif own:
        together = grouped(listing.images, pattern, stored.contrasts, option="the model's --channels")
    else:
        together = _grouped_anew(listing.images, pattern, stored, given, card)
    scans = []
    for group in together.groups:
        sources = tuple(image.source for image in group.images)
        mask, region = (_source(mask_of(group.images[0].path, m)) for m in (listing.masks, listing.regions))
        scans.append(Scan(id=group.id, sources=sources, mask=mask, region=region, problem=group.problem))
    return Scans(
        scans=tuple(scans),
        channels=pattern,
        contrasts=together.contrasts,
        masks=listing.pattern,
        unmatched=together.unmatched,
    )


def _of_test_set(truth: TruthSet, stored: Remembered, given: Path, asked: tuple[str | None, ...]) -> Scans:
    """The scans that a test set lists, their contrasts in the model's order."""
    if any(asked):
        raise SynthanomError(
            f"{given}: its {TRUTH} names contrasts and files already; leave --channels and --foreground out, and give "
            "--within a table of boxes"
        )
    names, wanted, named = (
        [name.lower() for name in part] for part in (truth.contrasts, stored.contrasts, stored.names)
    )
    if sorted(names) == sorted(named):
        wanted = named  # where files number the contrasts, another data set can only know them by name
    if names and wanted and sorted(names) != sorted(wanted):
        raise SynthanomError(
            f"{given}: must have the model's contrasts {', '.join(stored.names or stored.contrasts)}, got "
            f"{', '.join(truth.contrasts)}; list the test set again with those --contrasts"
        )
    order = [names.index(name) for name in wanted] if names and wanted else None
    scans = []
    for case in truth.cases:
        sources = case.images if order is None else tuple(case.images[k] for k in order)
        scans.append(Scan(id=case.id, sources=sources))
    return Scans(scans=tuple(scans), channels=None, contrasts=truth.contrasts, masks=None, unmatched=())


def _source(found: Found | None) -> Source | None:
    return None if found is None else found.source


def prepare(scan: Scan, pipeline: Pipeline, card: ModelCard, within: Within | None = None) -> Ready:
    """Read a scan and run the model's preprocessing over it.

    Raises
    ------
    SynthanomError
        Naming the file: unreadable, NaN, constant, of other channels or axes than the model's, an unfit mask or box.
    """
    if scan.problem:
        raise SynthanomError(f"{scan.path}: {scan.problem}")
    reading = reading_of(card.preprocessing)
    volume = align([read(source, reading) for source in scan.sources])
    channels, dims = volume.image.shape[0], volume.image.ndim - 1
    if channels != card.channels or dims != len(card.shape):
        raise SynthanomError(
            f"{scan.path}: the model takes {card.channels} channels in {len(card.shape)}D, got {channels} in {dims}D; "
            "use a model that was trained on such scans"
        )
    mask = None if scan.mask is None else mask_on_grid(volume, scan.mask, reading)
    inside = None if within is None else within.region(scan.id, volume, scan.region, reading)
    return Ready(scan=scan, volume=volume, prepared=pipeline.prepare(volume, mask), inside=inside)


def _single_channel(images: Sequence[Found], card: ModelCard) -> Grouped[Found]:
    """Every image a case."""
    if card.channels > 1:
        raise SynthanomError(
            f"the model takes {card.channels} contrasts as channels; say which part of a path names the contrast with "
            "--channels, as when the data set was built, for example --channels '_(T1|T2)\\.nii'"
        )
    groups = tuple(Group(id=image.id, images=(image,)) for image in images)
    return Grouped(groups=groups, contrasts=(), unmatched=())


def _grouped_anew(
    images: Sequence[Found], pattern: str, stored: Remembered, given: Path, card: ModelCard
) -> Grouped[Found]:
    """Cases by another pattern than the model's: contrasts that the model knows by name keep its order."""
    shown = shown_contrasts(images, pattern)
    known = stored.contrasts if shown and shown <= set(stored.contrasts) else ()
    together = grouped(images, pattern, known)
    if len(together.contrasts) != card.channels:
        raise SynthanomError(
            f"--channels {pattern!r} must find {card.channels} contrasts, as the model takes, in {given}; found "
            f"{len(together.contrasts)} ({', '.join(together.contrasts)})"
        )
    return together
