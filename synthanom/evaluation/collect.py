"""What one set of maps gives at each level: numbers per image and per slice, and all pixels."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from synthanom.arrays import ImageArray, MaskArray
from synthanom.evaluation.counting import CutCounts, PixelCounts
from synthanom.evaluation.rows import Choices
from synthanom.evaluation.scans import Scans, read_scan
from synthanom.evaluation.setups import cradl, cradl_mask
from synthanom.evaluation.trivial import TRIVIAL
from synthanom.evaluation.truth import Item, Maps, read_pair
from synthanom.metrics import (
    SAMPLE_SCORES,
    Aggregation,
    Pixels,
    RankingAccumulator,
    anomalous_slices,
)
from synthanom.pictures.views import canonical_view
from synthanom.progress import Track, untold
from synthanom.volumes import Volume

NAMES = {"mean": "mean", "percentile": "75th percentile", "top": "top quarter"}
STORED = "as the model aggregates"


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """Scores by the way they were aggregated, with the truth and the subject of each."""

    scores: dict[str, list[float]] = field(default_factory=dict)
    truth: list[bool] = field(default_factory=list)
    subjects: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True, eq=False)
class Collected:
    """Everything that the metrics of one set of maps are computed from.

    Attributes
    ----------
    name : str
    ids : tuple of str
        Of the samples.
    samples, slices : Numbers
    pixels : Pixels or None
        None without a mask.
    ranking : RankingAccumulator
        Of all pixels.
    at_cuts : mapping of str to list of CutCounts
        Of every image of `pixels` at the pixel cuts that the model stored.
    """

    name: str
    ids: tuple[str, ...]
    samples: Numbers
    slices: Numbers
    pixels: Pixels | None
    ranking: RankingAccumulator
    at_cuts: Mapping[str, list[CutCounts]]


class Seen(NamedTuple):
    """One map and its mask, as they are evaluated; no mask where only the label is known."""

    values: ImageArray
    mask: MaskArray | None
    anomalous: bool


Reader = Callable[[Item], Seen]


def collect(maps: Maps, items: Sequence[Item], choices: Choices, *, track: Track = untold) -> Collected:
    """Read every map and mask once; `track` shows how many.

    Raises
    ------
    SynthanomError
        As `read_pair`, or an image that the setup does not suit.
    """

    def read_one(item: Item) -> Seen:
        volume, values, mask = read_pair(maps, item)
        return _seen(item, values, mask, volume, choices)

    stored = {item.id: maps.scores[item.id] for item in items if item.id in maps.scores}
    complete = stored if len(stored) == len(items) else {}
    return _gathered(maps.name, items, read_one, choices, stored=complete, cuts=maps.cuts.get("pixel", {}), track=track)


def collect_trivial(
    name: str, scans: Scans, maps: Maps, items: Sequence[Item], choices: Choices, *, track: Track = untold
) -> Collected:
    """As `collect`, of a map that `trivial` makes of each scan, on the grid of the maps.

    Raises
    ------
    SynthanomError
        As `read_pair` and `read_scan`.
    """

    def read_one(item: Item) -> Seen:
        volume, _, mask = read_pair(maps, item)
        image, foreground = read_scan(scans, maps, item, volume)
        if foreground.ndim == 3:
            view = canonical_view(volume.affine, 3)
            turned = TRIVIAL[name](view.turn(image), view.turn(foreground))
            turned = turned if choices.setup == "own" else cradl(turned)
            return Seen(turned, _turned_mask(mask, volume, choices), _anomalous(item, mask))
        return _seen(item, TRIVIAL[name](image, foreground), mask, volume, choices)

    return _gathered(name, items, read_one, choices, stored={}, cuts={}, track=track)


def _seen(item: Item, values: ImageArray, mask: MaskArray | None, volume: Volume, choices: Choices) -> Seen:
    """A map and its mask, volumes as (Z, Y, X) with axial slices."""
    if values.ndim == 3:
        values = canonical_view(volume.affine, 3).turn(values)
    if choices.setup == "cradl":
        values = cradl(values)
    return Seen(values, _turned_mask(mask, volume, choices), _anomalous(item, mask))


def _turned_mask(mask: MaskArray | None, volume: Volume, choices: Choices) -> MaskArray | None:
    if mask is None:
        return None
    turned = canonical_view(volume.affine, 3).turn(mask) if mask.ndim == 3 else mask
    return turned if choices.setup == "own" else cradl_mask(turned)


def _gathered(
    name: str,
    items: Sequence[Item],
    read_one: Reader,
    choices: Choices,
    *,
    stored: Mapping[str, float],
    cuts: Mapping[str, float],
    track: Track,
) -> Collected:
    samples, slices = Numbers(), Numbers()
    # without a single mask there is nothing to find but whole images
    only_images = all(item.mask is None for item in items)
    with PixelCounts(cuts, choices.overlap) as counts:
        for item in track(f"reading maps: {name}", items, len(items)):
            values, mask, anomalous = read_one(item)
            _add(samples, values[None], [anomalous], item.subject)
            if stored:
                samples.scores.setdefault(STORED, []).append(stored[item.id])
            if mask is None or only_images:
                continue
            if mask.ndim == 3:
                _add(slices, values, anomalous_slices(mask).tolist(), item.subject)
            counts.add(values, mask, item.subject)
    return Collected(
        name=name,
        ids=tuple(item.id for item in items),
        samples=samples,
        slices=slices,
        pixels=counts.store.finish() if counts.ranking.count else None,
        ranking=counts.ranking,
        at_cuts=counts.at_cuts,
    )


def _anomalous(item: Item, mask: MaskArray | None) -> bool:
    if item.anomalous is not None:
        return item.anomalous
    return mask is not None and bool(mask.any())


def _add(numbers: Numbers, maps: ImageArray, truth: Sequence[bool], subject: str) -> None:
    for aggregation in SAMPLE_SCORES:
        numbers.scores.setdefault(_name(aggregation), []).extend(aggregation(values) for values in maps)
    numbers.truth.extend(truth)
    numbers.subjects.extend([subject] * len(truth))


def _name(aggregation: Aggregation) -> str:
    return NAMES[aggregation.statistic]
