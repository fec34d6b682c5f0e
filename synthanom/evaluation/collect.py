"""What one set of maps gives at each level: numbers per image and per slice, and all pixels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from synthanom.arrays import FloatArray, ImageArray, MaskArray
from synthanom.errors import SynthanomError
from synthanom.evaluation.truth import Item, Maps, read_pair
from synthanom.metrics import SAMPLE_SCORES, Aggregation, anomalous_slices
from synthanom.pictures.views import canonical_view
from synthanom.preprocess import align, check_grid
from synthanom.progress import Track, untold
from synthanom.truth_set import holds_truth, open_truth_set
from synthanom.volumes import Source, Volume, discover, read

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
    """Everything that the metrics of one set of maps are computed from."""

    name: str
    samples: Numbers
    slices: Numbers
    pixels: list[npt.NDArray[np.float32]]
    masks: list[npt.NDArray[np.bool_]]
    pixel_subjects: list[str]


def collect(maps: Maps, items: Sequence[Item], *, track: Track = untold) -> Collected:
    """Read every map and mask once; `track` shows how many.

    Raises
    ------
    SynthanomError
        As `read_pair`.
    """

    def read_one(item: Item) -> tuple[ImageArray, MaskArray | None, FloatArray | None]:
        volume, values, mask = read_pair(maps, item)
        return values, mask, volume.affine

    stored = {item.id: maps.scores[item.id] for item in items if item.id in maps.scores}
    complete = stored if len(stored) == len(items) else {}
    return _gathered(maps.name, items, read_one, stored=complete, track=track)


def collect_deviation(images: Path, maps: Maps, items: Sequence[Item], *, track: Track = untold) -> Collected:
    """As `collect` for the trivial map |z|: how far each voxel is from its own image's mean, in deviations.

    Mean and deviation are over the voxels that are not 0; voxels that are 0 score 0; channels are averaged. Images are
    read as they were for the maps.

    Raises
    ------
    SynthanomError
        An image that is missing, cannot be read, or lies on another grid than its map.
    """
    sources = _scans(images)

    def read_one(item: Item) -> tuple[ImageArray, MaskArray | None, FloatArray | None]:
        volume, _, mask = read_pair(maps, item)
        contrasts = sources.get(item.id)
        if contrasts is None:
            raise SynthanomError(f"{images}: holds no image of {item.id!r}; give the folder that was scored")
        image = align([read(source, maps.reading) for source in contrasts])
        check_grid(image, volume.image.shape[1:], None, maps.sources[item.id].path)
        return _deviation(image), mask, volume.affine

    return _gathered("|z| in the image", items, read_one, stored={}, track=track)


def _scans(images: Path) -> dict[str, tuple[Source, ...]]:
    """The contrasts of every scan of a folder, or of those that a list of scans names."""
    if holds_truth(images):
        return {case.id: case.images for case in open_truth_set(images).cases}
    return {source.id: (source,) for source in discover(images)}


def _deviation(volume: Volume) -> ImageArray:
    score = np.zeros(volume.image.shape[1:], dtype=np.float64)
    for channel in volume.image.astype(np.float64):
        inside = channel != 0
        if np.ptp(channel[inside]) > 0:
            score[inside] += np.abs(channel[inside] - channel[inside].mean()) / channel[inside].std()
    return (score / len(volume.image)).astype(np.float32)


def _gathered(
    name: str,
    items: Sequence[Item],
    read_one: Callable[[Item], tuple[ImageArray, MaskArray | None, FloatArray | None]],
    *,
    stored: dict[str, float],
    track: Track,
) -> Collected:
    found = Collected(name=name, samples=Numbers(), slices=Numbers(), pixels=[], masks=[], pixel_subjects=[])
    # without a single mask there is nothing to find but whole images
    only_images = all(item.mask is None for item in items)
    for item in track(f"reading maps: {name}", items, len(items)):
        values, mask, affine = read_one(item)
        _add(found.samples, values[None], [_anomalous(item, mask)], item.subject)
        if stored:
            found.samples.scores.setdefault(STORED, []).append(stored[item.id])
        if mask is None or only_images:
            continue
        if mask.ndim == 3:
            view = canonical_view(affine, 3)
            _add(found.slices, view.turn(values), anomalous_slices(view.turn(mask)).tolist(), item.subject)
        found.pixels.append(values.ravel())
        found.masks.append(mask.ravel())
        found.pixel_subjects.append(item.subject)
    return found


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
