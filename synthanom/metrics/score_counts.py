"""Counts of scores by group and label, in bins whose number does not grow with the scores."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from synthanom.arrays import ImageArray, MaskArray
from synthanom.errors import SynthanomError
from synthanom.metrics.pixels import Counts, binned, laid_bins, scores_of

KEPT = 2**22  # scores that are held, to lay bins by: six brains at 80 x 112 x 80
DISTINCT = 2**18  # of them, each a bin of its own: with ten groups their counts take 42 MB
Group = TypeVar("Group", bound=Hashable)


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoreBins(Generic[Group]):
    """How many scores of each group and label lie in each bin.

    Attributes
    ----------
    lowest, highest : ndarray of shape (B,), float32
        Scores that each bin saw, ascending; equal where it is one threshold.
    groups : mapping of group to ndarray of shape (B, 2), int64
        Negatives and positives.
    """

    lowest: npt.NDArray[np.float32]
    highest: npt.NDArray[np.float32]
    groups: Mapping[Group, Counts]

    def counts(self, wanted: Callable[[Group], bool]) -> Counts:
        """Negatives and positives per bin of the wanted groups together: (B, 2)."""
        return sum(
            (counts for group, counts in self.groups.items() if wanted(group)),
            np.zeros((self.lowest.size, 2), np.int64),
        )


class ScoreCounts(Generic[Group]):
    """Takes maps and masks one after the other and gives `ScoreBins`; no map is kept.

    Up to `kept` scores are held, and each distinct one is a bin if there are at most 2^18. Else 65,000 bins at most are
    laid by those held, finer where positives and the highest scores are: the first maps should be like the others.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._held: list[tuple[Group, npt.NDArray[np.float32], npt.NDArray[np.uint8]]] = []
        self._counts: dict[Group, Counts] = {}
        self._table: npt.NDArray[np.uint16] | None = None
        self._ends = np.zeros((0, 2), np.uint32)

    def add(self, scores: ImageArray, truth: MaskArray, group: Group) -> None:
        """Add finite scores and their labels, arrays of one shape.

        Raises
        ------
        SynthanomError
            Differing shapes.
        """
        if scores.shape != truth.shape or scores.size == 0:
            raise SynthanomError(
                f"scores and labels must have one shape and not be empty, got {scores.shape} and {truth.shape}; give "
                "each map with its own mask"
            )
        flat = np.array(scores, dtype=np.float32).ravel()
        packed = np.packbits(np.ascontiguousarray(truth).ravel())
        if self._table is not None:
            self._count(group, flat, packed)
            return
        self._held.append((group, flat, packed))
        if sum(held.size for _, held, _ in self._held) > self._kept:
            self._lay()

    def finish(self) -> ScoreBins[Group]:
        """What was added.

        Raises
        ------
        SynthanomError
            Nothing was added.
        """
        if self._table is None and not self._held:
            raise SynthanomError("counts need at least one map, got none; give maps whose masks are known")
        if self._table is None:
            values = np.unique(np.concatenate([held for _, held, _ in self._held]))
            if values.size <= DISTINCT:
                return self._each_a_bin(values)
            self._lay()
        seen = self._ends[:, 0] <= self._ends[:, 1]
        low, high = self._ends[seen].T
        groups = {group: counts[seen] for group, counts in self._counts.items()}
        return ScoreBins(lowest=scores_of(low), highest=scores_of(high), groups=groups)

    def _each_a_bin(self, values: npt.NDArray[np.float32]) -> ScoreBins[Group]:
        """The scores held, whose values are given, ascending."""
        found: dict[Group, Counts] = {}
        for group, held, packed in self._held:
            counts = found.setdefault(group, np.zeros((values.size, 2), np.int64))
            truth = np.unpackbits(packed, count=held.size)
            places = 2 * np.searchsorted(values, held) + truth
            counts += np.bincount(places, minlength=2 * values.size).reshape(-1, 2)
        return ScoreBins(lowest=values, highest=values, groups=found)

    def _lay(self) -> None:
        """Lay bins by the scores held, and count these."""
        self._table, self._ends = laid_bins([held for _, held, _ in self._held], [mask for _, _, mask in self._held])
        for held in self._held:
            self._count(*held)
        self._held = []

    def _count(self, group: Group, flat: npt.NDArray[np.float32], packed: npt.NDArray[np.uint8]) -> None:
        from synthanom.metrics.pixel_counts import count

        assert self._table is not None
        counts = self._counts.setdefault(group, np.zeros((len(self._ends), 2), np.int64))
        count(binned(flat, self._table, self._ends), packed, counts)
