"""Which maps to show over their scans, and how they are cut."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from synthanom.arrays import ImageArray
from synthanom.evaluation.figures import PREFERRED, Figure
from synthanom.evaluation.rows import MODEL, Evaluation, SampleScore
from synthanom.evaluation.scans import Scans, find_scans
from synthanom.evaluation.truth import Item, Maps, Missing, find_maps, find_truth, read_pair
from synthanom.pictures.overlays import Overlay, overlays_picture
from synthanom.pictures.views import canonical_view
from synthanom.preprocess import align
from synthanom.volumes import read

EXAMPLES, EXTREMES = 8, 2
LONGEST = 28  # characters of an id in a title


def map_figures(found: Evaluation, sources: Mapping[str, Path | None], missing: Missing) -> Iterator[Figure]:
    """Randomly chosen predictions, and those with the lowest and the highest score of each class.

    Parameters
    ----------
    found : Evaluation
    sources : mapping
        The folders "maps", "truth", "labels" and "images" that were evaluated.
    missing : as `find_truth`

    Raises
    ------
    SynthanomError
        If a file is no longer as it was.
    """
    folder = sources["maps"]
    assert folder is not None
    maps = find_maps(MODEL, folder)
    items = {item.id: item for item in find_truth(maps, sources["truth"], sources["labels"], missing).items}
    images = sources["images"]
    scans = None if images is None else find_scans(images, maps)

    def overlay(sample: SampleScore, words: str) -> Overlay:
        return _overlay(items[sample.id], maps, scans, f"{words}{sample.id[-LONGEST:]}\n{_score(sample):.4g}")

    ill = [sample for sample in found.samples if sample.anomalous] or list(found.samples)
    order = np.random.default_rng(found.seed).permutation(len(ill))[:EXAMPLES]
    chosen = [overlay(ill[int(k)], "") for k in order]
    what = "anomalous images" if ill[0].anomalous else "images"
    heading = f"{len(chosen)} of {len(ill)} {what}, chosen at random"
    yield Figure(name="examples", content=overlays_picture(chosen, heading))
    pictures = [overlay(sample, words) for words, sample in extremes(found.samples)]
    heading = "lowest and highest score of each class"
    yield Figure(name="extremes", content=overlays_picture(pictures, heading, columns=2 * EXTREMES))


def extremes(samples: Sequence[SampleScore]) -> Iterator[tuple[str, SampleScore]]:
    """Of each class the samples with the lowest and the highest scores; ties by id."""
    for name, wanted in (("healthy", False), ("anomalous", True)):
        ranked = sorted((s for s in samples if s.anomalous is wanted), key=lambda s: (_score(s), s.id))
        count = min(EXTREMES, len(ranked) // 2 if len(ranked) > 1 else 1)
        for sample in ranked[:count]:
            yield f"{name}, lowest\n", sample
        for sample in ranked[::-1][:count] if len(ranked) > 1 else ():
            yield f"{name}, highest\n", sample


def _score(sample: SampleScore) -> float:
    way = next((way for way in PREFERRED if way in sample.scores), next(iter(sample.scores)))
    return sample.scores[way]


def _overlay(item: Item, maps: Maps, scans: Scans | None, title: str) -> Overlay:
    volume, values, mask = read_pair(maps, item)
    image: ImageArray | None = None
    if scans is not None and item.id in scans.files:
        image = align([read(source, maps.reading) for source in scans.files[item.id][0]]).image[0]
    view = canonical_view(volume.affine, values.ndim)
    arrays = [None if array is None else view.turn(array) for array in (image, values, mask)]
    spacing = view.order_spacing(volume.spacing or (1.0,) * values.ndim)
    if values.ndim == 3:
        shown = arrays[2] if arrays[2] is not None and arrays[2].any() else arrays[1]
        assert shown is not None
        best = int(np.argmax(shown.sum(axis=(1, 2), dtype=np.float64)))
        # as radiologists look at it: front at the top, the subject's right on the left
        arrays = [None if array is None else array[best, ::-1, ::-1] for array in arrays]
    cut_image, cut_values, cut_mask = arrays
    assert cut_values is not None
    return Overlay(
        title=title, image=cut_image, scores=cut_values, truth=cut_mask, aspect=spacing[-2] / spacing[-1],
    )  # fmt: skip
