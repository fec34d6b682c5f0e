"""What lies in a folder of new scans: images, and the foreground masks beside them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path

from synthanom.errors import SynthanomError
from synthanom.volumes import Source, discover
from synthanom.volumes.discover import EXTENSIONS, format_of
from synthanom.volumes.masks import is_mask, split_masks

NONE = "none"  # instead of a pattern: no masks, not by the model's own pattern either


@dataclass(frozen=True, kw_only=True)
class Found:
    """A discovered source; `path` is relative to the folder, of a DICOM series of several files its id."""

    path: str
    source: Source

    @property
    def id(self) -> str:
        """The source's."""
        return self.source.id


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Images told from masks.

    Attributes
    ----------
    images : tuple of Found
        In the order of their ids; at least one.
    masks : mapping
        For `synthanom.volumes.masks.mask_of`.
    pattern : str or None
        That masks were looked for by.
    regions : mapping
        As `masks`: the masks of where scores count.
    """

    images: tuple[Found, ...]
    regions: Mapping[str, Found] = field(default_factory=dict)
    masks: Mapping[str, Found] = field(default_factory=dict)
    pattern: str | None = None


def list_images(given: Path, own: str | None, wanted: str | None, within: str | None = None) -> Listing:
    """Find the images that a path names and tell masks from them.

    Parameters
    ----------
    given : path of a folder or a file; a file's masks are looked for in its folder, by name
    own : the model's pattern of mask files, as `synthanom.volumes.masks.split_masks` takes it
    wanted : the pattern to use instead, or "none": no masks, though what `own` matches is still no scan of a folder
    within : the pattern of masks of where scores count; may match the same files

    Raises
    ------
    SynthanomError
        No image there, only masks, or none that `wanted` or `within` matches.
    """
    listing = _told_apart(given, own, wanted, within)
    if within is None:
        return listing
    beside = _beside(given, within) if given.is_file() else [_found(source, given) for source in discover(given)]
    regions = split_masks(beside, within, "--within")[1]
    if not regions:
        raise SynthanomError(
            f"--within {within!r} must be a table of boxes (a name in .csv), or a pattern that matches masks beside "
            "the scans, got no file matched; for example --within '*_lung.nii.gz'"
        )
    return replace(listing, regions=regions)


def _told_apart(given: Path, own: str | None, wanted: str | None, within: str | None) -> Listing:
    folder = given.is_dir()
    found = [_found(source, given) for source in discover(given)] if folder else [_single(given)]
    pattern = own if wanted is None else wanted
    if pattern is None or (wanted == NONE and (own is None or not folder)):
        return Listing(images=_scans_of(found, within, given))
    masks: dict[str, Found] = {}
    if wanted == NONE and own is not None:
        pattern, images = own, [image for image in found if not is_mask(image.path, own)]
    else:
        images, masks = split_masks(found if folder else [*found, *_beside(given, pattern)], pattern)
    if not images:
        raise SynthanomError(
            f"{given}: must hold scans besides the masks, got only files that the pattern of masks {pattern!r} "
            "matches; name a folder with the scans, or the masks with --foreground"
        )
    images = list(_scans_of(images, within, given))
    if not masks and wanted not in (None, NONE):
        raise SynthanomError(
            f"--foreground {wanted!r} must be none, or a pattern that matches the masks beside the scans, got no file "
            "matched; for example --foreground '*_mask.nii.gz'"
        )
    return Listing(images=tuple(images), masks=masks, pattern=None if wanted == NONE else pattern)


def _scans_of(images: Sequence[Found], within: str | None, given: Path) -> tuple[Found, ...]:
    """What is no mask of `within` either."""
    scans = tuple(image for image in images if within is None or not is_mask(image.path, within))
    if not scans:
        raise SynthanomError(
            f"{given}: must hold scans besides the masks, got only files that --within {within!r} matches; narrow it"
        )
    return scans


def _found(source: Source, root: Path) -> Found:
    series = source.format == "dicom" and len(source.files) > 1
    return Found(path=source.id if series else source.path.relative_to(root).as_posix(), source=source)


def _single(path: Path) -> Found:
    if not path.is_file():
        raise SynthanomError(f"{path}: no such file or folder; check --input")
    kind = format_of(path)
    if kind is None:
        raise SynthanomError(f"{path}: not recognised as an image; NIfTI, DICOM, NRRD, MetaImage, PNG, JPEG are read")
    extension = next((e for e, _ in EXTENSIONS if path.name.lower().endswith(e)), "")
    name = path.name[: len(path.name) - len(extension)] or path.name
    return Found(path=path.name, source=Source(id=name, files=(path,), format=kind))


def _beside(given: Path, pattern: str) -> Sequence[Found]:
    """The images in a file's folder whose names a pattern matches."""
    names = sorted(file.name for file in given.parent.iterdir() if fnmatchcase(file.name, pattern))
    files = [given.parent / name for name in names if name != given.name and not name.startswith(".")]
    return [_single(file) for file in files if file.is_file() and format_of(file) is not None]
