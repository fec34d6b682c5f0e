"""All pixels of a set of maps, two bytes and a bit each: the bin of the score, and the mask."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from synthanom.arrays import ImageArray, MaskArray
from synthanom.errors import SynthanomError

KEPT = 2**22  # pixels up to which every score has a bin of its own
GRID = 2**10  # fine bins of `histogram`: bins are cut there whatever the first pixels were like, 3 % of a score apart
SHARES = 8_000  # bins by equal shares of the first pixels, of their positives, and of their highest scores
HIGHEST = 1e-7  # smallest share of the highest scores that is told apart
Counts = npt.NDArray[np.int64]
Bins = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]


@dataclass(frozen=True, kw_only=True, eq=False)
class Pixels:
    """Pixels of several maps, scores replaced by bins that keep their order.

    Attributes
    ----------
    lowest : ndarray of shape (B,), float32
        Lowest score that each bin saw, ascending: `score >= lowest[b]` and `bin >= b` are the same.
    tied : ndarray of shape (B,), bool
        The bin saw a single score, so it is one threshold.
    bins : tuple of n arrays, uint16 or uint32
        Of each image's pixels, flat.
    packed : tuple of n arrays, uint8
        Masks, as numpy.packbits makes them.
    shapes : tuple of n tuples
    subjects : tuple of n str
    """

    lowest: npt.NDArray[np.float32]
    tied: npt.NDArray[np.bool_]
    bins: tuple[Bins, ...]
    packed: tuple[npt.NDArray[np.uint8], ...]
    shapes: tuple[tuple[int, ...], ...]
    subjects: tuple[str, ...]

    @property
    def exact(self) -> bool:
        """Whether every bin holds one score."""
        return bool(self.tied.all())

    def mask(self, image: int) -> MaskArray:
        """The mask of an image, bool (*S)."""
        shape = self.shapes[image]
        return np.unpackbits(self.packed[image], count=int(np.prod(shape))).view(bool).reshape(shape)

    def called(self, image: int, cut: float) -> MaskArray:
        """Where an image's score is in the bin of `cut` or above, bool (*S); exact if `cut` is one of `lowest`."""
        return self.bins[image].reshape(self.shapes[image]) >= np.searchsorted(self.lowest, np.float32(cut))

    @cached_property
    def counts(self) -> Counts:
        """Negatives and positives per bin, of all images: (B, 2)."""
        return self.counts_of(range(len(self.bins)))

    def counts_of(self, images: Iterable[int]) -> Counts:
        """As `counts`, of the images given, with repeats."""
        from synthanom.metrics.pixel_counts import count

        found = np.zeros((self.lowest.size, 2), np.int64)
        for image in images:
            count(self.bins[image], self.packed[image], found)
        return found

    def grouped(self, group: npt.NDArray[np.int32], groups: int) -> tuple[tuple[str, ...], Counts]:
        """Subjects, ascending, and counts (S, groups, 2) per group of bins and label, given each bin's group (B,)."""
        from synthanom.metrics.pixel_counts import count_groups

        names = tuple(sorted(set(self.subjects)))
        number = {name: k for k, name in enumerate(names)}
        found = np.zeros((len(names), groups, 2), np.int64)
        for bins, packed, subject in zip(self.bins, self.packed, self.subjects, strict=True):
            count_groups(bins, packed, group, found[number[subject]])
        return names, found


class PixelStore:
    """Takes maps and masks one after the other and gives `Pixels`.

    Up to `kept` pixels every distinct score is a bin. Beyond that 65,000 bins at most are laid by the pixels so far,
    finer where positives and the highest scores are, and everything goes into them.

    Parameters
    ----------
    kept : int
        Pixels up to which every distinct score is a bin.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._held: list[npt.NDArray[np.float32]] = []
        self._bins: list[Bins] = []
        self._packed: list[npt.NDArray[np.uint8]] = []
        self._shapes: list[tuple[int, ...]] = []
        self._subjects: list[str] = []
        # bin of each fine bin of `histogram`, and lowest and highest key that each bin saw
        self._table: npt.NDArray[np.uint16] | None = None
        self._ends = np.zeros((0, 2), np.uint32)

    def add(self, scores: ImageArray, mask: MaskArray, subject: str) -> None:
        """Add a map and its mask.

        Parameters
        ----------
        scores : ndarray of shape (*S), float32, finite
        mask : ndarray of shape (*S), bool
        subject : str

        Raises
        ------
        SynthanomError
            Differing shapes.
        """
        if scores.shape != mask.shape or scores.size == 0:
            raise SynthanomError(
                f"a map and its mask must have one shape and not be empty, got {scores.shape} and {mask.shape}; give "
                "each map with its own mask"
            )
        flat = np.ascontiguousarray(scores, dtype=np.float32).ravel()
        self._packed.append(np.packbits(np.ascontiguousarray(mask).ravel()))
        self._shapes.append(tuple(int(n) for n in scores.shape))
        self._subjects.append(subject)
        if self._table is not None:
            self._bins.append(self._binned(flat))
            return
        self._held.append(flat)
        if sum(map(len, self._held)) > self._kept:
            self._lay()

    def finish(self) -> Pixels:
        """What was added.

        Raises
        ------
        SynthanomError
            Nothing was added.
        """
        if not self._shapes:
            raise SynthanomError("pixels need at least one map, got none; give maps whose masks are known")
        if self._table is None:
            lowest, numbers = np.unique(np.concatenate(self._held), return_inverse=True)
            ends = np.cumsum([len(held) for held in self._held])[:-1]
            bins: tuple[Bins, ...] = tuple(np.split(numbers.astype(np.uint32), ends))
            tied = np.ones(lowest.size, bool)
        else:
            lowest, tied = self._used()
            bins = tuple(self._bins)
        return Pixels(
            lowest=lowest,
            tied=tied,
            bins=bins,
            packed=tuple(self._packed),
            shapes=tuple(self._shapes),
            subjects=tuple(self._subjects),
        )

    def _used(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """Bins that saw anything, numbered anew in place."""
        seen = self._ends[:, 0] <= self._ends[:, 1]
        anew = (np.cumsum(seen) - 1).astype(np.uint16)
        for bins in self._bins:
            bins[:] = anew[bins]
        low, high = self._ends[seen].T
        return scores_of(low), low == high

    def _lay(self) -> None:
        """Lay bins by the pixels held, and put these into them."""
        self._table, self._ends = laid_bins(self._held, self._packed)
        self._bins = [self._binned(held) for held in self._held]
        self._held = []

    def _binned(self, flat: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
        assert self._table is not None
        return binned(flat, self._table, self._ends)


def laid_bins(
    held: Sequence[npt.NDArray[np.float32]], packed: Sequence[npt.NDArray[np.uint8]]
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint32]]:
    """Lay bins by some scores and their masks, packed: the bin of each fine bin, and room for each bin's ends.

    The ends, lowest and highest key that a bin saw, are those of empty bins.
    """
    from synthanom.metrics.histogram import BINS

    fine = [_fine(scores) for scores in held]
    marked = [f[np.unpackbits(p, count=f.size).view(bool)] for f, p in zip(fine, packed, strict=True)]
    every, positive = np.sort(np.concatenate(fine)), np.sort(np.concatenate(marked))
    shares = np.linspace(0, 1, SHARES)
    cuts = [np.arange(0, BINS, GRID), _at(every, shares), _at(every, 1 - np.geomspace(HIGHEST, 1, SHARES))]
    cuts += [_at(positive, shares)] if positive.size else []
    # also after them, so that a score that many pixels share is alone in its bin
    starts = np.unique(np.concatenate([*cuts, *(cut + 1 for cut in cuts[1:])]))
    marks = np.zeros(BINS, bool)
    marks[starts[(starts > 0) & (starts < BINS)]] = True
    table = np.cumsum(marks, dtype=np.uint16)
    return table, np.tile(np.array([2**32 - 1, 0], np.uint32), (int(table[-1]) + 1, 1))


def binned(
    flat: npt.NDArray[np.float32], table: npt.NDArray[np.uint16], ends: npt.NDArray[np.uint32]
) -> npt.NDArray[np.uint16]:
    """The bin of each score (n,); `ends` are widened."""
    from synthanom.metrics.pixel_counts import place_in

    out = np.empty(flat.size, np.uint16)
    place_in(flat, table, ends, out)
    return out


def _fine(flat: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Fine bins of scores."""
    from synthanom.metrics.pixel_counts import place_finely

    out = np.empty(flat.size, np.int64)
    place_finely(flat, out)
    return out


def _at(ascending: npt.NDArray[np.int64], shares: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    return ascending[np.rint(shares * (ascending.size - 1)).astype(np.int64)]


def scores_of(keys: npt.NDArray[np.uint32]) -> npt.NDArray[np.float32]:
    """The scores of keys: the inverse of `ordered_keys`."""
    positive = keys >= np.uint32(0x80000000)
    return np.where(positive, keys ^ np.uint32(0x80000000), ~keys).view(np.float32)
