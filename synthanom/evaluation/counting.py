"""What pixels of maps are counted in: bins, a ranking, and right and wrong at cuts."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Self

import numpy as np

from synthanom.arrays import ImageArray, MaskArray
from synthanom.metrics import Pixels, PixelStore, RankingAccumulator, lesion_counts

THREADS = 2


class CutCounts(NamedTuple):
    """Of one image at one cut: pixels right and wrong, lesions found, called parts that are right."""

    tp: int
    fp: int
    fn: int
    tn: int
    lesions: int
    found: int
    called: int
    right: int


def count_at_cut(called: MaskArray, mask: MaskArray, overlap: float) -> CutCounts:
    """Compare what is called with the truth: pixels, and lesions."""
    tp, marked, positive = (int(np.count_nonzero(part)) for part in (called & mask, mask, called))
    fp, fn = positive - tp, marked - tp
    lesions = lesion_counts(called, mask, overlap=overlap)
    return CutCounts(
        tp=tp, fp=fp, fn=fn, tn=mask.size - tp - fp - fn,
        lesions=lesions.lesions, found=lesions.found, called=lesions.called, right=lesions.right,
    )  # fmt: skip


def counts_at(pixels: Pixels, cut: float, overlap: float) -> Iterator[CutCounts]:
    """As `count_at_cut`, of every image; `cut` is the lowest score of a bin."""
    for image in range(len(pixels.bins)):
        yield count_at_cut(pixels.called(image, cut), pixels.mask(image), overlap)


class PixelCounts:
    """Takes maps and masks, one after the other, into all counts at once.

    Each count has its own state and sees the maps in order, so it does not matter which threads do it. Leave it as a
    context manager to end them.

    Parameters
    ----------
    cuts : mapping of str to float
        Scores from which on a pixel is called, by name.
    overlap : float
        As of `synthanom.metrics.lesion_counts`.

    Attributes
    ----------
    store : PixelStore
    ranking : RankingAccumulator
    at_cuts : dict of str to list of CutCounts
        Of every map, by the cut's name.
    """

    def __init__(self, cuts: Mapping[str, float], overlap: float) -> None:
        self.store, self.ranking = PixelStore(), RankingAccumulator()
        self.at_cuts: dict[str, list[CutCounts]] = {name: [] for name in cuts}
        self._cuts, self._overlap = {name: np.float32(cut) for name, cut in cuts.items()}, overlap
        self._pool = ThreadPoolExecutor(THREADS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def add(self, values: ImageArray, mask: MaskArray, subject: str) -> None:
        """Take a map (*S) and its mask (*S).

        Raises
        ------
        SynthanomError
            As `PixelStore.add`, `RankingAccumulator.update` and `lesion_counts`.
        """
        waiting = [
            self._pool.submit(self.store.add, values, mask, subject),
            self._pool.submit(self.ranking.update, values, mask),
        ]
        counted = {
            name: self._pool.submit(count_at_cut, values >= cut, mask, self._overlap)
            for name, cut in self._cuts.items()
        }
        for done in waiting:
            done.result()
        for name, found in counted.items():
            self.at_cuts[name].append(found.result())
