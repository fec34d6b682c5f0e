"""Which cases a report shows with pictures, and the pictures: scan, map over it, outline of the truth."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synthanom.arrays import ImageArray, MaskArray
from synthanom.evaluation.rows import SampleScore
from synthanom.evaluation.scans import Scans
from synthanom.evaluation.truth import Item, Maps, read_pair
from synthanom.pictures.views import canonical_view
from synthanom.preprocess import align
from synthanom.progress import Track, untold
from synthanom.volumes import read

MOST = 60  # cases with pictures
PICTURES = 360  # slices of all volumes together
FEWEST_SLICES = 6  # of one volume
LONGEST_SIDE = 192  # pixels; larger planes are shrunk


@dataclass(frozen=True, kw_only=True, eq=False)
class Cut:
    """One plane as it is seen, front or top upwards, the subject's right on the left.

    Attributes
    ----------
    index : int
        Of the axial slice, from the feet; 0 of a picture.
    image : ndarray of shape (Y, X), or None
        None where no scans were given.
    scores : ndarray of shape (Y, X)
    truth : ndarray of shape (Y, X), bool, or None
        None where the truth of pixels is not known.
    """

    index: int
    image: ImageArray | None
    scores: ImageArray
    truth: MaskArray | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """A case and what is shown of it.

    Attributes
    ----------
    sample : SampleScore
    rank : int
        From 1, the highest score.
    cuts : tuple of Cut
        At least one; of volumes some of the slices, from the feet up.
    slices : int
        How many there are.
    start : int
        Place among `cuts` of the one to begin with: most of the truth in it, else the highest scores.
    aspect : float
        Height of a pixel over its width.
    """

    sample: SampleScore
    rank: int
    cuts: tuple[Cut, ...]
    slices: int
    start: int
    aspect: float


def ranked(samples: Sequence[SampleScore], way: str) -> list[SampleScore]:
    """From the highest score down; ties by id."""
    return sorted(samples, key=lambda sample: (-sample.scores[way], sample.id))


def shown_places(count: int, seed: int, most: int = MOST) -> list[int]:
    """Which of `count` ranked cases are shown: the highest, the lowest, and as many of those between, drawn by seed."""
    if count <= most:
        return list(range(count))
    third = most // 3
    between = np.random.default_rng(seed).permutation(count - 2 * third)[: most - 2 * third] + third
    return [*range(third), *sorted(int(place) for place in between), *range(count - third, count)]


def read_cases(
    order: Sequence[SampleScore],
    places: Sequence[int],
    items: Sequence[Item],
    maps: Maps,
    scans: Scans | None,
    *,
    track: Track = untold,
) -> Iterator[Case]:
    """The cases at these places of the ranking, one after the other.

    Raises
    ------
    SynthanomError
        As `read_pair`, or a scan that cannot be read.
    """
    known = {item.id: item for item in items}
    for place in track("reading pictures of cases", places, len(places)):
        sample = order[place]
        yield _case(sample, place + 1, known[sample.id], maps, scans, slices=PICTURES // len(places))


def _case(sample: SampleScore, rank: int, item: Item, maps: Maps, scans: Scans | None, *, slices: int) -> Case:
    volume, values, mask = read_pair(maps, item)
    image: ImageArray | None = None
    if scans is not None and item.id in scans.files:
        image = align([read(source, maps.reading) for source in scans.files[item.id][0]]).image[0]
        image = image if image.shape == values.shape else None
    view = canonical_view(volume.affine, values.ndim)
    spacing = view.order_spacing(volume.spacing or (1.0,) * values.ndim)
    turned = [None if array is None else view.turn(array) for array in (image, values, mask)]
    if values.ndim == 2:
        return Case(
            sample=sample, rank=rank, cuts=(_cut(0, *turned),), slices=1, start=0, aspect=spacing[0] / spacing[1]
        )
    seen, marked = turned[1], turned[2]
    assert seen is not None
    best = _best(seen, marked)
    wanted = _spread_slices(seen.shape[0], best, max(FEWEST_SLICES, slices))
    # as radiologists look at it: front at the top, the subject's right on the left
    cuts = tuple(_cut(z, *(None if a is None else a[z, ::-1, ::-1] for a in turned)) for z in wanted)
    return Case(
        sample=sample, rank=rank, cuts=cuts, slices=seen.shape[0], start=wanted.index(best),
        aspect=spacing[1] / spacing[2],
    )  # fmt: skip


def _best(scores: ImageArray, mask: MaskArray | None) -> int:
    """The slice with most of the truth, without any with the highest sum of scores."""
    shown = mask if mask is not None and mask.any() else scores
    return int(np.argmax(shown.sum(axis=(1, 2), dtype=np.float64)))


def _spread_slices(count: int, best: int, most: int) -> list[int]:
    """Evenly spread slices, the best one among them."""
    if count <= most:
        return list(range(count))
    return sorted({best, *(int(z) for z in np.linspace(0, count - 1, most - 1).round())})


def _cut(index: int, image: ImageArray | None, scores: ImageArray | None, truth: MaskArray | None) -> Cut:
    assert scores is not None
    factor = -(-max(scores.shape) // LONGEST_SIDE)
    marked = None if truth is None else shrunk(truth.astype(np.float32), factor) > 0  # nothing marked may vanish
    return Cut(
        index=index,
        image=None if image is None else shrunk(image, factor),
        scores=shrunk(scores, factor),
        truth=marked,
    )


def shrunk(plane: ImageArray, factor: int) -> npt.NDArray[np.float32]:
    """Means over blocks of `factor` pixels a side; the last ones may be smaller."""
    if factor == 1:
        return np.ascontiguousarray(plane, dtype=np.float32)
    starts = [np.arange(0, side, factor) for side in plane.shape]
    sums = np.add.reduceat(np.add.reduceat(plane.astype(np.float64), starts[0], axis=0), starts[1], axis=1)
    sizes = [np.diff(np.append(start, side)) for start, side in zip(starts, plane.shape, strict=True)]
    return np.asarray(sums / np.outer(*sizes), dtype=np.float32)
