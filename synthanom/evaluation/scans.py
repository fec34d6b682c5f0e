"""The scans that maps are of, with the foreground that the model's preprocessing gives them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from synthanom.arrays import ImageArray, MaskArray
from synthanom.errors import SynthanomError
from synthanom.evaluation.truth import Item, Maps
from synthanom.predicting.listing import Found, list_images
from synthanom.preprocess import Pipeline, align, check_grid, mask_on_grid
from synthanom.truth_set import holds_truth, open_truth_set
from synthanom.volumes import Source, Volume, read
from synthanom.volumes.contrasts import grouped
from synthanom.volumes.masks import mask_of


@dataclass(frozen=True, kw_only=True)
class Scans:
    """Where scans lie, by id: contrasts in channel order and the foreground mask, if any.

    Attributes
    ----------
    folder : Path
    files : mapping
    pipeline : Pipeline or None
        What the model sees; None for maps by other programs.
    """

    folder: Path
    files: Mapping[str, tuple[tuple[Source, ...], Source | None]]
    pipeline: Pipeline | None


def find_scans(folder: Path, maps: Maps) -> Scans:
    """The scans of a folder, told apart as the prediction did, or those that a list of scans names.

    Raises
    ------
    SynthanomError
        No scan, or a prediction that was made in an unknown way.
    """
    about = maps.about
    stored = about.get("preprocessing")
    pipeline = Pipeline.from_dict(stored) if isinstance(stored, Mapping) and "format" in stored else None
    if holds_truth(folder):
        files = {case.id: (case.images, None) for case in open_truth_set(folder).cases}
        return Scans(folder=folder, files=files, pipeline=pipeline)
    listing = list_images(folder, _pattern(about.get("masks")), None)
    channels = about.get("channels")
    pattern = _pattern(channels)
    cases: dict[str, tuple[Found, ...]]
    if pattern is None or not isinstance(channels, Mapping):
        cases = {image.id: (image,) for image in listing.images}
    else:
        contrasts = tuple(str(name) for name in channels.get("contrasts", ()))
        cases = {group.id: tuple(group.images) for group in grouped(listing.images, pattern, contrasts).groups}
    found = {}
    for name, images in cases.items():
        mask = mask_of(images[0].path, listing.masks)
        found[name] = tuple(image.source for image in images), None if mask is None else mask.source
    return Scans(folder=folder, files=found, pipeline=pipeline)


def read_scan(scans: Scans, maps: Maps, item: Item, volume: Volume) -> tuple[ImageArray, MaskArray]:
    """A scan (C, *S) and its foreground (*S), bool, on the grid of its map, a `volume`.

    The foreground is that of the model's preprocessing, put back on the scan's own grid; of maps by other programs, the
    voxels that are not 0 in some channel.

    Raises
    ------
    SynthanomError
        A scan that is missing, cannot be read or prepared, or lies on another grid than its map.
    """
    if item.id not in scans.files:
        raise SynthanomError(f"{scans.folder}: holds no image of {item.id!r}; give the folder that was scored")
    contrasts, mask = scans.files[item.id]
    scan = align([read(source, maps.reading) for source in contrasts])
    check_grid(scan, volume.image.shape[1:], None, maps.sources[item.id].path)
    if scans.pipeline is None:
        return scan.image, (scan.image != 0).any(axis=0)
    given = None if mask is None else mask_on_grid(scan, mask, maps.reading)
    prepared = scans.pipeline.prepare(scan, given)
    inside = scans.pipeline.restore(prepared.foreground.astype(np.float32), prepared) >= 0.5
    return scan.image, inside


def _pattern(entry: Any) -> str | None:
    return str(entry["pattern"]) if isinstance(entry, Mapping) and entry.get("pattern") else None
