"""Maps and what is known about each: matched by id, checked for place, never guessed."""

import csv
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from synthanom.arrays import ImageArray, MaskArray
from synthanom.errors import SynthanomError
from synthanom.predicting.reading import NAME, SCORES, read_prediction
from synthanom.preprocess import check_grid
from synthanom.truth_set import NAME as TRUTH
from synthanom.truth_set import holds_truth, open_truth_set
from synthanom.volumes import Source, Volume, discover, read, read_mask
from synthanom.volumes.discover import EXTENSIONS, format_of
from synthanom.volumes.reading import AS_STORED, Reading, reading_of

Missing = Literal["refuse", "healthy"]
BIDS = re.compile(r"(?:^|[/_])(sub-[A-Za-z0-9]+)(?=[_/.]|$)")
STORED_CUT = "stored"
LABELS = {"0": False, "1": True}
FULL = 65535  # what a score of 1 is in a map of 16 bits


@dataclass(frozen=True, kw_only=True)
class Item:
    """What is known about one map.

    Attributes
    ----------
    id, subject : str
    anomalous : bool or None
        As the labels say; None where only the mask can tell.
    mask : Source or None
        None for a healthy image, whose mask is empty, and where only the label is known.
    """

    id: str
    subject: str
    anomalous: bool | None
    mask: Source | None

    @property
    def has_pixels(self) -> bool:
        """Whether the truth is known for every pixel."""
        return self.mask is not None or self.anomalous is False


@dataclass(frozen=True, kw_only=True)
class Maps:
    """A folder of maps.

    Attributes
    ----------
    name : str
    sources : mapping
        By id.
    scores : mapping
        Of whole images by id, where they were written beside the maps.
    reading : Reading
        How the scans were read that the maps are of.
    cuts : mapping of str to mapping of str to float
        Level -> name -> cut, as the model stored them.
    about : mapping
        What the prediction says of itself; empty for maps by other programs.
    """

    name: str
    sources: Mapping[str, Source]
    scores: Mapping[str, float]
    reading: Reading = AS_STORED
    cuts: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Truth:
    """The items to evaluate, in the order of their ids, and what the reader should know."""

    items: tuple[Item, ...]
    notes: tuple[str, ...]
    data_set: str = ""  # what the truth is called


def find_maps(name: str, folder: Path) -> Maps:
    """The maps in a folder, by synthanom predict or by anything that keeps the scans' relative paths.

    Raises
    ------
    SynthanomError
        No folder, no map, an interrupted prediction, or one that says of no known way how its scans were read.
    """
    about = read_prediction(folder)
    if about is None:
        return Maps(name=name, sources={source.id: source for source in discover(folder)}, scores={})
    if about.get("finished") is not True:
        raise SynthanomError(f"{folder}: the prediction is unfinished; run the same synthanom predict command again")
    sources = {}
    for key, path in about["maps"].items():
        file = folder / str(path)
        if not file.resolve().is_relative_to(folder.resolve()):
            raise SynthanomError(f"{folder}: its predict.json must name maps in it only, got {path!r}; predict again")
        kind = format_of(file) if file.is_file() else None
        if kind is None:
            raise SynthanomError(f"{file}: the map must be there, and is not; run the same synthanom predict again")
        sources[str(key)] = Source(id=str(key), files=(file,), format=kind)
    scores = {row["id"]: _score(row, folder / SCORES) for row in _table(folder / SCORES, ("id", "score"))}
    return Maps(
        name=name,
        sources=sources,
        scores=scores,
        reading=_reading(about, folder / NAME),
        cuts=stored_cuts(about.get("thresholds", {}), folder / NAME),
        about=about,
    )


def _score(row: Mapping[str, str], path: Path) -> float:
    try:
        score = float(row["score"])
    except (TypeError, ValueError):
        score = math.nan
    if not math.isfinite(score):
        raise SynthanomError(f"{path}: every image needs a score, {row['id']!r} has {row['score']!r}; predict again")
    return score


def stored_cuts(thresholds: Any, path: Path) -> dict[str, dict[str, float]]:
    """Cuts by level and name from a model's thresholds: ``pixel`` is "stored", ``pixel_f1`` is "f1".

    Raises
    ------
    SynthanomError
        Naming the file: something that is no number.
    """
    found: dict[str, dict[str, float]] = {}
    for key, value in thresholds.items() if isinstance(thresholds, Mapping) else ():
        level, _, name = str(key).partition("_")
        cuts = {f"{name}_{k}".strip("_"): v for k, v in value.items()} if isinstance(value, Mapping) else {name: value}
        for title, cut in cuts.items():
            if isinstance(cut, bool) or not isinstance(cut, int | float) or not math.isfinite(cut):
                raise SynthanomError(f"{path}: thresholds must be numbers, got {key}: {cut!r}; predict again")
            found.setdefault(level, {})[title or STORED_CUT] = float(cut)
    return found


def find_truth(maps: Maps, truth: Path | None, labels: Path | None, missing: Missing) -> Truth:
    """Masks and labels of every map.

    Parameters
    ----------
    truth : folder of masks whose relative paths are those of the scans, extensions aside; or one with a `truth.json`
    labels : CSV file with the columns id and label (0 or 1), and subject if wanted
    missing : what a map without mask and label is taken for

    Raises
    ------
    SynthanomError
        Neither masks nor labels, or a map that neither tells anything about.
    """
    if truth is None and labels is None:
        raise SynthanomError("evaluation needs the truth; give masks with --truth, or labels of images with --labels")
    if truth is not None and holds_truth(truth):
        return _listed(maps, truth, labels)
    masks = {} if truth is None else {source.id: source for source in discover(truth)}
    known, subjects = ({}, {}) if labels is None else _labels(labels)
    unknown = [name for name in maps.sources if name not in masks and name not in known]
    if unknown and missing == "refuse":
        places = " or ".join(str(p) for p in (truth, labels) if p is not None)
        example = next(iter(masks or known), "nothing")
        raise SynthanomError(
            f"{places}: {len(unknown)} of {len(maps.sources)} maps have no mask or label, first {unknown[0]!r} (the "
            f"truth names {example!r}); give them the same relative paths, list healthy images in --labels, or say "
            "--missing healthy"
        )
    items = []
    for name in sorted(maps.sources):
        anomalous = known.get(name, False if name in unknown else None)
        items.append(Item(id=name, subject=subjects.get(name) or _subject(name), anomalous=anomalous,
                          mask=masks.get(name)))  # fmt: skip
    notes = [f"{len(unknown)} maps without mask or label are taken for healthy"] if unknown else []
    unseen = sorted((set(masks) | set(known)) - set(maps.sources))
    if unseen:
        notes.append(f"{len(unseen)} images of the truth have no map and are left out, the first {unseen[0]!r}")
    named = truth if truth is not None else labels
    name = named.resolve().name if named is not None else ""
    return Truth(items=tuple(items), notes=tuple(notes), data_set=name)


def unlabelled(maps: Maps) -> tuple[Item, ...]:
    """Items of which nothing is known but their names, in the order of their ids."""
    return tuple(Item(id=name, subject=_subject(name), anomalous=None, mask=None) for name in sorted(maps.sources))


def _listed(maps: Maps, folder: Path, labels: Path | None) -> Truth:
    """What a test set's list says of every map."""
    if labels is not None:
        raise SynthanomError(f"{labels}: {folder / TRUTH} holds the labels already; leave --labels out")
    listed = open_truth_set(folder)
    cases = {case.id: case for case in listed.cases}
    unknown = [name for name in maps.sources if name not in cases]
    if unknown:
        raise SynthanomError(
            f"{folder}: {len(unknown)} of {len(maps.sources)} maps are of scans that the test set does not have, first "
            f"{unknown[0]!r}; score it with synthanom predict --input {folder}"
        )
    found = (cases[name] for name in sorted(maps.sources))
    items = [Item(id=c.id, subject=c.subject, anomalous=c.anomalous, mask=c.mask) for c in found]
    unseen = [name for name in cases if name not in maps.sources]
    notes = (
        [f"{len(unseen)} scans of the test set have no map and are left out, the first {unseen[0]!r}"] if unseen else []
    )
    return Truth(items=tuple(items), notes=tuple(notes), data_set=listed.data_set)


def read_pair(maps: Maps, item: Item) -> tuple[Volume, ImageArray, MaskArray | None]:
    """A map's file, its values (*S), and its mask (*S); None where only the label is known.

    Raises
    ------
    SynthanomError
        Naming the file: a map that is missing, has several channels or NaN, a mask on another grid, or a mask that
        marks something in an image that the labels call healthy.
    """
    source = maps.sources.get(item.id)
    if source is None:
        raise SynthanomError(f"{maps.name}: has no map of {item.id!r}; every set of maps must cover the same images")
    volume = read(source)
    if volume.image.shape[0] != 1 or not np.isfinite(volume.image).all():
        raise SynthanomError(f"{volume.path}: a map must have one channel of finite values; write it again")
    values = _in_units_of_scores(volume.image[0], maps, source)
    if item.mask is None:
        empty = np.zeros(values.shape, dtype=bool)
        return volume, values, empty if item.has_pixels else None
    mask, affine = read_mask(item.mask, maps.reading)
    check_grid(volume, mask.shape, affine, item.mask.path)
    if item.anomalous is False and mask.any():
        raise SynthanomError(
            f"{item.mask.path}: marks {int(mask.sum())} voxels of an image that the labels call healthy; correct one"
        )
    return volume, values, mask


def _in_units_of_scores(values: ImageArray, maps: Maps, source: Source) -> ImageArray:
    """Scores in [0, 1], as stored cuts are, where `synthanom predict` wrote them as 16-bit pictures."""
    if source.format == "picture" and maps.about:
        return values / np.float32(FULL)
    return values


def _reading(about: Mapping[str, Any], path: Path) -> Reading:
    """How the scans of a prediction were read."""
    stored = about.get("preprocessing", {})
    try:
        return reading_of(stored if isinstance(stored, Mapping) else {"reading": stored})
    except SynthanomError as error:
        raise SynthanomError(f"{path}: {error}") from error


def _labels(path: Path) -> tuple[dict[str, bool], dict[str, str]]:
    """id -> anomalous, id -> subject."""
    known: dict[str, bool] = {}
    subjects: dict[str, str] = {}
    for row in _table(path, ("id", "label")):
        name, label = _stripped(row["id"]), (row["label"] or "").strip()
        if label not in LABELS or known.setdefault(name, LABELS[label]) != LABELS[label]:
            raise SynthanomError(f"{path}: {row['id']!r} must have one label, 0 or 1, got {row['label']!r}; correct it")
        subjects[name] = (row.get("subject") or "").strip()
    return known, subjects


def _table(path: Path, columns: Iterable[str]) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            if not set(columns) <= set(rows.fieldnames or ()):
                raise SynthanomError(f"{path}: must have the columns {', '.join(columns)}, got {rows.fieldnames}")
            return list(rows)
    except (OSError, UnicodeError, csv.Error) as error:
        raise SynthanomError(f"{path}: must be a readable CSV file: {error}; check the path") from error


def _stripped(name: str) -> str:
    """An id from a table: without the extension that people leave on it."""
    name = name.strip()
    return next((name[: -len(e)] for e, _ in EXTENSIONS if name.lower().endswith(e)), name)


def _subject(name: str) -> str:
    match = BIDS.search(name)
    return match[1] if match else name
